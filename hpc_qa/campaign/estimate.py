"""What a run will ask, and how long that takes.

Tokens, requests and pairs are predicted from the conversion; seconds from runs that were measured here with the same
model, or from what the config says of it. Without either hours are null: a guess would look like a measurement.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hpc_qa.campaign.attempts import read_view
from hpc_qa.campaign.schedule import Pace
from hpc_qa.config import Plan, Qa
from hpc_qa.units import parse_clock

# Tokens beside the chunk itself, per request: orders of magnitude of the built-in prompts.
GENERATE_INSTRUCTION_TOKENS = 300
ROUND_TRIP_INSTRUCTION_TOKENS = 120
JUDGE_INSTRUCTION_TOKENS = 350
COMPLETION_TOKENS_PER_PAIR = 80
QUESTION_TOKENS = 20
ANSWER_TOKENS = 40  # of a round trip
VERDICT_TOKENS = 80
# Shares of the pairs, until the run itself shows them: which are close enough to be judged again, which are rejected.
NEAR_SHARE = 0.3
REJECTED_SHARE = 0.3


class Demand(NamedTuple):
    """What some documents will ask of the server."""

    requests: int = 0
    pairs: int = 0  # an upper bound: thin chunks give fewer
    tokens: int = 0  # prompt tokens without cache hits, plus completion tokens


def demand(chunks: int, tokens: int, qa: Qa, *, every_chunk: bool = False) -> Demand:
    """Demand of one document of so many chunks and tokens; `every_chunk` leaves `max_pairs_per_document` aside."""
    if chunks == 0:
        return Demand()
    cap = None if every_chunk else qa.max_pairs_per_document
    pairs = chunks * qa.questions_per_chunk if cap is None else min(cap, chunks * qa.questions_per_chunk)
    used_chunks = min(chunks, pairs)
    extractive = qa.answer_style == "extractive"
    again = _asked_again(pairs, qa)
    generate = pairs + again if extractive else used_chunks + math.ceil(again / qa.questions_per_chunk)
    round_trips = pairs + again if qa.round_trip.enabled else 0
    judge = _judgements(pairs + again, qa)
    completion = (pairs + again) * (QUESTION_TOKENS if extractive else COMPLETION_TOKENS_PER_PAIR)
    completion += round_trips * ANSWER_TOKENS + judge * VERDICT_TOKENS
    prompt = used_chunks * math.ceil(tokens / chunks)
    prompt += generate * GENERATE_INSTRUCTION_TOKENS + round_trips * ROUND_TRIP_INSTRUCTION_TOKENS
    prompt += judge * JUDGE_INSTRUCTION_TOKENS
    return Demand(generate + round_trips + judge, pairs, prompt + completion)


def _asked_again(pairs: int, qa: Qa) -> int:
    """Pairs that are asked for in place of rejected ones: of those, as many as the share of tokens should do for."""
    share = sum(REJECTED_SHARE**attempt for attempt in range(1, qa.regenerate.attempts + 1))
    return round(pairs * min(share, qa.regenerate.max_token_share))


def _judgements(pairs: int, qa: Qa) -> int:
    """Judgements of pairs and controls, with those that are made again near the threshold."""
    if not qa.judge:
        return 0
    return round(pairs * (1 + qa.controls.share) * (1 + NEAR_SHARE * (qa.judge_repeats - 1)))


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


def measured_attempts(runs: Sequence[Path], *, model: str, gpus_per_server: int) -> list[Pace]:
    """Start-up and speed of finished attempts with this model on as many GPUs, of these run directories."""
    found = []
    for summary in _summaries(runs):
        same = summary.get("model") == model and summary.get("gpus_per_server") == gpus_per_server
        if same and all(summary.get(name) for name in ("predicted_tokens", "serving_s", "startup_s")):
            speed = summary["predicted_tokens"] / summary["serving_s"]
            found.append(Pace(float(summary["startup_s"]), float(speed)))
    return found


def _summaries(runs: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for run in runs:
        for path in sorted(run.glob("shards/*/*/summary.json")):
            if document := read_view(path):  # half-written by an attempt that was killed: it measured nothing
                yield document


def configured(plan: Plan) -> list[Pace]:
    """What the config says of a server, where it says all of it."""
    if plan.startup is None or plan.tokens_per_s is None:
        return []
    return [Pace(float(parse_clock(plan.startup)), plan.tokens_per_s)]


def middle(paces: Sequence[Pace]) -> Pace | None:
    """The medians of start-up and speed."""
    if not paces:
        return None
    return Pace(statistics.median(p.startup_s for p in paces), statistics.median(p.tokens_per_s for p in paces))


def shard_seconds(tokens: int, paces: Sequence[Pace]) -> Interval:
    """Seconds of one array task of so many predicted tokens, start-up included."""
    if not paces:
        return Interval()
    seconds = [pace.seconds(tokens) for pace in paces]
    halfway = statistics.median(seconds)
    if len(seconds) < FEWEST_FOR_AN_INTERVAL:
        return Interval(p50=halfway)
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    return Interval(tenths[0], halfway, tenths[-1])
