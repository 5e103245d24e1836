"""The manifest: what is found, what is refused, what is said about faults."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.errors import DocumentError, ManifestError
from hpc_qa.manifest import Entry, entry_json
from hpc_qa.manifest.build import describe_rest
from tests.made_documents import write_zip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "sub dir").mkdir(parents=True)
    (docs / "b.md").write_text("# B\n\nText of b.")
    (docs / "a.txt").write_text("Text of a.")
    (docs / "sub dir" / "C (1).html").write_text("<p>Text of c.</p>")
    (docs / "sheet.xlsx").write_bytes(b"PK")
    (docs / "letter.odt").write_bytes(b"PK")
    (docs / ".hidden.txt").write_text("no")
    write_zip(docs / "pack.zip", {"inner/d.txt": b"Text of d.", "inner/x.odt": b"PK", "__MACOSX/._d.txt": b"?"})
    return tmp_path


def test_folders_archives_and_files_become_entries_in_a_stable_order(project: Path) -> None:
    found = manifest.build([project / "docs"], project=project)
    assert [entry.path for entry in found.entries] == ["a.txt", "b.md", "pack.zip!/inner/d.txt", "sub dir/C (1).html"]
    assert [entry.root for entry in found.entries] == ["docs"] * 4
    assert found.unsupported == {".xlsx": 1, ".odt": 2}
    said = describe_rest(found)
    assert [line.rpartition(" (")[2] for line in said] == ["letter.odt, pack.zip!/inner/x.odt)", "sheet.xlsx)"]
    assert manifest.build([project / "docs"], project=project).entries == found.entries


def test_doc_id_is_a_slug_of_the_path_and_the_hash(project: Path) -> None:
    entry = manifest.build([project / "docs" / "sub dir"], project=project).entries[0]
    assert entry.doc_id == f"c-1-{entry.sha256[:8]}"


def test_sources_that_overlap_give_each_document_once(project: Path) -> None:
    found = manifest.build([project / "docs", project / "docs" / "a.txt"], project=project)
    assert [entry.path for entry in found.entries].count("a.txt") == 1


def test_equal_content_under_two_names_stays_two_entries(project: Path) -> None:
    (project / "docs" / "copy.txt").write_text("Text of a.")
    entries = manifest.build([project / "docs"], project=project).entries
    same = [entry for entry in entries if entry.sha256 == entries[0].sha256]
    assert len(same) == len({entry.doc_id for entry in same}) == 2


def test_names_with_one_slug_and_one_content_get_distinct_ids(project: Path) -> None:
    for name in ("x y.txt", "x_y.txt"):
        (project / "docs" / name).write_text("same")
    ids = [entry.doc_id for entry in manifest.build([project / "docs"], project=project).entries]
    assert len(set(ids)) == len(ids)


def test_a_missing_source_and_an_empty_one_are_faults(project: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        manifest.build([project / "nowhere"], project=project)
    (project / "empty").mkdir()
    with pytest.raises(ManifestError, match="no document found"):
        manifest.build([project / "empty"], project=project)


def test_a_link_out_of_the_root_a_fifo_and_a_bomb_are_refused(project: Path) -> None:
    (project / "secret.txt").write_text("secret")
    (project / "docs" / "link.txt").symlink_to(project / "secret.txt")
    os.mkfifo(project / "docs" / "pipe.txt")
    write_zip(project / "docs" / "bomb.zip", {"zeros.txt": bytes(30_000_000)})
    found = manifest.build([project / "docs"], project=project)
    assert {path for path, _ in found.refused} == {"link.txt", "pipe.txt", "bomb.zip!/zeros.txt"}
    assert len(found.entries) == 4


def test_a_link_inside_the_root_is_followed(project: Path) -> None:
    (project / "docs" / "link.txt").symlink_to("a.txt")
    found = manifest.build([project / "docs" / "link.txt"], project=project)
    assert manifest.open_bytes(found.entries[0], project) == b"Text of a."


def test_what_was_written_is_read_back(project: Path) -> None:
    entries = manifest.build([project / "docs"], project=project).entries
    manifest.write(project / "m" / "all.jsonl", entries)
    assert manifest.read(project / "m" / "all.jsonl", project=project) == entries
    assert os.listdir(project / "m") == ["all.jsonl"]


def test_byte_order_mark_and_windows_line_ends_are_tolerated(project: Path) -> None:
    entries = manifest.build([project / "docs"], project=project).entries
    text = "".join(entry_json(entry) + "\r\n" for entry in entries)
    (project / "w.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    assert manifest.read(project / "w.jsonl", project=project) == entries


def test_all_faults_come_in_one_error_with_their_lines(project: Path) -> None:
    good = manifest.build([project / "docs"], project=project).entries[0]
    lines = [
        entry_json(good),
        "{broken",
        "[1]",
        entry_json(replace(good, doc_id="other", path="../../etc/passwd")),
        entry_json(replace(good, doc_id="third", path="x.txt", sha256="short")),
        json.dumps({"doc_id": "d", "bytes": True}),
        entry_json(good),
        "[" * 100_000,
    ]
    (project / "bad.jsonl").write_text("\n".join(lines))
    with pytest.raises(ManifestError) as caught:
        manifest.read(project / "bad.jsonl", project=project)
    text = "\n".join(caught.value.faults)
    for part in (":2:", ":3: not a JSON object", ":4: path", ":5: sha256", ":6: path is missing", ":7: doc_id", ":8:"):
        assert f"bad.jsonl{part}" in text
    assert "bytes is not a whole number" in text
    assert "already in line 1" in text


def test_lines_that_are_no_text_and_lines_without_end_are_faults(project: Path) -> None:
    (project / "latin.jsonl").write_bytes(b'{"path": "\xe9"}\n')
    (project / "long.jsonl").write_bytes(b"x" * 1_100_000)
    for name, fault in (("latin", "not UTF-8"), ("long", "longer than")):
        with pytest.raises(ManifestError, match=fault):
            manifest.read(project / f"{name}.jsonl", project=project)


def test_a_manifest_that_is_missing_empty_or_a_fifo_is_refused(project: Path) -> None:
    (project / "empty.jsonl").write_text("\n")
    os.mkfifo(project / "fifo.jsonl")
    for name, fault in (("none", "no such file"), ("empty", "no document"), ("fifo", "is a FIFO")):
        with pytest.raises(ManifestError, match=fault):
            manifest.read(project / f"{name}.jsonl", project=project)


def test_a_list_of_paths_is_a_manifest(project: Path) -> None:
    (project / "list.txt").write_text("# ours\ndocs/a.txt\r\n\ndocs/pack.zip\n")
    entries = manifest.read(project / "list.txt", project=project)
    assert [entry.path for entry in entries] == ["docs/a.txt", "docs/pack.zip!/inner/d.txt"]
    assert manifest.open_bytes(entries[1], project) == b"Text of d."


def test_a_list_names_each_path_that_cannot_be_used(project: Path) -> None:
    (project / "list.txt").write_text("docs/a.txt\ndocs/none.txt\n../out.txt\ndocs/a.txt\ndocs/letter.odt\n")
    with pytest.raises(ManifestError) as caught:
        manifest.read(project / "list.txt", project=project)
    assert {fault.split(":")[1] for fault in caught.value.faults} == {"2", "3", "4", "5"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.unlink(), "not_found"),
        (lambda path: path.write_text("Text of z."), "changed"),
        (lambda path: path.write_text("longer than before"), "changed"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "denied"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "denied"),
        (lambda path: (path.unlink(), path.mkdir()), "denied"),
    ],
)
def test_a_document_that_is_no_longer_the_same_is_not_read(
    project: Path, change: Callable[[Path], object], reason: str
) -> None:
    entry = manifest.build([project / "docs" / "a.txt"], project=project).entries[0]
    change(project / "docs" / "a.txt")
    with pytest.raises(DocumentError) as caught:
        manifest.open_bytes(entry, project)
    assert caught.value.reason == reason


def test_a_document_over_the_limit_is_not_read(project: Path) -> None:
    entry = manifest.build([project / "docs" / "a.txt"], project=project).entries[0]
    with pytest.raises(DocumentError, match="too_large"):
        manifest.open_bytes(entry, project, max_bytes=3)


def made(number: int, size: int) -> Entry:
    return Entry(f"d{number}", f"d{number}.txt", ".", f"{number:064x}", size, "text/plain", None, "small")


def test_an_early_batch_has_the_size_mix_of_the_whole() -> None:
    entries = [made(number, 10**3 if number % 10 else 10**5) for number in range(1_000)]
    drawn = manifest.batches(entries, {"batch_50": 50}, seed=1)["batch_50"]
    assert len(drawn) == 50
    assert sum(entry.bytes == 10**5 for entry in drawn) == 5


def test_too_few_documents_is_a_fault_that_names_every_batch() -> None:
    entries = [made(number, 10) for number in range(10)]
    with pytest.raises(ManifestError) as caught:
        manifest.batches(entries, {"local_20": 20, "batch_8": 8, "batch_5": 5, "none": 0}, seed=1)
    assert len(caught.value.faults) == 3
