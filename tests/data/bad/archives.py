"""ZIP archives of strangers, each with what is said of its bad member, or of all of it."""

import io
import stat
import struct
import zipfile

from tests import made_documents as made

TEXT = made.PDF_LINE
LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def packed(*members: tuple[str | zipfile.ZipInfo, str | bytes]) -> bytes:
    """An archive with these members and a good one."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, data in (*members, ("good.txt", TEXT)):
            writer.writestr(name, data)
    return target.getvalue()


def special(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    info.create_system = 3
    return info


def lzma_member() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("l.txt")
    info.compress_type = zipfile.ZIP_LZMA
    return info


def patched(data: bytes, local_offset: int, central_offset: int, value: bytes) -> bytes:
    """The archive with a field of its first member changed, in both of its headers."""
    raw = bytearray(data)
    for place in (raw.find(LOCAL) + local_offset, raw.find(CENTRAL) + central_offset):
        raw[place : place + len(value)] = value
    return bytes(raw)


def overlapping(count: int) -> bytes:
    """Many names for the bytes of one member."""
    raw = packed(("k0000.txt", TEXT * 1000))
    start = raw.find(CENTRAL)
    entry = raw[start : raw.find(CENTRAL, start + 4)]
    names = b"".join(entry[:46] + b"k%04d.txt" % number + entry[55:] for number in range(count))
    return raw[:start] + names + struct.pack("<4sHHHHIIH", END, 0, 0, count, count, len(names), start, 0)


def million() -> bytes:
    """A list of a million members, all at the same place."""
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", CENTRAL, 20, 20, 0, 0, 0, 33, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0)
    listed = b"".join(entry + b"%07d.txt" % number for number in range(1_000_000))
    return listed + struct.pack("<4sHHHHIIH", END, 0, 0, 0xFFFF, 0xFFFF, len(listed), 0, 0)


MEMBERS: dict[str, tuple[bytes, str]] = {
    "up.zip": (packed(("../../up.txt", TEXT)), "leads out of the archive"),
    "inner_up.zip": (packed(("a/../../up.txt", TEXT)), "leads out of the archive"),
    "absolute.zip": (packed(("/etc/up.txt", TEXT)), "leads out of the archive"),
    "drive.zip": (packed(("C:\\up.txt", TEXT)), "leads out of the archive"),
    "backslash.zip": (packed(("a\\..\\..\\up.txt", TEXT)), "leads out of the archive"),
    "link.zip": (packed((special("link.txt", stat.S_IFLNK), "/etc/passwd")), "a symbolic link"),
    "fifo.zip": (packed((special("pipe.txt", stat.S_IFIFO), "")), "not a regular file"),
    "encrypted.zip": (patched(packed(("s.txt", TEXT)), 6, 8, b"\x01\x00"), "encrypted"),
    "zeros.zip": (packed(("zeros.txt", bytes(30_000_000))), "unpacks to more than 200 times"),
    "liar.zip": (patched(packed(("liar.txt", b"a" * 30_000_000)), 22, 24, struct.pack("<I", 999)), "CRC"),
    "huge.zip": (patched(packed(("huge.txt", TEXT)), 22, 24, struct.pack("<I", 2**31)), "more than 1 GiB"),
    "lzma.zip": (packed((lzma_member(), TEXT)), "pack it again with deflate"),
    "unknown.zip": (patched(packed(("u.txt", TEXT)), 8, 10, b"\x4d\x00"), "pack it again with deflate"),
    "renamed.zip": (packed(("r.txt", TEXT)).replace(b"r.txt", b"q.txt", 1), "differ"),
}
WHOLE: dict[str, tuple[bytes, str]] = {
    "empty.zip": (b"", "malformed"),
    "text.zip": (TEXT.encode(), "malformed"),
    "half.zip": (packed()[:80], "malformed"),
    "overlap.zip": (overlapping(50), "its members overlap, as in a bomb"),
    "together.zip": (packed(*((f"{n}.txt", bytes(9_000_000)) for n in range(9))), "its members unpack to more than"),
}
