"""The admission of runs on Slurm to the budget, from the ledger, the queue and the plans that were frozen.

Accounting is asked before a run is admitted, so that what others have used meanwhile counts; where it does not answer,
the ledger is taken as it is, and that is said. Runs on this machine are not charged and need no admission.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hpc_qa.budget.admission import Admission, Demanded, Lien, sum_of
from hpc_qa.budget.charging import Held, charged_gpu_hours
from hpc_qa.campaign import estimate
from hpc_qa.campaign.cluster import ClusterView
from hpc_qa.campaign.piles import piles_of
from hpc_qa.campaign.plan import RunPlan
from hpc_qa.campaign.status import status, view_of_all
from hpc_qa.campaign.sync import behind, sync_runs
from hpc_qa.config import Budget, Config, Site, Slurm
from hpc_qa.config_file import load_site
from hpc_qa.errors import SlurmError, StoreError
from hpc_qa.ledger.usage import charged, used_by_living
from hpc_qa.store.files import write_json_once
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.units import iso, parse_clock, stamp, utc_now

Notes = tuple[str, ...]
OVER_BUDGET = "over-budget-"
OPEN = ("queued", "running", "unknown")  # what may still use GPUs


@dataclass(frozen=True, slots=True)
class Committed:
    """What is used of a budget, and what is promised."""

    used: float  # GPU-hours on the clusters of the budget
    liens: tuple[Lien, ...]
    notes: tuple[str, ...]  # what could not be asked


def committed(
    project: Path, budget: Budget, site: Site | None, *, fresh: bool, without: RunDirectory | None = None
) -> Committed:
    """What is used and promised now; `fresh` asks accounting before. The liens of the run `without` are left out.

    `site` says what is charged for what is allocated.

    Raises:
        StoreError: the ledger cannot be read or written.
    """
    runs = [run for run in list_runs(project) if on_slurm(run)]
    notes: list[str] = []
    view = view_of_all(runs)
    if fresh and (unsettled := behind(project, runs, view.queued)):
        try:
            notes += sync_runs(project, unsettled).notes
        except SlurmError as error:
            notes.append(f"what is used is as old as the ledger, accounting does not answer: {error}")
    others = [run for run in runs if without is None or run.path != without.path]
    used, skipped = charged(project, budget.clusters, site)
    notes += [f"what is used may be too low: {one}" for one in skipped]
    return Committed(used.gpu_hours, liens_of(others, view, project, site), (*notes, *view.notes))


def liens_of(runs: Sequence[RunDirectory], view: ClusterView, project: Path, site: Site | None) -> tuple[Lien, ...]:
    """What is promised to each of these runs that waits or runs."""
    if view.queued is not None and not view.queued:
        return ()
    so_far = used_by_living(project, site)
    return tuple(lien for run in runs if (lien := lien_of(run, view, so_far, site)) is not None)


def lien_of(
    run: RunDirectory, view: ClusterView, so_far: dict[tuple[str, int], float], site: Site | None
) -> Lien | None:
    """What is promised to the shards of a run that wait or run; None where none does.

    `so_far` is what attempts that have not ended have used already, by run and shard.
    """
    now = status(run, view)
    open_shards = [one.shard for one in now.shards if one.state in OPEN]
    if not open_shards:
        return None
    demanded = demanded_by(run, open_shards, site)
    used = sum(so_far.get((run.run_id, shard), 0.0) for shard in open_shards)
    return Lien(run.run_id, max(0.0, demanded.counted - used), demanded.basis, len(open_shards))


def charged_gpus(job: Slurm, gpus: int, site: Site | None) -> float:
    """GPU-hours that are charged for an hour of an array task with so many; where the rule needs more, those."""
    held = Held(gpus=gpus, elapsed_s=3600, suspended_s=0, nodes=job.nodes_per_task, qos=job.qos or "normal")
    charge = charged_gpu_hours(site, held).gpu_hours
    return float(gpus if charge is None else charge)


def charged_gpus_of(run: RunDirectory, site: Site | None) -> float:
    """The same of a run."""
    facts = run.facts()
    job, server = Slurm.model_validate(facts["config"]["slurm"]), facts.get("gpus_per_server") or 0
    return charged_gpus(job, facts.get("gpus_allocated") or max(server, job.gpus_asked), site)


def demanded_by(run: RunDirectory, shards: Iterable[int], site: Site | None) -> Demanded:
    """What these shards of a run may take, as its plan has it."""
    each = demanded_by_shard(run, site)
    return sum_of([each[shard] for shard in shards])


def demanded_by_shard(run: RunDirectory, site: Site | None) -> dict[int, Demanded]:
    """The same of each shard."""
    gpus = charged_gpus_of(run, site)
    worst = gpus * parse_clock(run.facts()["config"]["slurm"]["time"]) / 3600
    found = {}
    for one in run.frozen_plan()["shards"]:
        said: dict[str, Any] = one.get("predicted_s") or {}
        hours = {name: None if said.get(name) is None else gpus * said[name] / 3600 for name in ("p50", "p90")}
        found[int(one["index"])] = Demanded(hours["p50"], hours["p90"], worst)
    return found


def demanded_of(plan: RunPlan, site: Site | None) -> Demanded:
    """What a run of this plan may take."""
    held = plan.config.gpus_allocated
    gpus = charged_gpus(plan.config.slurm, held, site)
    hours = plan.gpu_hours.times(gpus / held)
    return Demanded(hours.p50, hours.p90, _worst_case(plan.config, len(plan.shards), gpus))


def _worst_case(config: Config, tasks: int, gpus: float) -> float:
    """GPU-hours of so many array tasks that all use up their time limit."""
    return tasks * gpus * parse_clock(config.slurm.time) / 3600


def admission_of(plan: RunPlan, project: Path, *, fresh: bool) -> tuple[Admission, Notes]:
    """Whether a run of this plan is let in, and notes.

    Raises:
        StoreError: the ledger cannot be read or written.
    """
    budget, site = plan.config.budget, load_site(project)
    found = committed(project, budget, site, fresh=fresh)
    return Admission(budget.gpu_hours, found.used, found.liens, demanded_of(plan, site)), found.notes


def admission_again(run: RunDirectory, shards: Iterable[int], project: Path, budget: Budget) -> tuple[Admission, Notes]:
    """Whether these shards of a run are let in once more, and notes.

    Raises:
        StoreError: the ledger cannot be read or written.
    """
    site = load_site(project)
    found = committed(project, budget, site, fresh=True, without=run)
    return Admission(budget.gpu_hours, found.used, found.liens, demanded_by(run, shards, site)), found.notes


def write_down_over_budget(run: RunDirectory, admission: Admission) -> None:
    """Keep that shards of this run were started although they did not fit.

    Raises:
        StoreError: the run's folder cannot be written.
    """
    now = utc_now()
    write_json_once(run.path / f"{OVER_BUDGET}{stamp(now)}.json", {"at": iso(now)} | admission.to_json())


def is_over_budget(run: RunDirectory) -> bool:
    """Whether somebody said that this run, or a resume of it, may exceed the budget.

    Raises:
        StoreError: run.json cannot be read.
    """
    granted = run.facts().get("admission") or {}
    return bool(granted.get("over_budget")) or any(run.path.glob(f"{OVER_BUDGET}*.json"))


def largest_that_fits(plan: RunPlan, room: float, project: Path) -> int:
    """How many entries of the manifest, from its first, make a run that fits into so many GPU-hours; 0: none does."""
    gpus = charged_gpus(plan.config.slurm, plan.config.gpus_allocated, load_site(project))

    def fits(documents: int) -> bool:
        first = dict(islice(plan.tokens.items(), documents))
        piles, _ = piles_of(first, plan.pace, plan.config)
        if plan.gpu_hours.p90 is None:
            return _worst_case(plan.config, len(piles), gpus) <= room
        seconds = [estimate.shard_seconds(pile.tokens, plan.paces).p90 for pile in piles]
        return sum(one or 0.0 for one in seconds) * gpus / 3600 <= room

    least, most = 0, len(plan.tokens)  # fits, does not fit
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    if not least:
        return 0
    last = next(islice(plan.tokens, least - 1, None))
    return next(number for number, entry in enumerate(plan.entries, 1) if entry.doc_id == last)


def on_slurm(run: RunDirectory) -> bool:
    """Whether something of this run was submitted to Slurm."""
    try:
        return run.facts()["executor"] == "slurm" and bool(run.list_submissions())
    except StoreError:  # unreadable: hpc-qa status says so
        return False
