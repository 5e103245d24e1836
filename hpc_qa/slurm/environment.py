"""Who we are when we run inside an array task, how long we may run, and how to be started again.

Read from the SLURM_* environment and, where an old Slurm does not say there, from `scontrol`.
"""

import os
import platform
import re
from collections.abc import Mapping

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.programs import Run, run_program

FIRST_SHARD = "HPC_QA_FIRST_SHARD"  # what array index 0 stands for, where one array is not enough


def inside_slurm(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process belongs to a job of Slurm, and not to submitit's local executor inside one."""
    env = os.environ if environment is None else environment
    return "SLURM_JOB_ID" in env and "SUBMITIT_LOCAL_JOB_ID" not in env


def job_identity(environment: Mapping[str, str] | None = None) -> tuple[str, int, int]:
    """(job id, array index, restart count) of the array task that we run in, from its environment."""
    env = os.environ if environment is None else environment
    if inside_slurm(env):
        job = env.get("SLURM_ARRAY_JOB_ID", env["SLURM_JOB_ID"])
        return job, int(env.get("SLURM_ARRAY_TASK_ID", 0)), int(env.get("SLURM_RESTART_COUNT", 0))
    return env.get("SUBMITIT_LOCAL_JOB_ID", str(os.getpid())), 0, 0


def node_name(environment: Mapping[str, str] | None = None) -> str:
    """The name of this node, as Slurm says it where there is one."""
    env = os.environ if environment is None else environment
    return env.get("SLURMD_NODENAME") or platform.node()


def rank_of_task(environment: Mapping[str, str] | None = None) -> int:
    """Which of the nodes of an array task this process is on; 0 is the first, which does the work.

    >>> rank_of_task({"SLURM_JOB_ID": "7", "SLURM_PROCID": "1"}), rank_of_task({})
    (1, 0)
    """
    env = os.environ if environment is None else environment
    return int(env.get("SLURM_PROCID", 0)) if inside_slurm(env) else 0


def nodes_of_task(environment: Mapping[str, str] | None = None) -> int:
    """The nodes that this array task holds."""
    env = os.environ if environment is None else environment
    return int(env.get("SLURM_STEP_NUM_NODES", 1)) if inside_slurm(env) else 1


def shard_of_task(environment: Mapping[str, str] | None = None) -> int:
    """The shard of this array task.

    >>> shard_of_task({"SLURM_ARRAY_TASK_ID": "3", "HPC_QA_FIRST_SHARD": "1000"})
    1003
    """
    env = os.environ if environment is None else environment
    return int(env.get("SLURM_ARRAY_TASK_ID", 0)) + int(env.get(FIRST_SHARD, 0))


def end_time_s(environment: Mapping[str, str] | None = None, run: Run = run_program) -> float | None:
    """When the time limit ends this job, in seconds since 1970; None outside a job and where nobody says."""
    env = os.environ if environment is None else environment
    if not inside_slurm(env):
        return None
    if env.get("SLURM_JOB_END_TIME", "").isdigit():
        return float(env["SLURM_JOB_END_TIME"])
    try:
        text = run(["scontrol", "-o", "show", "job", env["SLURM_JOB_ID"]])
    except SlurmError:
        return None
    found = re.search(r" EndTime=(\d+)", text)
    return float(found[1]) if found else None


def requeue(environment: Mapping[str, str] | None = None, run: Run = run_program) -> None:
    """Have this array task started again, later and perhaps elsewhere; Slurm ends this attempt at once.

    Raises:
        SlurmError: the controller does not answer, or does not allow it.
    """
    env = os.environ if environment is None else environment
    run(["scontrol", "requeue", env["SLURM_JOB_ID"]])
