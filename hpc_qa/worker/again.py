"""Whether an array task that stopped is started again by itself, and when that has been tried often enough.

Only one side starts it again: Slurm after a preemption or the loss of a node, we after a stop before the time limit,
and nobody after scancel. What counts as progress is a record on disk; two attempts in a row without one are enough.
"""

import logging

from hpc_qa.config import Slurm
from hpc_qa.errors import ServerError, SlurmError
from hpc_qa.slurm.environment import inside_slurm, job_identity, requeue
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, ShardDirectory
from hpc_qa.worker.stopping import TIME_LIMIT, USR2, Stopping

log = logging.getLogger("hpc_qa.worker")

WITHOUT_PROGRESS = 2  # attempts of one job


def check_attempts(shard: ShardDirectory, attempt: AttemptDirectory, settings: Slurm) -> None:
    """Whether this attempt of the job may begin.

    Raises:
        ServerError: the job was started again too often, or twice without writing a record.
    """
    if not inside_slurm():
        return
    job, _, restarts = job_identity()
    if restarts > settings.max_requeues:
        raise ServerError(
            f"job {job}: a task was requeued {restarts} times; slurm.max_requeues is {settings.max_requeues}",
            hint=f"hpc-qa logs RUN {shard.index} shows why the attempts ended; then hpc-qa resume RUN",
            retryable=False,
        )
    earlier = [one for one in shard.attempts() if one.name.startswith(f"{job}_") and one.name != attempt.name]
    last = earlier[-WITHOUT_PROGRESS:]
    if len(last) == WITHOUT_PROGRESS and not any(wrote_records(one) for one in last):
        raise ServerError(
            f"{WITHOUT_PROGRESS} attempts of job {job} at shard {shard.index} have ended without a record",
            hint=f"hpc-qa logs RUN {shard.index} shows why; a longer slurm.time may help; then hpc-qa resume RUN",
            retryable=False,
        )


def continue_later(run: RunDirectory, stopping: Stopping) -> None:
    """Requeue the array task that we are, if it is up to us; Slurm ends this process then."""
    limit = int(run.facts()["config"]["slurm"]["max_requeues"])
    requeue_within(limit, reason=stopping.reason, goes_on=f"hpc-qa resume {run.run_id} continues")


def requeue_within(limit: int, *, reason: str | None, goes_on: str) -> None:
    """Requeue this array task when it stopped for its time limit and was not requeued `limit` times yet.

    `goes_on` says what continues the work otherwise.
    """
    if not inside_slurm() or reason not in (USR2, TIME_LIMIT):
        return
    if job_identity()[2] >= limit:
        log.warning("not requeued: slurm.max_requeues is %d; %s", limit, goes_on)
        return
    try:
        log.info("requeueing: it continues when Slurm starts it again")
        requeue()
    except SlurmError as error:
        log.warning("not requeued: %s; %s", error, goes_on)


def wrote_records(attempt: AttemptDirectory) -> bool:
    """Whether this attempt has written anything that counts."""
    return any(path.stat().st_size > 0 for path in attempt.segments())
