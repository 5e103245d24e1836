"""Read and write manifest files.

JSONL holds one entry a line. A `.txt` list holds one path a line (from the project folder, or absolute; `#` begins a
comment line) and becomes entries by hashing. All faults of a file come in one error, each with its line number. Whether
the documents of a JSONL manifest still exist is not looked at here: that is known when they are opened.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from hpc_qa.errors import ManifestError
from hpc_qa.manifest.build import build
from hpc_qa.manifest.entry import Entry, entry_from, entry_json

MAX_LINE_BYTES = 1_000_000
MAX_FAULTS = 50
BOM = b"\xef\xbb\xbf"


def read(path: Path, *, project: Path) -> list[Entry]:
    """The entries of a manifest, in its order.

    Raises:
        ManifestError: the file cannot be read, is empty, or lines of it are wrong.
    """
    if not path.is_file():  # a FIFO or a device is not opened: reading it could wait for ever
        raise ManifestError(f"{path}: no such file", hint="make one with: hpc-qa manifest build SOURCE... -o F.jsonl")
    faults: list[str] = []
    entries = _read_list(path, project, faults) if path.suffix == ".txt" else _read_jsonl(path, faults)
    faults += _duplicates(path, entries)
    if faults:
        rest = len(faults) - MAX_FAULTS
        raise ManifestError(*faults[:MAX_FAULTS], *([f"{path}: and {rest} more faults"] if rest > 0 else []))
    if not entries:
        raise ManifestError(f"{path}: the manifest holds no document")
    return [entry for _, entry in entries]


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Write a manifest; it is complete or absent, whenever we are interrupted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("x", encoding="ascii", newline="\n") as stream:
            stream.writelines(entry_json(entry) + "\n" for entry in entries)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as exc:
        raise ManifestError(f"{path}: cannot be written: {exc.strerror}") from exc
    finally:
        temporary.unlink(missing_ok=True)


Numbered = tuple[int, Entry]


def _read_jsonl(path: Path, faults: list[str]) -> list[Numbered]:
    entries: list[Numbered] = []
    for number, line in _lines(path, faults):
        try:
            fields = json.loads(line)
            if isinstance(fields, dict):
                entries.append((number, entry_from(fields)))
            else:
                faults.append(f"{path}:{number}: not a JSON object")
        except RecursionError:
            faults.append(f"{path}:{number}: nested too deeply")
        except ValueError as exc:  # includes JSONDecodeError
            faults.append(f"{path}:{number}: {exc}")
    return entries


def _read_list(path: Path, project: Path, faults: list[str]) -> list[Numbered]:
    entries: list[Numbered] = []
    for number, line in _lines(path, faults):
        if line.startswith("#"):
            continue
        try:
            entries += ((number, entry) for entry in _listed(line, project))
        except ManifestError as exc:
            faults += (f"{path}:{number}: {fault}" for fault in exc.faults)
    return entries


def _listed(line: str, project: Path) -> list[Entry]:
    """The entries of one line of a list: one document, or those of a ZIP archive."""
    if "\0" in line:
        raise ManifestError("the path holds a NUL character")
    given = Path(line)
    inside = Path(os.path.normpath(project.resolve() / given))
    if not given.is_absolute() and not inside.is_relative_to(project.resolve()):
        raise ManifestError(f"{line} leads out of the project folder", hint="write the absolute path if it is meant")
    if not inside.is_file():
        raise ManifestError(f"{line}: no such file (paths count from the project folder)")
    root = project.resolve() if inside.is_relative_to(project.resolve()) else inside.parent
    found = build([inside], project=project, root=root)
    if found.refused:
        raise ManifestError(*(f"{name}: {reason}" for name, reason in found.refused))
    return found.entries


def _lines(path: Path, faults: list[str]) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers; BOM and CRLF are tolerated, lines that are not text are faults."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                faults.append(f"{path}:{number}: the line is longer than {MAX_LINE_BYTES} bytes; the rest is not read")
                return
            try:
                text = line.removeprefix(BOM if number == 1 else b"").decode().strip()
            except UnicodeDecodeError as exc:
                faults.append(f"{path}:{number}: not UTF-8 at byte {exc.start}")
                continue
            if text:
                yield number, text


def _duplicates(path: Path, entries: list[Numbered]) -> list[str]:
    """Documents that stand in the manifest twice. The same content under two names is allowed."""
    faults = []
    lines_of: dict[tuple[str, ...], int] = {}
    for number, entry in entries:
        for what, identity in (
            (f"doc_id {entry.doc_id}", ("doc_id", entry.doc_id)),
            (f"path {entry.path!r}", ("path", entry.root, entry.path)),
        ):
            first = lines_of.setdefault(identity, number)
            if first != number:
                faults.append(f"{path}:{number}: {what} is already in line {first}")
    return faults
