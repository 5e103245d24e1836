"""Small files that are either whole or absent.

A file is written under a temporary name, synced, then linked to its own name, which fails if somebody was first; the
folder is synced after it. Records that grow line by line are in `segments.py`.
"""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
WHAT_TO_DO = "look for a full disk, a quota or a lost mount (df, quota); then `hpc-qa resume RUN` continues"


def storage_error(path: Path, what: str, exc: OSError) -> StoreError:
    """Our error for an operating system's refusal, with the path and what to do."""
    return StoreError(f"{path}: {what}: {exc.strerror or exc}", hint=WHAT_TO_DO)


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


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, sync it, and close; the descriptor is closed whatever happens."""
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_once(path: Path, data: bytes) -> bool:
    """Create a file with this content, whole or not at all; False if the name is taken by other content.

    link(2) fails when the name exists, so of several writers one wins. A network file system may report an error for a
    link that it did make, therefore the content decides and not the error.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_all(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), data)
        won = _link(temporary, path, data)
        sync_folder(path.parent)
    except OSError as exc:
        raise storage_error(path, "cannot write", exc) from exc
    finally:
        with suppress(OSError):  # a left-over temporary file harms nobody, its name is never read
            os.unlink(temporary)
    return won


def _link(temporary: Path, path: Path, data: bytes) -> bool:
    try:
        os.link(temporary, path)
    except OSError as exc:
        try:
            return path.read_bytes() == data
        except FileNotFoundError:
            raise exc from None
    return True


def json_bytes(value: object) -> bytes:
    """JSON for people and programs: indented, one final newline, no NaN."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json_once(path: Path, value: object) -> bool:
    """Create a JSON file, whole or not at all; False if it was there with other content."""
    return write_once(path, json_bytes(value))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that we wrote."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as exc:
        what = "is missing" if exc.errno == errno.ENOENT else "cannot be read"
        raise StoreError(f"{path}: {what}: {exc.strerror}", hint="is this the folder of a run?") from exc
    except ValueError as exc:
        raise StoreError(f"{path}: is not JSON: {exc}", hint="the file was changed or damaged") from exc
    if not isinstance(value, dict):
        raise StoreError(f"{path}: is not a JSON object", hint="the file was changed or damaged")
    return value


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file that we wrote, one at a time."""
    number = 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                number += 1
                yield dict(json.loads(line))
    except OSError as exc:
        raise StoreError(
            f"{path}: cannot be read: {exc.strerror}",
            hint="is this the folder of a run?",
        ) from exc
    except (ValueError, TypeError) as exc:
        raise StoreError(f"{path}:{number}: {exc}", hint="the file was changed or damaged") from exc
