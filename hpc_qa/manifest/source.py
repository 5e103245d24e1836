"""Read the bytes of one document, and nothing else than that document.

A path is resolved, must lie inside its root, and is then opened part by part from the root's descriptor without
following links, so that nobody swaps a link in between. Members of ZIP archives are read into memory, see `archive`;
nothing is ever extracted by name. What the bytes mean is not looked at here.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hpc_qa.errors import DocumentError
from hpc_qa.manifest import archive
from hpc_qa.manifest.entry import Entry, split_member

BLOCK_BYTES = 1 << 20


def open_bytes(entry: Entry, project: Path, *, max_bytes: int | None = None) -> bytes:
    """The document's bytes, proven to be the ones that the manifest names.

    Raises:
        DocumentError: `not_found`, `denied`, `changed`, `too_large`, `encrypted` or `malformed` (a broken archive).
    """
    if max_bytes is not None and entry.bytes > max_bytes:
        raise DocumentError("too_large", f"{entry.bytes} bytes, the limit is {max_bytes}")
    with open_source(Path(project, entry.root), entry.path) as stream:
        data = _at_most(stream, entry.bytes + 1)
    if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise DocumentError("changed", "the file is not the one that the manifest was built from")
    return data


def _at_most(stream: IO[bytes], size: int) -> bytes:
    """So many bytes or all there are, in blocks: a manifest that says 10^30 allocates nothing."""
    parts = []
    while size > 0 and (block := stream.read(min(BLOCK_BYTES, size))):
        parts.append(block)
        size -= len(block)
    return b"".join(parts)


def hash_source(root: Path, path: str) -> tuple[str, int]:
    """SHA-256 and size of a document, read in blocks.

    Raises:
        DocumentError: as `open_bytes`.
    """
    digest, size = hashlib.sha256(), 0
    with open_source(root, path) as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


@contextmanager
def open_source(root: Path, path: str) -> Iterator[IO[bytes]]:
    """Open a file under root, or a member of a ZIP archive under root.

    Raises:
        DocumentError: it cannot be opened, or reading it failed.
    """
    file_part, member = split_member(path)
    try:
        stream = os.fdopen(_open_inside(root, file_part), "rb")
        if not member:
            with stream:
                yield stream
            return
        with archive.open_member(stream, member) as inner:
            yield inner
    except OSError as exc:
        raise DocumentError(_reason_of(exc), exc.strerror or str(exc)) from exc


def list_members(root: Path, path: str) -> list[archive.Member]:
    """What is in a ZIP archive under root, in the order of the names.

    Raises:
        DocumentError: it cannot be opened, or it is no archive that can be read safely.
    """
    try:
        return archive.members(os.fdopen(_open_inside(root, path), "rb"))
    except OSError as exc:
        raise DocumentError(_reason_of(exc), exc.strerror or str(exc)) from exc


def _open_inside(root: Path, path: str) -> int:
    """A descriptor of a regular file that really lies under root."""
    # os.path.realpath, as Path.resolve raises RuntimeError for a loop of links; opening it says ELOOP
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(real_root, path))
    if real != real_root and not real.startswith(real_root.rstrip("/") + "/"):
        raise DocumentError("denied", f"the path leads out of its root {root}")
    folder = os.open(real_root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *folders, name = os.path.relpath(real, real_root).split("/")
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        _refuse_irregular(os.stat(name, dir_fd=folder, follow_symlinks=False))
        # O_NONBLOCK: had the name become a FIFO since, opening it would wait for a writer.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        _refuse_irregular(os.fstat(descriptor))
    except DocumentError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_irregular(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise DocumentError("denied", "a symbolic link that leads nowhere, or was put there just now")
    if not stat.S_ISREG(status.st_mode):
        raise DocumentError("denied", "not a regular file")


def _reason_of(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return "not_found"
    return "denied"
