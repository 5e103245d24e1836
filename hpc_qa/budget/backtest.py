"""How good forecasts were: replays of array tasks that are done, and forecasts that were kept held against the truth.

The order of documents was random, so that any order of finished array tasks is as likely as the one that happened: a
quarter of them is taken as done, the rest is forecast from it, many times. The share of replays whose truth lies in the
interval is its coverage; kappa is the factor by which its half width, on the log scale, would have to be multiplied to
hold in 90 % of them.
"""

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hpc_qa.budget.costs import DocumentCost
from hpc_qa.budget.forecast import FEWEST_TASKS, LEVEL, Forecast, forecast

REPLAYS = 400
DONE_SHARE = 0.25
SEED = 1
FEWEST = 2 * FEWEST_TASKS  # array tasks, below which replays say nothing


@dataclass(frozen=True, slots=True)
class Replays:
    """What replays of the finished array tasks say."""

    tasks: int
    documents: int
    replays: int
    coverage: float  # share of replays whose truth was in the interval
    kappa: float  # factor of the half width that would hold in 90 % of them
    median_error: float  # of the middle, as a share of what was to be forecast

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def replay(costs: Sequence[DocumentCost], *, replays: int = REPLAYS, seed: int = SEED) -> Replays | None:
    """Replays of the documents that are done; None where they are of too few array tasks."""
    done = [one for one in costs if one.gpu_hours is not None]
    tasks = sorted({one.task_id for one in done})
    if len(tasks) < FEWEST or not any(one.gpu_hours for one in done):
        return None
    draw = random.Random(seed)
    total = math.fsum(one.gpu_hours or 0.0 for one in done)
    ratios, errors, held = [], [], 0
    for _ in range(replays):
        first = set(draw.sample(tasks, max(2, math.ceil(DONE_SHARE * len(tasks)))))
        made = forecast(
            [one if one.task_id in first else one._replace(gpu_hours=None) for one in done], budget_gpu_hours=None
        )
        if made.p05 is None or made.p50 is None or made.p95 is None:
            continue
        held += made.p05 <= total <= made.p95
        expected, rest = made.p50 - made.spent_gpu_hours, total - made.spent_gpu_hours
        if expected > 0 and rest > 0:
            errors.append(abs(expected / rest - 1))
            ratios.append(_ratio(made, rest))
    if not ratios:
        return None
    kappa = float(np.quantile(ratios, LEVEL))
    return Replays(len(tasks), len(done), len(ratios), held / replays, kappa, statistics.median(errors))


def _ratio(made: Forecast, rest: float) -> float:
    """How many half widths the truth was away from the middle, on the log scale."""
    expected, upper = (made.p50 or 0.0) - made.spent_gpu_hours, (made.p95 or 0.0) - made.spent_gpu_hours
    half, away = math.log(upper / expected), abs(math.log(rest / expected))
    return away / half if half else 0.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Documents that were done since a forecast was made: what it expected of them, and what they took."""

    documents: int
    p05: float  # GPU-hours of the work on them
    p50: float
    p95: float
    took: float

    @property
    def inside(self) -> bool:
        """Whether they took what was expected; if not, something drifts, and the forecast is not to be relied on."""
        return self.p05 <= self.took <= self.p95

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"inside": self.inside, "drift": self.took / self.p50 - 1 if self.p50 else None}


def segment(then: Sequence[DocumentCost], now: Sequence[DocumentCost]) -> Segment | None:
    """What a forecast made of the table `then` expected of the documents that are done `now`; None where none are."""
    took = {one.doc_id: one for one in now if one.gpu_hours is not None}
    done = [one for one in then if one.gpu_hours is not None]
    left = [one for one in then if one.gpu_hours is None]
    since = [one._replace(task_id=took[one.doc_id].task_id) for one in left if one.doc_id in took]
    made = forecast([*done, *since], budget_gpu_hours=None)
    if not since or made.p05 is None or made.p50 is None or made.p95 is None:
        return None
    spent = made.spent_gpu_hours
    return Segment(
        documents=len(since),
        p05=made.p05 - spent,
        p50=made.p50 - spent,
        p95=made.p95 - spent,
        took=math.fsum(took[one.doc_id].gpu_hours or 0.0 for one in since),
    )
