"""What the page says of one value: markup that is safe, keeps the exact number, and says "not known" of a null.

Names and notes come from other people. They are escaped here, and what is no visible character is spelled out.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

NOT_KNOWN = "not known"
MOST_IN_ONE = 24  # characters of an id that stay on one line
NOTHING = 1e-9  # what is smaller comes from rounding


def visible(text: object) -> str:
    r"""The text with everything spelled out that cannot be seen, or is no Unicode at all.

    >>> visible("run\u202e\udcff 1")
    'run\\u202e\\udcff 1'
    """
    return "".join(c if _is_visible(c) else c.encode("unicode_escape").decode() for c in str(text))


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def text(value: object) -> Markup:
    """Words for the page."""
    if value is None:
        return Markup('<span class="unknown">{}</span>').format(NOT_KNOWN)
    return Markup.escape(visible(value))


def identifier(value: object) -> Markup:
    """The id of a run or a record, which breaks behind an underscore or before the time, and never within a date.

    >>> str(identifier("medicaid_batch_50-20260102T030405-0001"))
    '<span class="id">medicaid_batch_50</span><span class="id">-20260102T030405-0001</span>'
    """
    if value is None:
        return text(None)
    parts = [""]
    for piece in re.split(r"(?<=_)|(?=-\d{8}T\d{6})", visible(value)):
        if len(parts[-1] + piece) > MOST_IN_ONE:
            parts.append("")
        parts[-1] += piece
    kept = [part for part in parts if part]
    return Markup("").join(
        Markup('<span class="id">{}</span>').format(part) if len(part) <= MOST_IN_ONE else text(part) for part in kept
    )


def number(value: float | None, unit: str = "", digits: int | None = None) -> Markup:
    """A number, rounded for people, with its exact value for programs.

    >>> number(1234.5678, "GPU-hours"), number(0.25, digits=2)
    (Markup('<data value="1234.5678">1,234.6</data> GPU-hours'), Markup('<data value="0.25">0.25</data>'))
    """
    if value is None:
        return text(None)
    shown = Markup('<data value="{}">{}</data>').format(repr(value), rounded(value, digits))
    return Markup("{} {}").format(shown, unit) if unit else shown


def percent(share: float | None) -> Markup:
    r"""A share from 0 to 1, as percent; the exact value is the share.

    >>> percent(0.99999)
    Markup('<data value="0.99999">&gt;\xa099.9\xa0%</data>')
    """
    if share is None:
        return text(None)
    shown = ">\u00a099.9" if 0.9995 <= share < 1 else rounded(100 * share, 1)
    return Markup('<data value="{}">{}\u00a0%</data>').format(repr(share), shown)


def rounded(value: float, digits: int | None = None) -> str:
    """A number for people: whole ones as they are, one digit from 10, three places that say something below.

    >>> rounded(12), rounded(-1234.56), rounded(0.01234), rounded(3.0), rounded(-0.0)
    ('12', '−1,234.6', '0.0123', '3.00', '0')
    """
    if abs(value) < NOTHING:
        return "0"
    if value < 0:
        return f"\u2212{rounded(-value, digits)}"
    if digits is not None:
        return f"{value:,.{digits}f}"
    if isinstance(value, int):
        return f"{value:,}"
    if value >= 10:
        return f"{value:,.1f}" if value < 10_000 else f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def decimals(values: Iterable[float | None]) -> int | None:
    """Places after the point that numbers of one column share; None where all are small, and each needs its own.

    >>> decimals([104.2, 0.0978]), decimals([4.6, 0.1]), decimals([0.002, None])
    (1, 2, None)
    """
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return 1 if largest >= 100 else 2 if largest >= 1 else None


def interval(values: Mapping[str, Any] | None, unit: str = "", digits: int | None = None) -> Markup:
    """From the 5th to the 95th percentile."""
    low, high = (values.get("p05"), values.get("p95")) if values else (None, None)
    if low is None or high is None:
        return text(None)
    return Markup("{} to {}").format(number(low, digits=digits), number(high, unit, digits))


def total(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """The sum of what is known of these rows; None when that is nothing."""
    known = [row[key] for row in rows if row.get(key) is not None]
    return sum(known) if known else None
