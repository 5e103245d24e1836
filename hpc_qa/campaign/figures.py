"""The figures of a run, under the names of a benchmark record.

Documents, pairs and quality come from its records, speed and start-up from what its attempts wrote down, time and hours
from the ledger. What was not measured, or is not known of every attempt, is None. Definitions are in `RunFigures`.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from hpc_qa.budget.gates import ERRORS_NO_GO
from hpc_qa.campaign.attempts import attempts_of
from hpc_qa.campaign.batches import batch_of
from hpc_qa.campaign.calibration import Calibration, a_score_decides
from hpc_qa.campaign.review import review_of
from hpc_qa.ledger.attempts import current
from hpc_qa.ledger.schema import ATTEMPT
from hpc_qa.qa.judge import SCORES
from hpc_qa.store.files import read_json
from hpc_qa.store.merge import merge_shard
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.store.segments import Batch

Row = Mapping[str, Any]
COLUMNS = (
    "run_id", "source", "is_final", "state", "submit", "start", "end", "elapsed_s", "cpus", "gpu_count", "gpus_asked",
    "gpu_hours_allocated", "cpu_efficiency", "memory_efficiency", "memory_peak_bytes", "folder",
    "gpu_utilization", "gpu_memory_peak_bytes", "gpu_energy_j", "sampled_gpus",
)  # fmt: skip
JOULES_PER_KWH = 3.6e6
ENOUGH = 0.9  # of the weight: a mean of less says nothing of the rest
QUALITY = (  # of a benchmark record
    "sample_size", "avg_clarity_score", "avg_accuracy_score", "avg_relevance_score", "avg_overall_score",
    "overall_acceptance_rate", "quality_score",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quality:
    """What the judge said of the pairs that passed every deterministic check; None where nothing was judged."""

    judged_pairs: int
    quality_score: float | None  # mean over the pairs of `qa.judge.quality_score`
    quality_score_deviation: float | None  # standard deviation between the means of documents
    avg_clarity_score: float | None  # 1-5
    avg_accuracy_score: float | None
    avg_relevance_score: float | None
    acceptance_rate: float | None  # accepted of judged
    calibration: dict[str, float | None] | None = None  # what controls say of the judge; None: none were judged

    def of_record(self) -> dict[str, Any] | None:
        """Under the names of a benchmark record; the judge gives no overall score."""
        if not self.judged_pairs:
            return None
        means = {name: value for name, value in asdict(self).items() if name.startswith("avg_")}
        shares = {"overall_acceptance_rate": self.acceptance_rate, "quality_score": self.quality_score}
        return {"sample_size": self.judged_pairs, **means, "avg_overall_score": None, **shares}


@dataclass(frozen=True, slots=True)
class Spent:
    """What the ledger says of the attempts of a run; None where one of them is not known."""

    attempts: int
    states: dict[str, int]  # attempts by state
    total_time_minutes: float | None  # start of the first attempt to end of the last
    queue_minutes: float | None  # the first submission to the start of the first attempt; None on this machine
    gpu_hours: float | None
    core_hours: float | None  # CPUs x elapsed; on this machine its CPUs, shared by the servers that run at once
    cpu_efficiency_percent: float | None  # weighted by core-hours; None where less than 90 % of them are known of
    memory_efficiency_percent: float | None  # the same
    max_cpu_memory_gb: float | None  # GB = 10^9 bytes
    avg_gpu_utilization_percent: float | None  # weighted by GPU-hours, of at least 90 % of them
    max_gpu_memory_gb: float | None  # of a single GPU
    energy_kwh: float | None  # of the GPUs
    allocated_gpus: int | None  # of the attempt of which the most GPUs were not sampled
    sampled_gpus: int | None  # of the same
    partly_known: dict[str, float]  # means that are None as too little is known: the share of the weight that is


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run. A PDF is a document of any kind that was worked on: it ended ok or failed."""

    run: str
    batch: str | None
    documents: int
    ok: int
    failed: int
    skipped: int
    left: int
    pdfs_processed: int  # ok and failed in an array task; not those that had failed before the run
    error_rate: float | None  # failed of all
    success_rate: float | None  # ok of all
    qa_pairs_generated: int
    qa_pairs_accepted: int
    qa_pairs_per_pdf: float | None  # of the PDFs processed
    chunks_asked: int
    completion_tokens: int
    avg_time_per_pdf_minutes: float | None
    throughput_pdfs_per_hour: float | None
    gpu_hours_per_pdf: float | None
    startup_s: float | None  # median over the attempts: from the worker's begin to its first request
    computed_tokens: int | None  # by all attempts: prompt tokens without cache hits, and completion tokens
    tokens_per_s: float | None  # computed, per second of serving of one server
    job_efficiency_percent: float | None  # the CPU efficiency
    gpu_hours_per_accepted_pair: float | None
    kwh_per_accepted_pair: float | None
    wall_hours_per_accepted_pair: float | None
    core_hours_per_accepted_pair: float | None
    tokens_per_accepted_pair: float | None
    quality: Quality
    review: dict[str, Any] | None  # what people said of a sample, once they rated enough of it
    spent: Spent

    @property
    def fails_too_often(self) -> bool:
        return self.failed > ERRORS_NO_GO * self.documents

    @property
    def accepts_nothing(self) -> bool:
        return self.pdfs_processed > 0 and not self.qa_pairs_accepted

    def quality_of_record(self) -> dict[str, Any]:
        """`quality` of a benchmark record: of the human review when there is one, else the judge's."""
        judge = self.quality.of_record()
        beside = judge and judge | (self.quality.calibration or {})
        if self.review is not None:
            return self.review | {"judge": beside}
        return {"rated_by": "judge" if judge else None} | (judge or dict.fromkeys(QUALITY)) | {"judge": beside}

    def to_json(self) -> dict[str, Any]:
        """One object; what the ledger says stands beside the rest, and the judge's figures under `quality`."""
        document = asdict(self)
        spent: dict[str, Any] = document.pop("spent")
        return document | spent


