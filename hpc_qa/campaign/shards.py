"""Which documents of a manifest are worked on, and which array task gets which.

Pure: entries and facts of their conversion in, shards and settled documents out. A document that cannot be used, that
is a copy of another, or that the settings leave out is settled here, before anything is started.
"""

import heapq
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hpc_qa.manifest import Entry


@dataclass(frozen=True, slots=True)
class Converted:
    """What conversion left of one document."""

    status: str  # ok | failed
    reason: str | None
    chunks: int
    tokens: int  # of all chunks together


@dataclass(frozen=True, slots=True)
class Settled:
    """A document that is in its terminal state before the run starts."""

    doc_id: str
    state: str  # failed | skipped
    reason: str


@dataclass(frozen=True, slots=True)
class Work:
    """A document that is worked on: which of its chunks (all: None), and its predicted prompt and completion tokens."""

    doc_id: str
    chunks: tuple[int, ...] | None
    predicted_tokens: int


@dataclass(frozen=True, slots=True)
class Shard:
    """The documents of one array task, the longest first."""

    index: int
    work: tuple[Work, ...]

    @property
    def predicted_tokens(self) -> int:
        return sum(item.predicted_tokens for item in self.work)

    def to_json(self) -> dict[str, Any]:
        """As it stands in plan.json."""
        return {
            "index": self.index,
            "documents": [item.doc_id for item in self.work],
            "chunks": {item.doc_id: list(item.chunks) for item in self.work if item.chunks is not None},
            "predicted_tokens": self.predicted_tokens,
        }


def settle(
    entries: Sequence[Entry], converted: Mapping[str, Converted], *, max_chunks: int | None
) -> tuple[list[Entry], list[Settled]]:
    """(entries to work on, documents that are settled already), both in manifest order."""
    first_with: dict[str, str] = {}
    open_entries: list[Entry] = []
    settled: list[Settled] = []
    for entry in entries:
        outcome = converted[entry.doc_id]
        twin = first_with.setdefault(entry.sha256, entry.doc_id)
        if twin != entry.doc_id:
            settled.append(Settled(entry.doc_id, "skipped", f"duplicate_of:{twin}"))
        elif outcome.status != "ok":
            settled.append(Settled(entry.doc_id, "failed", outcome.reason or "conversion"))
        elif not outcome.chunks:
            settled.append(Settled(entry.doc_id, "skipped", "no_chunks"))
        elif max_chunks is not None and outcome.chunks > max_chunks:
            settled.append(Settled(entry.doc_id, "skipped", "too_many_chunks"))
        else:
            open_entries.append(entry)
    return open_entries, settled


def sample(entries: Sequence[Entry], converted: Mapping[str, Converted], size: int, seed: int) -> dict[str, list[int]]:
    """A seeded sample of chunks over all these documents: doc_id -> chunk indices, in order.

    Documents without a sampled chunk are absent.
    """
    everything = [(e.doc_id, i) for e in entries for i in range(converted[e.doc_id].chunks)]
    chosen = everything if size >= len(everything) else random.Random(seed).sample(everything, size)
    sampled: dict[str, list[int]] = {}
    for doc_id, index in chosen:
        sampled.setdefault(doc_id, []).append(index)
    return {doc_id: sorted(indices) for doc_id, indices in sampled.items()}


def cut(work: Iterable[Work], shards: int) -> list[Shard]:
    """At most so many shards, none empty, balanced by predicted tokens: the longest document goes to the least loaded.

    Graham's longest-processing-time rule (1969): the heaviest shard is at most 4/3 of the best possible.
    """
    ordered = sorted(work, key=lambda item: (-item.predicted_tokens, item.doc_id))
    count = max(1, min(shards, len(ordered)))
    loads = [(0, index) for index in range(count)]
    piles: list[list[Work]] = [[] for _ in range(count)]
    for item in ordered:
        load, index = heapq.heappop(loads)
        piles[index].append(item)
        heapq.heappush(loads, (load + item.predicted_tokens, index))
    return [Shard(index, tuple(pile)) for index, pile in enumerate(piles) if pile]


def settled_json(settled: Sequence[Settled]) -> list[dict[str, str]]:
    """As it stands in plan.json."""
    return [asdict(item) for item in settled]
