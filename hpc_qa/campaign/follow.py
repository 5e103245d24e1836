"""Watch a run that works on this machine until it stops: a bar for people, a plain line every 30 s for logs.

Reads `status` only, so that it shows the same figures as `hpc-qa status`.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hpc_qa.campaign.attempts import live_process
from hpc_qa.campaign.status import RunStatus, ShardStatus, status
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.units import duration, plural

POLL_S = 1.0
LINE_EVERY_S = 30.0
ASK_SLURM_EVERY_S = 30.0  # queue and accounting are everybody's
ACCOUNTING_LATE_S = 10.0  # how a job ended is known some seconds after it has left the queue; up to 5 were seen

Show = Callable[[RunStatus], None]


@dataclass(frozen=True, slots=True)
class Starter:
    """The process that runs one array task here."""

    pid: int
    start_s: float | None


def starters(run: RunDirectory) -> list[Starter]:
    """The processes of the last submission."""
    submissions = run.list_submissions()
    tasks = submissions[-1]["tasks"] if submissions else []
    return [Starter(int(task["pid"]), task["process_start_s"]) for task in tasks if task["pid"] is not None]


def follow(
    run: RunDirectory, processes: Sequence[Starter], show: Show, *, sleep: Callable[[float], None] = time.sleep
) -> RunStatus:
    """Show the status until these processes have ended; gives the last one."""
    while any(live_process(process.pid, process.start_s) for process in processes):
        began = time.monotonic()
        show(status(run))
        sleep(max(POLL_S, 10 * (time.monotonic() - began)))  # a large run is not read over and over
    last = status(run)
    show(last)
    return last


def wait(run: RunDirectory, show: Show, *, sleep: Callable[[float], None] = time.sleep) -> RunStatus:
    """Show the status until nothing of the run waits or runs in Slurm; gives the last one.

    Accounting and the queue are asked once a look; a silent controller is waited for.
    """
    while (now := status(run)).goes_on or now.state == "unknown":
        show(now)
        sleep(ASK_SLURM_EVERY_S)
    if any(shard.state == "interrupted" and shard.detail is None for shard in now.shards):
        sleep(ACCOUNTING_LATE_S)
        now = status(run)
    show(now)
    return now


def describe(now: RunStatus) -> str:
    """One line: documents, pairs, accepted, tokens per second, time left."""
    finished = now.documents - now.count("left")
    speeds = [shard.tokens_per_s for shard in now.shards if shard.tokens_per_s and shard.state == "running"]
    stages = sorted({_where(shard) for shard in now.shards if shard.stage})
    left = [shard.time_left_s for shard in now.shards if shard.time_left_s is not None and shard.state == "running"]
    parts = [
        f"{finished}/{plural(now.documents, 'document')}",
        plural(now.count("pairs"), "pair"),
        f"{now.count('accepted')} accepted",
        f"{sum(speeds):,.0f} tokens/s" if speeds else "",
        f"{duration(max(left))} left" if left else "",
        ", ".join(stages),
    ]
    return ", ".join(part for part in parts if part)


def _where(shard: ShardStatus) -> str:
    """The stage, and while the server loads what it is doing."""
    loading = shard.stage in ("setup", "model_load") and shard.phase
    return f"{shard.stage}: {shard.phase}" if loading else str(shard.stage)


@contextmanager
def printer(*, terminal: bool | None = None) -> Iterator[Show]:
    """What shows a status on stderr: a bar on a terminal, else a line every 30 s and at every change of stage."""
    on_terminal = sys.stderr.isatty() if terminal is None else terminal
    if on_terminal:
        with _bar() as show:
            yield show
    else:
        yield _Lines()


class _Lines:
    """Plain lines, for logs."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._stages: tuple[str | None, ...] = ()
        self._began = time.monotonic()

    def __call__(self, now: RunStatus) -> None:
        stages = tuple(_where(shard) if shard.stage else None for shard in now.shards)
        moment = time.monotonic()
        if moment - self._last >= LINE_EVERY_S or stages != self._stages:
            sys.stderr.write(f"[{duration(moment - self._began)}] {describe(now)}\n")
            sys.stderr.flush()
            self._last, self._stages = moment, stages


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.percentage:>3.0f} %"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(now: RunStatus) -> None:
            # documents finish late and together; pairs would need to be known beforehand
            progress.update(
                task, total=now.documents, completed=now.documents - now.count("left"), description=describe(now)
            )

        yield show
