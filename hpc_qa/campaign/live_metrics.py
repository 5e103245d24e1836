"""What the array tasks of a project say of themselves now, each for itself and summed up.

An attempt runs while it says so and its file is not older than two minutes, on this machine only while its process
lives. Slurm is not asked, so that looking costs nobody anything. What cannot be read is left out and named. Units: GB
is 10^9 bytes, percentages are 0 to 100, scores and rates 0 to 1; what is not known is None.
"""

import os
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.campaign.attempts import live_process, read_view
from hpc_qa.errors import StoreError
from hpc_qa.ledger.samples import Sample, from_line
from hpc_qa.store import exposition
from hpc_qa.store.exposition import Family, gauge, value
from hpc_qa.store.files import list_folder
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, ShardDirectory, list_runs
from hpc_qa.units import iso, utc_now

FRESH_S = 120.0  # the worker writes every 15 s; clocks of nodes differ, and a file system may be slow
SAMPLES_S = 30.0  # over so long the GPUs' utilisation is a mean
TAIL_BYTES = 64_000  # of gpu.jsonl: over two minutes of eight GPUs
GB = 1e9
_SHARD = re.compile(r"\d{4,}")
_SIZE = re.compile(r"(\d+)([KMGT]?)")


@dataclass(frozen=True, slots=True)
class LiveTask:
    """The last attempt at a shard, as it sees itself."""

    run: str
    shard: int
    attempt: int
    running: bool
    families: Sequence[Family]  # its own
    server: Sequence[Family]  # what its server says, where that was asked for
    samples: tuple[Sample, ...]  # of the last seconds; none of an attempt that has ended
    allocated_gb: float | None  # memory of the array task, as its config asks Slurm for it
    machine_gb: float | None  # that of the machine, of a run that works without Slurm

    @property
    def memory_bytes(self) -> int | None:
        """Resident memory of its processes."""
        return self.samples[-1].resident_bytes if self.samples else None

    @property
    def gpu_utilization_percent(self) -> float | None:
        """Mean over its GPUs and the last seconds."""
        return _mean(device.utilization_percent for sample in self.samples for device in sample.devices)

    @property
    def gpu_memory_bytes(self) -> int | None:
        """Used, on all its GPUs."""
        devices = self.samples[-1].devices if self.samples else ()
        known = [one.memory_bytes for one in devices if one.memory_bytes is not None]
        return sum(known) if known else None

    def exported(self) -> list[Family]:
        """All its families, those of its server and of its samples included."""
        labels = {"run": self.run, "shard": str(self.shard), "attempt": str(self.attempt)}
        return exposition.labelled([*self._own(), *self.server, *self._sampled()], labels)

    def _own(self) -> Iterator[Family]:
        yield gauge("hpc_qa_task_running", "1 while the attempt runs, 0 once it has ended.", self.running)
        yield from (family for family in self.families if family.name != "hpc_qa_task_running")

    def _sampled(self) -> Iterator[Family]:
        for name, about, figure in (
            ("hpc_qa_memory_used_bytes", "Resident memory of the attempt's processes.", self.memory_bytes),
            ("hpc_qa_gpu_utilization_percent", "Mean over the attempt's GPUs.", self.gpu_utilization_percent),
            ("hpc_qa_gpu_memory_used_bytes", "Used memory of the attempt's GPUs.", self.gpu_memory_bytes),
        ):
            if figure is not None:
                yield gauge(name, about, figure)


@dataclass(frozen=True, slots=True)
class Reading:
    """All tasks at one moment."""

    tasks: tuple[LiveTask, ...]
    notes: tuple[str, ...]  # what could not be read

    @property
    def running(self) -> list[LiveTask]:
        return [task for task in self.tasks if task.running]

    def text(self) -> str:
        """Their metrics as one Prometheus text."""
        return exposition.to_text(exposition.merged(task.exported() for task in self.tasks))

    def to_json(self) -> dict[str, Any]:
        """The running tasks summed up, as `/api/v1/metrics` gives it."""
        return {"timestamp": iso(utc_now()), "pipeline": pipeline_of(self.running), "system": system_of(self.running)}


