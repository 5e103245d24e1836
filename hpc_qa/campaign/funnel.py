"""From the documents of a run to its published pairs: how many were left at each step, and why the others were lost.

Every figure is counted from records, and each step is the one before less its losses, exactly. A new step is one line
in `DOCUMENT_STEPS`, `CHUNK_STEPS` or `PAIR_STEPS`, and a call of `lose` where the loss is found.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpc_qa.qa.examination import ROUND_TRIP_REASONS

UNACCOUNTED = "unaccounted"  # asked, not parsed, and no reason on record

PARSED, CHECKED, JUDGED, ACCEPTED = "parsed", "passed the checks", "judged", "accepted"
SAME_AGAIN = "answered the same again"
IN_OK_DOCUMENTS = "in documents that ended ok"
CLEAN = "not in a benchmark"
PUBLISHED = "published, no near-duplicates"
ENDED_OK, ANSWERED = "ended ok", "answered with pairs"
WITH_A_PAIR = "with a published pair"

DOCUMENT_STEPS = (ENDED_OK, WITH_A_PAIR)
CHUNK_STEPS = (ANSWERED, WITH_A_PAIR)
PAIR_STEPS = (PARSED, CHECKED, SAME_AGAIN, JUDGED, ACCEPTED, IN_OK_DOCUMENTS, CLEAN, PUBLISHED)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what is left after it, and what was lost on the way to it, by reason."""

    name: str
    left: int
    lost: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return {"step": self.name, "left": self.left, "lost": self.lost}


@dataclass(slots=True)
class Ladder:
    """A row of steps, and what was lost on the way to each."""

    first: str  # what all of them are before the first step
    names: Sequence[str]
    total: int = 0
    lost: dict[str, Counter[str]] = field(default_factory=dict)  # by step

    def lose(self, step: str, reason: str, count: int = 1) -> None:
        """Count a loss; `step` is the step that was not reached.

        Raises:
            ValueError: there is no such step.
        """
        if step not in self.names:
            raise ValueError(f"no step is called {step!r}")
        if count:
            self.lost.setdefault(step, Counter())[reason] += count

    def steps(self, without: Sequence[str] = ()) -> list[Step]:
        """The steps in order; those in `without` are left out where nothing was lost on the way to them."""
        steps = [Step(self.first, self.total, {})]
        for name in self.names:
            lost = self.lost.get(name, Counter())
            if lost or name not in without:
                steps.append(Step(name, steps[-1].left - lost.total(), dict(sorted(lost.items()))))
        return steps


@dataclass(slots=True)
class Funnel:
    """Counts documents, chunks and pairs as they are read."""

    judge: bool = True  # whether any run had one
    benchmarks: bool = False  # whether pairs were compared with benchmarks
    documents: Counter[str] = field(default_factory=Counter)  # "ok", "failed: poison", "unfinished"
    chunks: Counter[str] = field(default_factory=Counter)  # by outcome
    of_documents: Ladder = field(default_factory=lambda: Ladder("in the manifest", DOCUMENT_STEPS))
    of_chunks: Ladder = field(default_factory=lambda: Ladder("asked about", CHUNK_STEPS))
    of_pairs: Ladder = field(default_factory=lambda: Ladder("asked for", PAIR_STEPS))
    asked_again: int = 0  # pairs asked for in place of rejected ones
    published: int = 0
    unjudged: int = 0  # published without a verdict, because the config says so
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    completion_tokens: int = 0

    def add_document(self, state: str, published: int) -> None:
        """Count a document with the state that it ended in, and its published pairs."""
        self.documents[state] += 1
        self.of_documents.total += 1
        if state != "ok":
            self.of_documents.lose(ENDED_OK, state)
        elif not published:
            self.of_documents.lose(WITH_A_PAIR, "no_published_pair")

    def add_chunk(self, chunk: Mapping[str, Any], pairs: int) -> None:
        """Count one chunk that has so many pairs."""
        self.chunks[chunk["outcome"]] += 1
        self.asked_again += chunk.get("asked_again", 0)
        self.of_chunks.total += 1
        if not pairs:
            self.of_chunks.lose(ANSWERED, chunk["outcome"] if chunk["outcome"] != "ok" else "no_pair")
        not_parsed = sum(chunk["lost"].values())
        asked = max(chunk["asked"], pairs + not_parsed)  # a record that says less than it holds
        self.of_pairs.total += asked
        for reason, count in chunk["lost"].items():
            self.of_pairs.lose(PARSED, reason, count)
        self.of_pairs.lose(PARSED, UNACCOUNTED, asked - pairs - not_parsed)
        self.prompt_tokens += chunk["prompt_tokens"]
        self.completion_tokens += chunk["completion_tokens"]
        if chunk["cached_tokens"] is not None:
            self.cached_tokens = (self.cached_tokens or 0) + chunk["cached_tokens"]

    def add_chunk_without_published(self) -> None:
        """Count a chunk that had pairs, none of which is in the dataset."""
        self.of_chunks.lose(WITH_A_PAIR, "no_published_pair")

    def add_published(self, pair: Mapping[str, Any]) -> None:
        """Count a pair that is in the dataset."""
        self.published += 1
        self.unjudged += pair["clarity"] is None

    def add_rejected(self, pair: Mapping[str, Any]) -> None:
        """Count a pair that its own record rejects, at the step that its checks and scores say."""
        reason = pair["reject_reason"] or "unknown"
        if not all(pair["checks"].values()):
            step = CHECKED
        elif reason in ROUND_TRIP_REASONS:
            step = SAME_AGAIN
        else:
            step = JUDGED if pair["clarity"] is None else ACCEPTED
        self.of_pairs.lose(step, reason)

    @property
    def parsed(self) -> int:
        """Pairs that the model gave."""
        return self.of_pairs.steps()[1].left

    def steps(self) -> list[Step]:
        """The steps of the pairs, from those asked for to those published."""
        without = [SAME_AGAIN, *([] if self.judge else [JUDGED]), *([] if self.benchmarks else [CLEAN])]
        return self.of_pairs.steps(without)

    def to_json(self) -> dict[str, Any]:
        return {
            "documents": dict(sorted(self.documents.items())),
            "chunks": dict(sorted(self.chunks.items())),
            "document_steps": [step.to_json() for step in self.of_documents.steps()],
            "chunk_steps": [step.to_json() for step in self.of_chunks.steps()],
            "pairs": [step.to_json() for step in self.steps()],
            "asked_again": self.asked_again,
            "accepted_without_verdict": self.unjudged,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
        }
