"""Which cell of a sweep is best, and whether its lead is more than what runs of the same settings differ by.

Best is the least cost of an accepted pair among cells with a quality within 5 % of the best. Costs are compared as
logarithms, all pairs of cells at once, with the simultaneous 95 % intervals of Tukey and Kramer (Kramer 1956,
Biometrics 12; `scipy.stats.tukey_hsd`). Where an interval reaches over "no difference", no winner is named.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpc_qa.bench.record import Record

NEAR_BEST = 0.05  # of the best quality
TIE = 0.02  # of the least cost: less than anybody cares about
LEVEL = 0.95  # of all intervals together
LEAST_RUNS = 2  # of a cell: a single one does not say how much runs differ
LEAST_CHUNKS = 24  # of a run: with fewer, filling and emptying the server is most of what is measured
ROUNDS = 1.5  # the least that a server is filled: so many chunks for each request in flight
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The repeats of one combination of settings."""

    settings: tuple[tuple[str, object], ...]
    records: tuple[Record, ...]  # of failed repeats too

    @property
    def measured(self) -> tuple[Record, ...]:
        """Without those that failed, whose figures are of a part."""
        return tuple(record for record in self.records if record.failure is None)

    @property
    def failures(self) -> list[str]:
        """The class and the reason of each repeat that failed."""
        return [record.failure for record in self.records if record.failure is not None]

    @property
    def name(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.settings) or "as configured"

    def values(self, key: str) -> list[float]:
        """The values of the repeats that have one."""
        return [value for record in self.measured if (value := record.value(key)) is not None]

    def mean(self, key: str) -> float | None:
        """Mean over the repeats of which it is known."""
        known = self.values(key)
        return math.fsum(known) / len(known) if known else None

    @property
    def cost(self) -> tuple[float | None, str]:
        """What an accepted pair took, and in what; of all pairs where it is not known which were accepted."""
        spent, pairs, unit = self._basis()
        whole, made = self.mean(spent), self.mean(pairs)
        return (whole / made if whole is not None and made else None), unit

    def costs(self) -> list[float]:
        """The same of each repeat of which it is known, and more than nothing."""
        spent, pairs, _ = self._basis()
        known = [(record.value(spent), record.value(pairs)) for record in self.measured]
        return [whole / made for whole, made in known if whole and made]

    def _basis(self) -> tuple[str, str, str]:
        accepted = bool(self.mean("results.qa_pairs_accepted"))
        pairs = "results.qa_pairs_accepted" if accepted else "results.qa_pairs_generated"
        said = "accepted pair" if accepted else "pair"
        if self.mean("results.gpu_hours"):
            return "results.gpu_hours", pairs, f"GPU-hours for each {said}"
        return "results.total_time_minutes", pairs, f"minutes for each {said}"

    def unfit(self) -> str | None:
        """Why it cannot be ranked; None when it can."""
        runs = len(self.costs())
        if runs < LEAST_RUNS:
            failed = f", {len(self.failures)} failed" if self.failures else ""
            return f"{runs} of {LEAST_RUNS} runs that a ranking needs{failed}"
        chunks = self.values("results.chunks_asked")
        needed = least_chunks(self.mean("configuration.concurrency_limit") or 0)
        if chunks and min(chunks) < needed:
            return f"{min(chunks):.0f} of {needed} chunks that a ranking needs"
        return None


def least_chunks(concurrency_limit: float) -> int:
    """How many chunks a run should ask about to be ranked.

    >>> least_chunks(8), least_chunks(100)
    (24, 150)
    """
    return max(LEAST_CHUNKS, math.ceil(ROUNDS * concurrency_limit))