class LiveTasks:
    """Reads the tasks of a project again and again; shards that are committed are not looked at twice."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._committed: set[Path] = set()

    def read(
        self, runs: Iterable[RunDirectory] | None = None, *, ended: bool = False, servers: bool = False
    ) -> Reading:
        """The tasks that run now, of these runs or of all; with `ended` also the last attempts of all other shards.

        `servers`: what their servers say as well.

        Raises:
            StoreError: the folder of the runs cannot be listed.
        """
        tasks, notes = [], []
        for run, shard in self._shards(list_runs(self._project) if runs is None else runs, ended=ended):
            try:
                task = _task(run, shard, servers=servers)
            except StoreError as error:
                notes.append(str(error))
            else:
                tasks += [task] if task and (task.running or ended) else []
        return Reading(tuple(tasks), tuple(notes))

    def _shards(self, runs: Iterable[RunDirectory], *, ended: bool) -> Iterator[tuple[RunDirectory, ShardDirectory]]:
        for run in runs:
            for entry in list_folder(run.path / "shards"):
                shard = ShardDirectory(run.path / "shards" / entry.name)
                if not _SHARD.fullmatch(entry.name) or shard.path in self._committed:
                    continue
                if os.path.exists(shard.commit) and not ended:
                    self._committed.add(shard.path)
                else:
                    yield run, shard


def _task(run: RunDirectory, shard: ShardDirectory, *, servers: bool) -> LiveTask | None:
    attempts = [one for one in shard.attempts() if one.metrics.is_file()]
    if not attempts:
        return None
    last = attempts[-1]
    families = exposition.read(last.metrics)
    running = _runs(last, families)
    allocated, machine = _memory(run) if running else (None, None)
    return LiveTask(
        run=run.run_id,
        shard=shard.index,
        attempt=last.order(),
        running=running,
        families=families,
        server=exposition.read(last.server_metrics) if running and servers else (),
        samples=_last_samples(last.gpu_samples) if running else (),
        allocated_gb=allocated,
        machine_gb=machine,
    )


def _runs(attempt: AttemptDirectory, families: Sequence[Family]) -> bool:
    at = value(families, "hpc_qa_task_updated_timestamp_seconds")
    if at is None or value(families, "hpc_qa_task_running") != 1 or utc_now().timestamp() - at > FRESH_S:
        return False
    identity = read_view(attempt.attempt_json)
    if identity.get("host") != platform.node():
        return True
    return live_process(identity.get("pid"), identity.get("process_start_s")) is not None


def _last_samples(path: Path) -> tuple[Sample, ...]:
    """The samples of the last seconds; none where the last one is old."""
    if not path.is_file():
        return ()
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        samples = [sample for line in file if (sample := from_line(line)) is not None]
        if samples and utc_now().timestamp() - samples[-1].time_s <= FRESH_S:
            return tuple(one for one in samples if samples[-1].time_s - one.time_s <= SAMPLES_S)
    return ()


def _memory(run: RunDirectory) -> tuple[float | None, float | None]:
    """(GB that Slurm gives each array task, GB of the machine that works without Slurm)."""
    facts = run.facts()
    if facts["executor"] == "slurm":
        settings = facts["config"]["slurm"]
        found = _SIZE.fullmatch(str(settings["mem"]))
        if found is None or found[1] == "0":  # 0 asks for all that the node has
            return None, None
        per_node = int(found[1]) * 1024 ** ("KMGT".index(found[2] or "M") + 1)  # sbatch --mem counts in MiB
        return per_node * settings["nodes_per_task"] / GB, None
    return None, (facts.get("hardware") or {}).get("ram_gb")


def pipeline_of(tasks: Sequence[LiveTask]) -> dict[str, Any]:
    """What these tasks have done, summed up."""

    def total(name: str, **labels: str) -> float | None:
        return _sum(value(task.families, name, **labels) for task in tasks)

    processed = total("hpc_qa_documents_processed_total")
    failed = total("hpc_qa_documents_processed_total", state="failed")
    weights = [
        (value(task.families, "hpc_qa_quality_score"), value(task.families, "hpc_qa_pairs_judged_total"))
        for task in tasks
    ]
    judged = [(score, pairs) for score, pairs in weights if score is not None and pairs]
    return {
        "runs": sorted({task.run for task in tasks}),
        "tasks_running": len(tasks),
        "documents_to_do": _whole(total("hpc_qa_task_documents")),
        "documents_processed": _whole(processed),
        "documents_failed": _whole(failed),
        "documents_per_hour": total("hpc_qa_documents_per_hour"),
        "error_rate": failed / processed if processed and failed is not None else None,
        "quality_score_avg": (
            sum(score * pairs for score, pairs in judged) / sum(pairs for _, pairs in judged) if judged else None
        ),
        "pairs": _whole(total("hpc_qa_pairs_total")),
        "pairs_accepted": _whole(total("hpc_qa_pairs_accepted_total")),
        "tokens": {
            kind: _whole(total("hpc_qa_tokens_total", kind=kind)) for kind in ("prompt", "cached", "completion")
        },
    }


def system_of(tasks: Sequence[LiveTask]) -> dict[str, Any]:
    """What these tasks use, summed up; a sum of which a part is not known is None."""
    used = _all_of([task.memory_bytes for task in tasks])
    gpu_used = _all_of([task.gpu_memory_bytes for task in tasks])
    gpus = [len(task.samples[-1].devices) for task in tasks if task.samples]
    return {
        "memory_used_gb": None if used is None else used / GB,
        "memory_allocated_gb": _allocated(tasks),
        "gpu_utilization_percent": _mean(task.gpu_utilization_percent for task in tasks),
        "gpu_memory_used_gb": None if gpu_used is None else gpu_used / GB,
        "gpus": sum(gpus) or None,  # that NVML tells of
    }


def _allocated(tasks: Sequence[LiveTask]) -> float | None:
    """Of array tasks their sum; tasks of one machine share what it has."""
    machines = {task.machine_gb for task in tasks if task.machine_gb is not None}
    here = max(machines) if machines else 0.0
    slurm = [task.allocated_gb for task in tasks if task.machine_gb is None]
    known = _all_of(slurm) if slurm else 0.0
    return None if known is None or not tasks else known + here or None


def _all_of(figures: Sequence[float | None]) -> float | None:
    known = [one for one in figures if one is not None]
    return sum(known) if known and len(known) == len(figures) else None


def _sum(figures: Iterable[float | None]) -> float | None:
    known = [one for one in figures if one is not None]
    return sum(known) if known else None


def _mean(figures: Iterable[float | None]) -> float | None:
    known = [one for one in figures if one is not None]
    return sum(known) / len(known) if known else None


def _whole(figure: float | None) -> int | None:
    return None if figure is None else round(figure)
