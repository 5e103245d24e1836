"""Attempts as the ledger keeps them: allocations of accounting, joined with the folders that their workers left.

Joined by job, array index, and the allocation that was held when the worker began. One without the other is an attempt
as well, and says so. Attempts of this machine have folders alone.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import pyarrow as pa

from hpc_qa.budget.waterfall import waterfall
from hpc_qa.campaign.attempt_folders import AttemptFolder
from hpc_qa.campaign.seff_figures import SeffFigures
from hpc_qa.campaign.submitted_tasks import SubmittedTasks
from hpc_qa.ledger.samples import Figures
from hpc_qa.ledger.schema import ATTEMPT
from hpc_qa.slurm.allocation import GPUS_NOT_ACCOUNTED, Allocation

MEASURED = {field.name for field in fields(Figures)} | {"gpu_samples_share", "judge_token_share"}
MOMENTS = {"submit": "submit_s", "eligible": "eligible_s", "start": "start_s", "end": "end_s"}
CLOCKS_DIFFER_S = 2  # of nodes and controller; Slurm's times are whole seconds
SACCT, LOCAL = "sacct", "local"


@dataclass(slots=True)
class Held:
    """One attempt: its allocation, the folder that its worker left, or both."""

    allocation: Allocation
    source: str
    run_id: str | None = None
    shard: int | None = None
    folder: AttemptFolder | None = None
    seff: SeffFigures | None = None

    def stages_ms(self) -> dict[str, int] | None:
        """Where its time went; None while it goes on, and where the worker left nothing to say."""
        one = self.allocation
        if self.folder is None or one.start_s is None or one.end_s is None:
            return None
        return waterfall(1000 * one.start_s, 1000 * one.end_s, self.folder.spans)

    def used(self) -> dict[str, Any]:
        """What its worker measured, by column; empty where it left nothing to say."""
        found: dict[str, Any] = {}
        if self.folder is not None and (figures := self.folder.figures()) is not None:
            share = figures.samples_share(self.allocation.gpu_count, self.allocation.elapsed_s)
            busy_ms = None if figures.busy_ms is None else list(figures.busy_ms.items())
            found = asdict(figures) | {"gpu_samples_share": share, "busy_ms": busy_ms}
        if self.folder is not None and (share := self.folder.judge_token_share) is not None:
            found["judge_token_share"] = share
        return found


def joined(found: Iterable[Allocation], tasks: SubmittedTasks, folders: Iterable[AttemptFolder]) -> list[Held]:
    """Allocations with their folders; `tasks` are those that are ours."""
    attempts = []
    by_task: dict[tuple[str, int], list[Held]] = {}
    for one in found:
        held = Held(one, SACCT)
        if task := tasks.owner(one):
            held.run_id, held.shard = task.run_id, task.shard
            _look_for_gpus(one, task.gpus)
        attempts.append(held)
        if one.array_task_id is not None:
            by_task.setdefault((str(one.array_job_id), one.array_task_id), []).append(held)
    for folder in folders:
        if folder.executor != "slurm":
            attempts.append(_local(folder))
        elif match := next((held for held in by_task.get(folder.task, ()) if _began_in(folder, held)), None):
            match.folder = folder
        else:
            attempts.append(_alone(folder))
    for held in attempts:
        if held.run_id is not None and held.folder is None and held.allocation.started:
            held.allocation.data_quality.append("no_folder")
    return attempts


def _look_for_gpus(one: Allocation, asked: int | None) -> None:
    """Say that accounting has no GPUs of an attempt whose server had some; how many it asked for is known."""
    if asked and one.started and not one.gpu_count:
        one.gpus_asked = asked
        if one.gpu_count == 0:
            one.data_quality.append(GPUS_NOT_ACCOUNTED)


def _began_in(folder: AttemptFolder, held: Held) -> bool:
    """Whether the worker began while this allocation was held."""
    one, began_ms = held.allocation, folder.began_ms
    if held.folder is not None or began_ms is None or one.start_s is None:
        return False
    ends_s = one.end_s if one.end_s is not None else began_ms / 1000
    return one.start_s - CLOCKS_DIFFER_S <= began_ms / 1000 <= ends_s + CLOCKS_DIFFER_S


def _alone(folder: AttemptFolder) -> Held:
    """An attempt that accounting does not know (yet)."""
    job, index = folder.task
    one = Allocation(f"{job}_{index}", None, folder.name, "UNKNOWN", data_quality=["no_accounting"])
    return Held(one, SACCT, folder.run_id, folder.shard, folder)


def _local(folder: AttemptFolder) -> Held:
    """An attempt of this machine: GPUs held from the first mark to the last."""
    job, index = folder.task
    began_ms, last_ms = folder.began_ms, folder.last_mark_ms
    state = "RUNNING" if folder.attempt.process else "COMPLETED" if folder.committed else "FAILED"
    one = Allocation(f"{job}_{index}", None, folder.name, state, gpu_count=folder.gpus)
    if began_ms is None or last_ms is None:
        one.data_quality.append("no_elapsed")
    else:
        one.start_s, ends_s = began_ms // 1000, -(-last_ms // 1000)
        one.elapsed_s, one.end_s = ends_s - one.start_s, None if state == "RUNNING" else ends_s
    if folder.gpus is None:
        one.data_quality.append("gpus_not_known")
    return Held(one, LOCAL, folder.run_id, folder.shard, folder)


def attempt_table(attempts: Sequence[Held], *, observed_at: datetime) -> pa.Table:
    """Rows of the ledger."""
    stages = [held.stages_ms() for held in attempts]
    used = [held.used() for held in attempts]
    values: dict[str, Callable[[], list[Any]]] = {
        "source": lambda: [held.source for held in attempts],
        "is_final": lambda: [held.allocation.ended for held in attempts],
        "run_id": lambda: [held.run_id for held in attempts],
        "shard": lambda: [held.shard for held in attempts],
        "folder": lambda: [held.folder.name if held.folder else None for held in attempts],
        "stages_ms": lambda: [None if one is None else list(one.items()) for one in stages],
        "seff_cpu_efficiency": lambda: [held.seff and held.seff.cpu for held in attempts],
        "seff_memory_efficiency": lambda: [held.seff and held.seff.memory for held in attempts],
        "seff_asked_at": lambda: [held.seff and held.seff.asked_at for held in attempts],
        "row_sha256": lambda: [_sha256(*one) for one in zip(attempts, stages, used, strict=True)],
    }
    arrays = []
    for field in ATTEMPT:
        if field.name == "observed_at":
            arrays.append(pa.repeat(pa.scalar(observed_at, field.type), len(attempts)))
            continue
        if field.name in values:
            column = values[field.name]()
        elif field.name in MEASURED:
            column = [one.get(field.name) for one in used]
        elif name := MOMENTS.get(field.name):
            seconds = (getattr(held.allocation, name) for held in attempts)
            column = [None if value is None else 1000 * value for value in seconds]
        else:
            column = [getattr(held.allocation, field.name) for held in attempts]
        arrays.append(pa.array(column, field.type))
    return pa.table(arrays, schema=ATTEMPT)


def _sha256(held: Held, stages: Mapping[str, int] | None, used: Mapping[str, Any]) -> str:
    """Of everything that the row says."""
    one = held.allocation
    said: list[object] = [
        one.raw,
        one.state,
        one.elapsed_s,
        one.gpu_count,
        one.data_quality,
        held.run_id,
        held.shard,
        stages,
    ]
    said.append(held.folder.name if held.folder else None)
    if held.seff:  # otherwise as before anybody asked it
        said += [held.seff.cpu, held.seff.memory]
    said += [used] if used else []
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
