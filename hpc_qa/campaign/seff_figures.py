"""What seff says beside our own figures: which attempts it is asked about, and what the ledger has of it already.

It knows the last attempt of a job alone, so only that one is asked about, once it has ended. Nobody needs it: where it
is missing nothing is said, and where it fails that is a note.
"""

import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc

from hpc_qa.errors import SlurmError
from hpc_qa.ledger.attempts import KEY, TABLE
from hpc_qa.ledger.parts import read_parts
from hpc_qa.slurm.allocation import Allocation
from hpc_qa.slurm.seff import ask_seff
from hpc_qa.units import plural, utc_now

log = logging.getLogger("hpc_qa.campaign")

MOST_CALLS = 200  # a sync; one takes a few tenths of a second
MOST_FAILURES = 3  # then it is seff that is broken, and not a job
COLUMNS = ("seff_cpu_efficiency", "seff_memory_efficiency", "seff_asked_at")


@dataclass(frozen=True, slots=True)
class SeffFigures:
    """What seff said of an attempt; None where it had nothing to say."""

    cpu: float | None
    memory: float | None
    asked_at: datetime


def known_figures(project: Path) -> dict[tuple[str | None, str], SeffFigures]:
    """What the ledger has of seff, by cluster and attempt.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    table = read_parts(project, TABLE, (*KEY, *COLUMNS)).table
    asked = table.filter(pc.is_valid(table.column("seff_asked_at"))).sort_by("seff_asked_at")
    columns = (asked.column(name).to_pylist() for name in (*KEY, *COLUMNS))
    return {(cluster, attempt_id): SeffFigures(*said) for cluster, attempt_id, *said in zip(*columns, strict=True)}


def last_attempts(found: Iterable[Allocation]) -> list[Allocation]:
    """The last attempt of each job, where it has ended and held something; the youngest first."""
    last: dict[int, Allocation] = {}
    for one in found:
        if one.job_id_raw is not None and one.submit_s is not None:
            other = last.get(one.job_id_raw)
            if other is None or (other.submit_s or 0) <= one.submit_s:
                last[one.job_id_raw] = one
    ended = [one for one in last.values() if one.ended and one.elapsed_s]
    return sorted(ended, key=lambda one: one.end_s or 0, reverse=True)


def ask_about(found: Sequence[Allocation]) -> tuple[dict[str, SeffFigures], list[str]]:
    """What seff says of these attempts, by attempt_id, and notes on what it did not; nothing where it is missing."""
    if not found or shutil.which("seff") is None:
        return {}, []
    figures: dict[str, SeffFigures] = {}
    failures: list[str] = []
    unreadable: list[str] = []
    if len(found) > 20:
        log.warning("asking seff about %d array tasks, one by one", min(len(found), MOST_CALLS))
    for one in found[:MOST_CALLS]:
        if len(failures) == MOST_FAILURES:
            break
        try:
            said = ask_seff(one.job_id)
        except SlurmError as error:
            failures.append(f"job {one.job_id}: {error}")
            continue
        if said.job_id is None:
            unreadable.append(one.job_id)
        is_this = (said.job_id, said.elapsed_s) == (one.job_id_raw, one.elapsed_s)
        cpu, memory = (said.cpu, said.memory) if is_this else (None, None)
        figures[one.attempt_id] = SeffFigures(cpu, memory, utc_now())
    notes = []
    if unreadable:
        notes.append(f"seff printed nothing that can be read of {len(unreadable)} jobs, {unreadable[0]} first")
    if failures:
        notes.append(f"seff failed {len(failures)} times, first of {failures[0]}")
    if left := len(found) - len(figures):
        notes.append(f"seff is still to be asked about {plural(left, 'attempt')}: the next sync does that")
    return figures, notes
