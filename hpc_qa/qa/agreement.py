"""What ratings say: means and shares with their intervals, and how far two raters agree.

Pure functions of figures. Every interval covers 95 % of repetitions of the sampling, and is of the pairs that were
rated: a rater who is wrong in the same way each time shows in none of them.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

LEVEL = 0.95
Z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
LOWEST, HIGHEST = 1, 5  # of a score


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; None where the ratings do not say."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, float | int | None]:
        return asdict(self)


def mean_score(scores: Sequence[float]) -> Estimate:
    """The mean of scores from 1 to 5 and Student's interval for it, cut off at the ends of the scale.

    No interval of a single score. Scores that are all alike give an interval without width: what was never seen, the
    spread of the sample cannot tell of.
    """
    if not scores:
        return Estimate(None, None, None, 0)
    n, mean = len(scores), statistics.fmean(scores)
    if n == 1:
        return Estimate(mean, None, None, 1)
    from scipy.special import stdtrit  # half a second, which a command without ratings need not wait for

    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * statistics.stdev(scores) / math.sqrt(n)
    return Estimate(mean, max(LOWEST, mean - half), min(HIGHEST, mean + half), n)


def share(hits: int, n: int) -> Estimate:
    """The share hits / n with Wilson's score interval, which is honest at 0 and 1 as well.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209-212.

    >>> found = share(48, 50)
    >>> round(found.low, 3), round(found.high, 3)
    (0.865, 0.989)
    """
    if not n:
        return Estimate(None, None, None, 0)
    rate, shrink = hits / n, 1 + Z**2 / n
    middle = (rate + Z**2 / (2 * n)) / shrink
    half = Z / shrink * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    return Estimate(rate, max(0.0, middle - half), min(1.0, middle + half), n)


def weighted_kappa(ours: Sequence[int], theirs: Sequence[int]) -> Estimate:
    """Cohen's kappa of two raters of the same things, disagreement weighted by its square.

    kappa = (o - e) / (1 - e): o and e are the agreements seen, and expected of the two raters' own habits alone, with
    weights 1 - ((i - j) / 4)^2 (J. Cohen, Weighted kappa, Psychological Bulletin 70 (1968) 213-220). The interval is
    that of large samples (J. L. Fleiss, J. Cohen, B. S. Everitt, Psychological Bulletin 72 (1969) 323-327), cut off at
    -1 and 1. None where both gave the same single score throughout: then there is nothing to agree on.

    Raises:
        ValueError: the raters rated different numbers of things.
    """
    n = len(ours)
    seen = {pair: count / n for pair, count in Counter(zip(ours, theirs, strict=True)).items()}
    rows, columns = ({score: count / n for score, count in Counter(one).items()} for one in (ours, theirs))
    observed = sum(part * _weight(i, j) for (i, j), part in seen.items())
    by_row = {i: sum(part * _weight(i, j) for j, part in columns.items()) for i in rows}
    by_column = {j: sum(part * _weight(i, j) for i, part in rows.items()) for j in columns}
    expected = sum(rows[i] * by_row[i] for i in rows)
    if not n or expected >= 1:
        return Estimate(None, None, None, n)
    kappa = (observed - expected) / (1 - expected)
    spread = sum(
        part * (_weight(i, j) - (by_row[i] + by_column[j]) * (1 - kappa)) ** 2 for (i, j), part in seen.items()
    )
    variance = spread - (kappa - expected * (1 - kappa)) ** 2
    half = Z * math.sqrt(max(0.0, variance) / n) / (1 - expected)
    return Estimate(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), n)


def _weight(one: int, other: int) -> float:
    return 1 - ((one - other) / (HIGHEST - LOWEST)) ** 2
