"""What `collect` says when it is done."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc_qa.campaign.calibration import Calibrations
from hpc_qa.campaign.funnel import Funnel
from hpc_qa.errors import ExitCode
from hpc_qa.store.dataset import TRAIN, VALIDATION
from hpc_qa.units import plural


@dataclass(frozen=True, slots=True)
class Collected:
    """What was published, or why nothing was."""

    path: Path | None
    runs: list[str]
    rows: dict[str, int]
    funnel: Funnel
    documents_left: int
    exit_code: ExitCode
    calibration: Calibrations = field(default_factory=Calibrations)
    notes: list[str] = field(default_factory=list)
    going_on: list[str] = field(default_factory=list)  # runs that wait or run, when nothing was published

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path) if self.path else None,
            "runs": self.runs,
            "rows": self.rows,
            "funnel": self.funnel.to_json(),
            "judge_calibration": self.calibration.to_json(),
            "documents_left": self.documents_left,
            "notes": self.notes,
            "going_on": self.going_on,
            "exit_code": int(self.exit_code),
        }

    def lines(self) -> list[str]:
        """The result for people."""
        if self.path is None:
            run = self.runs[0] if len(self.runs) == 1 else "RUN"
            goes_on = [f"{one} goes on: hpc-qa status {one} --watch shows it" for one in self.going_on]
            what = "; ".join(goes_on) or f"hpc-qa resume {run} continues"
            return [
                f"incomplete   {plural(self.documents_left, 'document')} left; nothing was published",
                f"next         {what}; hpc-qa collect {run} --partial publishes what there is",
            ]
        here = Path.cwd()
        shown = self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
        lines = [f"dataset      {shown}"]
        lines += [f"{name:<12} {plural(count, 'pair')}" for name, count in self.rows.items()]
        lines.append(f"chunks       {self.funnel.accounted.words()}")
        if suspicion := self.funnel.accounted.suspicion():
            lines.append(f"suspicious   {suspicion}; taken out or asked about as text, see the flags of the rows")
        if fidelity := self.funnel.accounted.fidelity():
            lines.append(f"fidelity     {fidelity}")
        for step in self.funnel.steps():
            lost = ", ".join(f"{count} {reason}" for reason, count in step.lost.items())
            lines.append(f"{step.left:>12} {step.name}" + (f" (lost: {lost})" if lost else ""))
        if not self.rows[TRAIN] + self.rows[VALIDATION]:
            lines.append("WARNING      no pair is published: the dataset is empty; rejected.parquet has every reason")
        if self.documents_left:
            lines.append(f"partial      {plural(self.documents_left, 'document was', 'documents were')} not finished")
        return lines + [f"note         {text}" for text in self.notes]
