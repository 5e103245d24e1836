"""The way of one pair: checks, round trip, judge, and the judge again where it is close; and whether it counts then.

A pair says which replies it waits for (`Want`) and takes them; an `Examiner` knows the rules. Sending a request, and
what a pair's end means for its chunk, is the worker's affair.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hpc_qa.config import Qa
from hpc_qa.documents.chunks import Chunk
from hpc_qa.qa import checks, judge, round_trip
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.generation import Ask
from hpc_qa.qa.judge import Verdict
from hpc_qa.qa.prompts import Message, Prompts
from hpc_qa.qa.round_trip import Answered

ROUND_TRIP_REASONS = ("round_trip", "no_round_trip")


@dataclass(slots=True)
class Pair:
    """One question and answer, and what was found out about it so far."""

    item: int  # which of its chunk's pairs
    ask: Ask
    draft: Draft
    checks: Mapping[str, bool]
    regeneration: int = 0  # how often its chunk had been asked again before
    answered: Answered | None = None
    round_trip: bool = False  # whether it was asked
    judged: bool = False  # whether the judge was asked
    verdicts: dict[int, Verdict] = field(default_factory=dict)  # by number of the judgement

    @property
    def verdict(self) -> Verdict | None:
        """What the judge says, all in all."""
        return judge.median([verdict for _, verdict in sorted(self.verdicts.items())])


@dataclass(frozen=True, slots=True)
class Want:
    """A request that a pair waits for."""

    kind: Literal["round_trip", "judge"]
    number: int  # of this kind for this pair, from 0
    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    max_tokens: int
    temperature: float


class Examiner:
    """The rules of a run."""

    def __init__(self, qa: Qa, prompts: Prompts) -> None:
        self.qa = qa
        self._prompts = prompts
        self._binaries = judge.asked(prompts)

    def check(self, draft: Draft, chunk: Chunk) -> dict[str, bool]:
        """The deterministic checks."""
        return checks.check(draft, chunk, self.qa, examples=self._prompts.examples)

    def begin(self, pair: Pair) -> list[Want]:
        """What a new pair waits for; nothing when it failed a check."""
        if not all(pair.checks.values()):
            return []
        if not self.qa.round_trip.enabled:
            return self.to_judge(pair)
        pair.round_trip = True
        messages = round_trip.messages(self._prompts, pair.ask, pair.draft)
        return [Want("round_trip", 0, messages, round_trip.SCHEMA, round_trip.MAX_TOKENS, round_trip.TEMPERATURE)]

    def to_judge(self, pair: Pair) -> list[Want]:
        """Its first judgement."""
        if not self.qa.judge:
            return []
        pair.judged = True
        return self._judgements(pair, range(1))

    def take(self, pair: Pair, want: Want, text: str | None) -> list[Want]:
        """Take the reply, None where there is none; what the pair waits for then, beside what is still out."""
        if want.kind == "round_trip":
            if text is not None:
                pair.answered = round_trip.parse(text, pair.draft, self.qa.round_trip.min_token_f1)
            return [] if self._round_trip_failure(pair) else self.to_judge(pair)
        verdict = None if text is None else judge.parse(text, self._binaries)
        if verdict is None:
            return []
        pair.verdicts[want.number] = verdict
        if want.number == 0 and judge.near_threshold(verdict, self.qa.accept):
            return self._judgements(pair, range(1, self.qa.judge_repeats))
        return []

    def outcome(self, pair: Pair) -> tuple[bool, str | None]:
        """Whether a pair that waits for nothing counts, and if not why."""
        if pair.round_trip and (failure := self._round_trip_failure(pair)):
            return False, failure
        return judge.accepted(pair.checks, pair.verdict, self.qa.accept, judged=self.qa.judge)

    def _round_trip_failure(self, pair: Pair) -> str | None:
        if pair.answered is None:
            return None if self.qa.accept.unjudged == "accept" else "no_round_trip"
        return "round_trip" if pair.answered.differs else None

    def _judgements(self, pair: Pair, numbers: Sequence[int]) -> list[Want]:
        messages = judge.messages(self._prompts, pair.ask, pair.draft)
        schema = judge.schema(self._binaries)
        return [
            Want(
                "judge", number, messages, schema, judge.MAX_TOKENS,
                judge.REPEAT_TEMPERATURE if number else judge.TEMPERATURE,
            )
            for number in numbers
        ]  # fmt: skip
