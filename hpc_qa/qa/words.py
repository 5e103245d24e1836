"""The words of a text, and what two texts share."""

import re
from collections import Counter
from difflib import SequenceMatcher

_STOP_WORDS = frozenset(
    "a an the and or but if of in on at to for from by with without about into over under as than then so is are was"
    " were be been being has have had do does did done can could may might must shall should will would not no yes"
    " what which who whom whose when where why how it its they their them he she his her we our us you your i me my"
    " this that these those there here one ones any some all each every other such same only also more most less least"
    " very just made used use using purpose main following way kind type sort thing name mean means called many much"
    " happens happen example difference between though although itself therefore thus however".split()
)


def words(text: str) -> list[str]:
    """Runs of letters and digits, in lower case."""
    return re.findall(r"[^\W_]+", text.casefold())


def content_words(text: str) -> set[str]:
    """What the text is about: its words without those of grammar, shortened to a stem of five letters."""
    return {word[:5] for word in words(text) if not is_grammar(word) and (len(word) > 1 or not word.isascii())}


def is_grammar(word: str) -> bool:
    """Whether a word in lower case is one that nearly every sentence has."""
    return word in _STOP_WORDS


def has_spaces(text: str) -> bool:
    """Whether the script puts spaces between words, so that words can be counted."""
    return bool(re.search(r"[A-Za-z]", text)) or len(text.split()) > 1


def common_run(left: str, right: str) -> int:
    """Words in the longest stretch that both texts hold; scripts without spaces count by characters."""
    ours, theirs = words(left), words(right)
    if not has_spaces(left):
        ours, theirs = list("".join(ours)), list("".join(theirs))
    return SequenceMatcher(None, ours, theirs, autojunk=False).find_longest_match().size


def repeats(text: str) -> bool:
    """The same three words three times, one word four times on end, or one character ten times on end."""
    if re.search(r"([^\s.\-_=*])\1{9,}", text) or re.search(r"\b(\w+)(?:\W+\1\b){3,}", text, re.IGNORECASE):
        return True
    found = words(text)
    triples = Counter(zip(found, found[1:], found[2:], strict=False))
    return bool(triples) and max(triples.values()) >= 3