def critical_seen(found: RunFigures) -> list[str]:
    """What makes a run worth nothing whatever people noted of it, as its figures have it."""
    seen = [f"documents that failed: {found.failed} of {found.documents}"] if found.fails_too_often else []
    return [*seen, "no pair was accepted"] if found.accepts_nothing else seen


def figures(run: RunDirectory, project: Path) -> RunFigures:
    """The figures of a run as far as it has come; its records are read once.

    Raises:
        StoreError: the run or the ledger cannot be read.
    """
    facts, plan = run.facts(), run.frozen_plan()
    templates = read_json(run.prompts).get("templates") or {}
    judge = Calibration(a_score_decides(facts["config"]["qa"], templates.get("judge")))
    records = _Records(judge)
    shards = [run.shard(int(shard["index"])) for shard in plan["shards"]]
    for shard in shards:
        merged = merge_shard(shard, records.add)
        records.documents.update(merged.counts.documents)
        ended = {doc_id for doc_id, one in merged.documents.items() if one["state"] in ("ok", "failed")}
        records.pairs_of_ended += sum(chunk.pairs for chunk in merged.chunks.values() if chunk.doc_id in ended)
        records.counts.update({name: getattr(merged.counts, name) for name in ("pairs", "accepted", "chunks")})
        records.counts["completion_tokens"] += merged.counts.completion_tokens
    processed = records.documents["ok"] + records.documents["failed"]
    records.documents.update(str(settled["state"]) for settled in plan["settled"])
    pace = _pace([(one.progress, one.summary) for shard in shards for one in attempts_of(shard)])
    spent = spent_of(attempt_rows(project, run), local_cpus(facts, len(shards)))
    documents, done, counts = int(plan["documents"]), records.documents, records.counts
    accepted, minutes = counts["accepted"], spent.total_time_minutes
    return RunFigures(
        run=run.run_id,
        batch=batch_of(run),
        documents=documents,
        ok=done["ok"],
        failed=done["failed"],
        skipped=done["skipped"],
        left=documents - done.total(),
        pdfs_processed=processed,
        error_rate=_ratio(done["failed"], documents),
        success_rate=_ratio(done["ok"], documents),
        qa_pairs_generated=counts["pairs"],
        qa_pairs_accepted=accepted,
        qa_pairs_per_pdf=_ratio(records.pairs_of_ended, processed),
        chunks_asked=counts["chunks"],
        completion_tokens=counts["completion_tokens"],
        avg_time_per_pdf_minutes=_ratio(minutes, processed),
        throughput_pdfs_per_hour=_ratio(60 * processed, minutes),
        gpu_hours_per_pdf=_ratio(spent.gpu_hours, processed),
        startup_s=pace.startup_s,
        computed_tokens=pace.computed_tokens,
        tokens_per_s=pace.tokens_per_s,
        job_efficiency_percent=spent.cpu_efficiency_percent,
        gpu_hours_per_accepted_pair=_ratio(spent.gpu_hours, accepted),
        kwh_per_accepted_pair=_ratio(spent.energy_kwh, accepted),
        wall_hours_per_accepted_pair=_ratio(minutes, 60 * accepted),
        core_hours_per_accepted_pair=_ratio(spent.core_hours, accepted),
        tokens_per_accepted_pair=_ratio(pace.computed_tokens, accepted),
        quality=records.quality(),
        review=review.quality() if (review := review_of(run)) is not None and review.enough else None,
        spent=spent,
    )


