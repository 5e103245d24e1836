"""The judge: the model's opinion of a pair as three scores from 1 to 5, and what follows from it.

The judge's request begins exactly as the generation request did, so most of it is in the server's prefix cache. A reply
without three usable scores is no verdict, which is not a score of any kind.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpc_qa.config import Accept
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.generation import Ask
from hpc_qa.qa.prompts import Message, Prompts, one_line

SCORES = ("clarity", "accuracy", "relevance")
MAX_TOKENS = 160
TEMPERATURE = 0.0

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 200},
        **{name: {"type": "integer", "enum": [1, 2, 3, 4, 5]} for name in SCORES},
    },
    "required": list(SCORES),
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge said about one pair."""

    clarity: int
    accuracy: int
    relevance: int
    reason: str | None = None


def messages(prompts: Prompts, ask: Ask, draft: Draft) -> tuple[Message, ...]:
    """The judge's chat: the beginning of the ask's own, then the pair."""
    evidence = "\n".join(one_line(text) for text in draft.evidence)
    instruction = prompts.fill("judge", question=draft.question, answer=draft.answer, evidence=evidence)
    return prompts.messages(ask.document(prompts), instruction)


def parse(text: str) -> Verdict | None:
    """The verdict in a reply, or None: no verdict."""
    try:
        reply = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict):
        return None
    clarity, accuracy, relevance = (_score(reply.get(name)) for name in SCORES)
    if clarity is None or accuracy is None or relevance is None:
        return None
    reason = reply.get("reason")
    return Verdict(clarity, accuracy, relevance, reason if isinstance(reason, str) and reason else None)


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
    """Whether a pair counts, and if not the first reason why: a check's name, `no_verdict`, or `clarity_below_4`.

    `judged` is false in a run without a judge: then the checks decide alone.
    """
    failed = next((name for name, passed in checks.items() if not passed), None)
    if failed is not None:
        return False, failed
    if not judged:
        return True, None
    if verdict is None:
        return (True, None) if accept.unjudged == "accept" else (False, "no_verdict")
    for name in SCORES:
        minimum = getattr(accept, f"min_{name}")
        if minimum is not None and getattr(verdict, name) < minimum:
            return False, f"{name}_below_{minimum}"
    return True, None