@dataclass(frozen=True, slots=True)
class Lead:
    """How much more another cell costs than the cheapest, as a share of that, with the interval."""

    cell: Cell
    more: float
    low: float
    high: float
    runs_needed: int  # of each cell, at most, until a difference of this size would be seen

    @property
    def is_shown(self) -> bool:
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Ranking:
    """What can be said of the cells of a sweep."""

    why_not: str | None  # nothing can be ranked
    first: Cell | None = None  # the cheapest of those whose quality is good enough
    others: tuple[Lead, ...] = ()  # cheapest first
    best_quality: float | None = None
    doubtful: tuple[Cell, ...] = ()  # quality lower by more than 5 %, which may be noise
    left_out: tuple[Cell, ...] = ()  # quality lower, or not known
    unranked: tuple[tuple[Cell, str], ...] = ()

    @property
    def alike(self) -> tuple[Lead, ...]:
        """Those of which no difference to the cheapest is shown."""
        return tuple(one for one in self.others if not one.is_shown)

    @property
    def winner(self) -> Cell | None:
        """The optimal cell, where one can be named."""
        return None if self.alike or self.first in self.doubtful else self.first


def rank(cells: Sequence[Cell]) -> Ranking:
    """Which cell is best, and how certain that is."""
    known = [cell for cell in cells if cell.cost[0]]
    if len({cell.cost[1] for cell in known}) > 1:
        return Ranking("what a pair took is not known in the same unit of all cells")
    if len(known) < 2:
        return Ranking("of no two cells it is known what a pair took")
    unranked = tuple((cell, why) for cell in known if (why := cell.unfit()))
    fit = [cell for cell in known if not cell.unfit()]
    if len(fit) < 2:
        return Ranking(f"{len(fit)} of {len(known)} cells can be ranked", unranked=unranked)
    scores = {cell: score for cell in fit if (score := cell.mean("quality.quality_score")) is not None}
    best = max(scores, key=lambda cell: scores[cell], default=None)
    low = [cell for cell in fit if best is not None and scores.get(cell, 0.0) < scores[best] * (1 - NEAR_BEST)]
    doubtful = [cell for cell in low if best is not None and cell in scores and not _is_lower(cell, best)]
    good = [cell for cell in fit if cell not in low or cell in doubtful]
    first = min(good, key=lambda cell: cell.cost[0] or math.inf)
    return Ranking(
        why_not=None,
        first=first,
        others=tuple(_leads(first, [cell for cell in good if cell is not first])),
        best_quality=None if best is None else scores[best],
        doubtful=tuple(doubtful),
        left_out=tuple(cell for cell in low if cell not in doubtful),
        unranked=unranked,
    )


def _is_lower(cell: Cell, best: Cell) -> bool:
    """Whether the quality of a cell is lower than the best by more than noise."""
    arms = [one.values("quality.quality_score") for one in (best, cell)]
    if min(map(len, arms)) < LEAST_RUNS:
        return False
    (_, bounds), *_ = _intervals(arms[0], [arms[1]])
    return bounds[1] < 0


def _leads(first: Cell, others: Sequence[Cell]) -> list[Lead]:
    if not others:
        return []
    logs = [[math.log(cost) for cost in cell.costs()] for cell in (first, *others)]
    found = []
    for cell, values, (more, (low, high)) in zip(others, logs[1:], _intervals(logs[0], logs[1:]), strict=True):
        runs, half = min(len(logs[0]), len(values)), (high - low) / 2
        needed = runs if more > half else math.ceil(runs * (half / max(more, math.log1p(TIE))) ** 2)
        found.append(Lead(cell, math.expm1(more), math.expm1(low), math.expm1(high), needed))
    return sorted(found, key=lambda one: one.more)


def _intervals(first: Sequence[float], others: Sequence[Sequence[float]]) -> list[tuple[float, tuple[float, float]]]:
    """By how much the mean of each is above that of the first, and the simultaneous interval of that."""
    from scipy.stats import tukey_hsd

    means = [math.fsum(values) / len(values) for values in (first, *others)]
    apart = [mean - means[0] for mean in means[1:]]
    if all(max(values) - min(values) <= ROUNDING for values in (first, *others)):  # the values themselves
        return [(gap, (gap, gap)) for gap in apart]
    bounds = tukey_hsd(first, *others).confidence_interval(LEVEL)
    return [(gap, (float(bounds.low[place][0]), float(bounds.high[place][0]))) for place, gap in enumerate(apart, 1)]
