"""What documents took in the runs of a campaign, from the ledger: the work on each, and what stands beside the work.

Runs resemble one another when they are of the same campaign, where it is named, with the same model on as many GPUs.
The work on a shard, its serving and tail in all attempts, is divided among its documents by the tokens that they took.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.budget.charging import columns_for, counted_column
from hpc_qa.budget.overhead import AttemptsSeen
from hpc_qa.config import Config, Site
from hpc_qa.errors import StoreError
from hpc_qa.ledger import documents
from hpc_qa.ledger.attempts import current
from hpc_qa.slurm.allocation import GPUS_NOT_ACCOUNTED
from hpc_qa.store.run_directory import RunDirectory, list_runs

COLUMNS = (
    "run_id", "shard", "source", "folder", "is_final", "start", "end", "gpu_count", "gpu_hours_allocated", "stages_ms",
    "data_quality",
)  # fmt: skip
WORK = ("serving", "tail")
MS_PER_HOUR = 3_600_000

Shard = tuple[str, int]  # of which run


class Done(NamedTuple):
    """What one document took."""

    task_id: str
    gpu_hours: float
    accepted: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What the runs of a campaign took."""

    runs: tuple[str, ...]
    config: Config  # of the newest of them
    converter_key: str
    gpus_per_server: int
    documents: dict[str, Done]  # by the SHA-256 of the file; of several runs the newest
    attempts: AttemptsSeen
    repeated_gpu_hours: float  # work on shards that are not done: a forecast expects all of it again
    hours: float  # during which an attempt held its GPUs
    skipped: tuple[str, ...]  # files of the ledger that were left out
    committed: int = 0  # documents of committed shards, what they took known or not
    not_accounted: int = 0  # attempts that accounting has no GPUs of, and that asked for some


def measured(project: Path, site: Site | None = None) -> Measured | None:
    """What the runs like the newest have taken; None before any document of a run on Slurm was committed.

    `site` says what is charged for what was allocated.

    Raises:
        StoreError: the ledger cannot be listed.
    """
    by_run = {run.run_id: (run, facts) for run in list_runs(project) if (facts := _facts(run))}
    found = documents.of_runs(project, by_run)
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in found.table.to_pylist():
        rows[row["run_id"]].append(row)
    newest = next((run_id for run_id in reversed(by_run) if rows[run_id]), None)
    if newest is None:
        return None
    run, facts = by_run[newest]
    family = tuple(run_id for run_id, (_, others) in by_run.items() if _family(others) == _family(facts))
    every = _attempts(project, family, site)
    attempts = [one for one in every if one["gpus_asked"] is None]
    committed = {(row["run_id"], row["shard"]): row["committed_by"] for one in family for row in rows[one]}
    return Measured(
        runs=family,
        config=Config.model_validate(facts["config"]),
        converter_key=str(run.frozen_plan()["converter_key"]),
        gpus_per_server=int(facts["gpus_per_server"]),
        documents=_documents([row for one in family for row in rows[one]], _work_by_shard(attempts)),
        attempts=_seen(attempts, committed),
        repeated_gpu_hours=sum(_repeated(one) for one in attempts if (one["run_id"], one["shard"]) not in committed),
        hours=_hours_held(every),
        skipped=found.skipped,
        committed=sum(len(rows[one]) for one in family),
        not_accounted=sum(GPUS_NOT_ACCOUNTED in (one["data_quality"] or ()) for one in every),
    )


def _facts(run: RunDirectory) -> dict[str, Any] | None:
    """What was frozen of a run on Slurm; None for others, and where it cannot be read."""
    try:
        facts = run.facts()
    except StoreError:  # hpc-qa status says so
        return None
    return facts if facts["executor"] == "slurm" and facts.get("gpus_per_server") is not None else None


def _family(facts: dict[str, Any]) -> tuple[object, ...]:
    return facts["config"].get("campaign"), facts["model"]["name"], facts["gpus_per_server"]


def _attempts(project: Path, runs: Sequence[str], site: Site | None) -> list[dict[str, Any]]:
    """The attempts of these runs that have started, and of which it is known what is charged for them."""
    table = current(project, tuple(dict.fromkeys((*COLUMNS, *columns_for(site))))).table
    ours = table.filter(pc.is_in(table.column("run_id"), value_set=pa.array(runs, pa.string())))
    rows = ours.append_column("hours", counted_column(site, ours)).to_pylist()
    return [row | {"work": _work(row)} for row in rows if row["hours"] is not None and row["start"]]


def _work(attempt: dict[str, Any]) -> float:
    """GPU-hours of serving and tail, as they are charged."""
    stages, allocated = dict(attempt["stages_ms"] or ()), attempt["gpu_hours_allocated"]
    held = (attempt["gpu_count"] or 0) * sum(stages.get(name, 0) for name in WORK) / MS_PER_HOUR
    return float(held * attempt["hours"] / allocated if allocated else 0.0)


def _work_by_shard(attempts: Sequence[dict[str, Any]]) -> dict[Shard, float]:
    work: dict[Shard, float] = defaultdict(float)
    for one in attempts:
        work[one["run_id"], one["shard"]] += one["work"]
    return work


def _documents(rows: Sequence[dict[str, Any]], work: dict[Shard, float]) -> dict[str, Done]:
    by_shard: dict[Shard, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_shard[row["run_id"], row["shard"]].append(row)
    done = {}
    for (run_id, shard), those in by_shard.items():
        if (run_id, shard) not in work:  # accounting does not know it: it says nothing of costs
            continue
        tokens = sum(row["computed_tokens"] for row in those)
        for row in those:
            share = row["computed_tokens"] / tokens if tokens else 1 / len(those)
            name = row["doc_sha256"] or row["doc_id"]
            done[name] = Done(
                f"{run_id}/{shard:04}", share * work[run_id, shard], row["accepted"], row["state"] == "ok"
            )
    return done


def _seen(attempts: Sequence[dict[str, Any]], committed: dict[Shard, str]) -> AttemptsSeen:
    """What the attempts that have ended took beside their work."""
    startups: list[float] = []
    lost: list[float] = []
    for one in attempts:
        if one["is_final"]:
            finished = committed.get((one["run_id"], one["shard"])) == one["folder"]
            (startups if finished else lost).append(one["hours"] - one["work"])
    return AttemptsSeen(tuple(startups), tuple(lost))


def _repeated(attempt: dict[str, Any]) -> float:
    """What a forecast expects again of an attempt at a shard that is not done."""
    return float(attempt["work"] if attempt["is_final"] else attempt["hours"])


def _hours_held(attempts: Sequence[dict[str, Any]]) -> float:
    """The hours during which at least one of them was running."""
    spans = sorted((one["start"], one["end"]) for one in attempts if one["end"] is not None)
    hours, until = 0.0, None
    for start, end in spans:
        begins = start if until is None else max(start, until)
        hours += max(0.0, (end - begins).total_seconds()) / 3600
        until = end if until is None else max(until, end)
    return hours
