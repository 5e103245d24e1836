"""CPU time and memory of a process and of everything that it started, from /proc.

Who belongs to it is looked up every few seconds, as a node may have thousands of processes; between, those that are
known are read. CPU time of a process that has ended is with its parent, or as it was read last where nobody waited for
it. Memory is the sum of resident sizes: pages that several processes share count for each of them (dividing them, as
PSS does, walks all page tables).
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LOOK_EVERY_S = 5.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Use(NamedTuple):
    """What a process tree has used."""

    cpu_s: float  # so far
    resident_bytes: int  # now


class _Process(NamedTuple):
    parent: int
    cpu_ticks: int  # its own, and of children that it has waited for
    resident_pages: int


class ProcessTree:
    """The processes below `root`, and itself."""

    def __init__(self, root: int, *, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._proc = str(proc)
        self._clock = clock
        self._known: list[int] = []
        self._looked = float("-inf")
        self._ticks = 0  # so far
        self._lost_ticks = 0  # of processes that nobody waited for
        self._fell = False

    def use(self) -> Use | None:
        """What it has used; None where /proc does not say."""
        now, pids = self._clock(), self._known
        if now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            pids = [int(name) for name in os.listdir(self._proc) if name.isdigit()]
        found = {pid: process for pid in pids if (process := self._read(pid)) is not None}
        self._known = _below(self._root, found)
        if not self._known:
            return None
        tree = [found[pid] for pid in self._known]
        self._count(sum(one.cpu_ticks for one in tree))
        return Use(self._ticks / TICKS_PER_S, sum(one.resident_pages for one in tree) * PAGE_BYTES)

    def _count(self, ticks: int) -> None:
        """Keep the sum from falling: once, a child may have been waited for while we read; twice, it is gone."""
        now = ticks + self._lost_ticks
        fell = now < self._ticks
        if fell and self._fell:
            self._lost_ticks += self._ticks - now
        self._fell = fell and not self._fell
        self._ticks = max(self._ticks, now)

    def _read(self, pid: int) -> _Process | None:
        with suppress(OSError, ValueError, IndexError):  # it has ended
            descriptor = os.open(f"{self._proc}/{pid}/stat", os.O_RDONLY)
            try:
                text = os.read(descriptor, 4096)
            finally:
                os.close(descriptor)
            fields = text.rpartition(b")")[2].split()  # from the third on, proc(5): the name before may hold anything
            return _Process(int(fields[1]), sum(map(int, fields[11:15])), int(fields[21]))
        return None


def _below(root: int, found: dict[int, _Process]) -> list[int]:
    """The root and its descendants, parents before their children."""
    children: dict[int, list[int]] = {}
    for pid, process in found.items():
        children.setdefault(process.parent, []).append(pid)
    tree = [root] if root in found else []
    for pid in tree:
        tree += children.get(pid, ())
    return tree
