"""One side of a comparison: the records of runs that should be alike."""

import math
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpc_qa.bench.record import Record
from hpc_qa.bench.record_file import ENDINGS, FOLDER, Records, read_records
from hpc_qa.errors import ConfigError
from hpc_qa.store.run_directory import find
from hpc_qa.units import plural


@dataclass(frozen=True, slots=True)
class Arm:
    """The records of one side."""

    name: str  # as it was given
    records: tuple[Record, ...]
    notes: tuple[str, ...]  # records that were left out, keys that are none

    def known(self, key: str) -> list[float]:
        """The values of a key in the records that have one."""
        return [value for record in self.records if (value := record.value(key)) is not None]


def change_percent(before: float | None, after: float | None) -> float | None:
    """By how much a figure has changed, of what it was; None of nothing, and where that is no number any more.

    >>> change_percent(20, 18), change_percent(0, 18)
    (-10.0, None)
    """
    change = (after - before) / before * 100 if before and after is not None else None
    return change if change is not None and math.isfinite(change) else None


def arm_of(text: str, project: Path) -> Arm:
    """The arm that a text names: a record file, a folder of them, or ids of records or runs joined by commas.

    A run that is named twice, or by its id and by that of its record, counts once.

    Raises:
        ConfigError: there is no such thing, or none of its records can be used.
    """
    found = Records()
    paths = [Path(text)] if os.path.exists(text) else []  # many ids are longer than a name may be
    for name in () if paths else filter(None, text.split(",")):
        path = _path_of(name, project)
        if path:
            paths.append(path)
        else:
            found.records.append(_record_of_run(name, project))
    read = read_records(paths)
    faults = [*found.faults, *read.faults]
    every, twice = _each_once([*read.records, *found.records])
    records = tuple(record for record in every if record.failure is None)
    faults += [f"{record.id}: is no measurement, {record.failure}" for record in every if record.failure is not None]
    if not records:
        raise ConfigError(*(faults or [f"{text!r} names no record"]), hint="hpc-qa bench import FILE, or template KIND")
    return Arm(text, records, (*(f"left out: {fault}" for fault in faults), *twice, *read.warnings))


def apart(baseline: Arm, current: Arm) -> tuple[Arm, Arm]:
    """The same arms without what stands in both: that is left out of the larger one, with a note.

    An arm that is held against itself stays as it is, and the note says so.
    """
    both = {_run_of(one) for one in baseline.records} & {_run_of(one) for one in current.records}
    if not both:
        return baseline, current
    if len(both) == len(baseline.records) == len(current.records):
        said = f"both arms are the same {plural(len(both), 'run')}: nothing is held against anything else"
        return replace(baseline, notes=(*baseline.notes, said)), current
    if len(current.records) > len(baseline.records):
        return baseline, _without(current, both)
    return _without(baseline, both), current


def _without(arm: Arm, runs: Collection[str]) -> Arm:
    out = [one for one in arm.records if _run_of(one) in runs]
    notes = [f"left out of {arm.name}: {one.run or one.id} is in both arms" for one in out]
    return replace(arm, records=tuple(one for one in arm.records if one not in out), notes=(*arm.notes, *notes))


def _each_once(records: Sequence[Record]) -> tuple[tuple[Record, ...], list[str]]:
    """(one record of every run, notes on the others): a run is no two observations."""
    first: dict[str, Record] = {}
    again = [one for one in records if first.setdefault(_run_of(one), one) is not one]
    return tuple(first.values()), [f"left out: {one.run or one.id} is named twice" for one in again]


def _run_of(record: Record) -> str:
    """The same of two records of one run; by hand people give runs of two arms the same ids, so all of it counts."""
    return record.run or record.model_dump_json()


def _path_of(name: str, project: Path) -> Path | None:
    """The file that is named, or that holds the record of this id."""
    kept = [project / FOLDER / f"{name}{ending}" for ending in ENDINGS]
    return next((path for path in (Path(name), *kept) if os.path.exists(path)), None)


def _record_of_run(name: str, project: Path) -> Record:
    """The record of a run, made now; nothing is kept.

    Raises:
        ConfigError: it is no run either.
        StoreError: the run or the ledger cannot be read.
    """
    from hpc_qa.bench.run_record import record_of

    try:
        run = find(project, name)
    except ConfigError as error:
        fault = f"{name!r} is no file, no folder, no record in {FOLDER}/, and no run"
        raise ConfigError(fault, hint=error.hint) from None
    return record_of(run, project)
