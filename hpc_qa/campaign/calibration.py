"""What the controls of runs say of their judge: how often it was right, and what its acceptance rate is worth.

Controls are records of their own kind (`store.records.ControlRecord`), made by `qa.controls`. Judged pairs are those
with a verdict; a control without one says nothing and is counted apart.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpc_qa.qa.agreement import Estimate, share
from hpc_qa.qa.calibration import corrected_rate
from hpc_qa.units import plural

GOOD = "known good"
WORDS = {
    "extractive": "a source sentence, and a question made of its words",
    "number_changed": "a number of the answer changed",
    "answer_swapped": "the answer of another pair of the chunk",
    "other_evidence": "beside another chunk, which does not prove it",
    "negation": "a not put in or left out",
}
SAME_MODEL = (
    "**The judge is the model that wrote the pairs.** Such a judge tends to prefer what it wrote itself, and misses "
    "what it does not know; a review by people (`hpc-qa review`) is independent of it."
)
MIXED_IN = (
    "Among the pairs it judged controls, of which it is known whether they are good, without being told which. "
    "Intervals cover 95 %."
)


@dataclass(slots=True)
class Calibration:
    """Counts pairs and controls as they are read."""

    judged: int = 0
    accepted: int = 0
    controls: dict[tuple[bool, str], Counter[bool]] = field(default_factory=lambda: defaultdict(Counter))  # good, kind
    without_verdict: int = 0  # controls

    def add(self, chunk: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> None:
        """Count a chunk, whose pairs and controls are among these records."""
        for record in records:
            if record.get("chunk_id") != chunk["chunk_id"]:
                continue
            if record["kind"] == "pair" and record["clarity"] is not None:
                self.judged += 1
                self.accepted += bool(record["accepted"])
            elif record["kind"] == "control" and record["accepted"] is None:
                self.without_verdict += 1
            elif record["kind"] == "control":
                self.controls[record["good"], record["control"]][bool(record["accepted"])] += 1

    @property
    def acceptance(self) -> Estimate:
        """Share of the judged pairs that the judge accepts."""
        return share(self.accepted, self.judged)

    @property
    def sensitivity(self) -> Estimate:
        """Share of the known-good controls that the judge accepts."""
        return share(*self._right(good=True))

    @property
    def specificity(self) -> Estimate:
        """Share of the known-bad controls that the judge rejects."""
        return share(*self._right(good=False))

    @property
    def corrected(self) -> Estimate:
        """Share of the judged pairs that is good, by what the controls say of the judge's errors."""
        return corrected_rate(self.accepted, self.judged, self._right(good=True), self._right(good=False))

    def by_kind(self) -> dict[str, tuple[bool, Estimate]]:
        """Of each kind of control whether it is good, and how often the judge was right."""
        return {kind: (good, share(said[good], said.total())) for (good, kind), said in sorted(self.controls.items())}

    def _right(self, *, good: bool) -> tuple[int, int]:
        said = [counts for (one, _), counts in self.controls.items() if one == good]
        return sum(counts[good] for counts in said), sum(counts.total() for counts in said)

    def to_json(self) -> dict[str, Any]:
        """As `collect --json` prints it; every share with its 95 % interval and its n."""
        return {
            "judged": self.judged,
            "acceptance_rate": self.acceptance.to_json(),
            "sensitivity": self.sensitivity.to_json(),
            "specificity": self.specificity.to_json(),
            "by_kind": {kind: {"good": good} | right.to_json() for kind, (good, right) in self.by_kind().items()},
            "controls_without_verdict": self.without_verdict,
            "corrected_acceptance_rate": self.corrected.to_json(),
        }

    def of_record(self) -> dict[str, float | None] | None:
        """Under the names of a benchmark record; None where no control was judged."""
        if not self.controls:
            return None
        return {
            "sensitivity": self.sensitivity.value,
            "specificity": self.specificity.value,
            "corrected_acceptance_rate": self.corrected.value,
        }

    def words(self) -> str:
        """For the card."""
        lines = [SAME_MODEL, ""]
        if not self.controls:
            lines.append("No control was judged, so that nothing is known of its errors (`qa.controls.share`).")
            return "\n".join(lines)
        lines += [
            MIXED_IN,
            "",
            "| controls | judged | judge was right |",
            "| --- | ---: | --- |",
        ]
        for kind, (good, right) in self.by_kind().items():
            lines.append(f"| {GOOD if good else 'known bad'}: {WORDS.get(kind, kind)} | {right.n} | {_said(right)} |")
        lines += [
            f"| all known good (sensitivity) | {self.sensitivity.n} | {_said(self.sensitivity)} |",
            f"| all known bad (specificity) | {self.specificity.n} | {_said(self.specificity)} |",
            "",
            f"It accepted {_said(self.acceptance)} of the {plural(self.judged, 'pair')} that it judged.",
            self._corrected_words(),
        ]
        if self.without_verdict:
            lines.append(f"It gave no verdict on {plural(self.without_verdict, 'more control')}.")
        return "\n".join(lines)

    def _corrected_words(self) -> str:
        if self.corrected.value is None:
            return "What that is worth is not known: on the controls it is no better than chance, or a kind is lacking."
        return (
            f"Corrected for its errors on the controls, {_said(self.corrected)} of them are good; where controls are "
            "easier to judge than pairs, fewer."
        )


def _said(one: Estimate) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "not known"
    return f"{100 * one.value:.1f} % ({100 * one.low:.1f} to {100 * one.high:.1f})"
