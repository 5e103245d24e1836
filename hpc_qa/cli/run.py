"""status, logs and cancel: what is done with a run that was started."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import common, print_json, print_table, say
from hpc_qa.errors import ExitCode
from hpc_qa.units import duration, plural

if TYPE_CHECKING:
    from hpc_qa.campaign.status import RunStatus
    from hpc_qa.store.run_directory import RunDirectory

WATCH_EVERY_S = 2.0


@click.command()
@click.argument("run", required=False)
@click.option("--watch", is_flag=True, help="Refresh until the run has ended.")
@common
def status(run: str | None, watch: bool, *, project: Path, as_json: bool) -> int:
    """Where RUN is, per shard; without RUN the list of runs. RUN is an id, a prefix of one, a path, or latest.

    Example: hpc-qa status latest
    """
    from hpc_qa.campaign.follow import ASK_SLURM_EVERY_S
    from hpc_qa.campaign.status import list_statuses
    from hpc_qa.campaign.status import status as status_of
    from hpc_qa.store.run_directory import find

    if run is None:
        rows = list_statuses(project)
        if as_json:
            print_json(rows)
        else:
            columns = ("run", "state", "documents", "ok", "failed", "skipped", "left", "pairs", "accepted")
            print_table(rows, {column: column for column in columns})
            if not rows:
                say(f"no run in {project}", err=True)
                say("  try: hpc-qa submit CONFIG starts one; hpc-qa init DIR makes a project to begin with", err=True)
        return ExitCode.DONE
    directory = find(project, run)
    while watch and (now := status_of(directory)).goes_on:
        click.clear()
        _print_status(now)
        time.sleep(ASK_SLURM_EVERY_S if now.executor == "slurm" else WATCH_EVERY_S)
    now = status_of(directory)
    if as_json:
        print_json(now.to_json() | {"explanations": _explanations(directory, now)})
    else:
        _print_status(now)
        for line in _explanations(directory, now):
            say(f"note: {line}", err=True)
    return ExitCode.DONE


def _explanations(run: "RunDirectory", now: "RunStatus") -> list[str]:
    """Why array tasks wait for a limit of the site, in words."""
    from hpc_qa.campaign.pending import explain

    waiting = [shard.detail for shard in now.shards if shard.state == "queued"]
    return explain(waiting, run.facts()["config"]["slurm"]["account"])


def _print_status(now: "RunStatus") -> None:
    from hpc_qa.campaign.cluster import remedies

    settled = ", ".join(f"{count} {state} before the start" for state, count in now.settled.items())
    say(f"{now.run}: {now.state}, {plural(now.documents, 'document')}" + (f", {settled}" if settled else ""))
    if now.conversion:
        say(f"conversion: {now.conversion.describe()}")
    rows = [
        {
            "shard": s.shard, "job": s.job_id, "state": s.state, "in Slurm": s.detail, "stage": s.stage,
            "docs": s.documents, "ok": s.ok, "failed": s.failed, "skipped": s.skipped, "left": s.left,
            "pairs": s.pairs, "accepted": s.accepted,
            "tokens/s": s.tokens_per_s, "GPU-hours": s.gpu_hours, "time left": None if s.time_left_s is None
            else duration(s.time_left_s), "attempts": s.attempts,
        }
        for s in now.shards
    ]  # fmt: skip
    hidden = set() if now.executor == "slurm" else {"job", "in Slurm"}
    if rows:
        print_table(rows, {key: key for key in rows[0] if key not in hidden})
    for note in now.notes:
        say(f"note: {note}", err=True)
    for advice in remedies(now.run, (shard.detail for shard in now.shards)):
        say(f"  try: {advice}", err=True)
    if now.state == "damaged":
        click.echo(f"  try: hpc-qa verify {now.run} says what is damaged, hpc-qa resume {now.run} repairs", err=True)


@click.command()
@click.argument("run")
@click.argument("shard", type=click.IntRange(0))
@click.option("--lines", type=click.IntRange(1), help="Only the last N lines of each file.")
@click.option("--conversion", is_flag=True, help="SHARD is an array task of the conversion that RUN waits for.")
@common
def logs(run: str, shard: int, lines: int | None, conversion: bool, *, project: Path, as_json: bool) -> int:
    """The logs of one array task of RUN and of its server, attempt by attempt.

    Example: hpc-qa logs latest 0 --lines 50
    """
    from hpc_qa.campaign.control import conversion_logs, log_files
    from hpc_qa.store.run_directory import find

    files = (conversion_logs if conversion else log_files)(find(project, run), shard)
    if as_json:
        print_json([{"path": str(path), "bytes": path.stat().st_size} for path in files])
        return ExitCode.DONE
    for path in files:
        say(f"==> {path} <==")
        text = path.read_text(errors="backslashreplace").splitlines()
        for line in text[-lines:] if lines else text:
            say(line)
    if not files:
        say("no log yet: the array task has not started", err=True)
    return ExitCode.DONE


@click.command()
@click.argument("run")
@common
def cancel(run: str, *, project: Path, as_json: bool) -> int:
    """Stop what is left of RUN. What is written stays; hpc-qa resume continues. Safe to repeat.

    Example: hpc-qa cancel latest
    """
    from hpc_qa.campaign.control import cancel as cancel_run
    from hpc_qa.store.run_directory import find
    from hpc_qa.store.trust import check_run

    directory = find(project, run)
    check_run(directory)
    stopped = cancel_run(directory)
    if as_json:
        print_json({"run": directory.run_id, "cancelled": [shard.shard for shard in stopped]})
    elif stopped:
        names = ", ".join(str(shard.shard) for shard in stopped)
        if directory.facts()["executor"] == "slurm":
            say(f"{directory.run_id}: Slurm was told to end shards {names}; hpc-qa status {run} shows when they have")
        else:
            say(f"{directory.run_id}: stopped shards {names}")
    else:
        say(f"{directory.run_id}: nothing was running")
    return ExitCode.DONE
