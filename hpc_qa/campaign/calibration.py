"""What the controls of runs say of their judge: how often it was right, and what its acceptance rate is worth.

Controls are records of their own kind (`store.records.ControlRecord`), made by `qa.controls`. Judged pairs are those
with a verdict; a control without one says nothing and is counted apart. Every model with its thresholds is a judge of
its own. Where `qa.accept` asks nothing of it, no score decides: it rejects nothing whatever it thinks, so that only a
reference rule says how far its scores tell good from bad.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpc_qa.qa.agreement import Estimate, share
from hpc_qa.qa.calibration import corrected_rate
from hpc_qa.qa.judge import SCORES
from hpc_qa.units import plural

REFERENCE_MINIMUM = 4  # of every score
REFERENCE = f"every score at least {REFERENCE_MINIMUM}"
NOT_KNOWN = Estimate(None, None, None, 0)

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
NO_SCORE_DECIDES = (
    "No score decides: `qa.accept` asks nothing of the judge, so that every pair with a verdict was accepted and the "
    "rule has neither sensitivity nor specificity."
)
MIXED_IN = (
    "Among the pairs it judged controls, of which it is known whether they are good, without being told which. "
    "Intervals cover 95 %."
)


Counts = dict[tuple[bool, str], Counter[bool]]  # by good and kind, of yes and no


def a_score_decides(qa: Mapping[str, Any], judge_prompt: str | None) -> bool:
    """Whether a verdict can reject a pair: of the settings `qa` of a run and the template of its judge, if known."""
    accept = qa["accept"]
    required = [name for name in accept.get("require", ()) if judge_prompt is None or name in judge_prompt]
    asked = bool(required) or any(accept[f"min_{name}"] is not None for name in SCORES)
    return asked and bool(qa.get("judge", True))


@dataclass(slots=True)
class Calibration:
    """Counts pairs and controls of one judge as they are read."""

    decides: bool = True  # whether its verdict can reject a pair
    judged: int = 0
    accepted: int = 0
    controls: Counts = field(default_factory=lambda: defaultdict(Counter))  # by the rule of the config
    by_reference: Counts = field(default_factory=lambda: defaultdict(Counter))  # by the reference rule
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
                scores = [score for name in SCORES if (score := record.get(name)) is not None]
                if len(scores) == len(SCORES):
                    says_yes = min(scores) >= REFERENCE_MINIMUM
                    self.by_reference[record["good"], record["control"]][says_yes] += 1

    @property
    def acceptance(self) -> Estimate:
        """Share of the judged pairs that the judge accepts."""
        return share(self.accepted, self.judged) if self.decides else NOT_KNOWN

    @property
    def sensitivity(self) -> Estimate:
        """Share of the known-good controls that the judge accepts."""
        return share(*_right(self.controls, good=True)) if self.decides else NOT_KNOWN

    @property
    def specificity(self) -> Estimate:
        """Share of the known-bad controls that the judge rejects."""
        return share(*_right(self.controls, good=False)) if self.decides else NOT_KNOWN

    @property
    def corrected(self) -> Estimate:
        """Share of the judged pairs that is good, by what the controls say of the judge's errors."""
        right = [_right(self.controls, good=good) for good in (True, False)]
        return corrected_rate(self.accepted, self.judged, *right) if self.decides else NOT_KNOWN

    def by_kind(self) -> dict[str, tuple[bool, Estimate]]:
        """Of each kind of control whether it is good, and how often the judge was right."""
        found = _by_kind(self.controls)
        return found if self.decides else {kind: (good, NOT_KNOWN) for kind, (good, _) in found.items()}

    def reference(self) -> dict[str, Any]:
        """How often the judge would have been right by the reference rule, whatever the config asks of it."""
        return {
            "rule": REFERENCE,
            "sensitivity": share(*_right(self.by_reference, good=True)).to_json(),
            "specificity": share(*_right(self.by_reference, good=False)).to_json(),
        }

    def to_json(self) -> dict[str, Any]:
        """As `collect --json` prints it; every share with its 95 % interval and its n."""
        return {
            "judged": self.judged,
            "a_score_decides": self.decides,
            "acceptance_rate": self.acceptance.to_json(),
            "sensitivity": self.sensitivity.to_json(),
            "specificity": self.specificity.to_json(),
            "by_kind": {kind: {"good": good} | right.to_json() for kind, (good, right) in self.by_kind().items()},
            "controls_without_verdict": self.without_verdict,
            "corrected_acceptance_rate": self.corrected.to_json(),
            "reference": self.reference(),
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
        if not self.controls:
            lines = ["No control was judged, so that nothing is known of its errors (`qa.controls.share`)."]
            return "\n".join(lines if self.decides else [NO_SCORE_DECIDES, *lines])
        counts = self.controls if self.decides else self.by_reference
        good, bad = (share(*_right(counts, good=good)) for good in (True, False))
        lines = [MIXED_IN, ""]
        if not self.decides:
            lines = [
                NO_SCORE_DECIDES,
                MIXED_IN,
                f"By a fixed reference rule ({REFERENCE}) it would have been right so often:",
                "",
            ]
        lines += ["| controls | judged | judge was right |", "| --- | ---: | --- |"]
        for kind, (is_good, right) in _by_kind(counts).items():
            lines.append(
                f"| {GOOD if is_good else 'known bad'}: {WORDS.get(kind, kind)} | {right.n} | {_said(right)} |"
            )
        lines += [
            f"| all known good (sensitivity) | {good.n} | {_said(good)} |",
            f"| all known bad (specificity) | {bad.n} | {_said(bad)} |",
        ]
        if self.decides:
            accepted = f"It accepted {_said(self.acceptance)} of the {plural(self.judged, 'pair')} that it judged."
            lines += ["", accepted, self._corrected_words()]
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


class Calibrations:
    """One calibration for each judge: a model with what is asked of its verdict."""

    def __init__(self) -> None:
        self._judges: dict[tuple[str, str], Calibration] = {}

    def of(self, model: str, accepts: str, *, decides: bool) -> Calibration:
        """That of this model and this rule, which is given in words."""
        return self._judges.setdefault((model, accepts), Calibration(decides))

    def to_json(self) -> dict[str, Any]:
        """That of the only judge, and of every judge under `judges`: shares of several are not put together."""
        judges = [
            {"model": model, "accepts": accepts} | one.to_json()
            for (model, accepts), one in sorted(self._judges.items())
        ]
        if len(judges) == 1:
            return {**judges[0], "judges": judges}
        none = Calibration(decides=False)
        none.judged = sum(one.judged for one in self._judges.values())
        none.without_verdict = sum(one.without_verdict for one in self._judges.values())
        decides = any(one.decides for one in self._judges.values()) if judges else None
        return none.to_json() | {"a_score_decides": decides, "judges": judges}

    def words(self) -> str:
        """For the card; of several judges each under its name."""
        if len(self._judges) < 2:
            return "\n\n".join([SAME_MODEL, *(one.words() for one in self._judges.values())])
        parts = [
            f"{model}, accepting {accepts}:\n\n{one.words()}" for (model, accepts), one in sorted(self._judges.items())
        ]
        return "\n\n".join([SAME_MODEL, *parts])


def _right(counts: Counts, *, good: bool) -> tuple[int, int]:
    said = [one for (kind_is_good, _), one in counts.items() if kind_is_good == good]
    return sum(one[good] for one in said), sum(one.total() for one in said)


def _by_kind(counts: Counts) -> dict[str, tuple[bool, Estimate]]:
    return {kind: (good, share(said[good], said.total())) for (good, kind), said in sorted(counts.items())}


def _said(one: Estimate) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "not known"
    return f"{100 * one.value:.1f} % ({100 * one.low:.1f} to {100 * one.high:.1f})"
