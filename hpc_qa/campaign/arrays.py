"""Job arrays and what is written down of them: in a run for its shards, in a conversion for its tasks.

What was started is one more file in `submissions/`, written as soon as it is known. Between the moment when Slurm takes
a job array and that file, only the name of the job says whose it is: `adopt` finds such arrays again.
"""

import os
import pwd
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from hpc_qa.campaign import provenance
from hpc_qa.slurm.array import ArrayRequest, SubmittedArray, max_array_size, submit_arrays, waiting_arrays
from hpc_qa.store.job_directory import JobDirectory
from hpc_qa.units import iso, utc_now


def submit(owner: JobDirectory, request: ArrayRequest) -> list[str]:
    """Submit as one array, or as several where one is not enough; gives the job ids.

    Raises:
        SlurmError: sbatch refused; what was submitted before stays written down.
    """
    jobs = []
    for array in submit_arrays(request, max_array_size()):
        _write_down(owner, array, _user())
        jobs.append(array.job_id)
    return jobs


def adopt(owner: JobDirectory, planned: Callable[[], Iterable[int]]) -> list[str]:
    """Write down the job arrays of its name that are in the queue and in no submission; gives their job ids.

    Other jobs may have the name as well: tasks that are not among the planned shards are left alone.

    Raises:
        SlurmError: the controller does not answer.
    """
    known = {submission.get("job_id") for submission in owner.list_submissions()}
    found = [array for array in waiting_arrays(owner.job_name, owner.path) if array.job_id not in known]
    ours = set(planned()) if found else set()
    jobs = []
    for array in found:
        if shards := tuple(shard for shard in array.shards if shard in ours):
            _write_down(owner, replace(array, shards=shards), None)  # the user is not known
            jobs.append(array.job_id)
    return jobs


def last_tasks(owner: JobDirectory) -> dict[int, dict[str, Any]]:
    """The latest array task of every shard, as it was written down."""
    return {int(task["shard"]): task for submission in owner.list_submissions() for task in submission["tasks"]}


def facts_of(executor: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """What every submission says."""
    return {"at": iso(utc_now()), "executor": executor, "host": provenance.hardware()["host"], "tasks": tasks}


def _write_down(owner: JobDirectory, array: SubmittedArray, user: str | None) -> None:
    tasks = [{"shard": shard, "job_id": array.task_id(shard)} for shard in array.shards]
    facts = {"job_id": array.job_id, "first_shard": array.first_shard, "user": user}
    owner.add_submission(facts_of("slurm", tasks) | facts)


def _user() -> str | None:
    """Who submits, as accounting will name them; None where this machine has no name for the user."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container
        return None
