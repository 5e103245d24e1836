"""Read the bytes of one document, and nothing else than that document.

A path is resolved, must lie inside its root, and is then opened part by part from the root's descriptor without
following links, so that nobody swaps a link in between. Members of ZIP archives are read into memory under caps on
size and ratio; nothing is ever extracted by name. What the bytes mean is not looked at here.
"""

import errno
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hpc_qa.errors import DocumentError
from hpc_qa.manifest.entry import MEMBER, Entry

BLOCK_BYTES = 1 << 20
MAX_MEMBER_BYTES = 2**30
MAX_RATIO = 200  # deflate reaches 1032:1 on zeros; text and PDFs stay under 20:1
RATIO_FREE_BYTES = 10_000_000  # below that a high ratio does no harm


def open_bytes(entry: Entry, project: Path, *, max_bytes: int | None = None) -> bytes:
    """The document's bytes, proven to be the ones that the manifest names.

    Raises:
        DocumentError: `not_found`, `denied`, `changed`, `too_large` or `malformed` (a broken archive).
    """
    if max_bytes is not None and entry.bytes > max_bytes:
        raise DocumentError("too_large", f"{entry.bytes} bytes, the limit is {max_bytes}")
    with open_source(Path(project, entry.root), entry.path) as stream:
        data = stream.read(entry.bytes + 1)
    if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise DocumentError("changed", "the file is not the one that the manifest was built from")
    return data


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
            if size > MAX_MEMBER_BYTES and MEMBER in path:
                raise DocumentError("too_large", "a member of an archive of more than 1 GiB")
    return digest.hexdigest(), size


@contextmanager
def open_source(root: Path, path: str) -> Iterator[IO[bytes]]:
    """Open a file under root, or a member of a ZIP archive under root."""
    file_part, separator, member = path.partition(MEMBER)
    try:
        with os.fdopen(_open_inside(root, file_part), "rb") as stream:
            if not separator:
                yield stream
                return
            with zipfile.ZipFile(stream) as archive, archive.open(_checked_member(archive, member)) as inner:
                yield inner
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as exc:
        raise DocumentError("malformed", f"the ZIP archive cannot be read: {exc}") from exc
    except OSError as exc:
        raise DocumentError(_reason_of(exc), exc.strerror or str(exc)) from exc


def member_fault(info: zipfile.ZipInfo) -> str | None:
    """Why a member of an archive is not read, None when it is."""
    if info.flag_bits & 0x1:
        return "encrypted"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a symbolic link"
    if info.file_size > MAX_MEMBER_BYTES:
        return "larger than 1 GiB"
    if info.file_size > RATIO_FREE_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"unpacks to more than {MAX_RATIO} times its size"
    return None


def _checked_member(archive: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    try:
        info = archive.getinfo(member)
    except KeyError as exc:
        raise DocumentError("not_found", "the archive has no such member") from exc
    if fault := member_fault(info):
        raise DocumentError("encrypted" if fault == "encrypted" else "too_large", f"member of an archive: {fault}")
    return info


def _open_inside(root: Path, path: str) -> int:
    """A descriptor of a regular file that really lies under root."""
    real_root = root.resolve()
    real = (real_root / path).resolve()
    if not real.is_relative_to(real_root):
        raise DocumentError("denied", f"the path leads out of its root {root}")
    folder = os.open(real_root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *folders, name = real.relative_to(real_root).parts or (".",)
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
    if not stat.S_ISREG(status.st_mode):
        raise DocumentError("denied", "not a regular file")


def _reason_of(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "not_found"
    return "denied"
