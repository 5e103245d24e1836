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
MIN_FOR_KAPPA = 10  # things that both rated, from which on the interval of large samples is given
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


def effective_n(weights: Sequence[float]) -> float:
    """How many things drawn with equal chances say as much: sum(w)^2 / sum(w^2) (L. Kish, Survey Sampling, 1965).

    >>> effective_n([1, 1, 1, 1]), effective_n([5, 1, 1, 1])
    (4.0, 2.2857142857142856)
    """
    return sum(weights) ** 2 / sum(weight**2 for weight in weights) if weights else 0.0


def mean_score(scores: Sequence[float], weights: Sequence[float] | None = None) -> Estimate:
    """The mean of scores from 1 to 5 and Student's interval for it, cut off at the ends of the scale.

    No interval of a single score. Scores that are all alike give an interval without width: what was never seen, the
    spread of the sample cannot tell of. `weights` are 1 / chance of things that were drawn with unequal chances: then
    the mean is sum(w x) / sum(w) (J. Hajek, 1971), and the interval that of `effective_n` scores.

    Raises:
        ValueError: there are more or fewer weights than scores.
    """
    if not scores:
        return Estimate(None, None, None, 0)
    n = len(scores)
    weights = _weights(n, weights)
    mean, size = _mean(scores, weights), effective_n(weights)
    if n == 1:
        return Estimate(mean, None, None, 1)
    from scipy.special import stdtrit  # half a second, which a command without ratings need not wait for

    variance = _mean([(score - mean) ** 2 for score in scores], weights) * size / (size - 1)
    half = float(stdtrit(size - 1, (1 + LEVEL) / 2)) * math.sqrt(variance / size)
    return Estimate(mean, max(LOWEST, mean - half), min(HIGHEST, mean + half), n)


def _weights(n: int, weights: Sequence[float] | None) -> Sequence[float]:
    if weights is None:
        return [1.0] * n
    if len(weights) != n:
        raise ValueError(f"{len(weights)} weights for {n} things")
    return weights


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / math.fsum(weights)


def share(hits: int, n: int) -> Estimate:
    """The share hits / n with Wilson's score interval, which is honest at 0 and 1 as well.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209-212.

    >>> found = share(48, 50)
    >>> round(found.low, 3), round(found.high, 3)
    (0.865, 0.989)
    """
    return _wilson(hits / n, n, n) if n else Estimate(None, None, None, 0)


def weighted_share(hits: Sequence[bool], weights: Sequence[float] | None = None) -> Estimate:
    """The share of things that are so, weighted as in `mean_score`, with Wilson's interval of `effective_n` things.

    Raises:
        ValueError: there are more or fewer weights than things.
    """
    if not hits:
        return Estimate(None, None, None, 0)
    weights = _weights(len(hits), weights)
    return _wilson(_mean(hits, weights), effective_n(weights), len(hits))


def _wilson(rate: float, size: float, n: int) -> Estimate:
    shrink = 1 + Z**2 / size
    middle = (rate + Z**2 / (2 * size)) / shrink
    half = Z / shrink * math.sqrt(rate * (1 - rate) / size + Z**2 / (4 * size**2))
    return Estimate(rate, max(0.0, middle - half), min(1.0, middle + half), n)


def weighted_kappa(ours: Sequence[int], theirs: Sequence[int]) -> Estimate:
    """Cohen's kappa of two raters of the same things, disagreement weighted by its square.

    kappa = (o - e) / (1 - e): o and e are the agreements seen, and expected of the two raters' own habits alone, with
    weights 1 - ((i - j) / 4)^2 (J. Cohen, Weighted kappa, Psychological Bulletin 70 (1968) 213-220). The interval is
    that of large samples (J. L. Fleiss, J. Cohen, B. S. Everitt, Psychological Bulletin 72 (1969) 323-327), cut off at
    -1 and 1; none of fewer than 10 things, or where it would have no width. None where
    both gave the same single score throughout: then there is nothing to agree on.

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
    if n < MIN_FOR_KAPPA or not half:
        return Estimate(kappa, None, None, n)
    return Estimate(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), n)


def _weight(one: int, other: int) -> float:
    return 1 - ((one - other) / (HIGHEST - LOWEST)) ** 2
