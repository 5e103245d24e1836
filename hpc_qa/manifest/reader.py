"""Read and write manifest files.

JSONL holds one entry a line, a `.txt` list one path a line. All faults of a file come in one error, each with its line
number. Whether the documents of a JSONL manifest still exist is not looked at here: that is known when they are opened.
"""

import contextlib
import os
import secrets
from array import array
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from hpc_qa.errors import ManifestError, StoreError
from hpc_qa.manifest.entry import Entry, entry_json
from hpc_qa.manifest.jsonl import FORMAT, numbered_entries
from hpc_qa.manifest.path_list import listed_entries
from hpc_qa.manifest.places import kind_of, why_not
from hpc_qa.units import plural

MAX_FAULTS = 50
BUILD = "make one with: hpc-qa manifest build SOURCE... -o F.jsonl"
T = TypeVar("T")


class Manifest:
    """The entries of a manifest, in its order.

    Those of a JSONL file are not kept, a million of them would take half a gigabyte: each loop reads the file. The
    first loop that reaches the end proves every line, or raises all faults: until then nothing may be done that stays.
    """

    def __init__(self, path: Path, *, project: Path, limit: int | None = None) -> None:
        """Nothing is read yet. With a limit only so many entries are given, and all lines are proven the same."""
        self.path = path
        self.count = 0  # of the entries that a loop gives; known after the first
        self._project = project
        self._limit = limit
        self._proven = False
        self._plain = False  # the file is what `write` writes, but for blank lines at its end
        self._identity: tuple[int, ...] = ()
        self._listed: list[Entry] | None = None  # of a list of paths: they were hashed, and are kept

    def __iter__(self) -> Iterator[Entry]:
        """The entries.

        Raises:
            ManifestError: the file cannot be read, is empty, lines of it are wrong, or it has been changed meanwhile.
        """
        if not self._proven:
            return self._first_loop()
        if self._listed is not None:
            return islice(self._listed, self._limit)
        return (entry for _, entry, _ in self._again(numbered_entries))

    def lines(self) -> Iterator[bytes]:
        """The file that `write` would make of the entries, line by line.

        Raises:
            ManifestError: see the loop over the entries.
        """
        if not self._proven or self._listed is not None:
            return (f"{entry_json(entry)}\n".encode() for entry in self)
        if self._plain:
            return self._again(_raw_lines)
        again = self._again(numbered_entries)
        return ((line or f"{entry_json(entry)}\n").encode() for _, entry, line in again)

    def _first_loop(self) -> Iterator[Entry]:
        if kind_of(self.path) != "file":  # a FIFO or a device is not opened: reading it could wait for ever
            raise ManifestError(f"{self.path}: {why_not(self.path, wanted='file')}", hint=BUILD)
        faults: list[str] = []
        with _readable(self.path):
            entries = self._of_paths(faults) if self.path.suffix == ".txt" else self._of_lines(faults)
            yield from islice(entries, self._limit)
            deque(entries, maxlen=0)  # the rest is proven as well
        if faults:
            rest = len(faults) - MAX_FAULTS
            raise ManifestError(
                *faults[:MAX_FAULTS],
                *([f"{self.path}: and {plural(rest, 'more fault')}"] if rest > 0 else []),
                hint=FORMAT,
            )
        if not self.count:
            raise ManifestError(f"{self.path}: the manifest holds no document", hint=BUILD)
        self._proven = True

    def _of_paths(self, faults: list[str]) -> Iterator[Entry]:
        entries = listed_entries(self.path, self._project, faults)
        faults += _duplicates(self.path, entries)
        self._listed = [entry for _, entry in entries]
        self.count = len(self._listed[: self._limit])
        yield from self._listed

    def _of_lines(self, faults: list[str]) -> Iterator[Entry]:
        self._identity, self._plain = _identity(self.path), True
        count, doc_ids, places = 0, _Names(), _Names()
        for number, entry, line in numbered_entries(self.path, faults):
            count += 1
            self._plain = self._plain and line is not None and number == count  # no blank lines between
            doc_ids.add(entry.doc_id)
            places.add((entry.root, entry.path))
            yield entry
        self.count = count if self._limit is None else min(count, self._limit)
        if twice := doc_ids.repeated() | places.repeated():
            again = ((number, entry) for number, entry, _ in numbered_entries(self.path, []))
            faults += _duplicates(self.path, (one for one in again if _hashes(one[1]) & twice))

    def _again(self, read: Callable[[Path, list[str]], Iterator[T]]) -> Iterator[T]:
        with _readable(self.path):
            yield from islice(read(self.path, []), self.count)
            if _identity(self.path) != self._identity:
                raise ManifestError(f"{self.path}: was changed while it was read", hint="the same command again")


def read(path: Path, *, project: Path) -> list[Entry]:
    """The entries of a manifest, in its order.

    Raises:
        ManifestError: the file cannot be read, is empty, or lines of it are wrong.
    """
    return list(Manifest(path, project=project))


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


def _raw_lines(path: Path, _faults: list[str]) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from stream


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ManifestError(
            f"{path}: cannot be read: {exc.strerror}", hint="ask its owner for the right to read"
        ) from exc


def _identity(path: Path) -> tuple[int, ...]:
    """What changes with every change of a file."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _hashes(entry: Entry) -> set[int]:
    return {hash(entry.doc_id), hash((entry.root, entry.path))}


class _Names:
    """Names by their hashes, of which a million take 8 MB; a set of them all would take a hundred."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(64)]

    def add(self, name: Hashable) -> None:
        value = hash(name)
        self._parts[value % 64].append(value)

    def repeated(self) -> set[int]:
        """The hashes that came more than once; different names may share one."""
        suspicious = (part for part in self._parts if len(set(part)) < len(part))
        return {value for part in suspicious for value, count in Counter(part).items() if count > 1}


def _duplicates(path: Path, entries: Iterable[tuple[int, Entry]]) -> list[str]:
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
