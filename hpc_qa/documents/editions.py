"""When a document was issued, as far as its path and title say so.

Only what is written is read: a file's time of change says when it was copied. A number that cannot be a year, or that
stands behind the name of a part ("Section 2019"), is none.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

EARLIEST = 1950
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_MONTH = r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
_MONTH += r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_YEAR, _MM, _DD = r"(?P<year>(?:19|20)\d\d)", r"(?P<month>0?[1-9]|1[0-2])", r"(?P<day>0?[1-9]|[12]\d|3[01])"
_GAP = r"[-_., ]*"
_NO_LETTER, _NO_DIGIT = r"(?<![^\W\d_])", r"(?!\d)"

_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d){_YEAR}(?:[-_. ]?(?P<month>0[1-9]|1[0-2])(?:[-_. ]?(?P<day>0[1-9]|[12]\d|3[01]))?)?{_NO_DIGIT}",
        rf"(?<!\d){_MM}(?P<mark>[-_./ ]){_DD}(?P=mark){_YEAR}{_NO_DIGIT}",  # 12-31-2025, as in the United States
        rf"(?<!\d)(?P<day>1[3-9]|2\d|3[01])([-_./ ]){_MM}\2{_YEAR}{_NO_DIGIT}",  # 31.12.2025
        rf"(?<!\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01]){_YEAR}{_NO_DIGIT}",  # 12312025
        rf"(?<!\d)(?<!\d[-_./ ]){_MM}[-_./]{_YEAR}{_NO_DIGIT}",  # 12-2025
        rf"{_NO_LETTER}{_MONTH}{_GAP}(?:{_DD}(?:st|nd|rd|th)?{_GAP}(?<!\d))?{_YEAR}{_NO_DIGIT}",  # December 31, 2025
        rf"(?<!\d){_DD}{_GAP}{_MONTH}{_GAP}{_YEAR}{_NO_DIGIT}",  # 31 December 2025
        rf"(?<!\d){_YEAR}{_GAP}{_MONTH}(?![^\W\d_])(?:{_GAP}{_DD}{_NO_DIGIT})?",  # 2025-Dec-31
        rf"{_NO_LETTER}fy[-_ ]?'?(?P<yy>\d\d){_NO_DIGIT}",  # FY24, the fiscal year
        rf"{_NO_LETTER}rev(?:ised|ision)?{_GAP}(?P<month>0[1-9]|1[0-2])[-_./ ]?(?P<yy>\d\d){_NO_DIGIT}",  # rev0124
        rf"(?<!\d)(?<!\d[-_./]){_MM}(?P<mark>[-_./]){_DD}(?P=mark)(?P<yy>\d\d)(?![-_./]?\d)",  # 01-31-24
    )
]
# A year behind these is of something else: "Section 2019", "the Public Law of 2019".
_PART = re.compile(
    r"(?:\b(?:section|sec|part|chapter|form|cfr)s?\.?|§"
    r"|\b(?:act|law|pub\.? ?l|code|statutes?)\.?(?:\s+(?:of|in))?)\W*\Z",
    re.IGNORECASE,
)
_BEFORE = 20  # characters before a date in which that is looked for


def edition(path: str, title: str | None, *, latest: int | None = None) -> tuple[int, int, int]:
    """The latest date in a file's name and title, as far as they say one: year, month, day, 0 where it is not said.

    Where neither says one, that of its folder counts, the nearest first: it may be when somebody filed the document.
    Years after `latest`, the next one where it is not given, are numbers of something else.

    >>> edition("manuals/2024/provider-2025-07.pdf", "Provider Manual 2023"), edition("guide.pdf", None)
    ((2025, 7, 0), (0, 0, 0))
    >>> edition("archive/2025/manual-FY23.pdf", None), edition("archive/2025/manual.pdf", "The Public Law of 2024")
    ((2023, 0, 0), (2025, 0, 0))
    >>> edition("rules.pdf", "December 2024"), edition("rules 12-31-2024.pdf", None), edition("Section 2082.pdf", None)
    ((2024, 12, 0), (2024, 12, 31), (0, 0, 0))
    """
    until = datetime.now(UTC).year + 1 if latest is None else latest
    *folders, name = path.split("/")
    for text in (f"{name} {title or ''}", *reversed(folders)):
        if found := [date for date in _dates(text) if EARLIEST <= date[0] <= until]:
            return max(found)
    return 0, 0, 0


def _dates(text: str) -> Iterator[tuple[int, int, int]]:
    for pattern in _DATES:
        for match in pattern.finditer(text):
            if not _PART.search(text, max(0, match.start() - _BEFORE), match.start()):
                said = match.groupdict()
                month = _number(said["name"]) if said.get("name") else int(said.get("month") or 0)
                yield int(said.get("year") or 2000 + int(said["yy"])), month, int(said.get("day") or 0)


def _number(month: str) -> int:
    return next(number for number, name in enumerate(_MONTHS, 1) if name.startswith(month[:3].casefold()))
