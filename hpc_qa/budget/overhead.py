"""What array tasks cost beside the work on their documents: start-ups, and what interruptions cost again.

With m tasks seen, m_left to come, a start-up of s on average and k of n attempts interrupted, each of which lost l:

    start-ups       m_left s,       variance m_left sd^2 (1 + m_left/m), sd at least a quarter of s
    interruptions   m_left p (l+s), variance m_left p (1-p) (l+s)^2 + m_left^2 (l+s)^2 var p

p is the mean of its posterior, Beta(k + 1/2, n - k + 1/2) (Jeffreys' prior): none of five attempts interrupted does not
say that none will be. All figures are GPU-hours.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hpc_qa.budget.costs import DocumentCost

LEAST_SPREAD = 0.25  # standard deviation of start-ups, as a share of their mean


@dataclass(frozen=True, slots=True)
class Overhead:
    """GPU-hours beside the work on documents."""

    spent: float = 0.0
    expected: float = 0.0  # of the tasks that have not begun
    variance: float = 0.0  # of that, in GPU-hours squared


def per_task(costs: Sequence[DocumentCost], gpu_hours: float) -> Overhead:
    """The same for every array task, begun or planned."""
    begun = {one.task_id for one in costs if one.gpu_hours is not None}
    planned = {one.task_id for one in costs} - begun
    return Overhead(spent=gpu_hours * len(begun), expected=gpu_hours * len(planned))


@dataclass(frozen=True, slots=True)
class AttemptsSeen:
    """What the attempts so far have cost beside their work."""

    startups: Sequence[float]  # of attempts that finished their shard
    lost: Sequence[float]  # of attempts that were interrupted

    @property
    def startup(self) -> float:
        """The mean; what interrupted attempts took is the best guess where no attempt has finished."""
        return statistics.fmean(self.startups or self.lost or [0.0])

    @property
    def interrupted(self) -> float:
        """The probability that an attempt is interrupted, the mean of its posterior."""
        return (len(self.lost) + 0.5) / (len(self.startups) + len(self.lost) + 1)

    def expect(self, tasks: int, *, spent: float) -> Overhead:
        """The overhead of so many tasks to come, beside what is spent already."""
        if not tasks:
            return Overhead(spent=spent)
        mean, seen = self.startup, max(1, len(self.startups))
        spread = max(statistics.stdev(self.startups) if len(self.startups) > 1 else 0.0, LEAST_SPREAD * mean)
        again = mean + (statistics.fmean(self.lost) if self.lost else 0.0)
        share = self.interrupted
        unsure = share * (1 - share) / (len(self.startups) + len(self.lost) + 2)
        return Overhead(
            spent=spent,
            expected=tasks * (mean + share * again),
            variance=math.fsum(
                (
                    tasks * spread**2 * (1 + tasks / seen),
                    tasks * share * (1 - share) * again**2,
                    tasks**2 * again**2 * unsure,
                )
            ),
        )
