"""budget: what was used, and whether the corpus fits."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.budget.cost import cheapest
from hpc_qa.cli.forecast import ANSWERS, backtest, forecast, lines_of
from hpc_qa.cli.guard import guard
from hpc_qa.cli.options import GpuHours, common, print_json, print_table, say
from hpc_qa.errors import ExitCode, UsageError
from hpc_qa.units import number, plural

if TYPE_CHECKING:
    from hpc_qa.budget.cost import CostRow
    from hpc_qa.report.budget import BudgetReport

MOST_RUNS = 8  # of which a line is shown
EFFICIENCIES = ("cpu_efficiency", "memory_efficiency", "gpu_utilization")
BATCHES = {
    "batch": "batch", "attempts": "attempts", "documents": "documents", "gpu_hours": "GPU-hours",
    "cumulative": "cumulative", "remaining": "remaining",
}  # fmt: skip
RUNS = {
    "run": "run", "attempts": "attempts", "documents": "documents", "gpu_hours": "GPU-hours", "accepted": "pairs",
    "each": "an accepted pair took",
}  # fmt: skip
STATES = {
    "state": "state", "attempts": "attempts", "gpu_hours": "GPU-hours", "cpu_efficiency_percent": "% CPU",
    "memory_efficiency_percent": "% memory", "gpu_utilization_percent": "% GPU",
}  # fmt: skip


COSTS = {
    "provider": "cost at", "instance": "instance", "gpu_type": "GPU", "currency": "in", "per_gpu_hour": "a GPU-hour",
    "best": "best", "expected": "expected", "worst": "worst", "savings": "campus saves", "read": "read",
}  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("--budget-gpu-hours", type=GpuHours(), help="Instead of project.yaml's.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write one page with plots there.")
@common
def budget(budget_gpu_hours: float | None, html: Path | None, *, project: Path, as_json: bool) -> int:
    """What was used of the budget and is promised, by which runs, where it went, and whether the corpus will fit.

    Exit code 0: it fits, or is close; or the ledger is empty. 4: over the budget. 5: undecided.

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
    for line in _headline(report):
        say(line)
    facts = report.to_json()
    _print_rows(facts["batches"], BATCHES)
    shown = [row.to_json() | {"each": row.per_pair.words()} for row in report.runs[-MOST_RUNS:]]
    _print_rows(shown, RUNS)
    if (more := len(report.runs) - MOST_RUNS) > 0:
        say(f"and {plural(more, 'run')} before them; --json has all")
    for row in facts["states"]:
        row |= {f"{name}_percent": _percent(row[name]) for name in EFFICIENCIES}
    _print_rows(facts["states"], STATES)
    stages = [row | {"percent": _percent(row["share"])} for row in facts["stages"] if row["gpu_hours"]]
    _print_rows(stages, {"stage": "where it went", "gpu_hours": "GPU-hours", "percent": "% of allocated"})
    prices = cheapest(report.costs)
    _print_rows([row.to_json() | {"read": _read(row)} for row in prices], COSTS)
    rest = [row for row in report.costs if row not in prices]
    if rest:
        stale = sum(bool(row.stale) for row in rest)
        of_them = f", {stale:,} of them stale" * bool(stale)
        say(f"and {len(rest):,} more prices{of_them}; --json and --html have all, with what is not comparable")


def _headline(report: "BudgetReport") -> Iterator[str]:
    """What is to be known first, one line each."""
    found, limit = report.usage, report.budget_gpu_hours
    charged, local = found.charged, found.local
    left = "no budget set"
    if limit is not None and report.left is not None:
        left = f"of {number(limit)}, {number(report.left)} left"
    when = f", as of {found.as_of:%Y-%m-%d %H:%M} UTC" if found.as_of else ""
    yield f"{'used':<11}{number(charged.gpu_hours)} GPU-hours {left}; attempts: {charged.attempts:,}{when}"
    for lien in report.liens:
        tasks = f"array tasks: {lien.tasks:,}, {lien.basis}"
        yield f"{'committed':<11}up to {number(lien.gpu_hours)} GPU-hours to {lien.run} ({tasks})"
    if report.site:
        yield f"{'site':<11}{report.site.describe()}"
    if local.attempts:
        local_hours = f"{number(local.gpu_hours)} GPU-hours on this machine, not charged"
        yield f"{'local':<11}{local_hours}; attempts: {local.attempts:,}"
    if unknown := charged.unknown + local.unknown:
        yield f"{'unknown':<11}what was held is not known of attempts: {unknown:,}; they are in no sum"
    yield from lines_of(report.projection.forecast)
    if report.since and report.since.since and not report.since.since.inside:
        yield f"{'drift':<11}{report.since.words}"
    yield from _remedies(report)
    if charged.attempts:
        yield from found.reconciliation.lines()
    if found.energy_kwh is not None:
        yield f"{'energy':<11}{number(found.energy_kwh)} kWh of the GPUs that were sampled"
    if report.per_pair.pairs:
        yield from report.per_pair.lines()


def _remedies(report: "BudgetReport") -> Iterator[str]:
    if (help_ := report.remedies) is None:
        return
    if help_.over_by_p50 > 0:
        yield f"{'over by':<11}{number(help_.over_by_p50)} GPU-hours in the middle of the forecast"
    extension = f"an extension of {number(help_.extension)} GPU-hours (for the 95th percentile)"
    yield f"{'to be sure':<11}{extension}{', or:' * bool(help_.savings)}"
    for one in help_.savings:
        enough = ", which is enough" if one.enough else ""
        yield f"{'':<11}{one.setting} saves {number(one.gpu_hours)} GPU-hours{enough}"


def _read(row: "CostRow") -> str | None:
    """When a price was read, and whether that is too long ago."""
    return f"{row.observed_on}, stale" if row.stale else row.observed_on


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _print_rows(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    if rows:
        say("")
        print_table(rows, columns)


for command in (forecast, backtest, guard):
    budget.add_command(command)
