"""What each document of a run took: from its records, and from what its conversion wrote down.

One pass over the records. The seconds of a document are those from its first request to its last answer, while the
server worked on others as well; its tokens are what it alone took.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc_qa.bench.record import SizeClass, SlowDocument
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.documents.conversion import MARKDOWN, kind_of
from hpc_qa.documents.facts import Facts
from hpc_qa.documents.stage_record import stages_of
from hpc_qa.store.files import read_jsonl
from hpc_qa.store.merge import merge_shard
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.store.segments import Batch
from hpc_qa.units import plural, size_class

SHOWN = 5  # of the slowest, in each stage
UNUSUAL = 2.0  # times the median
SIZES = ("small", "medium", "large")


@dataclass(slots=True)
class DocumentCost:
    """One document that was worked on."""

    doc_id: str
    size: str | None = None  # small, medium, large; None: the manifest does not say
    state: str = "ok"
    seconds: float | None = None
    tokens: int = 0  # computed: prompt tokens without cache hits, and completion tokens
    chunks: int = 0
    lost: Counter[str] = field(default_factory=Counter)  # chunks that gave nothing, by outcome
    judged: int = 0
    score: float = 0.0  # sum over judged pairs that passed the checks
    content: tuple[str, str] | None = None  # SHA-256 of its file, and the kind that it was read as
    facts: Facts | None = None
    markdown_bytes: int | None = None


def document_costs(run: RunDirectory, project: Path) -> list[DocumentCost]:
    """The documents of a run that ended ok or failed.

    Raises:
        StoreError: the run cannot be read.
    """
    plan = run.frozen_plan()
    found = _Costs()
    for shard in plan["shards"]:
        merge_shard(run.shard(int(shard["index"])), found.add)
    cache = _cache(run, project)
    for entry in read_jsonl(run.manifest):
        if (cost := found.ended.get(str(entry["doc_id"]))) is not None:
            cost.size = entry.get("size_class") or _size_of(entry.get("bytes"))
            if "media_type" in entry:
                sha256, media_type = str(entry["sha256"]), str(entry["media_type"])
                cost.content = sha256, kind_of(media_type)
                cost.facts = cache.facts(sha256, media_type)
                cost.markdown_bytes = _bytes_of(cache.folder(sha256, media_type) / MARKDOWN)
    return list(found.ended.values())


def conversion_stages(run: RunDirectory, project: Path, costs: Sequence[DocumentCost]) -> dict[str, dict[str, Any]]:
    """What it took to convert these documents, by stage, whenever that was; empty where it is not known of all.

    Without such a record what is left of a conversion is its seconds in facts.json.
    """
    contents = {cost.content for cost in costs if cost.content is not None}
    cache = _cache(run, project)
    rows = stages_of(cache.root, contents, cache.key, str(run.facts()["created_at"])) if contents else []
    found = {row["name"]: row for row in rows if row["documents"] == len(contents)}
    known = [cost.facts.seconds for cost in costs if cost.facts is not None]
    if "conversion" not in found and known and len(known) == len(costs):
        found["conversion"] = {"duration_s": sum(known)}
    return found


def _cache(run: RunDirectory, project: Path) -> DocumentCache:
    root = project / run.facts()["config"]["documents"]["cache"]
    return DocumentCache(root, str(run.frozen_plan()["converter_key"]))


def _size_of(size_bytes: object) -> str | None:
    return size_class(size_bytes) if isinstance(size_bytes, int) else None


def _bytes_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # the cache may be gone: a run does not need it any more
        return None


@dataclass(slots=True)
class _Costs:
    """Documents, summed up over the batches of their records."""

    ended: dict[str, DocumentCost] = field(default_factory=dict)
    _all: dict[str, DocumentCost] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        for record in batch.records:
            cost = self._all.setdefault(record["doc_id"], DocumentCost(record["doc_id"]))
            if record["kind"] == "document":
                cost.state, cost.seconds = record["state"], record.get("seconds")
                if cost.state in ("ok", "failed"):
                    self.ended[cost.doc_id] = cost
            elif record["kind"] == "chunk":
                _add_chunk(cost, record)
            elif record["kind"] == "pair" and record["quality_score"] is not None and all(record["checks"].values()):
                cost.judged += 1
                cost.score += record["quality_score"]


def _add_chunk(cost: DocumentCost, record: Mapping[str, Any]) -> None:
    cost.chunks += 1
    cost.tokens += record["prompt_tokens"] - (record["cached_tokens"] or 0) + record["completion_tokens"]
    if record["outcome"] != "ok":
        cost.lost[record["outcome"]] += 1


def by_size_class(costs: Sequence[DocumentCost], total_time_minutes: float | None) -> list[SizeClass]:
    """The documents of each size; the time of the run is divided among them by the tokens that they took.

    Memory is of the server, which all of them share: it is not known of one size.
    """
    tokens = sum(cost.tokens for cost in costs)
    rows = []
    for name in SIZES:
        those = [cost for cost in costs if cost.size == name]
        share = sum(cost.tokens for cost in those) / tokens if tokens else None
        hours = total_time_minutes * share / 60 if total_time_minutes and share else None
        judged = sum(cost.judged for cost in those)
        if those:
            rows.append(
                SizeClass(
                    size_class=name,
                    docs=len(those),
                    docs_per_hour=len(those) / hours if hours else None,
                    quality_score=min(1.0, sum(cost.score for cost in those) / judged) if judged else None,
                )
            )
    return rows


def slowest(costs: Sequence[DocumentCost]) -> list[SlowDocument]:
    """The documents that took longest to convert and to ask about, each with the reason."""
    asked = [cost for cost in costs if cost.seconds is not None]
    tokens = statistics.median([cost.tokens for cost in asked]) if asked else 0
    generation = sorted(asked, key=lambda one: (-(one.seconds or 0.0), one.doc_id))[:SHOWN]
    converted = [(cost, cost.facts) for cost in costs if cost.facts is not None and cost.facts.seconds]
    pace = statistics.median([_pace(facts) for _, facts in converted]) if converted else 0.0
    conversion = sorted(converted, key=lambda one: (-one[1].seconds, one[0].doc_id))[:SHOWN]
    return [
        *(
            SlowDocument(doc_id=cost.doc_id, stage="conversion", seconds=facts.seconds, why=_why_converted(facts, pace))
            for cost, facts in conversion
        ),
        *(
            SlowDocument(doc_id=cost.doc_id, stage="generation", seconds=cost.seconds, why=_why_asked(cost, tokens))
            for cost in generation
        ),
    ]


def _pace(facts: Facts) -> float:
    """Seconds for a megabyte."""
    return facts.seconds / max(facts.size_bytes, 1) * 1e6


def _why_converted(facts: Facts, pace: float) -> str:
    """What there was to convert, and what was special about it."""
    amount = f"{facts.size_bytes / 1e6:.2g} MB" + (f", {plural(facts.pages, 'page')}" if facts.pages else "")
    special = [f"{len(facts.scanned_pages):,} scanned pages"] if facts.scanned_pages else []
    special += [f"{facts.tables:,} tables"] if facts.tables else []
    special += ["had to be repaired"] if facts.repaired else []
    special += [f"failed: {facts.reason}"] if facts.status == "failed" else []
    if pace and _pace(facts) > UNUSUAL * pace:
        special.append(f"{_pace(facts) / pace:.1f} times the usual time for its size")
    return "; ".join([amount, *special])


def _why_asked(cost: DocumentCost, tokens: float) -> str:
    """What of it took time."""
    said = [f"{cost.tokens:,} tokens in chunks: {cost.chunks:,}"]
    if tokens and cost.tokens > UNUSUAL * tokens:
        said.append(f"{cost.tokens / tokens:.1f} times the median of the run")
    said += [f"chunks that ended as {outcome}: {count:,}" for outcome, count in sorted(cost.lost.items())]
    if len(said) == 1:
        said.append("no more than usual: its requests shared the server with those of others")
    return "; ".join(said)


def markdown_mb(costs: Sequence[DocumentCost]) -> float | None:
    """Megabytes of Markdown that the documents came to; None where one of them is not known."""
    sizes = [cost.markdown_bytes for cost in costs]
    known = [size for size in sizes if size is not None]
    return sum(known) / 1e6 if known and len(known) == len(sizes) else None
