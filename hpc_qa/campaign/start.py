"""Start shards of a run: as processes of this machine, or as one job array of Slurm.

What was started is written down at once, see `arrays.py`.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from hpc_qa.campaign import arrays, conversion, provenance
from hpc_qa.campaign.plan import RunPlan, gpus_per_server
from hpc_qa.config import Config
from hpc_qa.errors import SlurmError
from hpc_qa.slurm.array import ArrayRequest
from hpc_qa.slurm.queue import cancel_jobs
from hpc_qa.slurm.submission import Submitted, submit_local
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.store.trust import check_run
from hpc_qa.units import parse_clock, plural


@dataclass(frozen=True, slots=True)
class Script:
    """What sbatch would get, and what it could cost."""

    text: str
    conversion: str | None  # that of the array which converts what is missing
    gpu_hours: float  # at most: every array task up to its time limit
    price: str  # how that is made up


def script_of(plan: RunPlan, project: Path) -> Script:
    """The batch script of a plan that is not frozen yet; the run's folder is only an example of one."""
    settings, gpus = plan.config.slurm, plan.config.gpus_allocated
    run = RunDirectory(project / "runs" / f"{plan.config.name}-20260101T000000-0000")
    shards = [shard.index for shard in plan.shards]
    hours = parse_clock(settings.time) / 3600
    price = f"{plural(len(shards), 'array task')} x {plural(gpus, 'GPU')} x {settings.time}"
    request = ArrayRequest(run.job_name, run.path, shards, settings, plan.config.gpus_per_node)
    before = None
    if plan.conversion:
        before = conversion.request_of(run.conversion, plan.config, range(len(plan.conversion.tasks))).script()
        request = replace(request, dependency="afterok:CONVERSION")
    return Script(request.script() if shards else "", before, len(shards) * gpus * hours, price)


def start(run: RunDirectory, config: Config, shards: Sequence[int], *, exclude: Sequence[str] = ()) -> list[str]:
    """Start these shards of a run and write down what was started; gives the job ids.

    On Slurm `exclude` names nodes that are not to be used.

    Raises:
        ConfigError: the run is not ours alone, or this machine has too few GPUs.
        SlurmError: a process could not be started, or Slurm refused.
    """
    os.umask(0o077)
    check_run(run)
    if not shards:
        return []
    return _start_here(run, config, shards) if config.executor == "local" else _submit(run, config, shards, exclude)


def start_new(run: RunDirectory, config: Config, shards: Sequence[int]) -> list[str]:
    """Start a run that was just frozen; when nothing of it could be started, its folder is removed again.

    Raises:
        ConfigError, SlurmError: see `start`.
    """
    try:
        return start(run, config, shards)
    except SlurmError as error:
        if config.executor == "local" or run.list_submissions():
            raise
        if not error.certain and (taken := _taken(run, error)):
            return taken
        _drop(run, error)
        raise


def _drop(run: RunDirectory, error: SlurmError) -> None:
    """Remove a run of which no shard was started, and take back the conversion that was."""
    try:
        cancel_jobs(conversion.open_jobs(run.conversion))
    except SlurmError:
        error.hint = f"its conversion is in the queue: hpc-qa cancel {run.run_id}, or hpc-qa resume {run.run_id}"
        raise error from None
    shutil.rmtree(run.path)


def _taken(run: RunDirectory, error: SlurmError) -> list[str]:
    """What Slurm has taken although it did not say so.

    Raises:
        SlurmError: the one that is given, when that cannot be known now; the run stays.
    """
    try:
        if run.conversion.exists():
            conversion.adopt(run.conversion)
        return adopt(run)
    except SlurmError:
        error.hint = f"Slurm may have taken it: hpc-qa resume {run.run_id} finds out when the controller answers again"
        raise error from None


def adopt(run: RunDirectory) -> list[str]:
    """Write down the job arrays of this run that are in the queue and in no submission; gives their job ids.

    Raises:
        SlurmError: the controller does not answer.
    """
    return arrays.adopt(run, lambda: [int(shard["index"]) for shard in run.frozen_plan()["shards"]])


def _submit(run: RunDirectory, config: Config, shards: Sequence[int], exclude: Sequence[str]) -> list[str]:
    """First what is missing of the conversion that the run waits for, then the array that depends on it."""
    before = None
    if run.conversion.exists():
        before = conversion.start_missing(run.conversion, config)
    request = ArrayRequest(
        run.job_name, run.path, shards, config.slurm, config.gpus_per_node, exclude=exclude, dependency=before
    )
    return arrays.submit(run, request)


def _start_here(run: RunDirectory, config: Config, shards: Sequence[int]) -> list[str]:
    gpus = gpus_per_server(config)
    submitted = submit_local(
        run.path, run.submit, shards, gpus_per_server=gpus or 0, visible_gpus=_gpu_indices() if gpus else ()
    )
    run.add_submission(arrays.facts_of("local", [_local_task(one) for one in submitted]))
    return [one.job_id for one in submitted]


def _local_task(one: Submitted) -> dict[str, Any]:
    return {"shard": one.shard, "job_id": one.job_id, "pid": one.pid, "process_start_s": _start_time(one.pid)}


def _gpu_indices() -> list[int]:
    """GPUs we may use: those that CUDA_VISIBLE_DEVICES leaves us, else all."""
    left = os.environ.get("CUDA_VISIBLE_DEVICES")
    if left is not None and all(part.strip().isdigit() for part in left.split(",")):
        return [int(part) for part in left.split(",")]
    return list(range(len(provenance.visible_gpus() or [])))


def _start_time(pid: int | None) -> float | None:
    try:
        return psutil.Process(pid).create_time() if pid is not None else None
    except psutil.Error:
        return None
