"""Markdown of the benchmark document: text that is safe in it, numbers for people, tables.

Names come from other people: nothing in them becomes markup, a mark of a place, or a character that cannot be seen.
"""

import re
from collections.abc import Iterable, Sequence

from hpc_qa.report.cells import NOT_KNOWN, rounded, visible

MARKUP = re.compile(r"[\\`*\[\]<>|~]")


def words(value: object) -> str:
    r"""Text for the document.

    >>> words("a|b <!-- x"), words(None), words("batch_50")
    ('a\\|b \\<!-- x', 'not known', 'batch_50')
    """
    return NOT_KNOWN if value is None else MARKUP.sub(r"\\\g<0>", visible(value))


def number(value: float | None, unit: str = "", digits: int | None = None) -> str:
    """A number, rounded for people.

    >>> number(1234.56, "hours"), number(None, "hours"), number(0.25, "%", digits=1)
    ('1,234.6 hours', 'not known', '0.2 %')
    """
    if value is None:
        return NOT_KNOWN
    return f"{rounded(value, digits)} {unit}".rstrip()


def percent(share: float | None) -> str:
    """A share from 0 to 1.

    >>> percent(0.1234), percent(None)
    ('12.3 %', 'not known')
    """
    return number(None if share is None else 100 * share, "%")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown already.

    >>> print(table(["a", "b"], [["1", "2"]]), end="")
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and what they are."""
    return "".join(f"- **{name}**: {value}\n" for name, value in pairs)


def checklist(items: Iterable[tuple[str, bool, str]]) -> str:
    """Items with a tick where they are met: (what is asked, whether it is met, by what).

    >>> print(checklist([("Commit", True, "abc"), ("Review", False, "no rating")]), end="")
    - [x] Commit: abc
    - [ ] Review: not met, no rating
    """
    lines = (f"- [{'x' if met else ' '}] {name}: {'' if met else 'not met, '}{why}\n" for name, met, why in items)
    return "".join(lines)


def chapter(title: str, *parts: str, level: int = 2) -> str:
    """A heading with what stands below it, each part apart from the next by an empty line."""
    return "\n".join([f"{'#' * level} {title}\n", *(part for part in parts if part)])


def to_be_filled(after: str) -> str:
    """What an empty section says."""
    return f"_To be filled after {after}._\n"
