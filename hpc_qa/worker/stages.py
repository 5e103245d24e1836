"""How the time of an attempt is spent: stages that do not overlap, written down as they end.

setup, model_load, warm_up, serving, tail, teardown. Launch (Slurm's start to our first mark) and what a killed attempt
lost are found later, from accounting. A line is appended when a stage ends; the current stage is known by its absence.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from hpc_qa.store.files import HeldFolder, storage_error
from hpc_qa.units import iso, utc_now

ORDER = ("setup", "model_load", "warm_up", "serving", "tail", "teardown")


class Stages:
    """The stage that runs now, and a file of those that ended."""

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._folder = HeldFolder(path.parent)
        self._monotonic = monotonic
        self._name: str | None = None
        self._began = 0.0
        self._began_at = ""
        self.seconds: dict[str, float] = {}

    @property
    def current(self) -> str | None:
        """The stage that runs now."""
        return self._name

    def begin(self, name: str) -> None:
        """End the current stage and begin this one, at the same instant."""
        if name not in ORDER:
            raise ValueError(f"{name} is not a stage; stages are {', '.join(ORDER)}")
        now, now_at = self._monotonic(), iso(utc_now())
        self._end(now, now_at)
        self._name, self._began, self._began_at = name, now, now_at

    def finish(self) -> None:
        """End the current stage."""
        self._end(self._monotonic(), iso(utc_now()))
        self._name = None

    def _end(self, now: float, now_at: str) -> None:
        if self._name is None:
            return
        seconds = now - self._began
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + seconds
        line = {"stage": self._name, "start": self._began_at, "end": now_at, "duration_s": round(seconds, 3)}
        self._folder.check()
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, (json.dumps(line) + "\n").encode())
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise storage_error(self._path, "cannot be written", exc) from exc
