"""The array task that submitit starts, and its start on this machine; `array` has the start on a cluster.

What is pickled is `ArrayTask(run_directory, shard)` and nothing else: it starts `python -m hpc_qa.worker` as a child
and passes signals on. Configuration and manifest lie frozen in the run directory. Who could have written a pickle is
looked at before it is loaded (`loader.py`).
"""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.environment import job_identity, nodes_of_task, rank_of_task

PARENT = "HPC_QA_PARENT"  # tells the worker who started it
PASSED_ON = (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
LOOK_EVERY_S = 1.0
WITHOUT_LIMIT_MIN = 60 * 24 * 365.0
LOADER_MODULE = "hpc_qa.slurm.loader"  # submitit puts its own words behind it, with the folder as the last
LOADER = shlex.join([sys.executable, "-P", "-m", LOADER_MODULE])


class ArrayTask:
    """One array task: a worker process for one shard of a run, or one share of a conversion."""

    status: ClassVar[int] = 1  # of the worker that ran in this process; submitit would say that all went well

    def __init__(self, run_directory: str, shard: int) -> None:
        self.run_directory = run_directory
        self.shard = shard

    def __call__(self) -> int:
        """The worker's exit code: 0 committed, 3 incomplete, else broken."""
        command = [sys.executable, "-P", "-m", "hpc_qa.worker", self.run_directory, str(self.shard)]
        worker = subprocess.Popen(command, env=os.environ | {PARENT: str(os.getpid())})
        over = Path(self.run_directory) / "submit" / f"{'_'.join(map(str, job_identity()))}.over"

        def pass_on(number: int, _frame: FrameType | None) -> None:
            worker.send_signal(number)

        # after submitit's own handlers, which ignore TERM
        for number in PASSED_ON:
            signal.signal(number, pass_on)
        ended_by_us = rank_of_task() > 0 and _ended_with_first_node(worker, over)
        status = 0 if ended_by_us else worker.wait()
        if nodes_of_task() > 1 and not rank_of_task():
            over.touch()
        ArrayTask.status = status if status >= 0 else 128 - status
        if status < 0:
            why = " (often for memory: hpc-qa status says OUT_OF_MEMORY then)" if status == -signal.SIGKILL else ""
            sys.stderr.write(f"hpc_qa: {signal.Signals(-status).name} ended the worker{why}; hpc-qa resume continues\n")
        return status

    def checkpoint(self, *_args: Any, **_kwargs: Any) -> Any:
        """A requeued task is the same task: what is done lies in the run directory."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True, slots=True)
class Submitted:
    """One array task that was handed over."""

    shard: int
    job_id: str
    pid: int | None  # of the controlling process, for the local executor


def _ended_with_first_node(follower: subprocess.Popen[bytes], over: Path) -> bool:
    """End this node's part when the first node is through; False when it has ended by itself before."""
    while follower.poll() is None:
        if over.name in os.listdir(over.parent):  # a name that was looked up in vain can stay unseen on NFS
            follower.terminate()
            follower.wait()
            return True
        time.sleep(LOOK_EVERY_S)
    return False


def submit_local(
    run_directory: Path, folder: Path, shards: Sequence[int], *, gpus_per_server: int, visible_gpus: Sequence[int]
) -> list[Submitted]:
    """Start these shards on this machine, each in a process of its own that survives ours.

    Every server gets GPUs of its own, in order; without GPUs none is named.

    Raises:
        SlurmError: a process could not be started.
    """
    import submitit

    submitted = []
    for position, shard in enumerate(shards):
        executor = submitit.LocalExecutor(folder=folder, python=LOADER)
        mine = list(visible_gpus[position * gpus_per_server : (position + 1) * gpus_per_server])
        executor.update_parameters(
            timeout_min=WITHOUT_LIMIT_MIN, gpus_per_node=len(mine), visible_gpus=tuple(mine), stderr_to_stdout=True
        )
        try:
            with _sheltered(folder / "starters.log"):
                job = executor.submit(ArrayTask(str(run_directory), shard))
        except OSError as exc:
            raise SlurmError(
                f"array task {shard} could not be started on this machine: {exc}",
                hint="check free memory and processes (ulimit -u), then hpc-qa resume",
            ) from exc
        submitted.append(Submitted(shard, job.job_id, int(job.job_id)))
    return submitted


@contextmanager
def _sheltered(log: Path) -> Iterator[None]:
    """What is started meanwhile imports nothing from the folder that it happens to be started in.

    Nor does Ctrl-C end the process that watches over the worker: it would kill the worker before that could finish.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    in_main_thread = threading.current_thread() is threading.main_thread()
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
    try:
        with _streams_of_its_own(log):
            yield
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, on_interrupt)
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextmanager
def _streams_of_its_own(log: Path) -> Iterator[None]:
    """What is started meanwhile reads nothing and prints to this file.

    `id=$(hpc-qa submit CONFIG --detach)` would wait for the end of the run otherwise: submitit hands our streams on.
    """
    theirs = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    ours = [os.dup(number) for number in (0, 1, 2)]
    try:
        for number, other in enumerate((nothing, theirs, theirs)):
            os.dup2(other, number)
        yield
    finally:
        for number, other in enumerate(ours):
            os.dup2(other, number)
        for other in (*ours, theirs, nothing):
            os.close(other)
