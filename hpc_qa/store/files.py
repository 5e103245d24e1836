"""Small files that are either whole or absent.

A file is written under a temporary name, synced, then linked to its own name, which fails if somebody was first; the
folder is synced after it. A sealed one carries the hash of its own content. Records that grow line by line are in
`segments.py`.
"""

import errno
import filecmp
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
RUN_ID = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)-(?P<stamp>\d{8}T\d{6})-[0-9a-f]{4}")


def run_id_of(path: Path) -> str:
    """The run that a path lies in, for messages; RUN if it lies in none.

    >>> run_id_of(Path("p/runs/demo-20260102T030405-00c0/shards/0000")), run_id_of(Path("p/runs"))
    ('demo-20260102T030405-00c0', 'RUN')
    """
    return next((part for part in reversed(path.parts) if RUN_ID.fullmatch(part)), "RUN")


def what_to_do(path: Path) -> str:
    """The hint after a refusal of the operating system: what to look for, and the command that goes on."""
    look = "look for a full disk, a quota, missing rights or a lost mount (df, quota, ls -ld)"
    run_id = run_id_of(path)
    return f"{look}; then " + ("the same command again" if run_id == "RUN" else f"hpc-qa resume {run_id} continues")


def storage_error(path: Path, what: str, exc: OSError) -> StoreError:
    """Our error for an operating system's refusal, with the path and what to do."""
    return StoreError(f"{path}: {what}: {exc.strerror or exc}", hint=what_to_do(path))


class HeldFolder:
    """A folder that an attempt writes to, and whether its path still leads to it.

    A folder that was removed, moved or replaced by a link while we held files in it would take what we write to nowhere
    or to somewhere else. Moved and linked from its old place it is the same folder, and nothing is wrong.
    """

    def __init__(self, path: Path) -> None:
        """Hold this folder, which must not be a link.

        Raises:
            StoreError: it is not there, is a link, or is no folder.
        """
        self.path = path
        self._found = self._stat()
        if not stat.S_ISDIR(self._found.st_mode):
            raise StoreError(f"{path}: is not a folder of its own", hint="put back the folder itself, not a link to it")

    def check(self) -> None:
        """Refuse to go on when the path leads elsewhere.

        Raises:
            StoreError: it does, or nowhere.
        """
        if not os.path.samestat(self._stat(), self._found):
            raise StoreError(
                f"{self.path}: is not the folder any more that this attempt began in",
                hint=f"somebody moved or replaced it; put it back, then hpc-qa resume {run_id_of(self.path)} continues",
            )

    def _stat(self) -> os.stat_result:
        try:
            return os.lstat(self.path)
        except OSError as exc:
            raise storage_error(self.path, "the folder of this attempt is gone", exc) from exc


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: without this a new file may be gone after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a private folder, which must not exist yet, and make its name durable."""
    try:
        os.mkdir(folder, FOLDER_MODE)
        sync_folder(folder.parent)
    except OSError as exc:
        raise storage_error(folder, "cannot make the folder", exc) from exc


def make_folder_if_missing(folder: Path) -> None:
    """Make a private folder unless it is there, with what is missing above it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as exc:
        raise storage_error(folder, "cannot make the folder", exc) from exc


def list_folder(folder: Path) -> list["os.DirEntry[str]"]:
    """What is in a folder, by name; nothing when it is not there."""
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise storage_error(folder, "cannot be listed", exc) from exc


def write_all(descriptor: int, parts: Iterable[bytes]) -> None:
    """Write everything, sync it, and close; the descriptor is closed whatever happens."""
    with os.fdopen(descriptor, "wb") as stream:
        stream.writelines(parts)
        stream.flush()
        os.fsync(descriptor)


def write_once(path: Path, data: bytes | Iterable[bytes]) -> bool:
    """Create a file with this content, whole or not at all; False if the name is taken by other content.

    A large content may come in parts, which are never in memory together.

    link(2) fails when the name exists, so of several writers one wins. A network file system may report an error for a
    link that it did make, therefore the content decides and not the error.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        parts = (data,) if isinstance(data, bytes) else data
        write_all(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), parts)
        won = _link(temporary, path)
        sync_folder(path.parent)
    except OSError as exc:
        raise storage_error(path, "cannot write", exc) from exc
    finally:
        with suppress(OSError):  # a left-over temporary file harms nobody, its name is never read
            os.unlink(temporary)
    return won


def _link(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except OSError as exc:
        try:
            return filecmp.cmp(temporary, path, shallow=False)
        except FileNotFoundError:
            raise exc from None
    return True


def json_bytes(value: object) -> bytes:
    """JSON for people and programs: indented, one final newline, no NaN."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def json_parts(value: object) -> Iterator[bytes]:
    """The same, in parts: the plan of a million documents is not put together in memory."""
    yield from map(str.encode, json.JSONEncoder(indent=2, ensure_ascii=False, allow_nan=False).iterencode(value))
    yield b"\n"


def write_json_once(path: Path, value: object) -> bool:
    """Create a JSON file, whole or not at all; False if it was there with other content."""
    return write_once(path, json_bytes(value))


def content_id(content: Mapping[str, Any]) -> str:
    """The SHA-256 of what a JSON object says, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def write_sealed_once(path: Path, content: Mapping[str, Any]) -> bool:
    """Create a JSON file with its own `id` in it, so that a later change shows; False if other content is there."""
    return write_json_once(path, {**content, "id": content_id(content)})


def read_sealed(path: Path) -> dict[str, Any]:
    """What was written with its `id`, without it.

    Raises:
        StoreError: the file is missing, cannot be read, or is not as it was written.
    """
    content = read_json(path)
    try:
        same = content.pop("id", None) == content_id(content)
    except ValueError:  # NaN or Infinity: Python reads them, and we never write them
        same = False
    if not same:
        raise StoreError(f"{path}: is not as it was written", hint=_VERIFY.format(run_id_of(path)))
    return content


_VERIFY = "the file was changed or damaged; hpc-qa verify {} says what else is"


def exists(path: Path) -> bool:
    """Whether there is a file or folder of this name; a link counts as what it leads to.

    Raises:
        StoreError: that cannot be known: a folder above it may not be entered, or its disk is lost.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as exc:
        raise storage_error(path, "cannot be looked at", exc) from exc
    return True


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that we wrote."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as exc:
        what = "is missing" if exc.errno == errno.ENOENT else "cannot be read"
        raise StoreError(f"{path}: {what}: {exc.strerror}", hint="is this the folder of a run?") from exc
    except (ValueError, RecursionError) as exc:
        raise StoreError(f"{path}: is not JSON: {exc}", hint="the file was changed or damaged") from exc
    if not isinstance(value, dict):
        raise StoreError(f"{path}: is not a JSON object", hint="the file was changed or damaged")
    return value


def read_jsonl(path: Path, wanted: Callable[[bytes], bool] = bool) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file that we wrote, one at a time; lines that are not wanted are not parsed."""
    number = 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                number += 1
                if wanted(line):
                    yield dict(json.loads(line))
    except OSError as exc:
        raise StoreError(
            f"{path}: cannot be read: {exc.strerror}",
            hint="is this the folder of a run?",
        ) from exc
    except (ValueError, TypeError, RecursionError) as exc:
        raise StoreError(f"{path}:{number}: {exc}", hint="the file was changed or damaged") from exc
