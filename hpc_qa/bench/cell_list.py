"""Cells of a sweep as records: a JSON list of {model, batch_size, document_set, duration_seconds, metrics}.

`bench sweep` writes it as `benchmark_results_<YYYYmmdd_HHMMSS>.json`, and so do scripts that start pipelines over the
API and keep what `/api/v1/metrics` or `/api/v1/pipeline/ID` answered. Keys that no record has are named. Whole records
may stand in the list as well.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from hpc_qa.bench.record import LARGEST
from hpc_qa.strict_yaml import Fault, YamlFile

CELL = "cell"  # marks what comes out of such a list: its sweep is called like its file
DONE = "done"  # `state` of a cell that was measured
NAMES = ("model", "batch_size", "document_set")
CELLS = {"batch_size", "document_set", "duration_seconds", "metrics"}  # a cell has one of them
RECORDS = {"benchmark_run", "id", "run_id"}  # and a whole record one of these
SHOWN = 80  # characters of a wrong value
STAMP = re.compile(r"_\d{8}_\d{6}$")
# a figure, and where it may stand in a cell: in a reading of all pipelines, or in the answer about one
FIGURES: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {
    ("results", "throughput_pdfs_per_hour"): (
        ("metrics", "pipeline", "documents_per_hour"), ("metrics", "metrics", "documents_per_hour"),
    ),
    ("quality", "quality_score"): (
        ("metrics", "pipeline", "quality_score_avg"), ("metrics", "metrics", "quality_score_avg"),
    ),
    ("results", "error_rate"): (("metrics", "pipeline", "error_rate"), ("metrics", "metrics", "error_rate")),
    ("results", "qa_pairs_per_pdf"): (("metrics", "pipeline", "pairs_per_document"),),
    ("results", "qa_pairs_accepted"): (
        ("metrics", "pipeline", "pairs_accepted"), ("metrics", "metrics", "pairs_accepted"),
    ),
    ("results", "qa_pairs_generated"): (("metrics", "pipeline", "pairs"), ("metrics", "metrics", "pairs")),
    ("results", "max_cpu_memory_gb"): (("metrics", "system", "memory_used_gb"),),
    ("results", "avg_gpu_utilization_percent"): (("metrics", "system", "gpu_utilization_percent"),),
    ("results", "gpu_hours"): (("metrics", "system", "gpu_hours"),),
}  # fmt: skip
READ = {
    *((name,) for name in (*NAMES, "duration_seconds", "failure", "why")),
    *(place for places in FIGURES.values() for place in places),
}
OF_THE_SWEEP = ("cell", "repeat", "settings", "state", "run", "record", "prefix_cache")  # said by the rest


def cells(text: str, file_name: str, say: Callable[[str], None]) -> Iterator[YamlFile]:
    """Each cell as the full shape of a record; `say` gets the keys that no record has, once for all cells."""
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as exc:
        yield _faulty(f"is not JSON: {exc}")
        return
    if not rows:
        yield _faulty("holds no record")
    unread: dict[str, None] = {}
    stamp = STAMP.search(file_name)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not row.keys() & (CELLS | RECORDS):
            yield _faulty(f"[{number - 1}] is no cell of a sweep")
            continue
        if not row.keys() & CELLS:
            yield YamlFile(row)
            continue
        if faults := [f"[{number - 1}]: {fault}" for fault in _faults(row)]:
            yield _faulty(*faults)
            continue
        unread |= dict.fromkeys(".".join(key) for key in _leaves(row) if key not in READ and key[0] not in OF_THE_SWEEP)
        yield YamlFile(_shaped(row, number, stamp[0] if stamp else ""))
    if unread:
        say(f"keys of cells that no record has: {', '.join(unread)}")


def _shaped(row: dict[str, Any], number: int, stamp: str) -> dict[str, Any]:
    seconds: float | None = row.get("duration_seconds")
    names = [str(row[key]) for key in NAMES if row.get(key) is not None]
    data: dict[str, Any] = {
        CELL: True,
        "id": "_".join(["Benchmark", *names, str(number)]) + stamp,
        "model": {"name": row.get("model")},
        "configuration": _settings(row),
        "results": {"total_time_minutes": None if seconds is None else seconds / 60},
        "quality": {},
        "failure": _failure(row),
    }
    for (section, name), places in FIGURES.items():
        data[section][name] = next((found for place in places if (found := _inner(row, place)) is not None), None)
    return data


def _settings(row: dict[str, Any]) -> dict[str, Any]:
    """What is swept: of a sweep of ours its `settings`, else what the columns say."""
    settings = row.get("settings")
    if not isinstance(settings, dict):
        return {key: row.get(key) for key in NAMES[1:]}
    return {key: value for key, value in settings.items() if key != "model"}


def _failure(row: dict[str, Any]) -> str | None:
    """Why nothing came of the cell, or that nothing has come yet."""
    said = [str(row[key]) for key in ("failure", "why") if row.get(key) is not None]
    if not said and row.get("state", DONE) != DONE:
        said = [f"the cell is {row['state']}"]
    return ": ".join(said) or None


def _inner(row: object, place: tuple[str, ...]) -> Any:
    for name in place:
        row = row.get(name) if isinstance(row, dict) else None
    return row


def _leaves(row: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the values stand; a list is one."""
    for key, value in row.items():
        if isinstance(value, dict) and len(above) < len(("metrics", "pipeline")):
            yield from _leaves(value, (*above, str(key)))
        else:
            yield (*above, str(key))


def _faults(row: dict[str, Any]) -> Iterator[str]:
    """What is wrong in the keys that a record has no check for."""
    seconds, size = row.get("duration_seconds"), row.get("batch_size")
    if seconds is not None:
        if type(seconds) not in (int, float) or not seconds < math.inf:
            yield f"duration_seconds must be a number, not {str(seconds)[:SHOWN]}"
        elif not 0 <= seconds <= LARGEST:
            yield f"duration_seconds must be at least 0 and at most {LARGEST}, not {str(seconds)[:SHOWN]}"
    if size is not None and not (type(size) is int and 1 <= size <= LARGEST):
        yield f"batch_size must be a whole number from 1, not {str(size)[:SHOWN]}"


def _faulty(*texts: str) -> YamlFile:
    return YamlFile(faults=[Fault(None, (), text) for text in texts])
