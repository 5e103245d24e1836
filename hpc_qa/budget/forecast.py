"""What the whole corpus will cost when part of it is done: an interval, not a number.

The size of every document is known before anything is spent, so the rest is predicted in proportion to it (ratio
estimator). Documents of one array task share a node, its GPUs and a start-up: residuals of documents alone are too
narrow, therefore the array task is the sampling unit as soon as there are four of them, and below that a spread between
tasks is assumed. Variances are jackknife estimates; the interval is one of Student's t on the log scale, so that it is
never negative and longer above than below. With n documents of m tasks done, sizes x, costs c, e = c - R x:

    R      = sum c / sum x
    v_doc  = jackknife of R over documents * X_left^2 + X_left * (n/X) * mean of (e / (1 - x/X))^2
    v_1    = v_doc + (R X_left)^2 tau^2 (1/m + 1/m_left),  tau = 0.15
    v_2    = as v_doc, over tasks
    df     = (sum q)^2 / sum q^2 of the squared residuals q, at least 3 (Satterthwaite): heavy tails leave few
    h      = t(df) sqrt(v);  h_1 below four tasks, else max(h_2, min(h_1, 2 h_2))
    total  = spent + p exp(+-h/p),  p = R X_left + overhead of the tasks that have not begun

The variance of that overhead (`overhead.py`) is added to v_1 and v_2.

Ratio estimator and jackknife: Cochran, Sampling Techniques, 3rd ed., ch. 6; what each choice is worth is measured by
`python -m benchmarks forecast`.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_qa.budget.costs import DocumentCost
from hpc_qa.budget.overhead import Overhead

Floats = NDArray[np.float64]

METHOD = "ratio to size, jackknife over array tasks, t on the log scale"
LEVEL = 0.90
SURE = 0.95  # of a status that is no "close"
CLOSE_FROM = 0.9  # of the budget
NAIVE_OVERHEAD = 1.10  # of the plain rule: documents x mean x 1.10
ASSUMED_TASK_SPREAD = 0.15  # coefficient of variation between array tasks, where too few have ended to see it
FEWEST_TASKS = 4
LEAST_DF = 3.0
WIDEST = 20.0  # on the log scale: a factor of 5e8 says as little as any larger one
LOOKS = 32  # counts of further documents at which it is looked whether they decide


@dataclass(frozen=True, slots=True)
class Forecast:
    """GPU-hours of a corpus, with what is done and the overhead of tasks; None where it cannot be known yet."""

    p05: float | None
    p50: float | None
    p95: float | None
    budget_gpu_hours: float | None
    p_within: float | None  # probability that the total is at most the budget
    status: str  # within | close | over | undecided
    naive: float | None  # documents x mean of the done ones x 1.10
    naive_status: str
    spent_gpu_hours: float
    documents_done: int
    documents_total: int
    tasks_done: int
    more_documents_to_decide: int | None  # None: decided, or more documents would not decide it
    wall_hours: dict[str, float] | None = None  # p05, p50, p95; a table of costs does not say
    qa_pairs: dict[str, float] | None = None
    method: str = METHOD
    reason: str | None = None  # why nothing can be said, where more documents would not change that

    def to_json(self) -> dict[str, Any]:
        """As `budget forecast --json` prints it."""
        return asdict(self)


NOTHING_BESIDE = Overhead()


def forecast(
    costs: Sequence[DocumentCost], *, budget_gpu_hours: float | None, overhead: Overhead = NOTHING_BESIDE
) -> Forecast:
    """What the corpus comes to, by the documents that are done."""
    done = [one for one in costs if one.gpu_hours is not None]
    left = [one for one in costs if one.gpu_hours is None]
    begun = {one.task_id for one in done}
    work = math.fsum(one.gpu_hours or 0.0 for one in done)
    spent = work + overhead.spent
    naive = len(costs) * work / len(done) * NAIVE_OVERHEAD if done else None
    outlook = None
    if len(done) > 1 or (done and not left):
        outlook = _outlook(done, left, spent, overhead)
    status, more = "undecided", None
    if outlook is None:
        more = 2 - len(done)
        status = "over" if budget_gpu_hours is not None and spent > budget_gpu_hours else status
    elif budget_gpu_hours is not None:
        status = outlook.status(budget_gpu_hours)
        more = outlook.more_documents(budget_gpu_hours) if status == "close" else None
    return Forecast(
        p05=outlook.quantile(-1) if outlook else None,
        p50=outlook.quantile(0) if outlook else None,
        p95=outlook.quantile(1) if outlook else None,
        budget_gpu_hours=budget_gpu_hours,
        p_within=outlook.p_within(budget_gpu_hours) if outlook and budget_gpu_hours is not None else None,
        status=status,
        naive=naive,
        naive_status=_plain_status(naive, budget_gpu_hours),
        spent_gpu_hours=spent,
        documents_done=len(done),
        documents_total=len(costs),
        tasks_done=len(begun),
        more_documents_to_decide=more,
    )


def with_naive(made: Forecast, mean: float | None) -> Forecast:
    """The same with the plain rule by this mean, GPU-hours of a document."""
    naive = None if mean is None else made.documents_total * mean * NAIVE_OVERHEAD
    return replace(made, naive=naive, naive_status=_plain_status(naive, made.budget_gpu_hours))


def unknown(made: Forecast, reason: str) -> Forecast:
    """The same with nothing known of what is to come, and why: it is over where what is spent is, else undecided."""
    spent, budget = made.spent_gpu_hours, made.budget_gpu_hours
    return replace(
        made, p05=None, p50=None, p95=None, p_within=None, naive=None, naive_status="undecided", wall_hours=None,
        qa_pairs=None, status="over" if budget is not None and spent > budget else "undecided",
        more_documents_to_decide=None, reason=reason,
    )  # fmt: skip


def costs_nothing(costs: Sequence[DocumentCost]) -> str | None:
    """Why costs of which none is above zero say nothing of the documents that are left; None where one is."""
    hours = [one.gpu_hours for one in costs]
    if None not in hours or not any(one is not None for one in hours) or any(hours):
        return None
    return "every document that is done cost 0 GPU-hours, so that it is not known what the others cost"


def _plain_status(total: float | None, budget: float | None) -> str:
    if total is None or budget is None:
        return "undecided"
    if total > budget:
        return "over"
    return "close" if total >= CLOSE_FROM * budget else "within"


@dataclass(frozen=True, slots=True)
class _Residuals:
    """How far the costs of some units lie from the ratio, and what that says of it."""

    units: int
    of_ratio: float  # jackknife variance of the ratio
    of_rest: float  # variance of what one unit of size costs that is still to be done
    df: float


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What is spent, and what the rest comes to."""

    spent: float
    expected: float  # of the rest
    rate: float  # GPU-hours per unit of size
    size: float  # of the rest
    documents: int  # of the rest
    tasks: int  # of the rest
    tasks_done: int
    by_document: _Residuals
    by_task: _Residuals | None  # None: too few of them
    overhead: float  # variance of what the tasks of the rest cost beside their documents

    def quantile(self, side: int) -> float:
        """The lower end of the interval (-1), its middle (0), or its upper end (1)."""
        half, _ = self._half_width()
        return self.spent + self.expected * math.exp(side * half)

    def p_within(self, budget: float) -> float:
        """The probability that the total is at most this."""
        from scipy.special import stdtr

        room = budget - self.spent
        half, df = self._half_width()
        if room <= 0 or not half:
            return float(self.expected <= room)
        return float(stdtr(df, math.log(room / self.expected) / half * _t(df)))

    def status(self, budget: float) -> str:
        """within, close or over."""
        within = self.p_within(budget)
        if self.spent > budget or within <= 1 - SURE:
            return "over"
        return "within" if within >= SURE and self.quantile(0) < CLOSE_FROM * budget else "close"

    def more_documents(self, budget: float) -> int | None:
        """How many more would decide it if they cost what is expected; None when it would still be close."""

        def decided(documents: int) -> bool:
            return self._after(documents / self.documents).status(budget) != "close"

        if not self.documents:
            return None
        steps = sorted({max(1, round(self.documents ** (look / LOOKS))) for look in range(1, LOOKS)})
        before = 0
        for step in steps:
            if decided(step):
                return before + 1 + bisect_left(range(before + 1, step), True, key=decided)
            before = step
        return None

    def _half_width(self) -> tuple[float, float]:
        """(half of the width on the log scale, degrees of freedom)."""
        spread = (self.rate * self.size * ASSUMED_TASK_SPREAD) ** 2 * (1 / self.tasks_done + 1 / max(self.tasks, 1))
        first = _scaled(self.by_document, self.size, max(LEAST_DF, self.by_document.df), spread + self.overhead)
        half, df = first
        if self.by_task is not None:
            df_tasks = min(max(LEAST_DF, self.by_task.df), self.by_task.units - 1)
            second = _scaled(self.by_task, self.size, df_tasks, self.overhead)
            half, df = max(second, min(first, (2 * second[0], df_tasks)))
        return min(half / self.expected, WIDEST) if self.expected else 0.0, df

    def _after(self, share: float) -> "_Outlook":
        """The outlook when this share of the rest is done as expected."""
        return replace(
            self,
            spent=self.spent + share * self.expected,
            expected=(1 - share) * self.expected,
            size=(1 - share) * self.size,
            documents=round((1 - share) * self.documents),
            tasks=max(1, round((1 - share) * self.tasks)),
            tasks_done=self.tasks_done + round(share * self.tasks),
            by_document=_with_more(self.by_document, share * self.documents),
            by_task=self.by_task and _with_more(self.by_task, share * self.tasks),
            overhead=(1 - share) * self.overhead,
        )


