"""gate: go or no-go to the next batch."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import common, print_json, say

if TYPE_CHECKING:
    from hpc_qa.budget.forecast import Forecast
    from hpc_qa.campaign.gate import GateReport


@click.command()
@click.argument("run")
@common
def gate(run: str, *, project: Path, as_json: bool) -> int:
    """Go or no-go to the next batch after RUN, criterion by criterion with its number.

    RUN is held against the newest run of the batch before it; after smoke it is asked whether everything works.
    Exit code 0: go. 4: no-go. 5: undecided.

    Example: hpc-qa gate latest
    """
    from hpc_qa.campaign.gate import gate as gate_of
    from hpc_qa.config_file import load_project
    from hpc_qa.store.run_directory import find

    budget = load_project(project).budget.gpu_hours
    report = gate_of(find(project, run), project, budget_gpu_hours=budget, forecast=_forecast(project))
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report)
    return report.exit_code


def _forecast(_project: Path) -> "Forecast | None":
    """What the whole corpus will cost by what was done of it."""
    return None


def _print_report(report: "GateReport") -> None:
    from hpc_qa.campaign.gate import shown

    say(f"{report.run}, batch {report.batch or 'not named'}, held against {report.previous or 'nothing'}")
    for one in report.criteria:
        say(f"{one.verdict:<10} {one.name:<25} {shown(one.value):<10} {one.limit}: {one.why}")
    for note in report.notes:
        say(f"note: {note}", err=True)
    held = [one.name for one in report.criteria if one.verdict == report.verdict]
    say(f"{report.verdict}: {', '.join(held)}" if report.verdict != "go" else "go to the next batch")