def attempt_rows(project: Path, run: RunDirectory) -> list[dict[str, Any]]:
    """What the ledger knows now of the attempts of this run; columns that it lacks are None.

    Raises:
        StoreError: the ledger cannot be read.
    """
    table = current(project, [name for name in COLUMNS if name in ATTEMPT.names]).table
    rows = table.filter(pc.equal(table.column("run_id"), run.run_id)).to_pylist()
    return [dict.fromkeys(COLUMNS) | row for row in rows]


@dataclass(slots=True)
class _Records:
    """Sums over the records that count."""

    _calibration: Calibration
    documents: Counter[str] = field(default_factory=Counter)  # by state
    counts: Counter[str] = field(default_factory=Counter)
    pairs_of_ended: int = 0  # of documents that ended ok or failed
    _scores: Counter[str] = field(default_factory=Counter)
    _accepted: int = 0
    _by_document: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0, 0.0]))

    def add(self, batch: Batch) -> None:
        """Count the pairs of a batch that were judged, of those that passed every check, and its controls."""
        for chunk in batch.records:
            if chunk["kind"] == "chunk":
                self._calibration.add(chunk, batch.records)
        for record in batch.records:
            if record["kind"] == "pair" and record["quality_score"] is not None and all(record["checks"].values()):
                so_far = self._by_document[record["doc_id"]]
                so_far[0] += 1
                so_far[1] += record["quality_score"]
                self._accepted += bool(record["accepted"])
                for name in SCORES:
                    self._scores[name] += record[name]

    def quality(self) -> Quality:
        judged = sum(int(pairs) for pairs, _ in self._by_document.values())
        means = [total / pairs for pairs, total in self._by_document.values()]
        return Quality(
            judged,
            _ratio(sum(total for _, total in self._by_document.values()), judged),
            statistics.stdev(means) if len(means) > 1 else None,
            **{f"avg_{name}_score": _ratio(self._scores[name], judged) for name in SCORES},
            acceptance_rate=_ratio(self._accepted, judged),
            calibration=self._calibration.of_record(),
        )


@dataclass(frozen=True, slots=True)
class _Pace:
    startup_s: float | None
    computed_tokens: int | None
    tokens_per_s: float | None


