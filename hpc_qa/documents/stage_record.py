"""What conversions took, stage by stage: one file per call of `convert`, and the stages of a run from all of them.

`<cache>/records/<time>-<machine>-<process>.jsonl` holds what the call was and its totals on the first line, then one
line per document: its size class, whether the cache had it, and what each stage took where it did not. Stages are
raw_input (opened, checked and copied), conversion (read as Markdown) and preprocessing (cut into chunks and written),
in the names and units of a benchmark record: seconds summed over documents, MB and GB of 10^6 and 10^9 bytes. Nothing
relies on these files; one that is torn or gone leaves its figures unknown.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from hpc_qa.documents.usage import STAGES, Usage, usages_from
from hpc_qa.errors import StoreError
from hpc_qa.units import iso, plural, size_class, stamp, utc_now

FOLDER = "records"
SIZE_CLASSES = ("small", "medium", "large")
NEAR_LIMIT = 0.9  # of the memory of a document: then memory is what holds a stage up
BUSY = 0.5  # share of its time that a stage computes: below that it waits


@dataclass(frozen=True, slots=True)
class Measured:
    """One document of a call."""

    doc_id: str
    sha256: str
    kind: str
    size_bytes: int
    cached: bool
    reason: str | None
    stages: dict[str, Usage] = field(default_factory=dict)  # empty for what the cache had


@dataclass(slots=True)
class StageRecord:
    """What one call of `convert` took."""

    memory_limit_bytes: int | None = None
    processes: int | None = None
    converter_key: str | None = None
    started_at: str = field(default_factory=lambda: iso(utc_now()))
    wall_s: float | None = None
    documents: list[Measured] = field(default_factory=list)
    path: Path | None = None  # where it was written

    @property
    def fresh(self) -> list[Measured]:
        """The documents that the cache did not have."""
        return [one for one in self.documents if not one.cached]

    def summary(self) -> dict[str, Any]:
        """The first line of the file."""
        return {
            "started_at": self.started_at,
            "wall_s": self.wall_s,
            "machine": os.uname().nodename,
            "processes": self.processes,
            "memory_limit_bytes": self.memory_limit_bytes,
            "converter_key": self.converter_key,
            "documents": len(self.documents),
            "cached": len(self.documents) - len(self.fresh),
            "stages": summed(self.fresh, self.memory_limit_bytes),
            "by_size_class": [
                {
                    "size_class": name,
                    "documents": len(members),
                    "cached": sum(one.cached for one in members),
                    "stages": summed((one for one in members if not one.cached), self.memory_limit_bytes),
                }
                for name in SIZE_CLASSES
                if (members := [one for one in self.documents if size_class(one.size_bytes) == name])
            ],
        }

    def write(self, cache: Path) -> None:
        """Leave it in the folder of a document cache; its name is free, and the file complete or absent.

        Raises:
            StoreError: it cannot be written.
        """
        folder = cache / FOLDER
        path = folder / f"{stamp(utc_now())}-{os.uname().nodename.partition('.')[0]}-{os.getpid()}.jsonl"
        temporary = path.with_suffix(".tmp")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("x", encoding="ascii") as stream:
                for line in (self.summary(), *map(asdict, self.documents)):
                    stream.write(json.dumps(line, separators=(",", ":")) + "\n")
            temporary.rename(path)
        except OSError as exc:
            raise StoreError(f"{path}: {exc.strerror}", hint="is the file system of the cache full?") from exc
        self.path = path

    def describe(self) -> list[str]:
        """The stages for people, one line each."""
        return [
            f"{stage['name']}: {stage['duration_s']:.1f} s over {plural(stage['documents'], 'document')}, "
            + ", ".join(_parts(stage))
            for stage in summed(self.fresh, self.memory_limit_bytes)
        ]


def _parts(stage: Mapping[str, Any]) -> Iterator[str]:
    if stage["cpu_percent"] is not None:
        yield f"CPU {stage['cpu_percent']:.0f} %"
    if stage["memory_gb_peak"] is not None:
        yield f"at most {stage['memory_gb_peak']:.2f} GB"
    if stage["io_read_mb"] is not None:
        yield f"{stage['io_read_mb']:,.1f} MB read, {stage['io_write_mb']:,.1f} MB written"
    if stage["bottleneck"] is not None:
        yield f"held up by {stage['bottleneck']}"


def summed(documents: Iterable[Measured], memory_limit_bytes: int | None) -> list[dict[str, Any]]:
    """The stages over these documents, with the keys of a benchmark record and the number of documents behind each.

    `share_percent` is of the time of all stages. `bottleneck` is memory where the highest peak came near the limit of a
    document, else cpu where half of the time or more was computing, else io: waiting, for storage or for a free CPU.
    """
    return _stages((one, memory_limit_bytes) for one in documents)


def _stages(documents: Iterable[tuple[Measured, int | None]]) -> list[dict[str, Any]]:
    """As `summed`, where each document has a limit of its own."""
    usages: dict[str, list[Usage]] = {name: [] for name in STAGES}
    near_limit = set()  # stages in which a document came near its limit
    for one, limit_bytes in documents:
        for name, usage in one.stages.items():
            usages[name].append(usage)
            if limit_bytes is not None and (usage.memory_peak_bytes or 0) >= NEAR_LIMIT * limit_bytes:
                near_limit.add(name)
    totals = {name: (len(each), reduce(add, each)) for name, each in usages.items() if each}
    whole = sum(total.duration_s for _, total in totals.values())
    return [_row(name, count, total, whole, name in near_limit) for name, (count, total) in totals.items()]


def _row(name: str, count: int, total: Usage, whole: float, near_limit: bool) -> dict[str, Any]:
    busy = None if total.cpu_s is None or not total.duration_s else total.cpu_s / total.duration_s
    return {
        "name": name,
        "documents": count,
        "duration_s": round(total.duration_s, 3),
        "cpu_percent": None if busy is None else round(100 * busy, 1),
        "memory_gb_peak": _scaled(total.memory_peak_bytes, 1e9),
        "io_read_mb": _scaled(total.io_read_bytes, 1e6),
        "io_write_mb": _scaled(total.io_write_bytes, 1e6),
        "share_percent": round(100 * total.duration_s / whole, 1) if whole else None,
        "bottleneck": "memory" if near_limit else None if busy is None else "cpu" if busy >= BUSY else "io",
    }


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else round(value / unit, 4)


def records(cache: Path) -> Iterator[list[dict[str, Any]]]:
    """The lines of each record in a document cache, oldest first; what cannot be read is left out."""
    for path in sorted((cache / FOLDER).glob("*.jsonl")):
        try:
            with path.open(encoding="ascii") as stream:
                lines = [json.loads(line) for line in stream]
        except (OSError, ValueError):
            continue
        if lines and all(isinstance(line, dict) for line in lines):
            yield lines


def stages_of(
    cache: Path, documents: Iterable[tuple[str, str]], converter_key: str, before: str
) -> list[dict[str, Any]]:
    """What it took to convert these documents (SHA-256 and kind), whenever that was; as `summed` gives it.

    A document counts once, with the last time that it was converted by this converter; the cache spared the others.
    `cached` of a stage counts those that the cache had at a moment (ISO 8601, UTC): their seconds were spent earlier.
    """
    wanted = set(documents)
    # with the limit of the call that converted it, and whether that was before
    last: dict[tuple[str, str], tuple[Measured, int | None, bool]] = {}
    for summary, *rows in records(cache):
        if summary.get("converter_key") != converter_key:
            continue
        for row in rows:
            if (one := _measured(row)) is not None and one.stages and (one.sha256, one.kind) in wanted:
                limit_bytes = summary.get("memory_limit_bytes")
                limit = limit_bytes if isinstance(limit_bytes, int) else None
                last[one.sha256, one.kind] = one, limit, str(summary.get("started_at")) < before
    return [
        row | {"cached": sum(there for one, _, there in last.values() if row["name"] in one.stages)}
        for row in _stages((one, limit) for one, limit, _ in last.values())
    ]


def _measured(row: Mapping[str, Any]) -> Measured | None:
    try:
        return Measured(**{**row, "stages": usages_from(row["stages"])})
    except (KeyError, TypeError, ValueError):
        return None
