"""Text as `sacct --parsable2` prints it, to rows by column name: nothing is interpreted, and nothing is left out.

The header comes first, columns are any in any order, and fields are separated by a bar or by the unit separator. Names
of jobs, comments and command lines hold whatever somebody typed, bars and ends of lines too: a line with too few fields
continues the one before it, and surplus fields belong to the column of free text, where the header has exactly one.
What cannot be cut for certain stays as a row that says so.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.programs import SEPARATOR

FREE_TEXT = frozenset({"JobName", "Comment", "SubmitLine", "WorkDir", "AdminComment", "SystemComment", "Extra"})
IDS = ("JobID", "JobIDRaw")
# 9, 9_1, 9_[4-10%2], 12+0, 7.batch, 7_1.extern, 7.0
ID = re.compile(r"\d+(_\d+|_\[[^\]]*\]?|\+\d+)?(\.[A-Za-z0-9_+]+)?", re.ASCII)
NEEDED = "JobID or JobIDRaw, State, and Elapsed or ElapsedRaw"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of accounting, as it was printed."""

    line: int  # on which it begins
    text: str  # as it stands there
    fields: dict[str, str]  # by column; those of an unreadable row as far as they can be told
    readable: bool = True


def read_rows(data: bytes) -> Iterator[Row]:
    """The rows of a captured text, one after the other.

    Raises:
        SlurmError: it is no such text, or lacks columns without which nothing can be accounted.
    """
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    header = lines[0]
    separator = SEPARATOR if SEPARATOR in header else "|"
    columns = header.removesuffix(separator).split(separator)
    _check_columns(columns, header)
    closed = header.endswith(separator)  # as `sacct --parsable` ends every line

    def cut(number: int, text: str) -> Row:
        return _row(number, text.removesuffix(separator) if closed else text, columns, separator)

    records = _records(lines[1:], columns, separator, len(columns) + closed)
    return (row for number, parts, whole in records for row in _rows(number, parts, whole, cut))


def _check_columns(columns: Sequence[str], header: str) -> None:
    has = set(columns)
    if not (has & set(IDS)) or "State" not in has or not (has & {"Elapsed", "ElapsedRaw"}):
        shown = header[:80] + "..." * (len(header) > 80)
        raise SlurmError(
            f"no accounting to be read: the first line is {shown!r}, needed are columns {NEEDED}",
            hint="sacct -D -P -o JobID,JobIDRaw,State,ElapsedRaw,AllocTRES,... prints them",
        )
    if twice := sorted(name for name, count in Counter(columns).items() if count > 1):
        raise SlurmError(
            f"no accounting to be read: column {', '.join(twice)} stands in the first line twice",
            hint="capture it again, with every column named once behind -o",
        )


def _records(
    lines: Sequence[str], columns: Sequence[str], separator: str, wanted: int
) -> Iterator[tuple[int, list[str], int]]:
    """Each row of so many fields: its line number, the lines that belong together, and how many of them were a row."""
    where = next(columns.index(name) for name in IDS if name in columns)

    def begins(line: str) -> bool:
        """Whether a row may begin here: its id stands where ids stand."""
        fields = line.split(separator, where + 1)
        return len(fields) > where and ID.fullmatch(fields[where].strip()) is not None

    def whole(text: str) -> bool:
        return text.count(separator) + 1 >= wanted

    def is_new(line: str, following: str, whole_before: bool) -> bool:
        """Whether a line begins a row, and does not continue the one before."""
        if whole(line):
            return whole_before or begins(line)  # a row of its own, also when the one before is cut off
        return whole_before and begins(line) and not (whole(following) and begins(following))

    first, parts, fields, needed = 0, list[str](), 0, 0
    for number, line in enumerate(lines, 2):
        following = lines[number - 1] if number - 1 < len(lines) else ""
        if parts and is_new(line, following, fields >= wanted):
            yield first, parts, needed
            parts = []
        if parts:
            needed += fields < wanted
            parts.append(line)
            fields += line.count(separator)
        elif line.strip():
            first, parts, fields, needed = number, [line], line.count(separator) + 1, 1
    if parts:
        yield first, parts, needed


def _rows(number: int, parts: Sequence[str], needed: int, cut: Callable[[int, str], Row]) -> Iterator[Row]:
    """What some lines are: one row, or, where that cannot be, the row that the first of them were, and a rest.

    A name that stands before the id and goes on over several lines looks like more of the row before it.
    """
    whole = cut(number, "\n".join(parts).rstrip("\n"))
    goes_on = any(line.strip() for line in parts[needed:])
    if _is_one(whole, any_text=not goes_on):
        yield whole
        return
    head = cut(number, "\n".join(parts[:needed])) if goes_on else whole
    if not (goes_on and _is_one(head)):
        yield replace(whole, fields={}, readable=False) if whole.readable else whole
        return
    yield head
    yield Row(number + needed, "\n".join(parts[needed:]).rstrip("\n"), {}, readable=False)


def _is_one(row: Row, *, any_text: bool = False) -> bool:
    """Whether its fields can be those of a row: its id is one, and only free text (or any) goes over several lines."""
    ids = [row.fields[name].strip() for name in IDS if name in row.fields]
    if not row.readable or not any(ID.fullmatch(text) for text in ids):
        return False
    return any_text or not any("\n" in text for name, text in row.fields.items() if name not in FREE_TEXT)


def _row(number: int, text: str, columns: Sequence[str], separator: str) -> Row:
    fields = text.split(separator)
    if len(fields) == len(columns):
        return Row(number, text, dict(zip(columns, fields, strict=True)))
    free = [index for index, name in enumerate(columns) if name in FREE_TEXT]
    if len(fields) > len(columns) and len(free) == 1:
        behind = len(columns) - free[0] - 1
        middle = separator.join(fields[free[0] : len(fields) - behind])
        fields = [*fields[: free[0]], middle, *(fields[len(fields) - behind :] if behind else [])]
        return Row(number, text, dict(zip(columns, fields, strict=True)))
    known = min(free[0], len(fields)) if free else 0  # what stands before any free text
    return Row(number, text, dict(zip(columns[:known], fields[:known], strict=True)), readable=False)
