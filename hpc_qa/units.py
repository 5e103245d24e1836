"""Sizes, durations and times: text to numbers and back.

Numbers carry their unit in the name everywhere (`timeout_s`, `size_bytes`). GB is 10^9 bytes, GiB is 2^30.
"""

import re
from datetime import UTC, datetime

SMALL_BYTES = 1_000_000
LARGE_BYTES = 10_000_000


def parse_clock(text: str) -> int:
    """Seconds of a Slurm time limit: "MM", "MM:SS", "HH:MM:SS", "D-HH", "D-HH:MM", "D-HH:MM:SS" (sbatch(1), --time).

    Raises:
        ValueError: the text is none of these.

    >>> parse_clock("04:00:00"), parse_clock("1-12"), parse_clock("90")
    (14400, 129600, 5400)
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d{1,2}))?(?::(\d{1,2}))?", text.strip(), re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is not a time; write HH:MM:SS, as sbatch --time does")
    days, first, second, third = match.groups()
    if days is not None:
        hours, minutes, seconds = int(first), int(second or 0), int(third or 0)
        return int(days) * 86400 + hours * 3600 + minutes * 60 + seconds
    if third is not None:
        return int(first) * 3600 + int(second or 0) * 60 + int(third)
    return int(first) * 60 + int(second or 0)


def clock(seconds: float) -> str:
    """Seconds as HH:MM:SS, with days in front when there are any.

    >>> clock(3725), clock(90061)
    ('01:02:05', '1-01:01:01')
    """
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text


def duration(seconds: float | None) -> str:
    """A duration for people.

    >>> duration(4.21), duration(75), duration(7500), duration(None)
    ('4.2 s', '1 min 15 s', '2 h 05 min', 'unknown')
    """
    if seconds is None:
        return "unknown"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def number(value: float) -> str:
    """A measured figure for people, with three digits or more.

    >>> number(0.25962), number(8), number(12.345), number(1234.5), number(-0.0)
    ('0.26', '8', '12.3', '1,234', '0')
    """
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if size >= 10 else f"{value + 0:.3g}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """How many of something, for people; `many` is for what an s at its end does not make plural.

    >>> plural(1, "document"), plural(1234, "array task"), plural(1, "copy is", "copies are"), plural(0, "pair")
    ('1 document', '1,234 array tasks', '1 copy is', '0 pairs')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def size_class(size_bytes: int) -> str:
    """The size class of a file: small < 1 MB <= medium < 10 MB <= large."""
    if size_bytes < SMALL_BYTES:
        return "small"
    return "medium" if size_bytes < LARGE_BYTES else "large"


def utc_now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """A moment as part of a file's name, in UTC.

    >>> stamp(datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC))
    '20260102T030405.678Z'
    """
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC to the millisecond, with a Z.

    >>> iso(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
