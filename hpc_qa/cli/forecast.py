"""budget forecast and budget backtest: what the corpus will cost, and how good such forecasts were."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import GpuHours, common, print_json, say
from hpc_qa.errors import ExitCode, UsageError
from hpc_qa.units import number, plural

if TYPE_CHECKING:
    from hpc_qa.budget.forecast import Forecast
    from hpc_qa.config_file import Project

ANSWERS = {
    "within": ExitCode.DONE,
    "close": ExitCode.DONE,
    "over": ExitCode.NO,
    "undecided": ExitCode.UNDECIDED,
}


@click.command()
@click.option("--costs", type=click.Path(dir_okay=False),
              help="CSV: doc_id,size,task_id,gpu_hours; no gpu_hours is a document that is not done yet.")  # fmt: skip
@click.option("--overhead-gpu-hours-per-task", type=click.FloatRange(0, 1e9),
              help="With --costs: what every array task costs on top of its documents, done or planned.")  # fmt: skip
@click.option("--corpus", help="Manifest of everything that is to be done, instead of project.yaml's.")
@click.option("--budget-gpu-hours", type=GpuHours(), help="Instead of project.yaml's.")
@common
def forecast(
    costs: str | None, overhead_gpu_hours_per_task: float | None, corpus: str | None, budget_gpu_hours: float | None, *,
    project: Path, as_json: bool,
) -> int:  # fmt: skip
    """What the whole corpus will cost, by what was done of it: an interval, and whether it fits.

    Without --costs it is made from the ledger, and kept in projections/ with what it was made of.
    Exit code 0: within the budget, or close to it. 4: over. 5: undecided.

    Example: hpc-qa budget forecast --budget-gpu-hours 1000
    """
    from hpc_qa.config_file import load_project

    settings = load_project(project)
    limit = budget_gpu_hours if budget_gpu_hours is not None else settings.budget.gpu_hours
    if costs is None:
        if overhead_gpu_hours_per_task is not None:
            raise UsageError("--overhead-gpu-hours-per-task is for --costs; the ledger knows what start-ups took")
        return _forecast_of_project(project, settings, limit, Path(corpus) if corpus else None, as_json=as_json)
    if corpus is not None:
        raise UsageError("--corpus and --costs exclude each other; the table names every document of the corpus")
    return _forecast_of_table(Path(costs), overhead_gpu_hours_per_task or 0.0, limit, as_json=as_json)


def _forecast_of_table(costs: Path, overhead_gpu_hours_per_task: float, limit: float | None, *, as_json: bool) -> int:
    from hpc_qa.budget.costs import read_costs
    from hpc_qa.budget.forecast import costs_nothing, unknown
    from hpc_qa.budget.forecast import forecast as forecast_of
    from hpc_qa.budget.overhead import per_task

    table = read_costs(costs)
    found = forecast_of(table, budget_gpu_hours=limit, overhead=per_task(table, overhead_gpu_hours_per_task))
    if reason := costs_nothing(table):
        found = unknown(found, reason)
    return _print_forecast(found, found.to_json(), as_json=as_json)


def _forecast_of_project(
    project: Path, settings: "Project", limit: float | None, corpus: Path | None, *, as_json: bool
) -> int:
    from hpc_qa.campaign.kept_forecasts import keep
    from hpc_qa.campaign.projection import project_forecast
    from hpc_qa.campaign.scores import drift
    from hpc_qa.config_file import load_site

    made = project_forecast(project, settings, budget_gpu_hours=limit, corpus=corpus, site=load_site(project))
    since = drift(project, made)
    path = keep(project, made)
    found = {"path": str(path) if path else None, "drift": since.to_json() if since else None}
    code = _print_forecast(made.forecast, made.to_json() | found, as_json=as_json)
    for note in (*made.notes, *([f"the forecast of {since.made_at[:16]} said {since.words}"] if since else [])):
        say(f"note: {note}", err=True)
    return code


@click.command()
@click.option("--corpus", help="Manifest of everything that is to be done, instead of project.yaml's.")
@common
def backtest(*, corpus: str | None, project: Path, as_json: bool) -> int:
    """How good the forecasts were: replays of the array tasks that are done, and each kept forecast against the truth.

    Exit code 5: too little is done to say.

    Example: hpc-qa budget backtest
    """
    from hpc_qa.budget.backtest import FEWEST
    from hpc_qa.campaign.projection import project_forecast
    from hpc_qa.campaign.scores import backtest as backtest_of
    from hpc_qa.config_file import load_project, load_site

    manifest = Path(corpus) if corpus else None
    now = project_forecast(project, load_project(project), site=load_site(project), corpus=manifest)
    found = backtest_of(project, now)
    if as_json:
        print_json(found.to_json())
    elif found.replays:
        held, factor = 100 * found.replays.coverage, found.replays.kappa
        tasks = plural(found.replays.tasks, "array task")
        say(f"{'replays':<11}{held:.0f} % of {found.replays.replays} held, of {tasks}; "
            f"intervals {factor:.2f} times as wide would hold in 90 %")  # fmt: skip
    for score in () if as_json else found.scores:
        say(f"{'forecast':<11}{score.made_at[:16]} with {plural(score.documents_done, 'document')}: {score.words}")
    for note in found.notes:
        say(f"note: {note}", err=True)
    if not found.replays:
        say(f"note: replays need {FEWEST} array tasks that are done, there are {now.forecast.tasks_done}", err=True)
    if not found.says_something and found.scores:
        say("note: nothing was done since the forecasts were made, so that none is scored", err=True)
    return ExitCode.DONE if found.says_something else ExitCode.UNDECIDED


def _print_forecast(found: "Forecast", document: Mapping[str, object], *, as_json: bool) -> int:
    if as_json:
        print_json(document)
    else:
        for line in lines_of(found):
            say(line)
    if found.budget_gpu_hours is None:
        say("  try: --budget-gpu-hours N, or budget.gpu_hours in project.yaml, says what it has to fit into", err=True)
    return ANSWERS[found.status]


def lines_of(found: "Forecast") -> list[str]:
    """The forecast for people."""
    limit = "no budget set" if found.budget_gpu_hours is None else f"budget {number(found.budget_gpu_hours)}"
    if found.p05 is None or found.p50 is None or found.p95 is None:
        what = "not known" if found.reason else f"nothing to say yet from {plural(found.documents_done, 'document')}"
        total = f"{what}, {limit}"
    else:
        total = f"{number(found.p50)} GPU-hours, 90 % interval {number(found.p05)} to {number(found.p95)}, {limit}"
    lines = {"corpus": f"{total}: {found.status}"}
    if found.reason:
        lines["why"] = found.reason
    done = (
        f"{found.documents_done:,} of {plural(found.documents_total, 'document')} in "
        f"{plural(found.tasks_done, 'array task')}"
    )
    lines["done"] = f"{done}, {number(found.spent_gpu_hours)} GPU-hours"
    if found.p_within is not None:
        lines["fits"] = f"with a probability of {100 * found.p_within:.1f} %"
    if found.naive is not None:
        lines["plain rule"] = f"{number(found.naive)} GPU-hours, documents x mean x 1.10: {found.naive_status}"
    for name, what, values in (("takes", "hours", found.wall_hours), ("gives", "accepted pairs", found.qa_pairs)):
        if values:
            digits = number if what == "hours" else "{:,.0f}".format
            middle, low, high = (digits(values[key]) for key in ("p50", "p05", "p95"))
            lines[name] = f"{middle} {what}, {low} to {high}"
    if found.more_documents_to_decide is not None:
        lines["to decide"] = (
            f"about {plural(found.more_documents_to_decide, 'more document has', 'more documents have')} to be done"
        )
    elif found.status == "close" and found.documents_done < found.documents_total:
        lines["to decide"] = "more documents alone will not: what is expected lies too near to the budget"
    return [f"{name:<11}{text}" for name, text in lines.items()]
