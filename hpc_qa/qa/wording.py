"""Words that a pair has and its document does not: placeholders, torn words, marks of footnotes.

Forms of writing are compared, meaning is not. Each rule takes only what no sentence of a document reads like, and what
the document itself writes in the same way is never taken.
"""

import re
from collections.abc import Iterator

from hpc_qa.qa.words import has_spaces, words

# A name of a program (date_time, claimId) or a gap to fill in ([date], {name}, <file>, ____).
_TERM = re.compile(
    r"""
      (?<!\w)[^\W\d_]\w*_\w*[^\W_](?!\w)
    | (?<!\w)[a-z]{2,}[a-z\d]*[A-Z]\w*(?!\w)
    | \{+[^{}]{0,40}\}+ | <[A-Za-z][^<>]{0,40}>
    | \[(?!(?i:the|an?|this|that|these|those|its|their|his|her|sic)\b)[A-Za-z]\w*(?:[ _/-]\w+){0,2}\]
    | _{3,} | (?<!\w)X{3,}(?!\w)
    """,
    re.VERBOSE,
)
# The number of a footnote: raised behind a word, a sign or a number that is no base of a power (10⁶, km²), or behind a
# full stop as plain digits, as some PDFs have it: "the rule.3".
_FOOTNOTE = re.compile(
    r"""(?<=[a-z]{3}[.,;:!?])\d{1,3}(?=\s+["'“‘(]?[A-Z]|["'”’)]*\??$)|(?<=[a-z]\))\d{1,2}(?=[\s.,;]|$)"""
    r"|(?:(?<=[^\W\d_]{3})|(?<=[.,;:!?)\]%”’\"])|(?<=\d)(?<!\b10)(?<!\b2))[⁰¹²³⁴-⁹]+"
)
_RUN = 3  # words of an answer that are looked for in its document
_MIN_WORD = 3  # letters of an answer that is a single word
_PREFIXES = frozenset(
    "a ab anti auto bi co de dis en ex fore il im in inter ir mid mis multi non out over post pre pro re semi sub super"
    " trans tri un under up".split()
)
_SUFFIXES = frozenset("s es d ed r er rs ers ing ings ly y ies al n ion ions ment ments".split())
_SENTENCE_END = (".", "!", "?", ":", ";", ")", '"', "”", "'", "’")
_TORN_BEFORE = re.compile(r"[^\W\d_]-\s*\n\s*$")
_TORN_BEHIND = re.compile(r"[^\W\d_]-$")


def invented_terms(text: str, source: str) -> list[str]:
    r"""What the text writes like a name of a program or a gap to fill in, and the source nowhere does.

    >>> invented_terms("Enter date_time and [name] in CL_Type.", r"The field CL\_Type is empty.")
    ['date_time', '[name]']
    """
    known = source.replace("\\", "").casefold()
    return [term for term in _TERM.findall(text) if term.casefold() not in known]


def has_footnote_mark(text: str) -> bool:
    """Whether the number of a footnote hangs on a word.

    >>> has_footnote_mark("Under the rule.3 The fee is due."), has_footnote_mark("Under rule 3. The fee is due.")
    (True, False)
    """
    return _FOOTNOTE.search(text) is not None


def is_torn(answer: str, source: str) -> bool:
    """Whether an answer begins or ends in the middle of a word of its source. Other words than the source's may do so.

    >>> is_torn("mation on benefits", "It gives information on benefits."), is_torn("on benefits", "on all benefits")
    (True, False)
    """
    said, there = words(answer), f" {' '.join(words(source))} "
    if not said or not has_spaces(answer) or said[0].upper() == said[0] or len("".join(said)) < _MIN_WORD:
        return False
    head, tail = " ".join(said[:_RUN]), " ".join(said[-_RUN:])
    if f" {head}" not in there and head in there and _PREFIXES.isdisjoint(_before(head, there)):
        return True
    whole = len(said) < _RUN or answer.rstrip().endswith(_SENTENCE_END) or f"{tail} " in there
    return not whole and tail in there and _SUFFIXES.isdisjoint(_behind(tail, there))


def _before(run: str, there: str) -> Iterator[str]:
    """What stands before the run in the words in which it begins."""
    return (there[there.rfind(" ", 0, place) + 1 : place] for place in _places(run, there))


def _behind(run: str, there: str) -> Iterator[str]:
    """What stands behind the run in the words in which it ends."""
    return (there[place + len(run) : there.find(" ", place + len(run))] for place in _places(run, there))


def _places(run: str, there: str) -> Iterator[int]:
    place = there.find(run)
    while place >= 0:
        yield place
        place = there.find(run, place + 1)


def is_torn_off(text: str, start: int, end: int) -> bool:
    """Whether a stretch of a text begins or ends in the middle of a word, also of one that a line end divides."""
    before, behind = text[max(0, start - 20) : start], text[end : end + 1]
    first, last = text[start : start + 1], text[end - 1 : end]
    inside = _is_inside(before[-1:], first) or _is_inside(last, behind)
    return (
        inside or (first.islower() and bool(_TORN_BEFORE.search(before))) or bool(_TORN_BEHIND.search(text[start:end]))
    )


def _is_inside(left: str, right: str) -> bool:
    """Whether two neighbouring characters are letters of one word, in a script that puts spaces between words."""
    return all(c.isalpha() and c.upper() != c.lower() for c in (left or " ", right or " "))
