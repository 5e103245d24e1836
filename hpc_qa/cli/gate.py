"""gate: go or no-go to the next batch."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import common, print_json, say
from hpc_qa.errors import ExitCode

if TYPE_CHECKING:
    from hpc_qa.budget.forecast import Forecast
    from hpc_qa.campaign.gate import GateBefore, GateReport
    from hpc_qa.config import Config


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
    report = gate_of(find(project, run), project, budget_gpu_hours=budget, forecast=forecast_of(project))
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report)
    return report.exit_code


def forecast_of(project: Path) -> "Forecast":
    """What the whole corpus will cost by what was done of it, or why that is not known."""
    from hpc_qa.campaign.projection import project_forecast
    from hpc_qa.config_file import load_project, load_site

    return project_forecast(project, load_project(project), site=load_site(project)).forecast


def gate_allows(config: "Config", project: Path, *, despite_gate: bool, as_json: bool) -> "GateBefore | None":
    """What the gate of the batch before says; None when it says no, which is told then."""
    from hpc_qa.campaign.gate import gate_before

    found = gate_before(config, project, forecast=lambda: forecast_of(project))
    for note in found.notes:
        say(f"note: {note}", err=True)
    for line in found.warnings:
        say(f"warning: {line}", err=True)
    if not found.refusal:
        return found
    for line in found.refusal:
        say(f"{'note' if despite_gate else 'error'}: {line}", err=True)
    if despite_gate:
        return found
    say(f"  try: {found.hint}", err=True)
    if as_json:
        error = {"faults": found.refusal, "hint": found.hint, "exit_code": int(ExitCode.NO)}
        print_json({"run": None, "path": None, "job_ids": [], "gate": found.to_json(), "error": error})
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
