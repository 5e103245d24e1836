"""Records out of files: the full shape and the two short templates, written by the program or by hand.

A file holds one YAML document or several, or a JSON list of cells as sweeps leave it. What is wrong in a record is
named with file, line and key, and that record is left out; a key that nobody knows is a warning.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from hpc_qa.bench.cell_list import CELL, cells
from hpc_qa.bench.hand_written import mended
from hpc_qa.bench.record import Record, completed
from hpc_qa.bench.templates import IDS
from hpc_qa.config_file import faults_of, located
from hpc_qa.errors import ConfigError
from hpc_qa.store.files import list_folder, make_folder_if_missing, write_once
from hpc_qa.strict_yaml import KeyPath, YamlFile, dotted, parse, read_text

FOLDER = "records"  # of a project: ID.yaml of each record
ENDINGS = (".yaml", ".yml", ".json")
WRAPPER = "benchmark_run"
AS_MADE = "# as it was made: SHA-256 "  # the last line of what the program writes, with that of all before it
MEASURED = ("dataset", "results", "quality", "by_size_class", "stages")  # sections of a record
# the keys of the short templates, and where they stand in a record
QUICK = {
    ("run_id",): ("id",),
    ("pdfs",): ("dataset", "pdfs_processed"),
    ("time_minutes",): ("results", "total_time_minutes"),
    ("qa_pairs",): ("results", "qa_pairs_generated"),
    ("gpu_hours",): ("results", "gpu_hours"),
    ("quality_ok",): ("quality", "ok"),
}
DETAILED = {
    ("configuration", "commit_sha"): ("commit_sha",),
    ("configuration", "config_file"): ("config_file",),
    ("quality_sample",): ("quality",),
    ("quality", "acceptance_rate"): ("quality", "overall_acceptance_rate"),
}
_KEYS = re.compile(r"^  (?:id|run): +\S.*$", re.MULTILINE)  # of a record as the program writes it
_DOCUMENT_START = re.compile(r"^---(?=\s|$).*$", re.MULTILINE)


@dataclass(slots=True)
class Records:
    """What some files hold."""

    records: list[Record] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # of records that are left out
    warnings: list[str] = field(default_factory=list)


def read_records(paths: Sequence[Path]) -> Records:
    """The records of these files and folders; of a folder its `.yaml` and `.json` files.

    Raises:
        StoreError: a folder cannot be listed.
    """
    found = Records()
    first: dict[str, Path] = {}
    for path in paths:
        inside = list_folder(path) if path.is_dir() else []
        files = [path / one.name for one in inside if one.name.endswith(ENDINGS)] if path.is_dir() else [path]
        if not files:
            found.faults.append(f"{path}: holds no record")
        for file in files:
            for record in _records_of(file, found):
                if record.id in first:
                    found.faults.append(f"{file}: id: {record.id} is that of a record in {first[record.id]} as well")
                else:
                    first[record.id] = file
                    found.records.append(record)
    return found


def path_of(record_id: str, folder: Path) -> Path:
    """Where the record of this id is kept."""
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", record_id).lstrip(".")[:200] or "record"
    return folder / f"{name}.yaml"


def keep(record: Record, folder: Path, *, replace: bool = False) -> Path:
    """Write a record in its full shape as ID.yaml; one that is there with the same content stays.

    The record of a run takes the place of an earlier one that nobody has changed since. With `replace` it takes the
    place of whatever is there, unless that says that it is of another run.

    Raises:
        ConfigError: there is another record of this id.
        StoreError: it cannot be written.
    """
    path, text = path_of(record.id, folder), record.to_yaml()
    data = f"{text}{AS_MADE}{_digest(text)}\n".encode()
    make_folder_if_missing(folder)
    if not replace and (_text_of(path) == text or write_once(path, data)):
        return path
    theirs = kept_as(path).run
    if theirs is not None and theirs != record.run:
        raise ConfigError(f"{path}: id: {record.id} is the record of {theirs}", hint="give the record another id")
    if replace or (theirs is not None and _is_as_made(path)):
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        write_once(fresh, data)
        os.replace(fresh, path)
    else:
        hint = "give the record another id" if theirs is None else f"hpc-qa bench record {theirs} --replace"
        raise ConfigError(f"{path}: id: {record.id} is there with other content", hint=hint)
    return path


def _is_as_made(path: Path) -> bool:
    """Whether nobody has changed a record since the program wrote it."""
    text, mark, digest = (_text_of(path) or "").rpartition(AS_MADE)
    return bool(mark) and digest.strip() == _digest(text)


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # mostly there is none; where it cannot be read, writing says so
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of records/, by the two lines that say whose it is."""

    id: str
    run: str | None  # None: it does not say, as one that was written by hand


