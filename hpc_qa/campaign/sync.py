"""Accounting into the ledger: what Slurm knows of the attempts of our runs, or what a captured text says of any."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from hpc_qa.errors import SlurmError
from hpc_qa.ledger.attempts import add_new
from hpc_qa.ledger.schema import ATTEMPT
from hpc_qa.slurm.allocation import Allocation, allocations
from hpc_qa.slurm.attempts import ask_sacct
from hpc_qa.slurm.sacct_text import read_rows
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.units import utc_now

MOMENTS = {"submit": "submit_s", "eligible": "eligible_s", "start": "start_s", "end": "end_s"}


@dataclass(frozen=True, slots=True)
class Synced:
    """What one collection found and wrote."""

    read: int  # attempts
    written: int  # rows: attempts that are new, or of which more is known
    path: Path | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As `ledger sync --json` prints it."""
        path = str(self.path) if self.path else None
        return {"read": self.read, "written": self.written, "path": path, "notes": list(self.notes)}


def sync_runs(project: Path, runs: Sequence[RunDirectory]) -> Synced:
    """Ask accounting once for the jobs of these runs.

    Raises:
        SlurmError: sacct is missing, refuses or answers unreadably; the ledger is as it was.
        StoreError: the ledger cannot be written.
    """
    jobs = sorted({job for run in runs for job in _jobs(run)}, key=int)
    if not jobs:
        return Synced(0, 0, None, ())
    return _sync(project, ask_sacct(jobs))


def sync_file(project: Path, path: Path) -> Synced:
    """Read a text that sacct has printed, all of it, whoever's jobs they are.

    Raises:
        SlurmError: it is no such text, or cannot be read; the ledger is as it was.
        StoreError: the ledger cannot be written.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise SlurmError(f"{path}: cannot be read: {exc.strerror}", hint="is it the output of sacct -D -P?") from exc
    try:
        return _sync(project, data)
    except SlurmError as error:
        raise SlurmError(*(f"{path}: {fault}" for fault in error.faults), hint=error.hint) from error


def _sync(project: Path, data: bytes) -> Synced:
    found = allocations(read_rows(data))
    unreadable = [f"job {one.job_id or '?'}: its row cannot be cut into columns: {one.raw[0][:80]}"
                  for one in found if "unreadable" in one.data_quality]  # fmt: skip
    read, table = len(found), attempt_table(found, _shards(project), observed_at=utc_now())
    del found  # there may be a hundred thousand
    path, written, skipped = add_new(project, table)
    return Synced(read, written, path, (*unreadable, *(f"left out of the ledger: {text}" for text in skipped)))


def attempt_table(
    found: Sequence[Allocation], shards: Mapping[str, tuple[str, int]], *, observed_at: datetime
) -> pa.Table:
    """Rows of the ledger; `shards` gives run and shard of the array tasks that are ours, by Slurm's text."""
    values: dict[str, Callable[[Allocation], Any]] = {
        "source": lambda _: "sacct",
        "observed_at": lambda _: observed_at,
        "is_final": lambda one: one.ended,
        "run_id": lambda one: shards.get(one.job_id, (None, None))[0],
        "shard": lambda one: shards.get(one.job_id, (None, None))[1],
        "raw_sha256": lambda one: hashlib.sha256("\n".join(one.raw).encode()).hexdigest(),
    }
    arrays = []
    for field in ATTEMPT:
        if name := MOMENTS.get(field.name):
            seconds: Iterable[int | None] = (getattr(one, name) for one in found)
            column: list[Any] = [None if value is None else 1000 * value for value in seconds]
        elif field.name in values:
            column = [values[field.name](one) for one in found]
        else:
            column = [getattr(one, field.name) for one in found]
        arrays.append(pa.array(column, field.type))
    return pa.table(arrays, schema=ATTEMPT)


def _shards(project: Path) -> dict[str, tuple[str, int]]:
    """Run and shard of every array task that this project submitted."""
    found: dict[str, tuple[str, int]] = {}
    for run in list_runs(project):
        for submission in run.list_submissions():
            if submission.get("executor") == "slurm":
                found |= {str(task["job_id"]): (run.run_id, int(task["shard"])) for task in submission["tasks"]}
    return found


def _jobs(run: RunDirectory) -> set[str]:
    return {str(one["job_id"]) for one in run.list_submissions() if one.get("executor") == "slurm"}
