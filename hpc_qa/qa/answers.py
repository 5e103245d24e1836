"""The model's text as drafts of question-answer pairs, with the evidence restored from the source.

The model gives numbers of sentences; the quotation is cut out of the chunk, so it is verbatim by construction. A reply
that cannot be read is a RequestError with a reason. Whether a draft is any good is decided in `checks.py`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpc_qa.errors import RequestError
from hpc_qa.qa.generation import Ask
from hpc_qa.qa.markup import plain
from hpc_qa.qa.targets import question_type

MAX_REPLY_CHARS = 200_000


@dataclass(frozen=True, slots=True)
class Draft:
    """One pair as the model gave it, before any check."""

    question: str
    answer: str
    evidence_numbers: tuple[int, ...]  # as given, those that do not exist included
    evidence: tuple[str, ...]  # verbatim slices of the chunk, one per number that exists
    question_type: str | None  # None: the model named none that was asked for
    difficulty: str | None = None  # None: it was not asked for, or named none


def parse(ask: Ask, text: str, finish_reason: str | None) -> list[Draft]:
    """The drafts in a reply, in its order; fewer than asked for is allowed, none as well.

    Of a reply that ran into `max_tokens` the complete items are taken.

    Raises:
        RequestError: `truncated` or `bad_output`. A second try can help only where sampling has a temperature.
    """
    if len(text) > MAX_REPLY_CHARS:
        raise RequestError("bad_output", f"{len(text)} characters", retryable=ask.temperature > 0)
    if ask.target is not None:
        return [_extractive(ask, ask.target, _load(ask, text, finish_reason))]
    items: Any
    if finish_reason == "length":
        items = _complete_items(text)
        if not items:
            raise RequestError("truncated", "no complete item before max_tokens", retryable=ask.temperature > 0)
    else:
        items = _load(ask, text, finish_reason).get("items")
    if not isinstance(items, list):
        raise RequestError("bad_output", "items is not a list", retryable=ask.temperature > 0)
    drafts = [_abstractive(ask, item) for item in items[: ask.count]]
    return [draft for draft in drafts if draft is not None]


def _load(ask: Ask, text: str, finish_reason: str | None) -> dict[str, Any]:
    try:
        reply = json.loads(text, strict=False)  # a raw line break inside a string is no reason to lose a pair
    except (ValueError, RecursionError) as exc:
        reason = "truncated" if finish_reason == "length" else "bad_output"
        raise RequestError(reason, f"not JSON: {exc}"[:200], retryable=ask.temperature > 0) from exc
    if not isinstance(reply, dict):
        raise RequestError("bad_output", "not a JSON object", retryable=ask.temperature > 0)
    return reply


def _complete_items(text: str) -> list[Any]:
    """The items that a reply finished before it was cut."""
    decoder = json.JSONDecoder(strict=False)
    position = text.find("[") + 1
    items: list[Any] = []
    while position > 0:
        position += len(text[position:]) - len(text[position:].lstrip(" \t\r\n,"))
        try:
            item, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        items.append(item)
    return items


def _extractive(ask: Ask, target: int, reply: dict[str, Any]) -> Draft:
    question = reply.get("question")
    if not isinstance(question, str):
        raise RequestError("bad_output", "no question", retryable=ask.temperature > 0)
    sentence = ask.chunk.sentence(target)
    return Draft(tidy(question), plain(sentence), (target,), (sentence,), question_type(sentence))


def _abstractive(ask: Ask, item: Any) -> Draft | None:
    """One item as a draft; None when it lacks a part. Doubled numbers are given once."""
    if not isinstance(item, dict):
        return None
    question, answer, given = item.get("question"), item.get("answer"), item.get("evidence")
    if not isinstance(question, str) or not isinstance(answer, str) or not isinstance(given, list):
        return None
    numbers = tuple(dict.fromkeys(n for n in given if isinstance(n, int) and not isinstance(n, bool)))
    evidence = tuple(ask.chunk.sentence(n) for n in numbers if 1 <= n <= len(ask.chunk.sentences))
    kind = _one_of(ask.question_types, item.get("question_type")) or _one_of(ask.question_types, "factual")
    level = _one_of(ask.difficulty, item.get("difficulty"))
    return Draft(tidy(question), tidy(answer), numbers, evidence, kind, level)


def _one_of(known: Sequence[str], given: object) -> str | None:
    return given if isinstance(given, str) and given in known else None


def tidy(text: str) -> str:
    """On one line, without control characters, and storable as UTF-8 (JSON can spell half a surrogate pair)."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(clean.split())
