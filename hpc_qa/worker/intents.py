"""Which documents were in flight when an attempt was killed: the only trace of one that takes the whole task with it.

A line is written before a document is first asked about and when it is closed. Nothing is synced: a kill of our
processes loses nothing that was written, and the loss of a node is no document's fault. A document that was open when
an attempt ended without a word is under suspicion: after one such end it is asked about last, after two alone as well.
One that was alone when an attempt was killed is to blame, and is not asked about again.
"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hpc_qa.store.run_directory import ShardDirectory

NAME = "intents"
DEATHS_TO_ALONE = 2


class Intents:
    """The intents of one attempt; without a path nothing is written."""

    def __init__(self, path: Path | None = None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = None if path is None else os.open(path, flags, 0o600)

    def begin(self, doc_id: str, *, alone: bool = False) -> None:
        """This document is asked about from now on; `alone`: nothing else is meanwhile."""
        self._write(f"{'?' if alone else '+'} {doc_id}")

    def end(self, doc_id: str) -> None:
        """This document has a terminal state."""
        self._write(f"- {doc_id}")

    def acquit(self) -> None:
        """The attempt ends for a reason that no document has: what is open is not under suspicion."""
        self._write(".")

    def _write(self, line: str) -> None:
        if self._descriptor is not None:
            os.write(self._descriptor, f"{line}\n".encode())


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What earlier attempts at a shard tell about documents."""

    deaths: Counter[str] = field(default_factory=Counter)  # how often it was in flight when an attempt was killed
    guilty: frozenset[str] = frozenset()  # in flight alone, and the attempt was killed

    def asked_last(self, doc_id: str) -> bool:
        """Whether the innocent come before it."""
        return self.deaths[doc_id] > 0

    def asked_alone(self, doc_id: str) -> bool:
        """Whether nothing else may be in flight with it."""
        return self.deaths[doc_id] >= DEATHS_TO_ALONE


def suspicion(shard: ShardDirectory) -> Suspicion:
    """What the attempts so far tell; ask before a new one writes its own intents."""
    deaths: Counter[str] = Counter()
    guilty: set[str] = set()
    for attempt in shard.attempts():
        alone = _left_open(_lines(attempt.path / NAME))
        deaths.update(alone.keys())
        if len(alone) == 1:
            guilty.update(key for key, was_alone in alone.items() if was_alone)
    return Suspicion(deaths, frozenset(guilty))


def _left_open(lines: Iterable[str]) -> dict[str, bool]:
    """The documents that were begun and not ended, and whether each was to be alone; none after an acquittal."""
    found: dict[str, bool] = {}
    for line in lines:
        mark, _, key = line.partition(" ")
        if mark == ".":
            return {}
        if mark in "+?" and key:
            found[key] = mark == "?"
        elif mark == "-":
            found.pop(key, None)
    return found


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:  # an attempt that asked about nothing, or was never that far
        return []
    return [line.removesuffix("\n") for line in text.splitlines(keepends=True) if line.endswith("\n")]
