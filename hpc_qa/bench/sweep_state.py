"""What came of the cells of a sweep: `sweeps/NAME/state.json`, replaced as a whole after every change.

A sweep that was killed goes on from it. Only one process may work on a sweep at a time.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from hpc_qa.bench.grid import Sweep
from hpc_qa.bench.sweep_failures import FailureKind
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.store.files import json_bytes, make_folder_if_missing, read_json, storage_error

FOLDER = "sweeps"
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one cell, once."""

    cell: str
    repeat: int
    state: Literal["running", "done", "failed"]
    run: str | None = None
    record: str | None = None  # id; a cell that has failed has one too, which says so
    seconds: float | None = None  # of the run, start to end
    prefix_cache: str | None = None
    failure: FailureKind | None = None
    why: str | None = None

    @property
    def key(self) -> str:
        return f"{self.cell}#{self.repeat}"

    @property
    def is_left(self) -> bool:
        """Whether the sweep comes back to it by itself: it was cut off, or has not ended."""
        return self.state == "running" or self.failure == "interrupted"


@contextmanager
def held(project: Path, sweep: Sweep) -> Iterator[None]:
    """Keep others from working on a sweep meanwhile; its state is read inside, else it can be behind.

    Raises:
        ConfigError: somebody does.
    """
    folder = project / FOLDER / sweep.name
    make_folder_if_missing(folder)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            fault = f"{folder}: another process works on this sweep"
            raise ConfigError(fault, hint="wait for it, or give this sweep another name") from exc
        yield


class SweepState:
    """The outcomes of a sweep, by key, in the order in which they came."""

    def __init__(self, project: Path, sweep: Sweep) -> None:
        """Read what there is.

        Raises:
            ConfigError: a sweep of this name was begun with other settings.
            StoreError: the state cannot be read.
        """
        self.folder = project / FOLDER / sweep.name
        self._sweep = hashlib.sha256(json.dumps(sweep.model_dump(), sort_keys=True).encode()).hexdigest()
        self.outcomes: dict[str, Outcome] = {}
        path = self.folder / STATE
        if not path.exists():
            return
        found = read_json(path)
        if found.get("sweep_sha256") != self._sweep:
            raise ConfigError(
                f"{self.folder}: a sweep of this name was begun with another file",
                hint="give the sweep another name; what it measured stays in records/",
            )
        try:
            every = [Outcome(**one) for one in found["cells"]]
        except (KeyError, TypeError) as exc:
            raise StoreError(f"{path}: is damaged: {exc}", hint=f"move {self.folder} away and start again") from exc
        self.outcomes = {one.key: one for one in every}

    def put(self, outcome: Outcome) -> None:
        """Keep what came of a cell.

        Raises:
            StoreError: it cannot be written.
        """
        self.outcomes[outcome.key] = outcome
        path = self.folder / STATE
        fresh = path.with_suffix(".tmp")
        document: dict[str, Any] = {
            "sweep_sha256": self._sweep,
            "cells": [asdict(one) for one in self.outcomes.values()],
        }
        try:
            with fresh.open("wb") as stream:
                stream.write(json_bytes(document))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(fresh, path)
        except OSError as exc:
            raise storage_error(path, "cannot be written", exc) from exc
