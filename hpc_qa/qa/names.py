"""The names in a question: what it is about that no list of words can know.

A word that begins with a capital is a name, unless it is one with which sentences begin; states and countries are names
in small letters as well. Two questions with other names are two questions, however alike their words are. In a
language that capitalises every noun this keeps more questions apart than it has to.
"""

import re
from collections import defaultdict

from hpc_qa.qa.places import COUNTRIES, US_STATES

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


def _by_first_word() -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for place in (*US_STATES, *COUNTRIES):
        words = tuple(place.split())
        found[words[0]].append(words)
    return dict(found)


_PLACES = _by_first_word()


def names(text: str) -> frozenset[str]:
    """The words of names, in lower case.

    >>> sorted(names("Which form does Ohio ask for?")), sorted(names("which form do north dakota and ohio ask for?"))
    (['ohio'], ['dakota', 'north', 'ohio'])
    """
    words = _WORD.findall(text)
    found = {low for word in words if word[0].isupper() and (low := word.casefold()) not in _OPENERS}
    folded = [word.casefold() for word in words]
    if not _PLACES.keys().isdisjoint(folded):
        for position, low in enumerate(folded):
            for place in _PLACES.get(low, ()):
                if tuple(folded[position : position + len(place)]) == place:
                    found.update(place)
    return frozenset(found)
