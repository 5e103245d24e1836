"""Read and write manifest files.

JSONL holds one entry a line. A `.txt` list holds one path a line (from the project folder, or absolute; `#` begins a
comment line) and becomes entries by hashing. All faults of a file come in one error, each with its line number. Whether
the documents of a JSONL manifest still exist is not looked at here: that is known when they are opened.
"""

import contextlib
import json
import math
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hpc_qa.errors import ManifestError, StoreError
from hpc_qa.manifest.build import find
from hpc_qa.manifest.entry import Entry, entry_from, entry_json, suffix
from hpc_qa.manifest.formats import unsupported
from hpc_qa.manifest.places import kind_of, why_not

MAX_LINE_BYTES = 1_000_000
MAX_FAULTS = 50
MAX_DIGITS = 40
BOM = b"\xef\xbb\xbf"
BUILD = "make one with: hpc-qa manifest build SOURCE... -o F.jsonl"
FORMAT = "a manifest is a .jsonl file as `hpc-qa manifest build` writes it, or a .txt list with one path a line"


def read(path: Path, *, project: Path) -> list[Entry]:
    """The entries of a manifest, in its order.

    Raises:
        ManifestError: the file cannot be read, is empty, or lines of it are wrong.
    """
    if kind_of(path) != "file":  # a FIFO or a device is not opened: reading it could wait for ever
        raise ManifestError(f"{path}: {why_not(path, wanted='file')}", hint=BUILD)
    faults: list[str] = []
    try:
        entries = _read_list(path, project, faults) if path.suffix == ".txt" else _read_jsonl(path, faults)
    except OSError as exc:
        raise ManifestError(
            f"{path}: cannot be read: {exc.strerror}", hint="ask its owner for the right to read"
        ) from exc
    faults += _duplicates(path, entries)
    if faults:
        rest = len(faults) - MAX_FAULTS
        raise ManifestError(
            *faults[:MAX_FAULTS], *([f"{path}: and {rest} more faults"] if rest > 0 else []), hint=FORMAT
        )
    if not entries:
        raise ManifestError(f"{path}: the manifest holds no document", hint=BUILD)
    return [entry for _, entry in entries]


def write(path: Path, entries: Iterable[Entry], *, replace: bool = True) -> None:
    """Write a manifest; it is complete or absent, whenever we are interrupted.

    Raises:
        ManifestError: another manifest is there and may not be replaced.
        StoreError: it cannot be written.
    """
    data = "".join(entry_json(entry) + "\n" for entry in entries).encode("ascii")
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        if not replace and path.exists() and path.read_bytes() != data:
            raise ManifestError(
                f"{path}: is there already and holds something else; runs may have been made from it",
                hint="another -o FILE, or --force to replace it (runs keep their own copy)",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as exc:
        raise StoreError(f"{path}: cannot be written: {exc.strerror}", hint="another -o FILE") from exc
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


Numbered = tuple[int, Entry]


def _read_jsonl(path: Path, faults: list[str]) -> list[Numbered]:
    entries: list[Numbered] = []
    for number, line in _lines(path, faults):
        if not entries and not faults and not line.startswith(("{", "[")):  # the other lines would say the same
            raise ManifestError(f"{path}:{number}: {_what_else(line)}", hint=FORMAT)
        try:
            fields = json.loads(
                line, object_pairs_hook=_unique, parse_constant=_no_number, parse_int=_whole, parse_float=_number
            )
            if isinstance(fields, dict):
                entries.append((number, entry_from(fields)))
            else:
                faults.append(f"{path}:{number}: not a JSON object")
        except RecursionError:
            faults.append(f"{path}:{number}: nested too deeply")
        except json.JSONDecodeError as exc:
            faults.append(f"{path}:{number}: not JSON: {exc.msg} at character {exc.pos + 1}")
        except ValueError as exc:
            faults.append(f"{path}:{number}: {exc}")
    return entries


def _what_else(line: str) -> str:
    """What a file is that does not begin as JSON does."""
    separators = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
    for mark, name in separators.items():
        if line.count(mark) >= 2:
            return f"not JSON but a table ({name} separated)"
    return "not JSON"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands in it twice")
    return fields


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


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
    given, home = Path(line), project.resolve()
    inside = Path(os.path.normpath(home / given))
    if not given.is_absolute() and not inside.is_relative_to(home):
        raise ManifestError(f"{line} leads out of the project folder; write the absolute path if it is meant")
    if kind_of(inside) != "file":
        counted = "" if given.is_absolute() else f" (paths count from the project folder, {home})"
        raise ManifestError(f"{line}: {why_not(given if _is_no_path(line) else inside, wanted='file')}{counted}")
    root = home if inside.is_relative_to(home) else inside.parent
    found = find([inside], project=project, root=root)
    if found.refused:
        raise ManifestError(*(f"{name}: {reason}" for name, reason in found.refused))
    if not found.entries:
        raise ManifestError(f"{line}: {unsupported(suffix(line))}")
    return found.entries


def _is_no_path(line: str) -> bool:
    """A URL, or something that only a shell would expand."""
    return re.match(r"~|\$|[a-z][a-z0-9+.-]*://", line) is not None


def _lines(path: Path, faults: list[str]) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers; BOM and CRLF are tolerated, lines that are not text are faults."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                faults.append(f"{path}: is UTF-16 text; save it as UTF-8")
                return
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