def kept_in(folder: Path) -> list[Kept]:
    """Whose the records of a folder are, by name of their file.

    Raises:
        StoreError: it cannot be listed.
    """
    return [kept_as(folder / one.name) for one in list_folder(folder) if one.name.endswith(ENDINGS)]


def kept_as(path: Path) -> Kept:
    """Whose the record in a file is; also of one that has faults, and without reading the rest of it."""
    said: Any = None
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):  # read_records names what is wrong with it
        said = yaml.safe_load("\n".join(_KEYS.findall(path.read_text(encoding="utf-8"))[:2]))
    known = {name: value for name, value in said.items() if isinstance(value, str)} if isinstance(said, dict) else {}
    return Kept(known.get("id") or path.stem, known.get("run"))


def _records_of(path: Path, found: Records) -> Iterator[Record]:
    text = read_text(path)
    if isinstance(text, YamlFile):
        found.faults += [located(path, fault.line, fault.text) for fault in text.faults]
        return
    if text.lstrip().startswith("["):
        files = list(cells(text, path.stem, lambda said: found.warnings.append(f"{path}: {said}")))
    else:
        text = mended(text, lambda line, key: found.warnings.append(located(path, line, f"{key} is not filled in")))
        files = list(_documents(text))
    for number, file in enumerate(files, 1):
        if file.faults:
            found.faults += [located(path, fault.line, fault.text) for fault in file.faults]
            continue
        if file.data.pop(CELL, None):
            file.data["sweep"] = path.stem
        beside = [key for key in file.data if key != WRAPPER] if WRAPPER in file.data else []
        found.warnings += [located(path, file.lines.get((key,)), f"{key} is no key of a record") for key in beside]
        shaped, written = _in_full_shape(file)
        if not _is_record(file.data):
            found.faults.append(f"{path}: is no benchmark record; hpc-qa bench template shows what one looks like")
            continue
        if shaped.data.get("id") is None:
            shaped.data["id"] = path.stem + (f"_{number}" if len(files) > 1 else "")
            found.warnings.append(f"{path}: a record without an id is called {shaped.data['id']}")
        for key in _take_unknown(Record, shaped.data):
            found.warnings.append(located(path, shaped.lines.get(key), f"{dotted(key)} is no key of a record"))
        faults = faults_of(Record, shaped.data, path, shaped, {})
        if str(shaped.data["id"]) in IDS:
            faults.append(located(path, shaped.lines.get(("id",)), _of_template(shaped.data)))
        for new, old in reversed(written.items()):
            faults = [re.sub(rf": {re.escape(new)}(?=[ .\[])", f": {old}", fault, count=1) for fault in faults]
        found.faults += faults
        if not faults:
            yield completed(Record.model_validate(shaped.data))


def _is_record(data: dict[str, Any]) -> bool:
    """Whether it has a key of any of the forms, were it without a value."""
    inside = data.get(WRAPPER, data)
    known = Record.model_fields.keys() | {key for key, *_ in QUICK}
    return isinstance(inside, dict) and bool(inside.keys() & known)


