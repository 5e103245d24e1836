"""Find and end the processes that we started, wherever they have gone.

A process is ours when it carries our mark in its environment or works in our private folder: both are inherited by
children, and survive a new session, a double fork and the death of the parent. (Programs that set their process title
overwrite part of their environment, vLLM and Ray among them; the working folder they leave alone.) Only processes of
our own user are looked at, and nothing is ever found by its name.

Shared memory outlives the processes that made it. What a process has mapped is known while it lives, so it is noted
before a kill and removed afterwards, unless somebody else uses it.
"""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - it is looked at; what is removed was mapped by processes of ours


def marked(mark: str, folder: Path | None = None) -> list[psutil.Process]:
    """Living processes of ours with `mark` ("NAME=value") in the environment, or working in or below `folder`."""
    needle = os.fsencode(mark)
    inside = None if folder is None else os.fsencode(folder)
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    found = [pid for pid in pids if _is_ours(Path("/proc", str(pid)), needle, inside)]
    return [process for pid in found if (process := _process(pid)) is not None]


def descendants(pid: int) -> list[psutil.Process]:
    """Children of a process, and theirs; empty when it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(processes: Iterable[psutil.Process], *, timeout_s: float = 10.0) -> list[psutil.Process]:
    """SIGKILL them and wait, then remove the shared memory that only they used; returns those that are still there.

    Python's resource trackers come last: they unlink the shared memory of the others once those are gone.
    """
    every = list(processes)
    shared = shared_memory(every)
    trackers = [process for process in every if _is_resource_tracker(process)]
    _signal_and_wait([process for process in every if process not in trackers], timeout_s)
    psutil.wait_procs(trackers, timeout=2.0)
    _signal_and_wait(trackers, 2.0)
    remove_shared_memory(shared)
    return alive(every)


def shared_memory(processes: Iterable[psutil.Process]) -> set[Path]:
    """Files of shared memory that these processes have mapped now."""
    return {path for process in processes for path in _mapped(process.pid)}


def remove_shared_memory(paths: Iterable[Path]) -> None:
    """Unlink those that are ours and that no process of ours has mapped any more."""
    left = {path for path in paths if _owner(path) == os.geteuid()}
    if left:
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        used = {path for pid in pids if _owner(Path("/proc", str(pid))) == os.geteuid() for path in _mapped(pid)}
        for path in left - used:
            path.unlink(missing_ok=True)


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie has ended and only waits for its parent."""
    return [process for process in processes if _runs(process)]


def wait_gone(processes: Iterable[psutil.Process], *, timeout_s: float) -> list[psutil.Process]:
    """Wait for them to end by themselves; returns those that are still there."""
    left = alive(processes)
    deadline = time.monotonic() + timeout_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = alive(left)
    return left


def killed_for_memory(root: Path = Path("/")) -> int:
    """How many processes of our control group the kernel has killed for memory; 0 also where it does not say.

    On a cluster that holds array tasks to their memory, the group is that of our array task.
    """
    counters = {"memory": "memory{}/memory.oom_control", "": ".{}/memory.events"}  # of version 1 and of version 2
    kills = 0
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, group = line.split(":", 2)
        if names in counters:
            said = _text(root / "sys/fs/cgroup" / counters[names].format(group))
            kills += sum(int(count) for count in re.findall(r"^oom_kill (\d+)$", said, re.MULTILINE))
    return kills


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _is_ours(entry: Path, needle: bytes, inside: bytes | None) -> bool:
    try:
        if entry.stat().st_uid != os.geteuid():
            return False
        if needle in (entry / "environ").read_bytes().split(b"\0"):
            return True
        folder = os.readlink(os.fsencode(entry / "cwd"))
    except OSError:  # it ended while we looked, or is not ours to look at
        return False
    return inside is not None and (folder == inside or folder.startswith(inside + b"/"))


def _mapped(pid: int) -> set[Path]:
    try:
        maps = Path("/proc", str(pid), "maps").read_text(errors="surrogateescape")
    except OSError:
        return set()
    names = (line.partition(f" {SHARED_MEMORY}/")[2] for line in maps.splitlines())
    return {SHARED_MEMORY / name for name in names if name and not name.endswith(" (deleted)")}


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def _process(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if _runs(process) else None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_resource_tracker(process: psutil.Process) -> bool:
    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def _signal_and_wait(processes: list[psutil.Process], timeout_s: float) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.Error:  # gone already
            continue
    wait_gone(processes, timeout_s=timeout_s)
