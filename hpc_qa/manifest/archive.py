"""Read ZIP archives of strangers: their list of members, and one member at a time as a stream.

Nothing is ever written under a name that stands in an archive. Refused are archives whose list is too long, whose
members overlap or unpack to far more than the archive, and members that are encrypted, links, packed with anything but
deflate, or named so that they would lead out. Archives inside archives are not opened.
"""

import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from hpc_qa.errors import DocumentError
from hpc_qa.manifest.entry import leads_out
from hpc_qa.units import plural

MAX_MEMBERS = 100_000
MAX_LIST_BYTES = 16_000_000  # of the list of members, 160 bytes for each
MAX_MEMBER_BYTES = 2**30
MAX_RATIO = 200  # deflate reaches 1032:1 on zeros; text and PDFs stay under 20:1
RATIO_FREE_BYTES = 10_000_000  # below that a high ratio does no harm
LOCAL_HEADER_BYTES = 30
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an archive by name, and why it is not read, None when it is."""

    name: str
    fault: str | None


def members(stream: IO[bytes]) -> list[Member]:
    """The members that are no folders, in the order of their names; the stream is closed, now or later.

    Raises:
        DocumentError: the archive as a whole cannot be used.
    """
    infos = _opened(stream).infolist()
    twice = {name for name, count in Counter(info.filename for info in infos).items() if count > 1}
    return [
        Member(info.filename, "several members have this name" if info.filename in twice else member_fault(info))
        for info in sorted(infos, key=lambda each: each.filename)
        if not info.is_dir()
    ]


@contextmanager
def open_member(stream: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """One member of the archive as a stream; the archive's stream is closed, now or later.

    Raises:
        DocumentError: there is no such member, it is refused, or it is damaged.
    """
    archive = _opened(stream)
    try:
        info = archive.getinfo(name)
    except KeyError as exc:
        raise DocumentError("not_found", "the archive has no such member") from exc
    if fault := member_fault(info):
        raise DocumentError(reason_of(fault), f"member of an archive: {fault}")
    try:
        with archive.open(info) as inner:
            yield inner
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as exc:
        raise DocumentError("malformed", f"the member cannot be unpacked: {exc}") from exc


def member_fault(info: zipfile.ZipInfo) -> str | None:
    """Why a member of an archive is not read, None when it is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 0x1:
        return "encrypted"
    if kind == stat.S_IFLNK:
        return "a symbolic link"
    if kind not in (0, stat.S_IFREG):
        return "not a regular file"
    if leads_out(info.filename):
        return "its name leads out of the archive"
    if info.compress_type not in METHODS:
        return "packed in a way that is not read; pack it again with deflate, as zip does"
    if info.file_size > MAX_MEMBER_BYTES:
        return "unpacks to more than 1 GiB"
    if _is_bomb(info.file_size, info.compress_size):
        return f"unpacks to more than {MAX_RATIO} times its size"
    return None


def reason_of(fault: str) -> str:
    """The short word for what `member_fault` says.

    >>> reason_of("encrypted"), reason_of("unpacks to more than 1 GiB"), reason_of("a symbolic link")
    ('encrypted', 'too_large', 'denied')
    """
    return "encrypted" if fault == "encrypted" else "too_large" if "unpacks" in fault else "denied"


def _is_bomb(unpacked: int, packed: int) -> bool:
    return unpacked > RATIO_FREE_BYTES and unpacked > MAX_RATIO * max(1, packed)


class _Bounded:
    """A binary file whose single reads are bounded: the list of members is read in one piece."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable
        self.close, self.readable = stream.close, stream.readable

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size if 0 <= size <= MAX_LIST_BYTES else MAX_LIST_BYTES + 1)
        if len(data) > MAX_LIST_BYTES:
            raise DocumentError("too_large", f"its list of members has more than {MAX_LIST_BYTES} bytes; divide it")
        return data


# The archive that was opened last, by the identity of its file: 10,000 members are not worth 10,000 readings of the
# list of members. One descriptor stays open for it.
_last: dict[tuple[int, ...], zipfile.ZipFile] = {}


def _opened(stream: IO[bytes]) -> zipfile.ZipFile:
    status = os.fstat(stream.fileno())
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if identity in _last:
        stream.close()
        return _last[identity]
    try:
        archive = zipfile.ZipFile(_Bounded(stream))
        check(archive.infolist(), status.st_size)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OverflowError) as exc:
        stream.close()
        raise DocumentError("malformed", f"the ZIP archive cannot be read: {exc}") from exc
    except DocumentError:
        stream.close()
        raise
    for old in _last.values():
        old.close()
    _last.clear()
    _last[identity] = archive
    return archive


def check(infos: list[zipfile.ZipInfo], archive_bytes: int) -> None:
    """Refuse an archive as a whole: too many members, some that share bytes, or a bomb of many.

    Raises:
        DocumentError: `too_large` or `malformed`.
    """
    if len(infos) > MAX_MEMBERS:
        raise DocumentError(
            "too_large", f"{plural(len(infos), 'member')}, the limit is {MAX_MEMBERS}; divide the archive"
        )
    end = 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        if info.header_offset < end:
            raise DocumentError("malformed", f"its members overlap, as in a bomb: {info.filename!r}")
        end = info.header_offset + LOCAL_HEADER_BYTES + info.compress_size
    # A single bomb is refused alone, so that its neighbours stay; together the rest may be one as well.
    if _is_bomb(sum(info.file_size for info in infos if member_fault(info) is None), archive_bytes):
        raise DocumentError("too_large", f"its members unpack to more than {MAX_RATIO} times its size")
