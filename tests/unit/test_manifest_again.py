"""A manifest that is gone through several times: nothing of it is kept, and still nothing changes unseen."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.errors import ManifestError
from hpc_qa.manifest import Entry, Manifest, reader


def entry(number: int) -> Entry:
    return Entry(f"d{number}", f"d{number}.txt", ".", f"{number:064x}", 10, "text/plain", None, "small", 100)


ENTRIES = [entry(number) for number in range(5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    manifest.write(tmp_path / "m.jsonl", ENTRIES)
    return tmp_path / "m.jsonl"


def test_every_loop_gives_the_same_entries_and_lines_are_what_is_written(path: Path) -> None:
    found = Manifest(path, project=path.parent)
    assert list(found) == list(found) == ENTRIES
    assert found.count == 5
    assert b"".join(found.lines()) == path.read_bytes()


def test_a_limit_gives_the_first_ones_and_proves_all(path: Path) -> None:
    found = Manifest(path, project=path.parent, limit=2)
    assert list(found) == list(found) == ENTRIES[:2]
    assert found.count == 2
    assert b"".join(found.lines()) == b"".join(path.read_bytes().splitlines(keepends=True)[:2])
    with path.open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(ManifestError, match=r"m\.jsonl:6: doc_id is missing"):
        list(Manifest(path, project=path.parent, limit=2))


def test_a_list_of_paths_is_hashed_once(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"Text of {name}.")
    (tmp_path / "list.txt").write_text("a.txt\nb.txt\n")
    found = Manifest(tmp_path / "list.txt", project=tmp_path, limit=1)
    [first] = found
    (tmp_path / "a.txt").write_text("Another text.")
    assert list(found) == [first]
    assert found.count == 1
    manifest.write(tmp_path / "written.jsonl", [first])
    assert b"".join(found.lines()) == (tmp_path / "written.jsonl").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text(path.read_text().replace("d3.txt", "e3.txt")),
        lambda path: path.write_text(path.read_text() * 2),
        lambda path: manifest.write(path, [replace(entry(9), tokens=7)]),
    ],
    ids=["in place", "longer", "replaced"],
)
def test_a_file_that_changes_between_two_loops_is_an_error(path: Path, change: Callable[[Path], object]) -> None:
    found = Manifest(path, project=path.parent)
    list(found)
    os.utime(path, ns=(0, 0))  # however coarse the clock of the file system is
    change(path)
    for loop in (found, found.lines()):
        with pytest.raises(ManifestError, match=r"m\.jsonl: was changed while it was read") as caught:
            list(loop)
        assert caught.value.hint == "the same command again"


def test_a_file_that_is_removed_between_two_loops_is_an_error(path: Path) -> None:
    found = Manifest(path, project=path.parent)
    list(found)
    path.unlink()
    with pytest.raises(ManifestError, match=r"m\.jsonl: cannot be read: No such file"):
        list(found)


def test_names_that_only_share_a_hash_are_not_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "hash", lambda name: 1, raising=False)
    assert manifest.read(path, project=path.parent) == ENTRIES
    with path.open("a") as stream:
        stream.write(manifest.entry_json(replace(entry(7), path="d2.txt")) + "\n")
    with pytest.raises(ManifestError) as caught:
        manifest.read(path, project=path.parent)
    assert caught.value.faults == (f"{path}:6: path 'd2.txt' is already in line 3",)
