"""Costs of documents: the table that a forecast is made from.

One line for each document of the corpus, `doc_id,size,task_id,gpu_hours`: done ones with what they cost, the others
with none. All faults of a table come in one error, each with its line number.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from hpc_qa.errors import ManifestError
from hpc_qa.units import plural

COLUMNS = ("doc_id", "size", "task_id", "gpu_hours")
LARGEST = 1e15
MAX_FAULTS = 50
FORMAT = (
    f"a line for each document of the corpus, with the header {','.join(COLUMNS)}; no gpu_hours: not done yet, and "
    "task_id is then the plan: any name for each array task, left-1 say"
)


class DocumentCost(NamedTuple):
    """One document of the corpus."""

    doc_id: str
    size: float  # in any unit that the work grows with: tokens, pages, bytes
    task_id: str  # the array task that did it, or is planned to
    gpu_hours: float | None  # None: not done yet


def read_costs(path: Path) -> list[DocumentCost]:
    """The documents of a table.

    Raises:
        ManifestError: it cannot be read, holds nothing, or lines of it are wrong.
    """
    faults: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            costs = list(_costs(csv.DictReader(stream), path, faults))
    except OSError as exc:
        raise ManifestError(f"{path}: cannot be read: {exc.strerror}", hint=FORMAT) from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise ManifestError(f"{path}: is no CSV: {exc}", hint=FORMAT) from exc
    if not costs and not faults:
        faults.append(f"{path}: no document in it")
    if faults:
        more = len(faults) - MAX_FAULTS
        raise ManifestError(
            *faults[:MAX_FAULTS], *([f"{path}: and {plural(more, 'more fault')}"] * (more > 0)), hint=FORMAT
        )
    return costs


def costs_csv(costs: Iterable[DocumentCost]) -> bytes:
    """The table of these documents, as `read_costs` reads it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((one.doc_id, one.size, one.task_id, one.gpu_hours) for one in costs)
    return text.getvalue().encode()


def _costs(rows: "csv.DictReader[str]", path: Path, faults: list[str]) -> Iterator[DocumentCost]:
    if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
        faults.append(f"{path}:1: no column {', '.join(missing)}")
        return
    first_line: dict[str, int] = {}
    for row in rows:
        line = rows.line_num
        if None in row or None in row.values():
            faults.append(f"{path}:{line}: not as many fields as the header has: cut off, or a comma in a number?")
            continue
        doc_id = _text(row, "doc_id")
        known = first_line.setdefault(doc_id, line)
        wrong = [] if doc_id else ["the document is not named"]
        if doc_id and known != line:
            wrong.append(f"{doc_id} stands in line {known} as well")
        size, hours = _number(row, "size", wrong), _number(row, "gpu_hours", wrong)
        if not wrong and (size is None or size <= 0):
            wrong.append("the size is not known" if size is None else f"size {size:g} is not above zero")
        if hours is not None and hours < 0:
            wrong.append(f"gpu_hours {hours:g} is below zero")
        if not _text(row, "task_id"):
            wrong.append("no task_id: which array task did it, or is to do it?")
        faults += (f"{path}:{line}: {fault}" for fault in wrong)
        if not wrong and size is not None:
            yield DocumentCost(doc_id, size, _text(row, "task_id"), hours)


def _text(row: Mapping[str, str | None], name: str) -> str:
    return (row[name] or "").strip()


def _number(row: Mapping[str, str | None], name: str, wrong: list[str]) -> float | None:
    """The number in a column; None for nothing, and for what is none."""
    text = _text(row, name)
    if not text:
        return None
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:  # NaN as well
        wrong.append(f"{name} {text[:40]!r} is not a number" + " below 10^15" * math.isfinite(value))
        return None
    return value
