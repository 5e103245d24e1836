"""How the judge scored the pairs of a dataset: how often each score was given, accepted and rejected pairs apart."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpc_qa.qa.judge import SCORES

SCALE = range(1, 6)


@dataclass(slots=True)
class JudgeScores:
    """Counts of scores, by name."""

    published: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in SCORES})
    rejected: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in SCORES})

    def add(self, pair: Mapping[str, Any], *, published: bool) -> None:
        """Count the scores of one pair; one without a verdict has none."""
        for name, counts in (self.published if published else self.rejected).items():
            if pair[name] is not None:
                counts[pair[name]] += 1

    def __bool__(self) -> bool:
        return any(counts for side in (self.published, self.rejected) for counts in side.values())

    def to_json(self) -> dict[str, Any]:
        """How often each score from 1 to 5 was given, and the mean; null where nothing was judged."""
        return {
            side: {name: {"counts": {str(score): counts[score] for score in SCALE}, "mean": mean(counts)}
                   for name, counts in found.items()}
            for side, found in (("published", self.published), ("rejected", self.rejected))
        }  # fmt: skip


def mean(counts: Mapping[int, int]) -> float | None:
    """The mean score of so many of each; None of none."""
    total = sum(counts.values())
    return round(sum(score * count for score, count in counts.items()) / total, 4) if total else None
