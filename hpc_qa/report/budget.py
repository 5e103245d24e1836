"""The budget of a project: used, promised and left, where it went, and whether the corpus will fit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.budget.admission import Lien
from hpc_qa.campaign.admission import liens_of, on_slurm
from hpc_qa.campaign.projection import Projection, project_forecast
from hpc_qa.campaign.status import view_of_all
from hpc_qa.config_file import Project
from hpc_qa.ledger.usage import Usage, usage
from hpc_qa.store.run_directory import list_runs


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """Everything that `budget` shows."""

    budget_gpu_hours: float | None
    usage: Usage
    liens: tuple[Lien, ...]
    projection: Projection
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
    notes = (*(f"left out of the ledger: {one}" for one in used.skipped), *view.notes, *made.notes)
    return BudgetReport(limit, used, liens_of(runs, view, project), made, notes)
