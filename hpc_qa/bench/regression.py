"""Whether the current arm is worse than the baseline: metric by metric, with the level divided among them (Holm).

regressed: all of the interval is beyond the margin. suspect: the effect is beyond it, and the interval is on the worse
side of zero. no regression: all of the interval is within the margin. inconclusive: none of these yet.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hpc_qa.bench.arm import Arm, apart
from hpc_qa.bench.comparison import Difference, compared_keys, differences, unknown_keys
from hpc_qa.bench.effect import (
    INCONCLUSIVE,
    LEAST_RUNS,
    NO_REGRESSION,
    REGRESSED,
    SUSPECT,
    Effect,
    difference,
    of_shares,
    pooled,
    ratio,
)
from hpc_qa.bench.plain_rule import plain_rule
from hpc_qa.errors import ConfigError, ExitCode

LEVEL = 0.05
NO_DATA = "no data"
WORST_FIRST = (REGRESSED, SUSPECT, INCONCLUSIVE, NO_DATA, NO_REGRESSION)
ADVISED_RUNS = 5


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared, and how much worse it may be."""

    name: str
    key: str  # of a record
    margin: float  # a share of the baseline, or a difference of shares
    is_share: bool = False  # of documents: less is better

    @property
    def worse_by(self) -> float:
        """The margin as effects have it."""
        return self.margin if self.is_share else -math.log1p(-self.margin)


