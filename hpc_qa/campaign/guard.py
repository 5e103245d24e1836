"""Drain runs that would cross the budget: array tasks that wait are cancelled, the newest run's last ones first.

What runs is left to finish, until what is used is itself above the budget: then it is told to stop and writes what it
has. A run that was started with --over-budget is left alone. What was drained is written down in the run's folder;
`hpc-qa resume` starts it again when there is room.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpc_qa.campaign import control, estimate
from hpc_qa.campaign.admission import OPEN, charged_gpus_of, committed, demanded_by_shard, is_over_budget, on_slurm
from hpc_qa.campaign.status import RunStatus, status, view_of_all
from hpc_qa.config import Budget, Site
from hpc_qa.config_file import load_site
from hpc_qa.ledger.usage import used_by_living
from hpc_qa.slurm.queue import cancel_waiting
from hpc_qa.store.files import write_json_once
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.units import iso, stamp, utc_now


@dataclass(frozen=True, slots=True)
class Drained:
    """What was taken back of one run."""

    run: str
    shards: tuple[int, ...]
    gpu_hours: float  # that they might have taken
    running: bool  # whether what ran was told to stop as well


@dataclass(frozen=True, slots=True)
class Guarded:
    """What one look at the runs found and did."""

    budget_gpu_hours: float
    used: float
    expected: float  # of what waits or runs, before anything was drained
    open_runs: int
    drained: tuple[Drained, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As `budget guard --json` prints it."""
        return asdict(self) | {"notes": list(self.notes), "drained": [asdict(one) for one in self.drained]}


@dataclass(frozen=True, slots=True)
class _Open:
    """A run of which something waits or runs."""

    run: RunDirectory
    now: RunStatus
    rest: dict[int, float]  # GPU-hours that each shard of these may still take

    @property
    def waiting(self) -> list[int]:
        return [one.shard for one in self.now.shards if one.state == "queued"]


def guard(project: Path, budget: Budget, limit: float) -> Guarded:
    """Look once, and drain what would cross so many GPU-hours.

    Raises:
        SlurmError: what is to be drained cannot be cancelled.
        StoreError: the ledger cannot be read or written.
    """
    site = load_site(project)
    found = committed(project, budget, site, fresh=True)
    runs = list(_open_runs(project, site))
    allowed = [one for one in runs if is_over_budget(one.run)]
    notes = [*found.notes, *(f"{one.run.run_id} is left alone: it was started with --over-budget" for one in allowed)]
    expected = sum(sum(one.rest.values()) for one in runs)
    excess = found.used + expected - limit
    drained: list[Drained] = []
    for one in reversed([one for one in runs if one not in allowed]):
        if excess <= 0:
            break
        taken = _all_of(one) if found.used > limit else _waiting_of(one, excess)
        if taken:
            excess -= taken.gpu_hours
            _write_down(one.run, taken, used=found.used, expected=expected, limit=limit)
            drained.append(taken)
    return Guarded(limit, found.used, expected, len(runs), tuple(drained), tuple(notes))


def _open_runs(project: Path, site: Site | None) -> Iterator[_Open]:
    """Oldest first."""
    every = list_runs(project)
    runs = [run for run in every if on_slurm(run)]
    view, so_far = view_of_all(runs), used_by_living(project, site)
    for run in runs:
        now = status(run, view)
        shards = [one.shard for one in now.shards if one.state in OPEN]
        if not shards:
            continue
        facts = run.facts()
        gpus = charged_gpus_of(run, site)
        paces = estimate.measured_attempts(
            [one.path for one in every],
            model=str(facts["model"]["name"]),
            gpus_per_server=facts.get("gpus_per_server") or 0,
        )
        tokens = {one["index"]: one.get("predicted_tokens") for one in run.frozen_plan()["shards"]}
        planned, rest = demanded_by_shard(run, site), {}
        for shard in shards:
            seconds = estimate.shard_seconds(tokens[shard], paces).p90 if tokens[shard] is not None else None
            whole = planned[shard].counted if seconds is None else gpus * seconds / 3600
            rest[shard] = max(0.0, whole - so_far.get((run.run_id, shard), 0.0))
        yield _Open(run, now, rest)


def _waiting_of(one: _Open, excess: float) -> Drained | None:
    """Cancel array tasks that wait, the last ones first, until so much is taken back."""
    chosen: list[int] = []
    for shard in sorted(one.waiting, reverse=True):
        if sum(one.rest[number] for number in chosen) < excess:
            chosen.append(shard)
    if not chosen:
        return None
    tasks = {shard.shard: shard.job_id for shard in one.now.shards}
    cancel_waiting([str(tasks[shard]) for shard in chosen])
    return Drained(one.run.run_id, tuple(sorted(chosen)), sum(one.rest[shard] for shard in chosen), running=False)


def _all_of(one: _Open) -> Drained:
    control.cancel(one.run)
    return Drained(one.run.run_id, tuple(sorted(one.rest)), sum(one.rest.values()), running=True)


def _write_down(run: RunDirectory, taken: Drained, *, used: float, expected: float, limit: float) -> None:
    now = utc_now()
    figures = {"used": used, "expected": expected, "budget_gpu_hours": limit}
    write_json_once(run.path / f"drained-{stamp(now)}.json", {"at": iso(now)} | figures | asdict(taken))
