"""metrics and dashboard: what runs now, as Prometheus text and as a page."""

import getpass
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import common, print_json, printable, say
from hpc_qa.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from hpc_qa.report.dashboard_server import DashboardServer

TUNNEL_PORT = 8700  # on one's own machine, for a UNIX socket here


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

    found = LiveTasks(project).read(None if run is None else [find(project, run)], ended=ended, servers=not as_json)
    for note in found.notes:
        say(f"note: {note}", err=True)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo("".join(f"{printable(line)}\n" for line in found.text().splitlines()), nl=False)
        if not found.tasks:
            say("no array task runs now", err=True)
            say(
                "  try: hpc-qa status lists the runs; metrics --ended gives the last values of those that ran", err=True
            )
    return ExitCode.DONE


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="On 127.0.0.1; 8700 by default.")
@click.option("--socket", "socket_path", type=click.Path(dir_okay=False), help="A UNIX socket in place of a port.")
@click.option("--profile", help="Of configs/targets.yaml, for the lines; that of the newest run by default.")
@click.option("--read-only", is_flag=True, help="No pipeline can be started through it.")
@click.option(
    "--idle", type=click.FloatRange(0.01, 100_000), default=1440, help="Minutes without a request; then it ends."
)
@common
def dashboard(
    port: int | None, socket_path: str | None, profile: str | None, read_only: bool, idle: float, *, project: Path,
    as_json: bool,
) -> int:  # fmt: skip
    """Serve the live page of the project and its API on this machine alone, to who has the token that is printed.

    Four plots, refreshed every 30 s, over the last 24 hours: documents per hour, quality score, memory, GPU
    utilisation. GET /api/v1/metrics, GET /metrics and POST /api/v1/pipeline want the token as Authorization: Bearer.

    Example: hpc-qa dashboard --read-only
    """
    from hpc_qa.report.dashboard_server import PORT, DashboardServer
    from hpc_qa.store.trust import check_runs

    if port is not None and socket_path is not None:
        raise UsageError("--port and --socket are two ways of the same", hint="leave one of them out")
    check_runs(project)
    address = ("127.0.0.1", port or PORT) if socket_path is None else Path(socket_path).absolute()
    with DashboardServer(project, address, idle_s=idle * 60, profile=profile, read_only=read_only) as server:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with server.polled():
                _print_start(server, project, idle, as_json=as_json)
                server.serve()
        except KeyboardInterrupt:
            say("", err=True)  # behind the ^C of the terminal
    return ExitCode.DONE


def _print_start(server: "DashboardServer", project: Path, idle: float, *, as_json: bool) -> None:
    here = server.port or TUNNEL_PORT
    far = f"127.0.0.1:{server.port}" if server.port else str(server.server_address)
    page = f"http://127.0.0.1:{here}/?token={server.token}"
    if as_json:
        print_json({"page": page, "token": server.token, "port": server.port, "socket": None if server.port else far})
    else:
        say(f"project    {project}")
        say(f"page       {page}")
        say(f"from your own machine, first: ssh -N -L {here}:{far} {getpass.getuser()}@{socket.gethostname()}")
        say(f"ends       with Ctrl-C, or after {idle:g} minutes without a request")
    sys.stdout.flush()
