"""Make the virtual environment of the demo and the tests: `python3 requirements/install.py .venv` (make does it).

Needs Python 3.11 or newer and nothing else. Everything comes from the lock files with their hashes. torch is the one
exception: the same version has a CPU build on some machines and the registry's own on others, which brings libraries
of exact versions along; the wheel that pip finds must have a hash of `torch-hashes.txt`, its companions are torch's
own choice. Nothing is written outside the environment but pip's cache.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
TORCH = "torch==2.13.0"
PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
# What vLLM and Ray import when they start. Without bytecode the first start compiles the same files in several
# processes at once; what only some models need is left to them.
COMPILED = ("vllm", "torch", "transformers", "ray")
NOT_COMPILED = r"transformers/models/|vllm/model_executor/models/|torch/testing/|/tests?/|ray/(rllib|tune|train|data)/"


def main() -> None:
    """Make the environment named on the command line, from nothing or over what is there."""
    if sys.version_info < (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"error: Python {found} is too old, 3.11 is needed\n  try: make PYTHON=python3.11 demo")
    environment = Path(sys.argv[1]).absolute()
    python = str(environment / "bin" / "python")
    step("environment", [sys.executable, "-m", "venv", str(environment)])
    install = [python, *PIP, "install", "--no-deps", "--no-compile"]
    locks = [word for name in ("cpu.txt", "dev.txt") for word in ("-r", str(HERE / name))]
    step("packages, about 1 GB", [*install, "--require-hashes", *locks])
    with tempfile.TemporaryDirectory() as folder:
        step("torch", [python, *PIP, "download", "--no-deps", "--dest", folder, TORCH])
        step("torch, unpacked", [python, *PIP, "install", "--no-compile", str(checked_torch(Path(folder)))])
    step("hpc_qa", [*install, "--no-build-isolation", "--editable", str(PROJECT)])
    packages = site_packages(python)
    folders = [str(packages / name) for name in COMPILED]
    step("bytecode", [python, "-m", "compileall", "-q", "-j", str(processes()), "-x", NOT_COMPILED, *folders])


def step(name: str, command: list[str]) -> None:
    """Run one command; say how long it took, or end with its exit status."""
    start = time.monotonic()
    print(f"  {name} ...", file=sys.stderr, flush=True)
    # shown when it fails only: pip also complains about what was left out on purpose
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nerror: {name}: {' '.join(command[:6])} ... ended with status {done.returncode}")
    print(f"  {name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def checked_torch(folder: Path) -> Path:
    """The only wheel in the folder, if it is one that we know."""
    wheel = next(folder.glob("torch-*.whl"))
    with wheel.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 not in (HERE / "torch-hashes.txt").read_text().split():
        sys.exit(f"error: {wheel.name} has SHA-256 {sha256}, which is not in requirements/torch-hashes.txt")
    return wheel


def site_packages(python: str) -> Path:
    """Where the environment's packages are."""
    code = "import sysconfig; print(sysconfig.get_path('platlib'))"
    return Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())


def processes() -> int:
    """The CPUs that we may use."""
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
