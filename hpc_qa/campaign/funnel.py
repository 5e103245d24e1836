"""From the documents of a run to its published pairs: how many were left at each step, and why the others were lost.

Every figure is counted from records, and each step is the one before less its losses, exactly.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpc_qa.campaign.chunk_funnel import ChunkFunnel
from hpc_qa.qa.examination import ROUND_TRIP_REASONS

UNACCOUNTED = "unaccounted"  # asked, not parsed, and no reason on record


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what is left after it, and what was lost on the way to it, by reason."""

    name: str
    left: int
    lost: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return {"step": self.name, "left": self.left, "lost": self.lost}


@dataclass(slots=True)
class Funnel:
    """Counts documents, chunks and pairs as they are read."""

    judge: bool = True  # whether any run had one
    documents: Counter[str] = field(default_factory=Counter)  # "ok", "failed: poison", "unfinished"
    of_documents: ChunkFunnel = field(default_factory=ChunkFunnel)  # chunks that were asked about, and the others
    chunks: Counter[str] = field(default_factory=Counter)  # that were asked about, by outcome
    asked: int = 0
    asked_again: int = 0  # of them, in place of rejected pairs
    parsed: int = 0
    published: int = 0
    unjudged: int = 0  # published without a verdict, because the config says so
    not_parsed: Counter[str] = field(default_factory=Counter)
    failed_check: Counter[str] = field(default_factory=Counter)
    failed_round_trip: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    below_scores: Counter[str] = field(default_factory=Counter)
    document_lost: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    completion_tokens: int = 0

    def add_chunk(self, chunk: Mapping[str, Any], pairs: int) -> None:
        """Count one chunk that has so many pairs."""
        self.chunks[chunk["outcome"]] += 1
        self.asked += chunk["asked"]
        self.asked_again += chunk.get("asked_again", 0)
        self.parsed += pairs
        self.not_parsed.update(chunk["lost"])
        self.prompt_tokens += chunk["prompt_tokens"]
        self.completion_tokens += chunk["completion_tokens"]
        if chunk["cached_tokens"] is not None:
            self.cached_tokens = (self.cached_tokens or 0) + chunk["cached_tokens"]

    def add_published(self, pair: Mapping[str, Any]) -> None:
        """Count a pair that is in the dataset."""
        self.published += 1
        self.unjudged += pair["clarity"] is None

    def add_rejected(self, pair: Mapping[str, Any]) -> None:
        """Count a pair that its own record rejects, at the step that its checks and scores say."""
        reason = pair["reject_reason"] or "unknown"
        if not all(pair["checks"].values()):
            self.failed_check[reason] += 1
        elif reason in ROUND_TRIP_REASONS:
            self.failed_round_trip[reason] += 1
        elif pair["clarity"] is None:
            self.not_judged[reason] += 1
        else:
            self.below_scores[reason] += 1

    def steps(self) -> list[Step]:
        """The steps of the pairs, from those asked for to those published."""
        unaccounted = self.asked - self.parsed - self.not_parsed.total()
        losses = [
            ("parsed", self.not_parsed + Counter({UNACCOUNTED: unaccounted})),
            ("passed the checks", self.failed_check),
            *([("answered the same again", self.failed_round_trip)] if self.failed_round_trip else []),
            *([("judged", self.not_judged)] if self.judge or self.not_judged else []),
            ("accepted", self.below_scores),
            ("in documents that ended ok", self.document_lost),
            ("published, no near-duplicates", self.repeated),
        ]
        steps = [Step("asked for", self.asked, {})]
        for name, lost in losses:
            left = steps[-1].left - lost.total()
            steps.append(Step(name, left, dict(sorted(lost.items()))))
        return steps

    def to_json(self) -> dict[str, Any]:
        return {
            "documents": dict(sorted(self.documents.items())),
            "chunks_of_documents": self.of_documents.to_json(),
            "chunks": dict(sorted(self.chunks.items())),
            "pairs": [step.to_json() for step in self.steps()],
            "asked_again": self.asked_again,
            "accepted_without_verdict": self.unjudged,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
        }
