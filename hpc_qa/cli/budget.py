"""budget: what was used, and whether the corpus fits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.forecast import ANSWERS, backtest, forecast, lines_of
from hpc_qa.cli.guard import guard
from hpc_qa.cli.options import common, print_json, print_table, say
from hpc_qa.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from hpc_qa.report.budget import BudgetReport


@click.group(invoke_without_command=True)
@click.option("--budget-gpu-hours", type=click.FloatRange(0, 1e12, min_open=True), help="Instead of project.yaml's.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write one page with plots there.")
@common
def budget(budget_gpu_hours: float | None, html: Path | None, *, project: Path, as_json: bool) -> int:
    """What was used of the budget and is promised, by which runs, where it went, and whether the corpus will fit.

    Exit code 0: it fits, or is close. 4: over the budget. 5: undecided.

    Example: hpc-qa budget --budget-gpu-hours 1000
    """
    context = click.get_current_context()
    if command := context.invoked_subcommand:
        if as_json or html or budget_gpu_hours is not None:
            raise UsageError("options before a command of budget are not for it", hint=f"write them behind {command}")
        context.find_root().obj = {"project": str(project)}
        return ExitCode.DONE
    from hpc_qa.config_file import load_project
    from hpc_qa.report.budget import budget_report

    report = budget_report(project, load_project(project), budget_gpu_hours=budget_gpu_hours)
    if html:
        _write_page(html, project, report)
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report)
    for note in report.notes:
        say(f"note: {note}", err=True)
    if not report.usage.attempts:
        say("  try: hpc-qa ledger sync reads what accounting knows of the runs", err=True)
        return ExitCode.DONE
    return ANSWERS[report.status]


def _write_page(path: Path, project: Path, report: "BudgetReport") -> None:
    from hpc_qa.config_file import load_project, load_site
    from hpc_qa.ledger.history import history
    from hpc_qa.report.page import write_page

    write_page(path, report.to_json(), history(project, load_project(project).budget.clusters, load_site(project)))
    say(f"{'page':<11}{path}", err=True)


def _print_report(report: "BudgetReport") -> None:
    found, limit = report.usage, report.budget_gpu_hours
    charged, local = found.charged, found.local
    left = "no budget set" if report.left is None else f"of {limit:,.1f}, {report.left:,.1f} left"
    say(f"{'used':<11}{charged.gpu_hours:,.2f} GPU-hours {left}; attempts: {charged.attempts:,}")
    for lien in report.liens:
        tasks = f"array tasks: {lien.tasks:,}, {lien.basis}"
        say(f"{'committed':<11}up to {lien.gpu_hours:,.2f} GPU-hours to {lien.run} ({tasks})")
    if report.site:
        say(f"{'site':<11}{report.site.describe()}")
    if local.attempts:
        say(f"{'local':<11}{local.gpu_hours:,.2f} GPU-hours on this machine, not charged; attempts: {local.attempts:,}")
    if unknown := charged.unknown + local.unknown:
        say(f"{'unknown':<11}what was held is not known of attempts: {unknown:,}; they are in no sum")
    for line in lines_of(report.projection.forecast):
        say(line)
    facts = found.to_json()
    for one, many in (("run", "runs"), ("state", "states")):
        _print_rows(facts[many], {one: one, "attempts": "attempts", "gpu_hours": "GPU-hours"})
    stages = [row | {"percent": 100 * row["share"]} for row in facts["stages"] if row["gpu_hours"]]
    _print_rows(stages, {"stage": "where it went", "gpu_hours": "GPU-hours", "percent": "% of used"})


def _print_rows(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    if rows:
        say("")
        print_table(rows, columns)


for command in (forecast, backtest, guard):
    budget.add_command(command)
