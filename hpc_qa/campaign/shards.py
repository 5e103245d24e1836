"""Which documents of a manifest are worked on, and what one array task gets of them.

Pure: entries and facts of their conversion in, shards and settled documents out. A document that cannot be used, that
is a copy of another, or that the settings leave out is settled here, before anything is started. How many shards there
are, and which document goes where, is in `schedule.py`.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from hpc_qa.campaign.schedule import Pile
from hpc_qa.documents.facts import settled_state
from hpc_qa.manifest import Entry


class Converted(NamedTuple):
    """What conversion left of one document."""

    status: str  # ok | failed | skipped
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
class Shard:
    """The documents of one array task, the longest first."""

    index: int
    documents: tuple[str, ...]  # doc_ids
    chunks: Mapping[str, Sequence[int]]  # of the documents of which only some chunks are asked
    predicted_tokens: int  # prompt and completion, of all of them

    def to_json(self) -> dict[str, Any]:
        """As it stands in plan.json."""
        return {
            "index": self.index,
            "documents": list(self.documents),
            "chunks": {doc_id: list(indices) for doc_id, indices in self.chunks.items()},
            "predicted_tokens": self.predicted_tokens,
        }


class Predicted(Converted):
    """What conversion will at least leave."""

    __slots__ = ()


def predicted(tokens: int, chunk_size: int) -> Predicted:
    """What conversion will at least leave of a document of so many tokens: headings and pages make more chunks."""
    return Predicted("ok", None, math.ceil(tokens / chunk_size), tokens)


def settle(
    entries: Iterable[Entry], converted: Callable[[Entry], Converted], settled: list[Settled], *, max_chunks: int | None
) -> Iterator[tuple[str, Converted]]:
    """The documents to work on, by doc_id, in manifest order; on the way `settled` gets those that are so already."""
    first_with: dict[int, str] = {}  # by the SHA-256 as a number: half the memory of its text
    for entry in entries:
        outcome = converted(entry)
        twin = first_with.setdefault(int(entry.sha256, 16), entry.doc_id)
        if twin != entry.doc_id:
            settled.append(Settled(entry.doc_id, "skipped", f"duplicate_of:{twin}"))
        elif state := settled_state(outcome.status, outcome.reason, outcome.chunks, max_chunks=max_chunks):
            settled.append(Settled(entry.doc_id, *state))
        else:
            yield entry.doc_id, outcome


def sample(documents: Mapping[str, Converted], size: int, seed: int) -> dict[str, list[int]]:
    """A seeded sample of chunks over all these documents: doc_id -> chunk indices, in order.

    Documents without a sampled chunk are absent.
    """
    everything = [(doc_id, index) for doc_id, facts in documents.items() for index in range(facts.chunks)]
    chosen = everything if size >= len(everything) else random.Random(seed).sample(everything, size)
    sampled: dict[str, list[int]] = {}
    for doc_id, index in chosen:
        sampled.setdefault(doc_id, []).append(index)
    return {doc_id: sorted(indices) for doc_id, indices in sampled.items()}


def number(piles: Iterable[Pile], sampled: Mapping[str, Sequence[int]] | None) -> list[Shard]:
    """The shards of these piles, in their order; `sampled` has the documents of which only some chunks are asked."""
    return [
        Shard(
            index=index,
            documents=tuple(pile.documents),
            chunks={doc_id: sampled[doc_id] for doc_id in pile.documents if doc_id in sampled} if sampled else {},
            predicted_tokens=pile.tokens,
        )
        for index, pile in enumerate(piles)
    ]


def settled_json(settled: Sequence[Settled]) -> list[dict[str, str]]:
    """As it stands in plan.json."""
    return [asdict(item) for item in settled]
