"""budget guard: drain what would cross the budget."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import GpuHours, common, print_json, say
from hpc_qa.errors import ExitCode
from hpc_qa.units import number, plural

if TYPE_CHECKING:
    from hpc_qa.campaign.guard import Guarded


@click.command()
@click.option("--once", is_flag=True, help="Look once and return, from cron for example.")
@click.option("--every", type=click.IntRange(30), default=300, show_default=True, help="Seconds between two looks.")
@click.option("--budget-gpu-hours", type=GpuHours(), help="Instead of project.yaml's.")
@common
def guard(once: bool, every: int, budget_gpu_hours: float | None, *, project: Path, as_json: bool) -> int:
    """Drain what would cross the budget: array tasks that wait are cancelled, the newest run's first.

    Looks again until nothing waits or runs. What runs goes on, unless more than the budget is used already.
    Exit code 4: something was drained. 5: no budget is set.

    Example: hpc-qa budget guard --once
    """
    import time

    from hpc_qa.campaign.guard import guard as look
    from hpc_qa.config_file import load_project

    settings = load_project(project).budget
    limit = budget_gpu_hours if budget_gpu_hours is not None else settings.gpu_hours
    if limit is None:
        say("error: no budget is set, so that nothing can cross it", err=True)
        say("  try: --budget-gpu-hours N, or budget.gpu_hours in project.yaml", err=True)
        if as_json:
            print_json({"budget_gpu_hours": None, "drained": []})
        return ExitCode.UNDECIDED
    looks = []
    while True:
        found = look(project, settings, limit)
        looks.append(found)
        for note in found.notes:
            say(f"note: {note}", err=True)
        if not as_json:
            _print_guarded(found)
        if once or not found.open_runs:
            break
        time.sleep(every)
    if as_json:
        print_json(looks[-1].to_json() | {"drained": [one for each in looks for one in each.to_json()["drained"]]})
    return ExitCode.NO if any(one.drained for one in looks) else ExitCode.DONE


def _print_guarded(found: "Guarded") -> None:
    what = (
        f"{number(found.used)} GPU-hours used, up to {number(found.expected)} more by {plural(found.open_runs, 'run')}"
    )
    say(f"{what}, of {number(found.budget_gpu_hours)}")
    if found.used > found.budget_gpu_hours:
        say(f"over the budget by {number(found.used - found.budget_gpu_hours)} GPU-hours")
    for one in found.drained:
        how = "cancelled, with what ran" if one.running else "cancelled while they waited"
        most = f"up to {number(one.gpu_hours)} GPU-hours"
        say(f"{'drained':<11}{one.run}: shards {', '.join(map(str, one.shards))} {how}, {most}")
