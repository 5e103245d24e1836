"""Accounting into the ledger: what Slurm knows of the attempts of our runs, or what a captured text says of any."""

import gc
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpc_qa.campaign.attempt_folders import AttemptFolder, attempt_folders
from hpc_qa.campaign.committed import committed_documents
from hpc_qa.campaign.held import SACCT, Held, attempt_table, joined
from hpc_qa.campaign.seff_figures import ask_about, known_figures, last_attempts
from hpc_qa.campaign.submitted_tasks import CLOCKS_DIFFER_S, SubmittedTasks
from hpc_qa.errors import SlurmError
from hpc_qa.ledger import documents
from hpc_qa.ledger.attempts import add_new, current
from hpc_qa.slurm.allocation import Allocation, allocations
from hpc_qa.slurm.attempts import ask_sacct
from hpc_qa.slurm.sacct_text import read_rows
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.units import utc_now

STARTED_AGAIN = frozenset({"REQUEUED", "PREEMPTED", "NODE_FAIL", "UNKNOWN"})  # perhaps, under the same job id


@dataclass(frozen=True, slots=True)
class Synced:
    """What one collection found and wrote."""

    read: int  # attempts
    written: int  # rows: attempts that are new, or of which more is known
    path: Path | None
    notes: tuple[str, ...]
    documents: int = 0  # of shards that were committed since the last time

    def to_json(self) -> dict[str, Any]:
        """As `ledger sync --json` prints it."""
        return asdict(self) | {"path": str(self.path) if self.path else None, "notes": list(self.notes)}


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage collection meanwhile: of a hundred thousand rows that stay, each would be looked at many times."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_collector_paused()
def sync_runs(project: Path, runs: Sequence[RunDirectory], *, asks_seff: bool = False) -> Synced:
    """Ask accounting once for the jobs of these runs.

    With `asks_seff` also seff, where there is one, about attempts that it was not asked about yet: a call for each.

    Raises:
        SlurmError: sacct is missing, refuses or answers unreadably; the ledger is as it was.
        StoreError: the ledger cannot be written.
    """
    tasks = SubmittedTasks(runs)
    since_s = None if tasks.since_s is None else tasks.since_s - CLOCKS_DIFFER_S
    found = allocations(read_rows(ask_sacct(tasks.jobs, since_s=since_s))) if tasks.jobs else []
    strange = [place for place, one in enumerate(found) if tasks.is_strange(one)]
    for place in reversed(strange):
        del found[place]
    done = _write(project, found, tasks, list(attempt_folders(runs)), asks_seff=asks_seff)
    if strange:
        done = replace(done, notes=(*done.notes, f"other jobs that once had ids of ours, left out: {len(strange):,}"))
    return _with_documents(project, runs, done)


def behind(project: Path, runs: Sequence[RunDirectory], living: Collection[str] | None) -> list[RunDirectory]:
    """Those of these runs of which accounting may know more than the ledger.

    `living` are the array tasks that the queue has, None where it did not answer. A task that is in it, or whose newest
    row in the ledger is no end for good, is behind.

    Raises:
        StoreError: the ledger cannot be listed.
    """
    table = current(project, ("run_id", "job_id", "submit", "state", "is_final")).table.sort_by("submit")
    newest = {row["job_id"]: row for row in table.to_pylist() if row["run_id"] is not None}
    settled = {job for job, row in newest.items() if row["is_final"] and row["state"] not in STARTED_AGAIN}
    return [
        run
        for run in runs
        if (tasks := SubmittedTasks([run]).ids) - settled or living is None or not tasks.isdisjoint(living)
    ]


@_collector_paused()
def sync_file(project: Path, path: Path) -> Synced:
    """Read a text that sacct has printed, all of it, whoever's jobs they are.

    Raises:
        SlurmError: it is no such text, or cannot be read; the ledger is as it was.
        StoreError: the ledger cannot be written.
    """
    runs = list_runs(project)
    try:
        found = allocations(read_rows(path.read_bytes()))
    except OSError as exc:
        raise SlurmError(f"{path}: cannot be read: {exc.strerror}", hint="is it the output of sacct -D -P?") from exc
    except SlurmError as error:
        raise SlurmError(*(f"{path}: {fault}" for fault in error.faults), hint=error.hint) from error
    named = {one.job_id.partition("_")[0] for one in found}
    folders = [one for one in attempt_folders(runs) if one.executor == "slurm" and one.task[0] in named]
    return _with_documents(project, runs, _write(project, found, SubmittedTasks(runs), folders))


def _with_documents(project: Path, runs: Sequence[RunDirectory], done: Synced) -> Synced:
    """Write the documents of shards that were committed since the last time as well."""
    notes: list[str] = []
    rows = list(committed_documents(runs, documents.known_commits(project), notes))
    documents.add(project, rows)
    return replace(done, documents=len(rows), notes=(*done.notes, *notes))


def _write(
    project: Path,
    found: list[Allocation],
    tasks: SubmittedTasks,
    folders: Iterable[AttemptFolder],
    *,
    asks_seff: bool = False,
) -> Synced:
    attempts = joined(found, tasks, folders)
    of_seff = _add_seff(project, attempts, asks=asks_seff)
    notes = [
        f"job {one.job_id or '?'}: its row cannot be cut into columns: {one.raw[0][:80]}"
        for one in found
        if "unreadable" in one.data_quality
    ]
    read, table = len(attempts), attempt_table(attempts, observed_at=utc_now())
    found.clear()  # there may be a hundred thousand
    del attempts
    path, written, skipped = add_new(project, table)
    return Synced(read, written, path, (*notes, *of_seff, *(f"left out of the ledger: {text}" for text in skipped)))


def _add_seff(project: Path, attempts: Sequence[Held], *, asks: bool) -> list[str]:
    """Add what seff said before, and what it says now of our own attempts; notes on what it did not."""
    known = known_figures(project)
    ended = [held for held in attempts if held.source == SACCT and held.allocation.ended]
    for held in ended:
        held.seff = known.get((held.allocation.cluster, held.allocation.attempt_id))
    if not asks:
        return []
    waiting = {held.allocation.attempt_id: held for held in ended if held.run_id is not None and held.seff is None}
    last = last_attempts(held.allocation for held in attempts)
    figures, notes = ask_about([one for one in last if one.attempt_id in waiting])
    for attempt_id, said in figures.items():
        waiting[attempt_id].seff = said
    return notes