def _pace(attempts: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> _Pace:
    """Start-up and speed by (progress, summary) of each attempt; one that was killed has left no summary."""
    starts = [summary["startup_s"] for _, summary in attempts if "startup_s" in summary]
    tokens = [progress["computed_tokens"] for progress, _ in attempts if "computed_tokens" in progress]
    served = [
        (progress["computed_tokens"], seconds)
        for progress, summary in attempts
        if "computed_tokens" in progress and (seconds := summary.get("serving_s") or progress.get("serving_s"))
    ]
    return _Pace(
        statistics.median(starts) if starts else None,
        sum(tokens) if tokens else None,
        _ratio(sum(done for done, _ in served), sum(seconds for _, seconds in served)),
    )


def local_cpus(facts: Mapping[str, Any], shards: int) -> float | None:
    """CPUs of this machine for each of the servers that it runs at once; None when run.json does not say."""
    cpus = facts.get("hardware", {}).get("cpu_cores")
    at_once = min(facts["config"]["client"]["local_servers"], max(1, shards))
    return None if cpus is None else cpus / at_once


def spent_of(rows: Sequence[Row], cpus_here: float | None) -> Spent:
    """What attempts of one run took, by their rows of the ledger; `cpus_here` are those of a server on this machine."""
    core_hours = [_core_hours(row, cpus_here) for row in rows]
    gpu_hours = [None if row.get("gpus_asked") is not None else row["gpu_hours_allocated"] for row in rows]
    total, queue = _times(rows)
    held = [row for row in rows if row["gpu_hours_allocated"]]
    energy = _sum(row["gpu_energy_j"] for row in held)
    means = {
        name: _weighted([row[column] for row in rows], weights)
        for name, column, weights in (
            ("cpu_efficiency_percent", "cpu_efficiency", core_hours),
            ("memory_efficiency_percent", "memory_efficiency", core_hours),
            ("avg_gpu_utilization_percent", "gpu_utilization", gpu_hours),
        )
    }
    watched = min(held, key=lambda row: (row["sampled_gpus"] or 0) - row["gpu_count"], default=None)
    return Spent(
        attempts=len(rows),
        states=dict(sorted(Counter(str(row["state"]) for row in rows).items())),
        total_time_minutes=total,
        queue_minutes=queue,
        gpu_hours=_sum(gpu_hours),
        core_hours=_sum(core_hours),
        cpu_efficiency_percent=means["cpu_efficiency_percent"].percent,
        memory_efficiency_percent=means["memory_efficiency_percent"].percent,
        max_cpu_memory_gb=_gigabytes(row["memory_peak_bytes"] for row in rows),
        avg_gpu_utilization_percent=means["avg_gpu_utilization_percent"].percent,
        max_gpu_memory_gb=_gigabytes(row["gpu_memory_peak_bytes"] for row in rows),
        energy_kwh=None if energy is None else energy / JOULES_PER_KWH,
        allocated_gpus=watched["gpu_count"] if watched else 0 if _sum(gpu_hours) == 0 else None,
        sampled_gpus=watched["sampled_gpus"] if watched else None,
        partly_known={name: mean.known for name, mean in means.items() if mean.percent is None and mean.known},
    )


def _core_hours(row: Row, cpus_here: float | None) -> float | None:
    if row["elapsed_s"] == 0:
        return 0.0
    cpus = cpus_here if row["cpus"] is None and row["source"] == "local" else row["cpus"]
    return None if cpus is None or row["elapsed_s"] is None else float(cpus * row["elapsed_s"] / 3600)


def _times(rows: Sequence[Row]) -> tuple[float | None, float | None]:
    """(total, queue) in minutes."""
    if not rows or any(row["elapsed_s"] is None or not row["is_final"] for row in rows):
        return None, None
    started = [row for row in rows if row["start"] is not None and row["elapsed_s"]]
    if not started or any(row["end"] is None for row in started):
        return None, None
    first = min(row["start"] for row in started)
    submitted = [row["submit"] for row in rows if row["submit"] is not None]
    queue = _minutes(min(submitted), first) if submitted else None
    return _minutes(first, max(row["end"] for row in started)), queue


def _minutes(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / 60


def _sum(values: Iterable[Any]) -> Any:
    """The sum; None of nothing, and where one of them is not known."""
    known = list(values)
    return None if not known or None in known else sum(known)


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


@dataclass(frozen=True, slots=True)
class _Mean:
    percent: float | None  # None where too little is known
    known: float  # how much of the weight, a share


def _weighted(shares: Sequence[float | None], weights: Sequence[float | None]) -> _Mean:
    """Mean of shares, in per cent; a weight that is not known counts as none that is known."""
    known = [(share, weight) for share, weight in zip(shares, weights, strict=True) if share is not None and weight]
    whole, weighed = sum(weight or 0.0 for weight in weights), sum(weight for _, weight in known)
    mean = _ratio(sum(share * weight for share, weight in known), weighed)
    part = 0.0 if None in weights or not whole else weighed / whole
    return _Mean(100 * mean if mean is not None and part >= ENOUGH else None, part)


def _gigabytes(sizes: Iterable[int | None]) -> float | None:
    largest = max((size for size in sizes if size is not None), default=None)
    return None if largest is None else largest / 1e9
