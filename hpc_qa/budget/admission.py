"""Whether one more run fits into the budget: what is used, what is promised to others, and what it may take itself.

A run is refused when used + liens + p90 is more than the budget, p90 being the 90th percentile of what it will take;
while that is not known, its worst case stands in its place: every array task up to its time limit. A lien is what was
promised to a run that waits or runs: its p90 if known, else its worst case, less what it has used.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

P90, WORST = "p90", "worst case"


@dataclass(frozen=True, slots=True)
class Demanded:
    """GPU-hours that a run, or a part of one, may take."""

    p50: float | None
    p90: float | None
    worst: float

    @property
    def counted(self) -> float:
        """What is held against the budget."""
        return self.worst if self.p90 is None else self.p90

    @property
    def basis(self) -> str:
        """What that is."""
        return WORST if self.p90 is None else P90


@dataclass(frozen=True, slots=True)
class Lien:
    """GPU-hours that are promised to a run which waits or runs."""

    run: str
    gpu_hours: float
    basis: str
    tasks: int  # that wait or run


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a run is let in, and the figures that say so."""

    budget_gpu_hours: float | None  # None: none is set, everything is let in
    used: float
    liens: tuple[Lien, ...]
    demanded: Demanded

    @property
    def committed(self) -> float:
        """What is promised to runs that wait or run."""
        return sum(lien.gpu_hours for lien in self.liens)

    @property
    def room(self) -> float | None:
        """What is left for a run, below 0 when too much is promised already."""
        return None if self.budget_gpu_hours is None else self.budget_gpu_hours - self.used - self.committed

    @property
    def refused(self) -> bool:
        return self.room is not None and self.demanded.counted > self.room

    @property
    def exceeds_at_worst(self) -> bool:
        """Whether it is let in and could still exceed the budget, were every array task to use up its time limit."""
        return self.room is not None and not self.refused and self.demanded.worst > self.room

    @property
    def verdict(self) -> str:
        """One word: admitted, warned, refused, no budget."""
        if self.budget_gpu_hours is None:
            return "no budget"
        return "refused" if self.refused else "warned" if self.exceeds_at_worst else "admitted"

    def to_json(self) -> dict[str, Any]:
        """As `plan --json` and `submit --json` print it, and as a run keeps it."""
        return {
            "verdict": self.verdict,
            "budget_gpu_hours": self.budget_gpu_hours,
            "used": self.used,
            "committed": self.committed,
            "liens": [asdict(lien) for lien in self.liens],
            "room": self.room,
            "gpu_hours_p50": self.demanded.p50,
            "gpu_hours_p90": self.demanded.p90,
            "gpu_hours_worst": self.demanded.worst,
            "counted": self.demanded.counted,
            "basis": self.demanded.basis,
        }


def sum_of(parts: Sequence[Demanded]) -> Demanded:
    """What several parts may take together; a percentile is known when that of every part is."""

    def added(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    return Demanded(
        added([part.p50 for part in parts]), added([part.p90 for part in parts]), sum(part.worst for part in parts)
    )
