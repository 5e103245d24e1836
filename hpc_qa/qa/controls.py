"""Controls: pairs of which it is known whether they are good, for the judge to be judged by.

Known bad: a pair that looks acceptable, spoilt without a model in one of five ways. Known good: a question made of the
words of a source sentence, and that sentence as its answer. Which pairs give a control, and of which kind, follows from
their work keys and the seed. The judge's request about a control is built like that about any pair.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hpc_qa.config import Qa
from hpc_qa.documents.chunks import Chunk
from hpc_qa.qa import checks, targets
from hpc_qa.qa.amounts import difference
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.facts import modality, supported_numbers
from hpc_qa.qa.generation import Ask
from hpc_qa.qa.markup import plain
from hpc_qa.qa.openings import whole_question
from hpc_qa.qa.round_trip import token_f1
from hpc_qa.qa.words import content_words

EXTRACTIVE = "extractive"  # the one kind that is good
GOOD_SHARE = 0.5  # of the controls, where both can be made
MOST_SUPPORTED = 0.5  # of an answer's content words in a chunk that does not prove it

_INTEGER = re.compile(r"(?<![\w.,:/-])\d{1,6}(?![\w:/-]|[.,]\d)")
_NOT = re.compile(r"(?<!\bor)\s+not\b(?!\s+(?:only|later|less|more|earlier|fewer))", re.IGNORECASE)
_AUXILIARY = re.compile(r"\b(?:shall|must|may|should|can|will|is|are|was|were)\b(?!\s+not\b)")  # May is a month


_OPPOSITE_BOUNDS = (
    ("at least", "at most"), ("no more than", "no less than"), ("not more than", "not less than"),
    ("more than", "less than"), ("no later than", "no earlier than"), ("or more", "or fewer"),
    ("or older", "or younger"), ("a minimum of", "a maximum of"), ("up to", "at least"), ("within", "no earlier than"),
)  # fmt: skip
_TURNED = {bound: other for pair in _OPPOSITE_BOUNDS for bound, other in (pair, pair[::-1])} | {"at least": "at most"}
_COMPARATOR = re.compile(rf"\b(?:{'|'.join(sorted(_TURNED, key=len, reverse=True))})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Control:
    """A pair that the judge should accept or reject."""

    kind: str  # extractive, or how it was spoilt
    good: bool
    ask: Ask  # whose chunk the judge is shown
    draft: Draft


class Neighbourhood(NamedTuple):
    """What a control can be made of, beside its pair."""

    qa: Qa
    pairs: Sequence[Draft]  # of the same chunk
    other: Chunk | None  # of the same document


def control_of(ask: Ask, draft: Draft, near: Neighbourhood, *, key: str, seed: int) -> Control | None:
    """The control that this judged pair gives: one pair in 1 / `qa.controls.share` does, the same ones each time.

    `key` is the pair's work key. None where it gives none, or where no kind can be made of it.
    """
    if _draw(seed, key, "whether") >= near.qa.controls.share:
        return None
    spoilt = sorted(SPOILERS, key=lambda kind: _draw(seed, key, kind))
    kinds = [EXTRACTIVE, *spoilt] if _draw(seed, key, "good") < GOOD_SHARE else [*spoilt, EXTRACTIVE]
    for kind in kinds:
        make = SPOILERS.get(kind, extractive)
        made = make(ask, draft, near, _draw(seed, key, f"{kind}/how"))
        if made is not None:
            return Control(kind, kind == EXTRACTIVE, *made)
    return None


Made = tuple[Ask, Draft] | None
Maker = Callable[[Ask, Draft, Neighbourhood, float], Made]


def extractive(ask: Ask, _draft: Draft, near: Neighbourhood, drawn: float) -> Made:
    """Of one of the chunk's sentences that make such a question; the pair has to pass every check itself."""
    found = []
    for sentence in ask.chunk.sentences:
        text = ask.chunk.text[sentence.start : sentence.end]
        question = whole_question(plain(text)) if targets.stands_alone(text) else None
        if question is not None:
            one = Draft(question, plain(text), (sentence.number,), (text,), targets.question_type(text))
            if all(checks.check(one, ask.chunk, near.qa).values()):
                found.append(one)
    return (ask, found[int(drawn * len(found))]) if found else None


def number_changed(ask: Ask, draft: Draft, _near: Neighbourhood, drawn: float) -> Made:
    """One whole number of the answer as another one, which neither question nor chunk has."""
    places = list(_INTEGER.finditer(draft.answer))
    if not places:
        return None
    place = places[int(drawn * len(places))]
    known = {code.rstrip("%") for code in supported_numbers(f"{ask.chunk.text} {draft.question} {draft.answer}")}
    old = int(place.group())
    new = next(str(old + step) for step in range(2 + int(drawn * 7), 10_000) if str(old + step) not in known)
    return ask, replace(draft, answer=draft.answer[: place.start()] + new + draft.answer[place.end() :])


def answer_swapped(ask: Ask, draft: Draft, near: Neighbourhood, drawn: float) -> Made:
    """The answer of another pair of the chunk, which rests on other sentences and says something else."""
    others = [
        one
        for one in near.pairs
        if set(one.evidence_numbers).isdisjoint(draft.evidence_numbers)
        and token_f1(one.answer, draft.answer) < MOST_SUPPORTED
        and token_f1(one.question, draft.question) < MOST_SUPPORTED
    ]
    if not others:
        return None
    other = others[int(drawn * len(others))]
    return ask, replace(other, question=draft.question)


def other_evidence(ask: Ask, draft: Draft, near: Neighbourhood, _drawn: float) -> Made:
    """The pair as it is, beside another chunk of its document, which does not prove it."""
    if near.other is None:
        return None
    about, there = content_words(draft.answer), content_words(near.other.text)
    quoted = any(text in near.other.text for text in draft.evidence)
    if quoted or not about or len(about & there) >= MOST_SUPPORTED * len(about):
        return None
    return replace(ask, chunk=near.other), draft


def negation(ask: Ask, draft: Draft, _near: Neighbourhood, _drawn: float) -> Made:
    """The answer without its `not`, or with one behind its first auxiliary verb."""
    answer, removed = _NOT.subn("", draft.answer, count=1)
    if not removed:
        answer, inserted = _AUXILIARY.subn(lambda match: f"{match.group()} not", draft.answer, count=1)
        if not inserted:
            return None
    if ("not" in modality(answer)) == ("not" in modality(draft.answer)):
        return None  # there is another negation, and what both together say is not known
    return ask, replace(draft, answer=answer)


def comparator_changed(ask: Ask, draft: Draft, _near: Neighbourhood, drawn: float) -> Made:
    """A bound of the answer turned round: at least as at most."""
    places = list(_COMPARATOR.finditer(draft.answer))
    if not places:
        return None
    place = places[int(drawn * len(places))]
    other = _TURNED[place.group().lower()]
    other = other[0].upper() + other[1:] if place.group()[0].isupper() else other
    answer = draft.answer[: place.start()] + other + draft.answer[place.end() :]
    return (ask, replace(draft, answer=answer)) if difference(answer, draft.answer) == "comparator" else None


SPOILERS: dict[str, Maker] = {
    "number_changed": number_changed,
    "answer_swapped": answer_swapped,
    "other_evidence": other_evidence,
    "negation": negation,
    "comparator_changed": comparator_changed,
}


def _draw(seed: int, key: str, what: str) -> float:
    """From 0 to 1, the same in every attempt."""
    digest = hashlib.sha256(f"{seed}/{key}/{what}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
