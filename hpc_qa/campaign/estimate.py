"""What a run will ask, and how long that takes.

Tokens, requests and pairs are predicted from the conversion; seconds only from runs that were measured here with the
same model. Without such a run hours are null: a guess would look like a measurement.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.campaign.attempts import read_view
from hpc_qa.config import Qa

# Tokens beside the chunk itself, per request: orders of magnitude of the built-in prompts.
GENERATE_INSTRUCTION_TOKENS = 300
JUDGE_INSTRUCTION_TOKENS = 250
COMPLETION_TOKENS_PER_PAIR = 80
QUESTION_TOKENS = 20
VERDICT_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Demand:
    """What some documents will ask of the server."""

    requests: int = 0
    pairs: int = 0  # an upper bound: thin chunks give fewer
    tokens: int = 0  # prompt tokens without cache hits, plus completion tokens

    def __add__(self, other: "Demand") -> "Demand":
        return Demand(self.requests + other.requests, self.pairs + other.pairs, self.tokens + other.tokens)


def demand(chunks: int, tokens: int, qa: Qa, *, every_chunk: bool = False) -> Demand:
    """Demand of one document of so many chunks and tokens; `every_chunk` leaves `max_pairs_per_document` aside."""
    if chunks == 0:
        return Demand()
    cap = None if every_chunk else qa.max_pairs_per_document
    pairs = chunks * qa.questions_per_chunk if cap is None else min(cap, chunks * qa.questions_per_chunk)
    used_chunks = min(chunks, pairs)
    extractive = qa.answer_style == "extractive"
    generate = pairs if extractive else used_chunks
    judge = pairs if qa.judge else 0
    completion = pairs * (QUESTION_TOKENS if extractive else COMPLETION_TOKENS_PER_PAIR) + judge * VERDICT_TOKENS
    prompt = used_chunks * math.ceil(tokens / chunks)
    prompt += generate * GENERATE_INSTRUCTION_TOKENS + judge * JUDGE_INSTRUCTION_TOKENS
    return Demand(generate + judge, pairs, prompt + completion)


@dataclass(frozen=True, slots=True)
class Measured:
    """One attempt that ran to its end: what start-up took, and how fast predicted tokens were worked off."""

    startup_s: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Interval:
    """p10, p50 and p90 of one figure; a percentile that the measured runs do not give is None."""

    p10: float | None = None
    p50: float | None = None
    p90: float | None = None

    def times(self, factor: float) -> "Interval":
        """Every percentile times this factor."""
        return Interval(*(None if v is None else v * factor for v in (self.p10, self.p50, self.p90)))


FEWEST_FOR_AN_INTERVAL = 3


def measured_attempts(runs: Sequence[Path], *, model: str, gpus_per_server: int) -> list[Measured]:
    """Start-up and speed of finished attempts with this model on as many GPUs, of these run directories."""
    found = []
    for summary in _summaries(runs):
        same = summary.get("model") == model and summary.get("gpus_per_server") == gpus_per_server
        if same and all(summary.get(name) for name in ("predicted_tokens", "serving_s", "startup_s")):
            speed = summary["predicted_tokens"] / summary["serving_s"]
            found.append(Measured(float(summary["startup_s"]), float(speed)))
    return found


def _summaries(runs: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for run in runs:
        for path in sorted(run.glob("shards/*/*/summary.json")):
            if document := read_view(path):  # half-written by an attempt that was killed: it measured nothing
                yield document


def shard_seconds(tokens: int, measured: Sequence[Measured]) -> Interval:
    """Seconds of one array task of so many predicted tokens, start-up included."""
    if not measured:
        return Interval()
    seconds = [m.startup_s + tokens / m.tokens_per_s for m in measured]
    middle = statistics.median(seconds)
    if len(seconds) < FEWEST_FOR_AN_INTERVAL:
        return Interval(p50=middle)
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    return Interval(tenths[0], middle, tenths[-1])


def startup_share(tokens: int, shards: int, measured: Sequence[Measured]) -> float | None:
    """Share of the time that goes into starting servers."""
    if not measured or not shards:
        return None
    startup = statistics.median(m.startup_s for m in measured) * shards
    work = tokens / statistics.median(m.tokens_per_s for m in measured)
    return startup / (startup + work)
