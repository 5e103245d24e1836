"""Conversion as a job array on CPUs: which task converts which lines of the manifest, its start, and how far it is.

The GPU array of a run that waits for it depends on every task of it (afterok), so that no GPU is held for a document
that is not converted. A task that fails takes the waiting array with it; `resume` submits both again, and what is in
the cache by then is not converted twice.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpc_qa.campaign import arrays
from hpc_qa.campaign.attempts import read_view
from hpc_qa.campaign.cluster import ClusterView, look
from hpc_qa.config import Config
from hpc_qa.errors import SlurmError
from hpc_qa.slurm.array import ArrayRequest
from hpc_qa.slurm.queue import cancel_jobs
from hpc_qa.store.conversion_directory import ConversionDirectory
from hpc_qa.store.files import exists, read_sealed
from hpc_qa.store.trust import check_conversion
from hpc_qa.units import plural


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """What is to be converted, and by which array task."""

    documents: int
    megabytes: float
    tasks: tuple[tuple[int, int], ...]  # lines of the manifest from 0: the first, and the one behind the last

    def to_json(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        return {"documents": self.documents, "megabytes": self.megabytes, "tasks": len(self.tasks)}


def plan_conversion(missing_bytes: Sequence[int], tasks: int) -> ConversionPlan:
    """Cut a manifest of which each line still has so many bytes to convert; 0 for what is converted."""
    return ConversionPlan(sum(map(bool, missing_bytes)), sum(missing_bytes) / 1e6, tuple(cut(missing_bytes, tasks)))


def cut(weights: Sequence[int], tasks: int) -> list[tuple[int, int]]:
    """At most so many ranges of about equal weight, each with some of it.

    >>> cut([0, 6, 0, 5, 1, 9], 2), cut([0, 3], 8), cut([0, 0], 8)
    ([(1, 4), (4, 6)], [(1, 2)], [])
    """
    ranges: list[tuple[int, int]] = []
    left, first, here = sum(weights), 0, 0
    for line, weight in enumerate(weights):
        if not here:
            first = line
        here += weight
        if here and here * (tasks - len(ranges)) >= left:
            ranges.append((first, line + 1))
            left, here = left - here, 0
    return ranges


def freeze(
    conversion: ConversionDirectory, plan: ConversionPlan, config: Config, *, project: Path, converter_key: str,
    manifest: Path, run_id: str | None,
) -> None:  # fmt: skip
    """Write what a new conversion is to do, the last file of it; `manifest` is the frozen one, from its folder.

    Raises:
        StoreError: it cannot be written.
    """
    conversion.freeze(
        {
            "run": run_id,
            "project": str(project),
            "config": config.model_dump(),
            "converter_key": converter_key,
            "manifest": str(manifest),
            "tasks": [list(lines) for lines in plan.tasks],
        }
    )


def request_of(conversion: ConversionDirectory, config: Config, tasks: Sequence[int]) -> ArrayRequest:
    """The job array of these tasks."""
    return ArrayRequest(conversion.job_name, conversion.path, tasks, config.conversion_job, gpus_per_node=0)


@dataclass(frozen=True, slots=True)
class ConversionTask:
    """One array task of a conversion."""

    task: int
    state: str  # pending | queued | running | done | interrupted | unknown
    detail: str | None  # in Slurm's words
    documents: int | None
    ok: int
    failed: int
    job_id: str | None


@dataclass(frozen=True, slots=True)
class ConversionStatus:
    """Where a conversion is."""

    tasks: tuple[ConversionTask, ...]

    def count(self, *states: str) -> int:
        """Tasks in one of these states."""
        return sum(task.state in states for task in self.tasks)

    @property
    def state(self) -> str | None:
        """What it does for the run: running, queued, unknown, or None when nothing of it lives."""
        return next((state for state in ("running", "queued", "unknown") if self.count(state)), None)

    def to_json(self) -> dict[str, Any]:
        """As `status RUN --json` prints it."""
        return {"tasks": [asdict(task) for task in self.tasks]}

    def describe(self) -> str:
        """One line for people."""
        counts = Counter(task.state for task in self.tasks)
        states = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        converted, failed = (sum(getattr(task, name) for task in self.tasks) for name in ("ok", "failed"))
        words = sorted({task.detail for task in self.tasks if task.detail and task.state == "interrupted"})
        said = f" ({'; '.join(words)})" if words else ""
        return (
            f"{plural(len(self.tasks), 'array task')}: {states}{said}; {plural(converted, 'document')} "
            f"converted, {failed:,} failed"
        )


def open_jobs(conversion: ConversionDirectory) -> list[str]:
    """The jobs of tasks that have not said how their documents ended."""
    tasks = arrays.last_tasks(conversion)
    names = {str(task["job_id"]) for index, task in tasks.items() if not exists(conversion.outcome(index))}
    return sorted({name.partition("_")[0] for name in names}, key=int)


def status_of(conversion: ConversionDirectory, view: ClusterView) -> ConversionStatus:
    """Where it is, by its outcomes and by what Slurm says."""
    submitted = arrays.last_tasks(conversion)
    count = len(conversion.facts()["tasks"])
    return ConversionStatus(tuple(_task(conversion, index, submitted.get(index), view) for index in range(count)))


def _task(
    conversion: ConversionDirectory, index: int, submitted: dict[str, Any] | None, view: ClusterView
) -> ConversionTask:
    job_id = str(submitted["job_id"]) if submitted else None
    if exists(conversion.outcome(index)):
        facts = read_sealed(conversion.outcome(index))
        documents, failed = int(facts["documents"]), len(facts["failed"])
        return ConversionTask(index, "done", None, documents, documents - failed, failed, job_id)
    state, detail = view.state_of(job_id) if job_id else ("pending", None)
    so_far = read_view(conversion.progress(index))
    return ConversionTask(
        index, state, detail, so_far.get("documents"), so_far.get("ok", 0), so_far.get("failed", 0), job_id
    )


def start_missing(conversion: ConversionDirectory, config: Config) -> str | None:
    """Submit the tasks that neither have ended nor wait nor run.

    Gives the dependency of an array that may only start when the whole conversion has ended well; None when it has.

    Raises:
        ConfigError: the folder is not ours alone.
        SlurmError: Slurm does not say what lives, or refused.
    """
    check_conversion(conversion)
    adopt(conversion)
    now = status_of(conversion, look(open_jobs(conversion)))
    if now.count("unknown"):
        raise SlurmError("Slurm does not say whether the conversion still runs", hint="try again when `squeue` answers")
    alive = [str(one.job_id) for one in now.tasks if one.state in ("queued", "running")]
    if missing := [one.task for one in now.tasks if one.state in ("pending", "interrupted")]:
        alive += arrays.submit(conversion, request_of(conversion, config, missing))
    return ":".join(["afterok", *alive]) if alive else None


def adopt(conversion: ConversionDirectory) -> list[str]:
    """Write down its job arrays that are in the queue and in no submission; gives their job ids.

    Raises:
        SlurmError: the controller does not answer.
    """
    return arrays.adopt(conversion, lambda: range(len(conversion.facts()["tasks"])))


def cancel(conversion: ConversionDirectory) -> None:
    """Cancel what waits or runs of it.

    Raises:
        SlurmError: the controller does not answer.
    """
    adopt(conversion)
    cancel_jobs(open_jobs(conversion))