def _of_template(data: dict[str, Any]) -> str:
    """What a record lacks whose id is still that of the template."""
    measured = any(_says_something(data.get(section)) for section in MEASURED)
    lacks = "" if measured else ", and fill in what was measured: PDFs, time, pairs, GPU-hours"
    return f"id: {data['id']} is the template's; write one of your own, such as test_2026-01-31_1{lacks}"


def _says_something(value: object) -> bool:
    """Whether anything below a key is more than null."""
    if isinstance(value, dict):
        return any(map(_says_something, value.values()))
    return any(map(_says_something, value)) if isinstance(value, list) else value is not None


def _documents(text: str) -> Iterator[YamlFile]:
    """The documents of a text, with the lines that they stand on."""
    begins = [0, *(match.end() for match in _DOCUMENT_START.finditer(text))]
    ends = [*(match.start() for match in _DOCUMENT_START.finditer(text)), len(text)]
    pieces = [(text[:begin].count("\n"), text[begin:end]) for begin, end in zip(begins, ends, strict=True)]
    whole = [(line, piece) for line, piece in pieces if re.sub(r"#.*", "", piece).strip()]
    for line, piece in whole or pieces[:1]:
        yield parse("\n" * line + piece)


def _inner(row: object, *names: str) -> Any:
    for name in names:
        row = row.get(name) if isinstance(row, dict) else None
    return row


def _in_full_shape(file: YamlFile) -> tuple[YamlFile, dict[str, str]]:
    """(the record with its keys where the full shape has them, the keys that were moved as they are written)."""
    data: Any = file.data
    above: KeyPath = ()
    if WRAPPER in data:
        data, above = data[WRAPPER], (WRAPPER,)
    shaped = YamlFile(
        {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else {}
    )
    shaped.lines = {key[len(above) :]: line for key, line in file.lines.items() if key[: len(above)] == above}
    written = {}
    for old, new in (DETAILED if above else QUICK | DETAILED).items():
        if _move(shaped, old, new):
            written[dotted(new)] = dotted(old)
    issues = shaped.data.get("issues")
    if isinstance(issues, str):
        shaped.data["issues"] = [] if issues.strip().lower() == "none" else [issues]
    return shaped, written


def _move(file: YamlFile, old: KeyPath, new: KeyPath) -> bool:
    """Put what stands under one key under another, unless that has a value."""
    *sections, last = old
    here = _inner(file.data, *map(str, sections))
    if not isinstance(here, dict) or last not in here:
        return False
    *sections, name = new
    there: Any = file.data
    for section in sections:
        there = there.setdefault(section, {})
        if not isinstance(there, dict):
            return False
    if there.get(name) is not None:
        return False
    there[name] = here.pop(last)
    file.lines |= {(*new, *key[len(old) :]): line for key, line in file.lines.items() if key[: len(old)] == old}
    return True


def _take_unknown(model: type[BaseModel], data: Any, above: KeyPath = ()) -> list[KeyPath]:
    """Take keys out that the model does not have: where they stood. A section that is null says nothing."""
    unknown: list[KeyPath] = []
    if model.model_config.get("extra") == "allow" or not isinstance(data, dict):
        return unknown
    for key in list(data):
        here = (*above, key)
        if key not in model.model_fields:
            unknown.append(here)
            del data[key]
            continue
        kind = model.model_fields[key].annotation
        for inner in (kind, *get_args(kind)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                for item, place in zip(*_items(data[key], here), strict=True):
                    unknown += _take_unknown(inner, item, place)
                break
        if data[key] is None:
            del data[key]
    return unknown


def _items(value: Any, here: KeyPath) -> tuple[list[Any], list[KeyPath]]:
    """A section, or the sections of a list, and where each stands."""
    if isinstance(value, list):
        return value, [(*here, number) for number in range(len(value))]
    return [value], [here]