def _outlook(done: Sequence[DocumentCost], left: Sequence[DocumentCost], spent: float, overhead: Overhead) -> _Outlook:
    sizes = np.array([one.size for one in done])
    hours = np.array([one.gpu_hours or 0.0 for one in done])
    names, task = np.unique([one.task_id for one in done], return_inverse=True)
    rate, size_left = float(hours.sum() / sizes.sum()), math.fsum(one.size for one in left)
    by_task = None
    if len(names) >= FEWEST_TASKS:
        by_task = _residuals(*(np.bincount(task, values).astype(np.float64) for values in (sizes, hours)))
    return _Outlook(
        spent=spent,
        expected=rate * size_left + overhead.expected,
        rate=rate,
        size=size_left,
        documents=len(left),
        tasks=len({one.task_id for one in left}),
        tasks_done=len(names),
        by_document=_residuals(sizes, hours),
        by_task=by_task,
        overhead=overhead.variance,
    )


def _residuals(sizes: Floats, costs: Floats) -> _Residuals:
    units, size, cost = len(sizes), float(sizes.sum()), float(costs.sum())
    if units == 1:  # the whole corpus: nothing is left to be uncertain of
        return _Residuals(1, 0.0, 0.0, LEAST_DF)
    others = np.maximum(size - sizes, np.finfo(float).eps * size)
    without = (cost - costs) / others
    of_ratio = (units - 1) / units * float(np.sum((without - without.mean()) ** 2))
    squares = ((costs - cost / size * sizes) * size / others) ** 2
    heavy = float(np.sum(squares**2))
    df = float(squares.sum()) ** 2 / heavy if heavy else units - 1.0
    return _Residuals(units, of_ratio, float(squares.mean()) * units / size, df)


def _with_more(residuals: _Residuals, units: float) -> _Residuals:
    """The same residuals of more units: what they say of the ratio grows with their number."""
    more = residuals.units + round(units)
    return replace(residuals, units=more, of_ratio=residuals.of_ratio * residuals.units / more)


def _scaled(residuals: _Residuals, size: float, df: float, more: float = 0.0) -> tuple[float, float]:
    """(half width, degrees of freedom) for a rest of this size; `more` is added to the variance."""
    variance = residuals.of_ratio * size**2 + residuals.of_rest * size + more
    return _t(df) * math.sqrt(variance), df


def _t(df: float) -> float:
    from scipy.special import stdtrit  # a third of a second, which a report without a forecast need not wait for

    return float(stdtrit(df, (1 + LEVEL) / 2))
