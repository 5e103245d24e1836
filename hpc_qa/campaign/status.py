"""Where a run is: per shard its state, documents, speed, GPU-hours and time to finish.

What was produced is read from commits and segments, what lives from its process or from Slurm; progress files only
fill the gap between two flushes. Changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hpc_qa.campaign.arrays import last_tasks
from hpc_qa.campaign.attempts import Attempt, attempts_of, live_process, read_view
from hpc_qa.campaign.cluster import ClusterView, look
from hpc_qa.campaign.conversion import ConversionStatus, open_jobs, status_of
from hpc_qa.errors import HpcQaError, StoreError
from hpc_qa.store.commits import read_commit, seems_damaged
from hpc_qa.store.merge import Tally, tally_of
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.units import plural, utc_now

PACE_AFTER_S = 60.0
PACE_AFTER_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One array task."""

    shard: int
    state: str  # pending | queued | running | done | interrupted | damaged | unknown
    detail: str | None  # in Slurm's words: why it waits, where it runs, how it ended
    stage: str | None
    phase: str | None  # of the server's start
    documents: int
    ok: int
    failed: int
    skipped: int
    left: int
    pairs: int
    accepted: int
    tokens_per_s: float | None
    gpu_hours: float | None
    elapsed_s: float | None
    time_left_s: float | None
    attempts: int
    job_id: str | None


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run: its shards and what was settled before it started."""

    run: str
    created_at: str
    executor: str
    model: str
    state: str  # pending | queued | running | complete | incomplete | damaged | unknown
    documents: int
    settled: dict[str, int]
    shards: tuple[ShardStatus, ...]
    notes: tuple[str, ...] = ()  # what could not be asked
    conversion: ConversionStatus | None = None  # that it waits for, when there is one

    @property
    def goes_on(self) -> bool:
        """Whether anything of it waits or runs."""
        return self.state in ("queued", "running")

    def count(self, field: str) -> int:
        """Sum of a column over the shards; for failed and skipped with what was settled at planning."""
        here: int = sum(getattr(shard, field) for shard in self.shards)
        return here + self.settled.get(field, 0)

    def to_json(self) -> dict[str, Any]:
        """As `status RUN --json` prints it."""
        document = asdict(self)
        document["shards"] = [asdict(shard) for shard in self.shards]
        document["conversion"] = self.conversion.to_json() if self.conversion else None
        totals: dict[str, float | None] = {
            name: self.count(name) for name in ("ok", "failed", "skipped", "left", "pairs", "accepted")
        }
        hours = [shard.gpu_hours for shard in self.shards if shard.gpu_hours is not None]
        totals["gpu_hours"] = sum(hours) if len(hours) == len(self.shards) else None
        return document | {"totals": totals}


def status(run: RunDirectory, view: ClusterView | None = None) -> RunStatus:
    """The status of one run; `view` is what Slurm said of it, when it was asked already.

    Raises:
        StoreError: run.json or plan.json cannot be read.
    """
    facts, plan = run.facts(), run.frozen_plan()
    submitted = last_tasks(run)
    gpus = facts.get("gpus_per_server")
    on_slurm = facts["executor"] == "slurm"
    cluster = (view or look(_open_jobs(run, submitted))) if on_slurm else None
    converting = status_of(run.conversion, cluster) if cluster and run.conversion.exists() else None
    shards = tuple(
        _shard_status(run, int(shard["index"]), shard["documents"], submitted.get(int(shard["index"])), gpus, cluster)
        for shard in plan["shards"]
    )
    settled = Counter(str(item["state"]) for item in plan["settled"])
    return RunStatus(
        run=run.run_id,
        created_at=str(facts["created_at"]),
        executor=str(facts["executor"]),
        model=str(facts["model"]["name"]),
        state=_run_state(shards, converting),
        documents=int(plan["documents"]),
        settled=dict(settled),
        shards=shards,
        notes=(*(cluster.notes if cluster else ()), *_drained(run)),
        conversion=converting,
    )


def goes_on(run: RunDirectory) -> bool:
    """Whether anything of a run waits or runs, as far as that can be said; asked to say what to do next."""
    try:
        return status(run).goes_on
    except (HpcQaError, KeyError, TypeError):  # `verify` says what is wrong with it
        return False


def _drained(run: RunDirectory) -> Iterator[str]:
    """What `budget guard` took back of it."""
    for path in sorted(run.path.glob("drained-*.json")):
        said = read_view(path)
        if {"at", "shards", "budget_gpu_hours"} <= said.keys():
            yield (
                f"budget guard drained {plural(len(said['shards']), 'shard')} at {said['at']}, as they "
                f"would have crossed {said['budget_gpu_hours']:,.1f} GPU-hours"
            )


def _open_jobs(run: RunDirectory, submitted: dict[int, dict[str, Any]]) -> list[str]:
    """The jobs of shards that are not committed; none of them is asked about when there is none."""
    open_tasks = [str(task["job_id"]) for index, task in submitted.items() if not run.shard(index).commit.exists()]
    jobs = {task_id.partition("_")[0] for task_id in open_tasks}
    return sorted(jobs | set(open_jobs(run.conversion)), key=int)


def view_of_all(runs: Iterable[RunDirectory]) -> ClusterView:
    """What Slurm says of all these runs, asked once."""
    jobs: set[str] = set()
    for run in runs:
        with suppress(StoreError):  # its own line says that it is unreadable
            if run.facts()["executor"] == "slurm":
                jobs |= set(_open_jobs(run, last_tasks(run)))
    return look(sorted(jobs, key=int))


def _run_state(shards: Iterable[ShardStatus], conversion: ConversionStatus | None) -> str:
    states = {shard.state for shard in shards}
    if conversion and conversion.state:
        states.add(conversion.state)
    if "damaged" in states:
        return "damaged"
    if states <= {"done"}:
        return "complete"
    for state in ("running", "queued", "unknown"):
        if state in states:
            return state
    return "incomplete" if "interrupted" in states or "done" in states else "pending"


def _shard_status(
    run: RunDirectory, index: int, documents: list[str], task: dict[str, Any] | None, gpus: int | None,
    cluster: ClusterView | None,
) -> ShardStatus:  # fmt: skip
    shard = run.shard(index)
    attempts = attempts_of(shard)
    last = attempts[-1] if attempts else None
    damaged = seems_damaged(shard)
    state, detail = "damaged" if damaged else "done", None
    if not damaged and read_commit(shard) is None:
        state, detail = cluster.state_of(str(task["job_id"])) if cluster and task else (_live_state(last, task), None)
    found = Tally(Counter(), Counter(), 0, 0) if damaged else tally_of(shard, documents)  # what is left, verify says
    elapsed = _elapsed_s(attempts, running=state == "running")
    progress = last.progress if last is not None and _is_current(last, state, cluster) else {}
    return ShardStatus(
        shard=index,
        state=state,
        detail=detail,
        stage=progress.get("stage"),
        phase=progress.get("phase"),
        documents=len(documents),
        ok=found.documents["ok"],
        failed=found.documents["failed"],
        skipped=found.documents["skipped"],
        left=len(documents) - found.documents.total(),
        pairs=found.pairs,
        accepted=found.accepted,
        tokens_per_s=_tokens_per_s(attempts),
        gpu_hours=None if gpus is None else gpus * elapsed / 3600,
        elapsed_s=elapsed if attempts else None,
        time_left_s=_time_left_s(progress),
        attempts=len(attempts),
        job_id=str(task["job_id"]) if task else None,
    )


def _is_current(last: Attempt, state: str, cluster: ClusterView | None) -> bool:
    """Whether what an attempt says of its progress is about now."""
    return last.process is not None if cluster is None else state == "running"


def _live_state(last: Attempt | None, task: dict[str, Any] | None) -> str:
    if last is not None and last.process is not None:
        return "running"
    ended = last is not None and task is not None and last.identity.get("job_id") == str(task["job_id"])
    if not ended and task is not None and live_process(task.get("pid"), task.get("process_start_s")) is not None:
        return "running"  # started, and its worker has not said who it is yet
    return "interrupted" if last is not None or task is not None else "pending"


def _elapsed_s(attempts: list[Attempt], *, running: bool) -> float:
    total = 0.0
    for position, attempt in enumerate(attempts):
        began, last_mark = attempt.identity.get("started_at"), attempt.progress.get("at")
        if not began or not last_mark:
            continue
        end = utc_now() if running and position == len(attempts) - 1 else datetime.fromisoformat(last_mark)
        total += max(0.0, (end - datetime.fromisoformat(began)).total_seconds())
    return total


def _tokens_per_s(attempts: list[Attempt]) -> float | None:
    """Tokens computed (prompt without cache hits, plus completion) per second of serving, of the last attempt."""
    if not attempts:
        return None
    progress = attempts[-1].progress
    seconds = progress.get("serving_s")
    return progress.get("computed_tokens", 0) / seconds if seconds else None


def _time_left_s(progress: dict[str, Any]) -> float | None:
    """At the pace so far; what is done is the share of documents that were fed times the share of their chunks.

    Unknown at first: the pace of the first requests, before the server is full, says nothing.
    """
    todo, fed, done = (progress.get(name, 0) for name in ("documents_todo", "chunks_fed", "chunks_done"))
    seconds = progress.get("serving_s")
    if not (todo and fed and done and seconds):
        return None
    share = progress["documents_fed"] / todo * done / fed
    if seconds < PACE_AFTER_S and share < PACE_AFTER_SHARE:
        return None
    return float(seconds) * (1 - share) / share if share else None


def list_statuses(project: Path) -> list[dict[str, Any]]:
    """One row per run of the project, oldest first; a run that cannot be read says why."""
    rows: list[dict[str, Any]] = []
    runs = list_runs(project)
    view = view_of_all(runs)
    for run in runs:
        try:
            one = status(run, view)
        except StoreError as error:
            rows.append({"run": run.run_id, "state": "unreadable", "reason": str(error)})
            continue
        totals = one.to_json()["totals"]
        rows.append({"run": one.run, "state": one.state, "documents": one.documents} | totals)
    return rows
