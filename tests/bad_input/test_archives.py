"""ZIP archives of strangers: bad members are refused by name, their neighbours are read, nothing is written."""

import io
import resource
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.errors import DocumentError
from hpc_qa.manifest import archive
from tests.bad_input.conftest import TEXT

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


@pytest.mark.parametrize("name", MEMBERS)
def test_a_bad_member_is_refused_with_its_reason_and_its_neighbour_is_read(project: Path, name: str) -> None:
    data, said = MEMBERS[name]
    (project / "docs" / name).write_bytes(data)
    before = sorted(project.rglob("*"))
    build = manifest.build([project / "docs" / name], project=project)
    refused = [reason for path, reason in build.refused if not path.endswith("good.txt")]
    assert len(refused) == 1
    assert said in refused[0]
    good = [entry for entry in build.entries if entry.path == f"{name}!/good.txt"]
    assert manifest.open_bytes(good[0], project) == TEXT.encode()
    assert sorted(project.rglob("*")) == before
    assert not (project.parent / "up.txt").exists()


@pytest.mark.parametrize("name", WHOLE)
def test_a_bad_archive_is_refused_as_one_and_the_other_documents_survive(project: Path, name: str) -> None:
    data, said = WHOLE[name]
    (project / "docs" / name).write_bytes(data)
    build = manifest.build([project / "docs"], project=project)
    assert [path for path, _ in build.refused] == [name]
    assert said in build.refused[0][1]
    assert [entry.path for entry in build.entries] == ["a.txt"]


def test_archives_inside_archives_are_counted_and_not_opened(project: Path) -> None:
    inner = packed(("zeros.txt", bytes(9_000_000)))
    (project / "docs" / "outer.zip").write_bytes(packed(*((f"{number}.zip", inner) for number in range(16))))
    build = manifest.build([project / "docs" / "outer.zip"], project=project)
    assert (build.unsupported, len(build.entries)) == ({".zip": 16}, 1)


def test_an_archive_of_a_million_names_is_refused_in_bounded_memory(project: Path) -> None:
    name = b"%07d.txt"
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", CENTRAL, 20, 20, 0, 0, 0, 33, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0)
    count = 1_000_000
    listed = b"".join(entry + name % number for number in range(count))
    (project / "docs" / "million.zip").write_bytes(
        listed + struct.pack("<4sHHHHIIH", END, 0, 0, 0xFFFF, 0xFFFF, len(listed), 0, 0)
    )
    del listed
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    build = manifest.build([project / "docs"], project=project)
    assert "its list of members has more than 16000000 bytes" in build.refused[0][1]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_too_many_members_are_refused_with_their_number(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    (project / "docs" / "four.zip").write_bytes(packed(*((f"{number}.txt", TEXT) for number in range(3))))
    assert "4 members, the limit is 3" in manifest.build([project / "docs"], project=project).refused[0][1]


def test_the_list_of_an_archive_is_read_once_for_all_its_members(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "docs" / "many.zip").write_bytes(
        packed(*((f"{number}.txt", f"{TEXT} {number}") for number in range(99)))
    )
    opened = []
    real = zipfile.ZipFile.__init__
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda self, *a, **k: (opened.append(1), real(self, *a, **k))[1])
    entries = manifest.build([project / "docs" / "many.zip"], project=project).entries
    assert [manifest.open_bytes(entry, project) for entry in entries[:20]]
    assert (len(entries), len(opened)) == (100, 1)


def test_an_archive_that_was_changed_is_read_anew(project: Path) -> None:
    path = project / "docs" / "a.zip"
    path.write_bytes(packed(("x.txt", "First text is here.")))
    entry = next(e for e in manifest.build([path], project=project).entries if e.path.endswith("x.txt"))
    assert manifest.open_bytes(entry, project) == b"First text is here."
    path.write_bytes(packed(("x.txt", "Other text is here.")))
    with pytest.raises(DocumentError, match="changed"):
        manifest.open_bytes(entry, project)
