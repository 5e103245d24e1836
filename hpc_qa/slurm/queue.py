"""What the queue says of our array tasks: which of them wait or run now, and why they wait.

`squeue` is the authority on what lives; what has ended is in `accounting`. One call, however many tasks.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.programs import SEPARATOR, Run, run_program

FORMAT = "%F|%K|%T|%N|%r"  # array job, array task, state, nodes, why it waits
COMMENT = "hpc_qa, first shard {}"  # of every job array of ours
NOT_IN_QUEUE = "Invalid job id specified"
WAITS = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """One array task that waits or runs."""

    task_id: str  # "4471_3"
    state: str  # Slurm's word: PENDING, RUNNING, COMPLETING, ...
    reason: str | None  # why it waits
    nodes: str | None

    @property
    def waits(self) -> bool:
        return self.state in WAITS


def queued_tasks(job_ids: Sequence[str], run: Run = run_program) -> dict[str, QueuedTask]:
    """The array tasks of these jobs that are in the queue, by their id.

    Raises:
        SlurmError: the controller does not answer.
    """
    if not job_ids:
        return {}
    try:
        text = run(["squeue", "-h", "-r", "-a", "-t", "all", f"--jobs={','.join(job_ids)}", "-o", FORMAT])
    except SlurmError as error:
        if NOT_IN_QUEUE in str(error):  # of a single job that ended a while ago
            return {}
        raise
    return {task.task_id: task for task in _parse(text) if not _ended(task.state)}


@dataclass(frozen=True, slots=True)
class NamedTask:
    """One array task in the queue that was found by the name of its job and the folder in which it works."""

    job_id: str
    index: int
    first_shard: int  # of array index 0, from the job's comment

    @property
    def shard(self) -> int:
        return self.first_shard + self.index


def tasks_named(name: str, folder: Path, run: Run = run_program) -> list[NamedTask]:
    """The array tasks in the queue whose job has this name, works in this folder and has a comment of ours.

    A user's other jobs may have the name as well, and comments hold anything, lines too.

    Raises:
        SlurmError: the controller does not answer.
    """
    form, ours = SEPARATOR.join(("%F", "%K", "%Z", "%k")), os.path.realpath(folder)
    found = []
    for line in run(["squeue", "-h", "-r", "--me", f"--name={name}", "-o", form]).split("\n"):
        job, index, place, comment = [*line.split(SEPARATOR, 3), "", "", ""][:4]
        first = re.fullmatch(COMMENT.format(r"(\d{1,9})"), comment.strip(), re.ASCII)
        if index.isdigit() and first and os.path.realpath(place) == ours:
            found.append(NamedTask(job, int(index), int(first[1])))
    return found


def _parse(text: str) -> Iterator[QueuedTask]:
    for line in text.splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) < 5:
            continue
        job, index, state, nodes, reason = fields
        yield QueuedTask(
            task_id=f"{job}_{index}" if index.isdigit() else job,
            state=state,
            reason=None if reason in ("", "None") else reason.strip("()"),
            nodes=nodes or None,
        )


def _ended(state: str) -> bool:
    """States that squeue shows for some minutes after a job has ended."""
    living = {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
    return state not in WAITS | living


def cancel_waiting(task_ids: Sequence[str], run: Run = run_program) -> None:
    """Cancel those of these array tasks that still wait; what has started meanwhile goes on.

    Raises:
        SlurmError: the controller does not answer.
    """
    if task_ids:
        run(["scancel", "--state=PENDING", *task_ids])


def cancel_jobs(job_ids: Sequence[str], run: Run = run_program) -> None:
    """Cancel these jobs with all their array tasks: TERM, then KILL after the cluster's KillWait.

    Raises:
        SlurmError: the controller does not answer.
    """
    if job_ids:
        run(["scancel", *job_ids])
