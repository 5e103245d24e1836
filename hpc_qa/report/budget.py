"""The budget of a project: used, promised and left, where it went, and whether the corpus will fit."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hpc_qa.budget.admission import Lien
from hpc_qa.campaign.admission import liens_of, on_slurm
from hpc_qa.campaign.projection import Projection, project_forecast
from hpc_qa.campaign.status import view_of_all
from hpc_qa.config_file import Project
from hpc_qa.errors import SlurmError
from hpc_qa.ledger.usage import Usage, usage
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
    projection: Projection
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
            "forecast": self.projection.forecast.to_json(),
            "status": self.status,
            "notes": list(self.notes),
        }


def budget_report(project: Path, settings: Project, *, budget_gpu_hours: float | None = None) -> BudgetReport:
    """The budget as the ledger, the queue and the forecast have it; accounting is not asked.

    Raises:
        ManifestError: the manifest of the corpus cannot be read.
        StoreError: the ledger cannot be listed.
    """
    limit = settings.budget.gpu_hours if budget_gpu_hours is None else budget_gpu_hours
    used = usage(project, settings.budget.clusters)
    runs = [run for run in list_runs(project) if on_slurm(run)]
    view = view_of_all(runs)
    made = project_forecast(project, settings, budget_gpu_hours=limit, used=used.charged.gpu_hours)
    site, silent = _site_limit(runs)
    notes = (*(f"left out of the ledger: {one}" for one in used.skipped), *view.notes, *made.notes, *silent)
    return BudgetReport(limit, used, liens_of(runs, view, project), made, site, notes)


def _site_limit(runs: Sequence[RunDirectory]) -> tuple[SiteLimit | None, list[str]]:
    """(what Slurm allows the account of the newest run, why that could not be asked); not asked without Slurm."""
    if not runs or shutil.which("scontrol") is None:
        return None, []
    account = runs[-1].facts()["config"]["slurm"]["account"]
    try:
        return site_limit(account, run=partial(run_program, timeout_s=ANSWERS_WITHIN_S)), []
    except SlurmError as error:
        return None, [f"the site's own limit cannot be read: {error}"]
