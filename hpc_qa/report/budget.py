"""The budget of a project: used, promised and left, where it went, what it bought, and whether the corpus will fit."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hpc_qa.budget.admission import Lien
from hpc_qa.budget.cost import CostRow, PerPair, cost_table
from hpc_qa.budget.prices import check_prices, load_prices
from hpc_qa.campaign.admission import liens_of, on_slurm
from hpc_qa.campaign.projection import Projection, project_forecast
from hpc_qa.campaign.savings import Remedies, remedies
from hpc_qa.campaign.scores import Score, drift
from hpc_qa.campaign.status import view_of_all
from hpc_qa.config import Site
from hpc_qa.config_file import Project, load_site
from hpc_qa.errors import SlurmError
from hpc_qa.ledger.usage import Usage, usage, words_of, words_of_asked
from hpc_qa.report.batches import BatchRow, batch_rows
from hpc_qa.report.runs import RunRow, outputs, per_pair_of_all, run_rows
from hpc_qa.slurm.limits import SiteLimit, site_limit
from hpc_qa.slurm.programs import run_program
from hpc_qa.store.run_directory import RunDirectory, list_runs

ANSWERS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """Everything that `budget` shows."""

    budget_gpu_hours: float | None
    usage: Usage
    liens: tuple[Lien, ...]
    runs: tuple[RunRow, ...]
    batches: tuple[BatchRow, ...]
    per_pair: PerPair
    projection: Projection
    since: Score | None  # what an earlier forecast expected of documents that were done after it
    remedies: Remedies | None  # None: it fits, or nothing is known
    costs: tuple[CostRow, ...]
    site: SiteLimit | None  # what Slurm itself allows our account; None: no limit, or it cannot be asked
    notes: tuple[str, ...]

    @property
    def committed(self) -> float:
        """GPU-hours that are promised to runs which wait or run."""
        return sum(lien.gpu_hours for lien in self.liens)

    @property
    def left(self) -> float | None:
        """GPU-hours of the budget that are neither used nor promised."""
        limit = self.budget_gpu_hours
        return None if limit is None else limit - self.usage.charged.gpu_hours - self.committed

    @property
    def status(self) -> str:
        """One word: within, close, over, undecided."""
        limit = self.budget_gpu_hours
        if limit is not None and self.usage.charged.gpu_hours > limit:
            return "over"
        return self.projection.forecast.status

    def to_json(self) -> dict[str, Any]:
        """As `budget --json` prints it."""
        return self.usage.to_json() | {
            "budget_gpu_hours": self.budget_gpu_hours,
            "committed": {"gpu_hours": self.committed, "runs": [lien.run for lien in self.liens]},
            "left": self.left,
            "site_limit": self.site.to_json() if self.site else None,
            "runs": [row.to_json() for row in self.runs],
            "batches": [asdict(row) for row in self.batches],
            "per_accepted_pair": self.per_pair.to_json(),
            "forecast": self.projection.forecast.to_json(),
            "drift": self.since.to_json() if self.since else None,
            "remedies": self.remedies.to_json() if self.remedies else None,
            "costs": [row.to_json() for row in self.costs],
            "status": self.status,
            "notes": list(self.notes),
        }


def budget_report(project: Path, settings: Project, *, budget_gpu_hours: float | None = None) -> BudgetReport:
    """The budget as the ledger, the queue and the forecast have it; accounting is not asked.

    Raises:
        ConfigError: the profile of the site, or the prices, are wrong.
        ManifestError: the manifest of the corpus cannot be read.
        StoreError: the ledger cannot be listed.
    """
    limit, site = settings.budget.gpu_hours if budget_gpu_hours is None else budget_gpu_hours, load_site(project)
    used = usage(project, settings.budget.clusters, site)
    every = list_runs(project)
    on_cluster = [run for run in every if on_slurm(run)]
    view = view_of_all(on_cluster)
    hours = used.charged.gpu_hours
    made = project_forecast(project, settings, budget_gpu_hours=limit, site=site, used=hours)
    gave, rule = outputs(project, every), site.charging if site else None
    rows = tuple(run_rows(project, every, gave, rule, used.charged_by_run))
    allowed, silent = _site_limit(on_cluster)
    return BudgetReport(
        budget_gpu_hours=limit,
        usage=used,
        liens=liens_of(on_cluster, view, project, site),
        runs=rows,
        batches=tuple(batch_rows(every, used, gave, limit)),
        per_pair=per_pair_of_all(rows, settings.budget.clusters, rule),
        projection=made,
        since=drift(project, made) if made.seen else None,
        remedies=remedies(made, project),
        costs=_costs(project, made, used, site),
        site=allowed,
        notes=(
            *(f"left out of the ledger, so that what is used may be too low: {one}" for one in used.skipped),
            *words_of(used.not_charged),
            *words_of_asked(used.as_asked),
            *view.notes,
            *made.notes,
            *silent,
        ),
    )


def _costs(project: Path, made: Projection, used: Usage, site: Site | None) -> tuple[CostRow, ...]:
    """What the corpus comes to on the campus and elsewhere; empty while there is no forecast."""
    found = made.forecast
    if found.p50 is None:
        check_prices(project)
        return ()
    share = used.charged.gpu_hours / used.allocated.gpu_hours if used.allocated.gpu_hours else 1.0
    allocated = {
        name: None if value is None else value / (share or 1.0)
        for name, value in (("p05", found.p05), ("p50", found.p50), ("p95", found.p95))
    }
    gpus = made.seen.gpus_per_server if made.seen else None
    today = datetime.now(UTC).date()
    rate = site.charging if site else None
    return tuple(
        cost_table(allocated, rate, load_prices(project), today, charged_share=share or 1.0, gpus_per_task=gpus)
    )


def _site_limit(runs: Sequence[RunDirectory]) -> tuple[SiteLimit | None, list[str]]:
    """(what Slurm allows the account of the newest run, why that could not be asked); not asked without Slurm."""
    if not runs or shutil.which("scontrol") is None:
        return None, []
    account = runs[-1].facts()["config"]["slurm"]["account"]
    try:
        return site_limit(account, run=partial(run_program, timeout_s=ANSWERS_WITHIN_S)), []
    except SlurmError as error:
        return None, [f"the site's own limit cannot be read: {error}"]
