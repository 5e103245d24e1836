"""The judge: the model's opinion of a pair, and what follows from it.

A verdict is a reason, three scores from 1 to 5 and up to three binaries. The judge's request begins exactly as the
generation request did, so most of it is in the server's prefix cache. A reply without every score and every binary that
was asked for is no verdict, which is not a score of any kind.
"""

import json
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpc_qa.config import BINARIES, Accept
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.generation import Ask
from hpc_qa.qa.prompts import Message, Prompts, one_line

SCORES = ("clarity", "accuracy", "relevance")
MAX_TOKENS = 200
TEMPERATURE = 0.0
REPEAT_TEMPERATURE = 0.7  # of every judgement of a pair but the first: at 0 they would all say the same


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge said about one pair."""

    clarity: int
    accuracy: int
    relevance: int
    reason: str | None = None
    grounded: bool | None = None  # None: it was not asked
    answerable: bool | None = None
    self_contained: bool | None = None


def asked(prompts: Prompts) -> tuple[str, ...]:
    """The binaries that the prompt asks for: one that it does not name is neither in the schema nor in a verdict."""
    return tuple(name for name in BINARIES if name in prompts.templates["judge"])


def schema(binaries: Sequence[str] = BINARIES) -> dict[str, Any]:
    """What a reply must look like: the reason stands first, so that the rest follows from it."""
    properties: dict[str, Any] = {"reason": {"type": "string", "maxLength": 160}}
    properties |= {name: {"type": "integer", "enum": [1, 2, 3, 4, 5]} for name in SCORES}
    properties |= {name: {"type": "boolean"} for name in binaries}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def messages(prompts: Prompts, ask: Ask, draft: Draft) -> tuple[Message, ...]:
    """The judge's chat: the beginning of the ask's own, then the pair."""
    evidence = "\n".join(one_line(text) for text in draft.evidence)
    instruction = prompts.fill("judge", question=draft.question, answer=draft.answer, evidence=evidence)
    return prompts.messages(ask.document(prompts), instruction)


def parse(text: str, binaries: Collection[str] = ()) -> Verdict | None:
    """The verdict in a reply, or None: no verdict. `binaries` are those that were asked for."""
    try:
        reply = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict):
        return None
    clarity, accuracy, relevance = (_score(reply.get(name)) for name in SCORES)
    if clarity is None or accuracy is None or relevance is None:
        return None
    said = {name: reply.get(name) for name in binaries}
    if not all(isinstance(value, bool) for value in said.values()):
        return None
    reason = reply.get("reason")
    return Verdict(clarity, accuracy, relevance, reason if isinstance(reason, str) and reason else None, **said)


def _score(value: object) -> int | None:
    return value if type(value) is int and 1 <= value <= 5 else None


def quality_score(verdict: Verdict | None) -> float | None:
    """Mean over the three of (score - 1) / 4; None without a verdict.

    >>> quality_score(Verdict(5, 5, 2))
    0.75
    """
    if verdict is None:
        return None
    scores = (verdict.clarity, verdict.accuracy, verdict.relevance)
    return sum((score - 1) / 4 for score in scores) / len(scores)


def accepted(
    checks: Mapping[str, bool], verdict: Verdict | None, accept: Accept, *, judged: bool = True
) -> tuple[bool, str | None]:
    """Whether a pair counts, and if not the first reason why.

    A reason is a check's name, `no_verdict`, `not_grounded`, or `clarity_below_4`. `judged` is false in a run without a
    judge: then the checks decide alone.
    """
    failed = next((name for name, passed in checks.items() if not passed), None)
    if failed is not None:
        return False, failed
    if not judged:
        return True, None
    if verdict is None:
        return (True, None) if accept.unjudged == "accept" else (False, "no_verdict")
    for binary in accept.require:
        if getattr(verdict, binary) is False:
            return False, f"not_{binary}"
    for name, minimum in _minima(accept).items():
        if getattr(verdict, name) < minimum:
            return False, f"{name}_below_{minimum}"
    return True, None


def near_threshold(verdict: Verdict, accept: Accept) -> bool:
    """Whether a second look may decide otherwise.

    So it is where one point more or less of every score changes what the scores decide, and where a required binary
    disagrees with the others or with the scores.
    """
    minima = _minima(accept).items()
    least = min((getattr(verdict, name) - minimum for name, minimum in minima), default=None)
    if least in (-1, 0):
        return True
    said = {getattr(verdict, name) for name in accept.require} - {None}
    return bool(said) and said != {least is None or least >= 0}


def median(verdicts: Sequence[Verdict]) -> Verdict | None:
    """What several verdicts on one pair say together: the middle of each score, the majority of each binary.

    Where their number is even, because one gave no verdict, the lower middle counts, and as many noes as ayes are no.
    The reason is that of the first. None without a verdict.
    """
    if not verdicts:
        return None
    said: dict[str, Any] = {name: statistics.median_low(getattr(one, name) for one in verdicts) for name in SCORES}
    said |= {name: _majority([getattr(one, name) for one in verdicts]) for name in BINARIES}
    return Verdict(reason=verdicts[0].reason, **said)


def _minima(accept: Accept) -> dict[str, int]:
    minima = {name: getattr(accept, f"min_{name}") for name in SCORES}
    return {name: minimum for name, minimum in minima.items() if minimum is not None}


def _majority(said: Sequence[bool | None]) -> bool | None:
    known = [one for one in said if one is not None]
    return sum(known) * 2 > len(known) if known else None