THROUGHPUT = Metric("throughput_pdfs_per_hour", "results.throughput_pdfs_per_hour", 0.10)
QUALITY = Metric("quality_score", "quality.quality_score", 0.05)
ERRORS = Metric("error_rate", "results.error_rate", 0.02, is_share=True)
METRICS = (THROUGHPUT, QUALITY, ERRORS)


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What one metric says. Effects are shares of the baseline; of the error rate, differences of shares."""

    name: str
    baseline: float | None  # mean over runs; of the error rate, over documents
    current: float | None
    n_baseline: int  # runs that have the metric
    n_current: int
    effect: float | None
    low: float | None
    high: float | None
    verdict: str
    runs_needed: int | None  # more in each arm; 0 when it is decided, None when no reasonable number would decide
    margin: float
    level: float | None  # of either bound


@dataclass(frozen=True, slots=True)
class Regression:
    """What a check found."""

    metrics: tuple[MetricResult, ...]
    differs: tuple[Difference, ...]
    plain: dict[str, Any]
    notes: tuple[str, ...]
    too_few: bool

    @property
    def verdict(self) -> str:
        """The worst of the metrics; one that neither arm has does not count, unless there is no other."""
        found = {one.verdict for one in self.metrics if one.n_baseline or one.n_current}
        if self.too_few and found:
            return INCONCLUSIVE
        return next(word for word in WORST_FIRST if word in (found or {NO_DATA}))

    def exit_code(self, *, plain: bool = False) -> ExitCode:
        """Regressed 4, no regression 0, all else 5; or by the plain rule."""
        said = self.plain["overall_assessment"] if plain else self.verdict
        known = {REGRESSED: ExitCode.NO, "FAIL": ExitCode.NO, NO_REGRESSION: ExitCode.DONE, "PASS": ExitCode.DONE}
        return known.get(said, ExitCode.UNDECIDED)

    def to_json(self) -> dict[str, Any]:
        """As `bench check --json` prints it."""
        return {
            "verdict": self.verdict,
            "metrics": [asdict(one) for one in self.metrics],
            "differs": [asdict(one) for one in self.differs],
            "notes": list(self.notes),
        } | self.plain


class UnlikeArms(ConfigError):
    """Arms that differ in what has to be alike: there is no verdict, and what means alone say stands beside it."""

    def __init__(self, differs: Sequence[Difference], plain: dict[str, Any]) -> None:
        allow = " ".join(f"--allow {one.key}" for one in differs)
        super().__init__(
            *(f"the arms differ in {one.key}: {one.shown()}" for one in differs),
            hint=f"{allow}, or hpc-qa bench compare shows them side by side",
        )
        self.facts = {"verdict": None, "metrics": [], "differs": [asdict(one) for one in differs]} | plain


def check(baseline: Arm, current: Arm, *, allow: Sequence[str] = ()) -> Regression:
    """Compare two arms that are alike but for the keys that are allowed to differ; a run counts in one of them alone.

    Raises:
        UnlikeArms: they differ in something else, with all of it.
        ConfigError: a key that is allowed is none.
    """
    baseline, current = apart(baseline, current)
    keys = compared_keys(baseline, current)
    if wrong := [key for key in allow if key not in keys]:
        raise ConfigError(*(f"--allow {key} is no key that is compared" for key in wrong), hint=", ".join(keys))
    differs = differences(baseline, current)
    unlike = [one for one in differs if one.key not in allow]
    if unlike:
        raise UnlikeArms(unlike, plain_rule(baseline, current))
    notes = [*baseline.notes, *current.notes, *unknown_keys(baseline, current)]
    fewest = min(len(baseline.records), len(current.records))
    if fewest < LEAST_RUNS:
        notes.append(f"an arm has {fewest} of the {LEAST_RUNS} runs that a verdict needs")
    elif len(baseline.records) < ADVISED_RUNS:
        notes.append(f"insufficient history: {len(baseline.records)} baseline runs, {ADVISED_RUNS} are advised")
    return Regression(
        _results(baseline, current), tuple(differs), plain_rule(baseline, current), tuple(notes), fewest < LEAST_RUNS
    )


def _results(baseline: Arm, current: Arm) -> tuple[MetricResult, ...]:
    effects = {metric: effect for metric in METRICS if (effect := _effect(metric, baseline, current))}
    levels = holm(effects)
    return tuple(_result(one, baseline, current, effects.get(one), levels.get(one)) for one in METRICS)


def holm(effects: dict[Metric, Effect]) -> dict[Metric, float]:
    """The level of each metric: divided among all, and among one less after each that has regressed at its part."""
    levels: dict[Metric, float] = {}
    waiting = list(effects)
    while waiting:
        level = LEVEL / len(waiting)
        hit = [one for one in waiting if effects[one].verdict(one.worse_by, level) == REGRESSED]
        for one in hit[:1] or waiting[:]:
            levels[one] = level
            waiting.remove(one)
    return levels


def _effect(metric: Metric, baseline: Arm, current: Arm) -> Effect | None:
    values = [arm.known(metric.key) for arm in (baseline, current)]
    if not all(values):
        return None
    if not metric.is_share:
        return ratio(*values)
    shares = [_shares(metric, arm) for arm in (baseline, current)]
    whole = all(len(found) == len(known) for found, known in zip(shares, values, strict=True))
    return of_shares(*shares) if whole else difference(*values)


def _shares(metric: Metric, arm: Arm) -> list[tuple[float, int]]:
    """(share, documents) of the runs whose documents were counted."""
    pairs = ((one.value(metric.key), one.dataset.pdfs_processed) for one in arm.records)
    return [(share, documents) for share, documents in pairs if share is not None and documents]


def _result(metric: Metric, baseline: Arm, current: Arm, effect: Effect | None, level: float | None) -> MetricResult:
    counts = len(baseline.known(metric.key)), len(current.known(metric.key))
    means = _mean(metric, baseline), _mean(metric, current)
    if effect is None or level is None:
        needed = LEAST_RUNS - min(counts)
        return MetricResult(
            metric.name, *means, *counts, None, None, None, NO_DATA, needed, metric.margin, None
        )  # fmt: skip
    said = effect.verdict(metric.worse_by, level)
    decided = said in (REGRESSED, NO_REGRESSION)
    shown: Callable[[float], float] = (lambda worse: worse) if metric.is_share else (lambda worse: math.expm1(-worse))
    low, high = sorted(map(shown, bounds)) if (bounds := effect.interval(level)) else (None, None)
    return MetricResult(
        metric.name, *means, *counts, shown(effect.worse), low, high, said,
        0 if decided else effect.runs_needed(metric.worse_by, level), metric.margin, level,
    )  # fmt: skip


def _mean(metric: Metric, arm: Arm) -> float | None:
    values = arm.known(metric.key)
    shares = _shares(metric, arm) if metric.is_share else []
    if shares and len(shares) == len(values):
        return pooled(shares)[0]
    return math.fsum(values) / len(values) if values else None
