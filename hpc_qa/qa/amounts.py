"""Whether two texts say the same of an amount that both name: its bound, its unit, its condition, what it belongs to.

"At least 30 days" and "at most 30 days" have the same number. What is compared is what stands beside a number in both;
what only one of them says is no contradiction. Wordings of the same bound ("at least 5", "5 or more", "no fewer than
5") are the same. English; other languages have no finding.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal

from hpc_qa.qa.facts import in_digits
from hpc_qa.qa.opposites import opposed
from hpc_qa.qa.words import content_words

Difference = Literal["comparator", "unit", "condition", "negation", "order"]

_NUMBER = r"(?P<sign>[$€£])?\s?(?P<number>\d+(?:\.\d+)?)(?!\d|\.\d)(?P<percent>\s?%)?"
_FILLER = r"(?:\s+(?:the|an?|of|ages?|about|approximately|is|are|be|than|or|equal|to|only|another|any)){0,4}\s*"
_DOWN = (
    r"at most|no(?:t)? (?:more|greater|later|longer|higher|older|larger|over)(?: than)?"
    r"|(?:not|n't|never|cannot|without)(?: to)?(?: be)? ?exceed(?:ing)?|up to|maximum|max|less than|fewer than"
    r"|under|below|younger than|shorter than|lower than|smaller than|within|≤|<=|<"
)
_UP = (
    r"at least|no(?:t)? (?:less|fewer|sooner|earlier|lower|under|younger|shorter)(?: than)?|minimum|min|more than|over"
    r"|greater than|higher than|longer than|older than|larger than|above|exceed(?:s|ed|ing)?|in excess|≥|>=|>"
)
_BEFORE = re.compile(rf"(?:(?P<down>(?<![a-z])(?:{_DOWN}))|(?P<up>(?<![a-z])(?:{_UP}))){_FILLER}{_NUMBER}")
_BEHIND = re.compile(
    rf"{_NUMBER}(?P<plus>\+)?(?:[ -][a-z]+){{0,3}}? (?:or|and) "
    r"(?:(?P<up>more|over|older|above|greater|higher|longer|later|larger|up)"
    r"|(?P<down>less|fewer|under|younger|below|lower|shorter|earlier|smaller))\b"
)
_WITH_UNIT = re.compile(rf"{_NUMBER}[\s-]?(?P<unit>[a-z]+)?")
_MONEY = {"$": "dollar", "€": "euro", "£": "pound"}
_CLAUSE = re.compile(r"[,;:()]|\b(?:and|or|but|while|whereas)\b")
_UNLESS = re.compile(r"\b(?:unless|except|excepting|excluding)\b")
_IF = re.compile(r"\b(?:if|when|provided that|as long as)\b")
_DENIED = re.compile(
    r"\b(?:not|no|never|none|without|other than|cannot|unless|except|only)\b|n't\b"
    r"|\b(?:non-?[a-z]{4}|un(?!der|til|it|ion|less)[a-z]{3})"
)
_EXCEPTION = re.compile(r"\b(?:unless|except|only|other than|without)\b")
_MODAL = re.compile(r"\b(must|shall|should|may|can|will)(?P<not>(?: \w+)? (?:not|never)|n't|not)?\b|\bwon't\b")


def difference(said: str, source: str) -> Difference | None:
    """How the first text contradicts the second in what stands beside an amount, a condition or a duty.

    >>> difference("at most 30 days", "within 30 days"), difference("at least 30 days", "within 30 days")
    (None, 'comparator')
    >>> difference("30 months", "30 days"), difference("It must be paid if due.", "It must be paid unless due.")
    ('unit', 'condition')
    """
    ours, theirs = in_digits(said).casefold(), in_digits(source).casefold()
    bounds, known = _bounds(ours), _bounds(theirs)
    if any(bounds[number].isdisjoint(known[number]) for number in bounds.keys() & known.keys()):
        return "comparator"
    if _other_units(_units(ours), _units(theirs)):
        return "unit"
    if _other_condition(ours, theirs):
        return "condition"
    if _other_duty(ours, theirs):
        return "negation"
    return "order" if _swapped(ours, theirs) else None


def _bounds(text: str) -> Mapping[str, set[str]]:
    """Of each number, on which sides of it something may lie."""
    found: dict[str, set[str]] = defaultdict(set)
    for pattern in (_BEFORE, _BEHIND):
        for match in pattern.finditer(text):
            found[match["number"]].add("down" if match["down"] else "up")
    return found


def _units(text: str) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for match in _WITH_UNIT.finditer(text):
        if unit := _MONEY.get(match["sign"] or "") or ("percent" if match["percent"] else match["unit"]):
            found[match["number"]].add(unit)
    return found


def _other_units(ours: Mapping[str, set[str]], theirs: Mapping[str, set[str]]) -> bool:
    """Whether a number has a unit here, and only others of its kind there."""
    return any(
        any(opposed([unit], [other]) for other in theirs[number])
        and not any(unit.rstrip("s") == other.rstrip("s") for other in theirs[number])
        for number in ours.keys() & theirs.keys()
        for unit in ours[number]
    )


def _other_condition(ours: str, theirs: str) -> bool:
    """Whether "if" has become "unless", or the other way round; a text that has both says nothing."""
    return any(
        _UNLESS.search(one) and _IF.search(other) and not (_IF.search(one) or _DENIED.search(other))
        for one, other in ((ours, theirs), (theirs, ours))
    )


def _other_duty(ours: str, theirs: str) -> bool:
    """Whether a duty or permission that one text only denies is one that the other only states."""
    if _EXCEPTION.search(ours) or _EXCEPTION.search(theirs):  # "may not, unless" is "may only, if"
        return False
    here, there = _duties(ours), _duties(theirs)
    return any(here[modal].isdisjoint(there[modal]) for modal in here.keys() & there.keys())


def _duties(text: str) -> Mapping[str, set[bool]]:
    found: dict[str, set[bool]] = defaultdict(set)
    for match in _MODAL.finditer(text):
        found[match[1] or "will"].add(bool(match["not"]) or match[1] is None)
    return found


def _swapped(ours: str, theirs: str) -> bool:
    """Whether two amounts have changed places: each stands beside what the other stands beside in the other text."""
    here, there = _beside(ours), _beside(theirs)
    both = sorted(here.keys() & there.keys())
    return any(
        _is_of(here[one], there[other], there[one]) and _is_of(here[other], there[one], there[other])
        for place, one in enumerate(both)
        for other in both[place + 1 :]
    )


def _is_of(words: set[str], these: set[str], those: set[str]) -> bool:
    return bool(words & (these - those)) and not words & (those - these)


def _beside(text: str) -> Mapping[str, set[str]]:
    """What each number's clause is about; a number that stands in two of them says nothing."""
    found: dict[str, set[str]] = {}
    twice = set()
    for clause in _clauses(text):
        for match in re.finditer(_NUMBER, clause):
            number = match["number"]
            if number in found:
                twice.add(number)
            found[number] = {word for word in content_words(clause) if not word.isdigit()}
    return {number: words for number, words in found.items() if number not in twice}


def _clauses(text: str) -> Iterator[str]:
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        yield from _CLAUSE.split(sentence)
