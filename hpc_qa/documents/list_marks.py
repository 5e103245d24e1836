"""The marks of lists as text: (b), iv., 4.1.2.

A rule is quoted by the mark of its paragraph, so a mark that Markdown has no list for is written in front of the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hpc_qa.documents.splices import Edit, spliced

MAX_NUMBER = 100_000  # a greater one is written in digits
_MAX_LETTERS = 26 * 20  # as Word, which repeats a letter: z is followed by aa, bb
_MAX_ROMAN = 3999
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
    (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_TAG = re.compile(r"<(/?)(ol|ul|li)(\s[^<>]{0,2000})?>(\s{0,100}<p(?:\s[^<>]{0,500})?>)?", re.IGNORECASE)
_ATTRIBUTE = r"(?:^|[\s\"']){}\s*=\s*[\"']?\s*({})(?![\w-])"
_TYPE = re.compile(_ATTRIBUTE.format("type", "[aAiI]"))
_NUMBER = {name: re.compile(_ATTRIBUTE.format(name, r"-?\d{1,6}"), re.IGNORECASE) for name in ("start", "value")}
_STYLE = re.compile(r"list-style(?:-type)?\s*:\s*(lower|upper)-(alpha|latin|roman)", re.IGNORECASE)


def letters(number: int) -> str:
    """The number as small letters, as Word counts: after z come aa, bb.

    >>> letters(2), letters(27), letters(28)
    ('b', 'aa', 'bb')
    """
    if not 0 < number <= _MAX_LETTERS:
        return str(number)
    return chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)


def alphabetic(number: int) -> str:
    """The number as small letters, as a browser counts: after z come aa, ab.

    >>> alphabetic(2), alphabetic(27), alphabetic(28)
    ('b', 'aa', 'ab')
    """
    if not 0 < number <= MAX_NUMBER:
        return str(number)
    text = ""
    while number:
        number, place = divmod(number - 1, 26)
        text = chr(ord("a") + place) + text
    return text


def roman(number: int) -> str:
    """The number as small Roman numerals.

    >>> roman(4), roman(1998), roman(0)
    ('iv', 'mcmxcviii', '0')
    """
    if not 0 < number <= _MAX_ROMAN:
        return str(number)
    text = ""
    for value, numeral in _ROMAN:
        times, number = divmod(number, value)
        text += numeral * times
    return text


@dataclass(slots=True)
class _List:
    opening: re.Match[str]
    is_ordered: bool
    items: list[re.Match[str]] = field(default_factory=list)


def marked_lists(html: str) -> str:
    """The source of a page with the marks of its lists of letters, Roman numerals and single numbers as text.

    >>> marked_lists('<ol type="a"><li>One</li></ol>')
    '<ul><li>a. One</li></ul>'
    """
    return spliced(html, sorted(edit for found, end in _lists(html) for edit in _edits(found, end)))


def _lists(html: str) -> Iterator[tuple[_List, re.Match[str]]]:
    """Each ordered list that is closed, with its end."""
    opened: list[_List] = []
    for match in _TAG.finditer(html):
        name, closes = match.group(2).lower(), bool(match.group(1))
        if name == "li":
            if opened and not closes:
                opened[-1].items.append(match)
        elif not closes:
            opened.append(_List(match, name == "ol"))
        elif opened and opened[-1].is_ordered == (name == "ol"):
            found = opened.pop()
            if found.is_ordered:
                yield found, match


def _edits(found: _List, end: re.Match[str]) -> Iterator[Edit]:
    """What makes a list without numbers of one whose marks are text."""
    attributes = found.opening.group(3) or ""
    kind = _kind(attributes)
    values = [_number("value", item.group(3) or "") for item in found.items]
    if kind == "1" and not any(value is not None for value in values):
        return
    yield *_span(found.opening), "<ul>"
    yield *_span(end), "</ul>"
    start = _number("start", attributes)
    number = 1 if start is None else start
    for item, value in zip(found.items, values, strict=True):
        number = number if value is None else value
        yield item.end(), item.end(), f"{_written(number, kind)}. "
        number += 1


def _span(tag: re.Match[str]) -> tuple[int, int]:
    """Where a tag is, without the paragraph that begins behind it."""
    return tag.start(), tag.start(4) if tag.group(4) else tag.end()


def _kind(attributes: str) -> str:
    """As the attribute `type` says it: a, A, i, I or 1; a style comes before it."""
    if style := _STYLE.search(attributes):
        letter = "i" if style.group(2).lower() == "roman" else "a"
        return letter.upper() if style.group(1).lower() == "upper" else letter
    match = _TYPE.search(attributes)
    return match.group(1) if match else "1"


def _number(name: str, attributes: str) -> int | None:
    match = _NUMBER[name].search(attributes)
    return int(match.group(1)) if match else None


def _written(number: int, kind: str) -> str:
    if kind == "1":
        return str(number)
    text = alphabetic(number) if kind in "aA" else roman(number)
    return text.upper() if kind.isupper() else text
