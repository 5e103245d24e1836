"""The questions of a benchmark file: JSON Lines, JSON, CSV, Parquet, or text with one question a line."""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpc_qa.errors import ConfigError

COLUMNS = ("question", "query", "prompt", "problem", "instruction", "input", "text")  # the first that is there
SUFFIXES = ".jsonl, .json, .csv, .parquet, .txt"


@dataclass(frozen=True, slots=True)
class BenchmarkFile:
    """One file of benchmark questions."""

    name: str  # of the file, without its folder
    sha256: str
    questions: tuple[str, ...]


def read_benchmarks(paths: Iterable[Path]) -> list[BenchmarkFile]:
    """The questions of all these files, by name and content whatever the order they are given in.

    Raises:
        ConfigError: with the faults of all files: one is missing, of another kind, broken, or has no questions.
    """
    found: dict[tuple[str, str], BenchmarkFile] = {}
    faults: list[str] = []
    for path in paths:
        try:
            read = _read(path)
        except (OSError, ValueError, KeyError, csv.Error, pa.ArrowException, RecursionError) as exc:
            why = (exc.strerror if isinstance(exc, OSError) else None) or exc
            faults.append(f"{path}: cannot be read as benchmark questions: {why}")
        else:
            found[read.name, read.sha256] = read
    if faults:
        raise ConfigError(*faults, hint=f"give files with a column {' or '.join(COLUMNS[:3])} ({SUFFIXES})")
    return [found[key] for key in sorted(found)]


def _read(path: Path) -> BenchmarkFile:
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet, ".txt": _text}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"is none of {SUFFIXES}")
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    questions = tuple(question for question in reader(path) if question.strip())
    if not questions:
        raise ValueError("holds no question")
    return BenchmarkFile(path.name, sha256, questions)


def _jsonl(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield _question(json.loads(line))
                except ValueError as exc:
                    raise ValueError(f"line {number}: {exc}") from exc


def _json(path: Path) -> Iterator[str]:
    """A list of items, or an object of them, as some benchmarks are published."""
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    items = list(document.values()) if isinstance(document, dict) and "question" not in document else document
    for number, item in enumerate(items if isinstance(items, list) else [items], 1):
        try:
            yield _question(item)
        except ValueError as exc:
            raise ValueError(f"item {number}: {exc}") from exc


def _csv(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, strict=True)
        column = _column(rows.fieldnames or ())
        for row in rows:
            yield row[column] or ""


def _parquet(path: Path) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        column = _column(file.schema_arrow.names)
        for batch in file.iter_batches(columns=[column]):
            for value in batch.column(0).to_pylist():
                if value is not None and not isinstance(value, str):
                    raise ValueError(f"column {column} is no text")
                yield value or ""


def _text(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as lines:
        yield from lines


def _question(item: Any) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, Mapping):
        raise ValueError("is neither a text nor an object with a question")
    value = item[_column(item)]
    if not isinstance(value, str):
        raise ValueError("its question is no text")
    return value


def _column(names: Iterable[str]) -> str:
    """The column that holds the question.

    Raises:
        ValueError: none of the known names is there.
    """
    there = list(names)
    by_name = {name.strip().casefold(): name for name in there}
    column = next((by_name[name] for name in COLUMNS if name in by_name), None)
    if column is None:
        raise ValueError(f"has no column {', '.join(COLUMNS)}; it has {', '.join(map(str, there)) or 'none'}")
    return column
