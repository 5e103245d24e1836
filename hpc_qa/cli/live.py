"""metrics and dashboard: what runs now, as Prometheus text and as a page."""

from pathlib import Path

import click

from hpc_qa.cli.options import common, print_json, say
from hpc_qa.errors import ExitCode


@click.command()
@click.argument("run", required=False)
@click.option("--ended", is_flag=True, help="Also the last values of attempts that have ended.")
@common
def metrics(run: str | None, ended: bool, *, project: Path, as_json: bool) -> int:
    """Prometheus text of the array tasks of RUN, or of the whole project, that run now.

    A task runs while its file is not older than two minutes and does not say that it has ended. With --ended the last
    attempts of all other shards follow; hpc_qa_task_running is 0 for them. --json sums the running tasks up.

    Example: hpc-qa metrics latest
    """
    from hpc_qa.campaign.live_metrics import LiveTasks
    from hpc_qa.store.run_directory import find

    found = LiveTasks(project).read(None if run is None else [find(project, run)], ended=ended, servers=True)
    for note in found.notes:
        say(f"note: {note}", err=True)
    if as_json:
        print_json(found.to_json())
    else:
        for line in found.text().splitlines():
            say(line)
    return ExitCode.DONE
