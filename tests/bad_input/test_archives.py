"""ZIP archives of strangers: bad members are refused by name, their neighbours are read, nothing is written."""

import zipfile
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.errors import DocumentError
from hpc_qa.manifest import archive
from tests.bad_input.conftest import TEXT, grown_bytes
from tests.data.bad.archives import MEMBERS, WHOLE, million, packed


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
    (project / "docs" / "million.zip").write_bytes(million())
    builds = []
    assert grown_bytes(lambda: builds.append(manifest.build([project / "docs"], project=project))) < 100_000_000
    assert "its list of members has more than 16000000 bytes" in builds[0].refused[0][1]


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
