"""How far two arms are apart, with an interval; the unit is the run.

Everything is turned so that more is worse. A ratio is looked at as its logarithm with Welch's t on the values of runs;
shares of documents with Newcombe's interval (1998, method 10: Wilson's score intervals, squared and added) or, where
runs differ by more than the chance of documents, with Welch's t on their rates: the wider of the two holds. Intervals
are one-sided on either side: at level 0.05 each bound holds 95 times in 100.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import ndtri, stdtrit

LEAST_RUNS = 3  # of an arm; below, nothing is said
MOST_RUNS_NEEDED = 1_000
NEARLY_NOTHING = 0.01  # of the largest value: a ratio to zero says no more than that
ROUNDING = 1e-9
REGRESSED, SUSPECT, INCONCLUSIVE, NO_REGRESSION = "regressed", "suspect", "inconclusive", "no regression"
Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Effect:
    """What the current arm is worse by: positive is worse."""

    worse: float
    runs: tuple[int, int]  # of the baseline, of the current arm
    # (level of either side, more runs in each arm) -> bounds; None: no run differs from another of its arm
    bounds: Callable[[float, int], Bounds] | None

    def interval(self, level: float) -> Bounds | None:
        """The bounds; None with too few runs."""
        if min(self.runs) < LEAST_RUNS:
            return None
        return self.bounds(level, 0) if self.bounds else (self.worse, self.worse)

    def verdict(self, margin: float, level: float) -> str:
        """regressed, suspect, no regression, or inconclusive."""
        bounds = self.interval(level)
        if bounds is None:
            return INCONCLUSIVE
        if self.bounds is None:  # the values themselves
            return REGRESSED if self.worse >= margin - ROUNDING else NO_REGRESSION
        low, high = bounds
        if low > margin:
            return REGRESSED
        if self.worse > margin and low > 0:
            return SUSPECT
        return NO_REGRESSION if high < margin else INCONCLUSIVE

    def runs_needed(self, margin: float, level: float) -> int | None:
        """How many more runs in each arm would decide if the effect stays; None when no reasonable number would."""
        if min(self.runs) < LEAST_RUNS:
            return LEAST_RUNS - min(self.runs)
        if self.bounds is None:
            return 0
        more = 0
        while more <= MOST_RUNS_NEEDED:
            low, high = self.bounds(level, more)
            if low > margin or high < margin:
                return more
            more += max(1, more // 20)
        return None


def ratio(baseline: Sequence[float], current: Sequence[float]) -> Effect:
    """By what factor the current values are lower, as a logarithm; values of zero count as nearly nothing.

    >>> made = ratio([20, 20, 20], [16, 16, 16])
    >>> round(made.worse, 4), made.verdict(-math.log(0.9), 0.05)
    (0.2231, 'regressed')
    """
    floor = NEARLY_NOTHING * max(*baseline, *current) or 1.0
    return difference(*([-math.log(max(value, floor)) for value in arm] for arm in (baseline, current)))


def difference(baseline: Sequence[float], current: Sequence[float]) -> Effect:
    """By how much the current values are higher: Welch's t, with the degrees of freedom of Satterthwaite."""
    arms = [(len(arm), *_mean_and_variance(arm)) for arm in (baseline, current)]
    worse = arms[1][1] - arms[0][1]

    def bounds(level: float, more: int) -> Bounds:
        parts = [(variance / (runs + more), runs + more - 1) for runs, _, variance in arms]
        total = sum(part for part, _ in parts)
        freedom = total**2 / sum(part**2 / df for part, df in parts)
        half = float(stdtrit(freedom, 1 - level)) * math.sqrt(total)
        return worse - half, worse + half

    varies = any(variance > 0 for _, _, variance in arms)
    return Effect(worse, (len(baseline), len(current)), bounds if varies else None)


def of_shares(baseline: Sequence[tuple[float, int]], current: Sequence[tuple[float, int]]) -> Effect:
    """By how much the share is higher, from (share, documents) of each run.

    Newcombe's interval takes every document as drawn by itself. A run may lose many at once, so each bound is the
    wider of Newcombe's and of Welch's over the rates of runs.
    """
    (p, n), (q, m) = (pooled(arm) for arm in (baseline, current))
    rates = [[share for share, _ in arm] for arm in (baseline, current)]
    of_runs = difference(*rates).bounds if min(map(len, rates)) > 1 else None

    def bounds(level: float, more: int) -> Bounds:
        z = float(ndtri(1 - level))
        (low_p, high_p), (low_q, high_q) = (
            wilson(share, documents * (1 + more / len(arm)), z)
            for share, documents, arm in ((p, n, baseline), (q, m, current))
        )
        low, high = q - p - math.hypot(q - low_q, high_p - p), q - p + math.hypot(high_q - q, p - low_p)
        if of_runs is None:
            return low, high
        welch_low, welch_high = of_runs(level, more)
        return min(low, welch_low), max(high, welch_high)

    varies = any(len(set(arm)) > 1 for arm in rates)
    return Effect(q - p, (len(baseline), len(current)), bounds if varies else None)


def pooled(runs: Sequence[tuple[float, int]]) -> tuple[float, int]:
    """(share over all documents, how many they are)."""
    documents = sum(count for _, count in runs)
    return sum(share * count for share, count in runs) / documents, documents


def wilson(share: float, documents: float, z: float) -> Bounds:
    """Wilson's score interval of a share.

    >>> [round(bound, 3) for bound in wilson(0.1, 50, 1.96)]
    [0.043, 0.214]
    """
    middle = (share + z * z / (2 * documents)) / (1 + z * z / documents)
    half = z * math.sqrt(share * (1 - share) / documents + (z / (2 * documents)) ** 2) / (1 + z * z / documents)
    return max(0.0, middle - half), min(1.0, middle + half)


def _mean_and_variance(values: Sequence[float]) -> tuple[float, float]:
    """Mean and variance; a variance that is rounding alone is none."""
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    return mean, variance if variance > (ROUNDING * max(1.0, abs(mean))) ** 2 else 0.0
