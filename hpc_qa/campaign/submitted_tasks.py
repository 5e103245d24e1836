"""The array tasks that were submitted for some runs, and which rows of accounting are about them.

A job id alone does not say so: Slurm begins anew when it has counted to MaxJobId, or its state was lost, and accounting
keeps the older jobs. A row is ours when it was submitted after its run was created (a requeue makes that later, never
earlier), by whoever submitted the task; what accounting or we do not know speaks against nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from hpc_qa.errors import StoreError
from hpc_qa.slurm.allocation import Allocation
from hpc_qa.store.run_directory import RunDirectory

CLOCKS_DIFFER_S = 3600  # of this machine and the controller, at most; an id is not used again within an hour


class Task(NamedTuple):
    """One array task, as it was written down."""

    run_id: str
    shard: int
    since_s: float | None  # epoch: when its run was created; None: that cannot be read
    user: str | None
    gpus: int | None = None  # that it asked for; None: none, or that cannot be read

    def may_be(self, one: Allocation) -> bool:
        """Whether nothing that is known of an allocation with its id speaks against its being of this task."""
        if one.submit_s is not None and self.since_s is not None and one.submit_s < self.since_s - CLOCKS_DIFFER_S:
            return False
        return one.user is None or self.user is None or one.user == self.user


class SubmittedTasks:
    """All of them, by their job ids."""

    def __init__(self, runs: Iterable[RunDirectory]) -> None:
        self._by_id: dict[str, list[Task]] = defaultdict(list)  # "4471_3"; oldest run first
        self._by_job: dict[str, list[Task]] = defaultdict(list)  # "4471", the job array
        for run in runs:
            since_s, gpus = _facts(run)
            for submission in run.list_submissions():
                if submission.get("executor") != "slurm":
                    continue
                user = submission.get("user")
                for said in submission["tasks"]:
                    task, job_id = Task(run.run_id, int(said["shard"]), since_s, user, gpus), str(said["job_id"])
                    self._by_id[job_id].append(task)
                    self._by_job[_array(job_id)].append(task)

    @property
    def ids(self) -> set[str]:
        """Of every array task."""
        return set(self._by_id)

    @property
    def jobs(self) -> list[str]:
        """The job arrays, in the order of their numbers."""
        return sorted(self._by_job, key=int)

    @property
    def since_s(self) -> float | None:
        """Before which none of them was submitted, in seconds since 1970; None where that is not known of each."""
        known = [task.since_s for those in self._by_job.values() for task in those]
        return min((one for one in known if one is not None), default=None) if None not in known else None

    def owner(self, one: Allocation) -> Task | None:
        """The array task of an allocation; None when it is none of ours."""
        return next((task for task in reversed(self._by_id.get(one.job_id, [])) if task.may_be(one)), None)

    def is_strange(self, one: Allocation) -> bool:
        """Whether it has the id of a job array of ours, and is of another job."""
        same_id = self._by_job.get(_array(one.job_id), [])
        return bool(same_id) and not any(task.may_be(one) for task in same_id)


def _array(job_id: str) -> str:
    return job_id.partition("_")[0].partition("+")[0]


def _facts(run: RunDirectory) -> tuple[float | None, int | None]:
    """(when it was created, GPUs that its tasks ask for); None where its run.json cannot be read: status says why."""
    with suppress(StoreError, KeyError, ValueError):
        facts = run.facts()
        return datetime.fromisoformat(str(facts["created_at"])).timestamp(), _gpus_asked(facts)
    return None, None


def _gpus_asked(facts: Mapping[str, Any]) -> int | None:
    settings = facts["config"]
    gres = settings["slurm"]["gres"]
    if settings["vllm"]["attach"] is not None or (gres is not None and "gpu" not in gres):
        return None
    asked: int | None = facts.get("gpus_allocated", facts.get("gpus_per_server"))
    return asked
