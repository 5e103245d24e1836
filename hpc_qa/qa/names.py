"""The names in a text: what it is about that no list of words can know.

A word that begins with a capital is a name, unless it is one with which sentences begin; states and countries are names
in small letters as well. Two questions with other names are two questions, however alike their words are. In a
language that capitalises every noun this keeps more questions apart than it has to.
"""

import itertools
import re
from collections import defaultdict

from hpc_qa.qa.places import ABBREVIATIONS, COUNTRIES, POSTAL_CODES, US_STATES

_WORD = re.compile(r"[^\W\d_]+")
# Capitalised at the beginning of a sentence without being a name.
_OPENERS = frozenset(
    "a an the and or but if of in on at to for from by with without about into over under as than then so is are was"
    " were be been has have had do does did done can could may might must shall should will would not no yes i what"
    " which who whom whose when where why how it its they their them he she his her we our us you your my this that"
    " these those there here one any some all each every other such same only also more most after before during since"
    " until through within against besides according given per upon between among while because whether both either"
    " neither please kindly tell explain describe list name give say hello hi quick question next now just"
    " finally".split()
)


_ACRONYM = re.compile(r"(?<![^\W_])(?<!-)[A-Z]{2,}(?![^\W_]|-\w)")  # CMS, not that of CMS-64


def _by_first_word() -> dict[str, list[tuple[str, ...]]]:
    """The words of every place, the longest place first."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for place in sorted((*US_STATES, *COUNTRIES), key=lambda place: -len(place.split())):
        words = tuple(place.split())
        found[words[0]].append(words)
    return dict(found)


_PLACES = _by_first_word()
_PLACE_WORDS = frozenset(word for place in (*US_STATES, *COUNTRIES) for word in place.split())
_STATES = frozenset(US_STATES)


def names(text: str) -> frozenset[str]:
    """The words of names, in lower case.

    A capital A that begins no text is a name, and an I behind another name: vitamin A, Phase I.

    >>> sorted(names("Which form does Ohio ask for?")), sorted(names("which form do north dakota and ohio ask for?"))
    (['ohio'], ['dakota', 'north', 'ohio'])
    >>> sorted(names("What may I ask of Type I?")), sorted(names("Who needs vitamin A?"))
    (['i', 'type'], ['a'])
    """
    words = _WORD.findall(text)
    found = {low for word in words if word[0].isupper() and (low := word.casefold()) not in _OPENERS}
    folded = [word.casefold() for word in words]
    if "A" in words[1:]:
        found.add("a")
    if "I" in words[1:] and any(_is_name(before) for before, word in itertools.pairwise(words) if word == "I"):
        found.add("i")
    if not _PLACES.keys().isdisjoint(folded):
        for position, low in enumerate(folded):
            for place in _PLACES.get(low, ()):
                if tuple(folded[position : position + len(place)]) == place:
                    found.update(place)
    return frozenset(found)


def _is_name(word: str) -> bool:
    return word[0].isupper() and word.casefold() not in _OPENERS


def acronyms(text: str) -> frozenset[str]:
    """Words in capitals, in lower case, where a text has small letters as well: PATH is not path.

    Places are none: OHIO is Ohio. Of a text in one case alone nothing is known.

    >>> sorted(acronyms("Which PATH does CMS-64 of OHIO take?")), sorted(acronyms("WHICH PATH?"))
    (['path'], [])
    """
    found = _ACRONYM.findall(text)
    if not found or text.isupper():
        return frozenset()
    return frozenset(word.casefold() for word in found) - _PLACE_WORDS - _OPENERS


def places(text: str, *, any_case: bool = True) -> frozenset[str]:
    """The states of the United States and the countries that a text names, in lower case.

    The longest name counts: in West Virginia there is no Virginia. With `any_case` false a country needs its capital:
    a turkey is a bird.

    >>> sorted(places("from west virginia to Turkey")), sorted(places("a turkey of ohio", any_case=False))
    (['turkey', 'west virginia'], ['ohio'])
    """
    words = _WORD.findall(text)
    folded = [word.casefold() for word in words]
    found: set[str] = set()
    if _PLACES.keys().isdisjoint(folded):
        return frozenset()
    position = 0
    while position < len(words):
        match = next(
            (one for one in _PLACES.get(folded[position], ()) if tuple(folded[position : position + len(one)]) == one),
            (),
        )
        place = " ".join(match)
        if match and (any_case or place in _STATES or words[position][0].isupper()):
            found.add(place)
        position += len(match) or 1
    return frozenset(found)


def supported_places(source: str) -> frozenset[str]:
    """What a text may name of its source: its places, also as abbreviations ("OH", "U.S.") or of people ("Ohioans")."""
    found = set(places(source))
    found.update(POSTAL_CODES[code] for code in re.findall(r"\b[A-Z]{2}\b", source) if code in POSTAL_CODES)
    found.update(place for place, pattern in ABBREVIATIONS.items() if re.search(pattern, source))
    for word in {word.casefold() for word in _WORD.findall(source) if word[0].isupper()}:
        found.update(
            word[:end]
            for end in range(max(4, len(word) - 3), len(word))
            if (word[:end],) in _PLACES.get(word[:end], ())
        )
    return frozenset(found)
