"""budget: what was used, and whether the corpus fits."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import common, print_json, say
from hpc_qa.errors import ExitCode

if TYPE_CHECKING:
    from hpc_qa.budget.forecast import Forecast

ANSWERS = {
    "within": ExitCode.DONE,
    "close": ExitCode.DONE,
    "over": ExitCode.NO,
    "undecided": ExitCode.UNDECIDED,
}


@click.group()
def budget() -> None:
    """Whether the corpus fits into the budget.

    Example: hpc-qa budget forecast --costs costs.csv --budget-gpu-hours 1000
    """


@budget.command()
@click.option("--costs", required=True, type=click.Path(dir_okay=False),
              help="CSV: doc_id,size,task_id,gpu_hours; no gpu_hours is a document that is not done yet.")  # fmt: skip
@click.option("--overhead-gpu-hours-per-task", type=click.FloatRange(0, 1e9), default=0.0, show_default=True,
              help="What every array task costs on top of its documents, done or planned.")  # fmt: skip
@click.option("--budget-gpu-hours", type=click.FloatRange(0, 1e12, min_open=True), help="Instead of project.yaml's.")
@common
def forecast(
    costs: str, overhead_gpu_hours_per_task: float, budget_gpu_hours: float | None, *, project: Path, as_json: bool
) -> int:
    """What the whole corpus will cost, by what was done of it: an interval, and whether it fits.

    Exit code 0: within the budget, or close to it. 4: over. 5: undecided.

    Example: hpc-qa budget forecast --costs costs.csv --budget-gpu-hours 1000
    """
    from hpc_qa.budget.costs import read_costs
    from hpc_qa.budget.forecast import forecast as forecast_of
    from hpc_qa.config_file import load_project

    limit = budget_gpu_hours if budget_gpu_hours is not None else load_project(project).budget.gpu_hours
    table = read_costs(Path(costs))
    found = forecast_of(table, budget_gpu_hours=limit, overhead_gpu_hours_per_task=overhead_gpu_hours_per_task)
    if as_json:
        print_json(found.to_json())
    else:
        for line in _lines(found):
            say(line)
    if found.budget_gpu_hours is None:
        say("  try: --budget-gpu-hours N, or budget.gpu_hours in project.yaml, says what it has to fit into", err=True)
    return ANSWERS[found.status]


def _lines(found: "Forecast") -> list[str]:
    limit = "no budget set" if found.budget_gpu_hours is None else f"budget {found.budget_gpu_hours:,.1f}"
    if found.p50 is None:
        total = f"nothing to say yet from {found.documents_done} documents, {limit}"
    else:
        total = f"{found.p50:,.1f} GPU-hours, 90 % interval {found.p05:,.1f} to {found.p95:,.1f}, {limit}"
    lines = {"corpus": f"{total}: {found.status}"}
    done = f"{found.documents_done:,} of {found.documents_total:,} documents in {found.tasks_done:,} array tasks"
    lines["done"] = f"{done}, {found.spent_gpu_hours:,.1f} GPU-hours"
    if found.p_within is not None:
        lines["fits"] = f"with a probability of {100 * found.p_within:.1f} %"
    if found.naive is not None:
        lines["plain rule"] = f"{found.naive:,.1f} GPU-hours, documents x mean x 1.10: {found.naive_status}"
    if found.more_documents_to_decide is not None:
        lines["to decide"] = f"about {found.more_documents_to_decide:,} more documents have to be done"
    elif found.status == "close":
        lines["to decide"] = "more documents alone will not: what is expected lies too near to the budget"
    return [f"{name:<11}{text}" for name, text in lines.items()]
