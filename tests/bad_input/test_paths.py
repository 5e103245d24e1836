"""Paths that lead elsewhere, odd names, and files that change under our hands: nothing but the document is read."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.errors import DocumentError
from tests.bad_input.conftest import TEXT, Call

NOBODY = 65534
SECRET = "SECRET words that are no document."
ODD_NAMES = [
    "new\nline.txt", "esc\x1b[2J.txt", "semi;colon & $(id).txt", "-rf.txt", "~.txt", "$HOME.txt", "quote'\".txt",
    "tab\t.txt", "x" * 251 + ".txt", "bang!.txt", "naïve \u202e.txt", "a..b.txt", "*.txt", "%00.txt",
]  # fmt: skip


def entry_of(project: Path) -> manifest.Entry:
    return manifest.build([project / "docs"], project=project).entries[0]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_with_an_odd_name_is_a_document_and_its_name_steers_nothing(
    project: Path, call: Call, name: str
) -> None:
    (project / "docs" / name).write_text(f"{TEXT} Again.")
    (project / "docs" / f"{name[:200]}.qqq").write_bytes(b"")
    code, out, err = call("manifest", "build", "docs", "-o", "m.jsonl")
    assert code == 0
    found = {entry.path: entry for entry in manifest.read(project / "m.jsonl", project=project)}
    assert manifest.open_bytes(found[name], project) == f"{TEXT} Again.".encode()
    assert found[name].doc_id.isascii()
    assert not set("\x1b\u202e") & set(out + err)


def test_a_name_that_is_not_utf_8_is_refused_with_its_bytes_spelled_out(project: Path, call: Call) -> None:
    (project / "docs" / os.fsdecode(b"\xff\xfe.txt")).write_text(TEXT)
    code, out, err = call("manifest", "build", "docs", "-o", "m.jsonl", "--json")
    assert (code, json.loads(out)["documents"]) == (0, 1)
    assert r"\xff\xfe.txt: the name is not UTF-8; rename the file" in err


def test_a_folder_whose_name_ends_like_a_mark_for_members_is_a_folder(project: Path) -> None:
    (project / "docs" / "Read me!").mkdir()
    (project / "docs" / "Read me!" / "x.txt").write_text(TEXT)
    entries = manifest.build([project / "docs"], project=project).entries
    assert manifest.open_bytes(entries[0], project) == TEXT.encode()


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.txt", "loop.txt", "/dev/zero", "nowhere.txt"])
def test_a_link_that_leads_out_round_or_nowhere_is_refused(project: Path, target: str) -> None:
    (project / "outside.txt").write_text(SECRET)
    (project / "docs" / "loop.txt").symlink_to(target)
    build = manifest.build([project / "docs"], project=project)
    assert [path for path, _ in build.refused] == ["loop.txt"]
    assert [entry.path for entry in build.entries] == ["a.txt"]


@pytest.mark.parametrize("source", ["https://example.org/a.pdf", "~/a.txt", "x" * 5000, "a\x1b[2J.txt", "/dev/null"])
def test_a_source_that_is_none_is_refused_with_the_reason(project: Path, call: Call, source: str) -> None:
    code, out, err = call("manifest", "build", source, "-o", "m.jsonl")
    assert (code, out) == (2, "")
    assert "\x1b" not in err
    assert not (project / "m.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.unlink(), "not_found"),
        (lambda path: path.write_text(TEXT[:-1] + "!"), "changed"),
        (lambda path: path.write_text(TEXT * 2), "changed"),
        (lambda path: path.write_text(""), "changed"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "denied"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "denied"),
        (lambda path: (path.unlink(), path.mkdir()), "denied"),
        (lambda path: (path.unlink(), path.symlink_to(path.name)), "denied"),
    ],
    ids=["gone", "content", "size", "empty", "link", "fifo", "folder", "loop"],
)
def test_a_document_that_is_no_longer_the_same_fails_alone(
    project: Path, call: Call, change: Callable[[Path], object], reason: str
) -> None:
    (project / "docs" / "b.txt").write_text(f"{TEXT} Again.")
    assert call("manifest", "build", "docs", "-o", "m.jsonl")[0] == 0
    change(project / "docs" / "b.txt")
    code, out, _ = call("convert", "config.yaml", "--json")
    assert (code, [row["reason"] for row in json.loads(out)]) == (0, [None, reason])


def test_a_file_that_becomes_a_link_between_check_and_open_is_not_followed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, path = entry_of(project), project / "docs" / "a.txt"
    (project / "secret.txt").write_text(SECRET)
    real_open, swapped = os.open, []

    def swapping(name: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if name == "a.txt" and dir_fd is not None:  # every check has passed
            path.unlink()
            path.symlink_to(project / "secret.txt")
            swapped.append(name)
        return real_open(name, flags, *rest, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(DocumentError) as caught:
        manifest.open_bytes(entry, project)
    assert swapped == ["a.txt"]
    assert caught.value.reason == "denied"


def test_a_folder_that_becomes_a_link_between_check_and_open_is_not_followed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "docs" / "in").mkdir()
    (project / "docs" / "in" / "b.txt").write_text(TEXT)
    (project / "other").mkdir()
    (project / "other" / "b.txt").write_text(TEXT)  # even with the same content
    entry = manifest.build([project / "docs"], project=project).entries[1]
    real_open, swapped = os.open, []

    def swapping(name: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if name == "in" and dir_fd is not None:
            (project / "docs" / "in").rename(project / "moved")
            (project / "docs" / "in").symlink_to(project / "other")
            swapped.append(name)
        return real_open(name, flags, *rest, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(DocumentError):
        manifest.open_bytes(entry, project)
    assert swapped == ["in"]


def test_a_document_that_may_not_be_read_is_denied() -> None:
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "from hpc_qa.errors import DocumentError\n"
        "from hpc_qa.manifest.source import hash_source\n"
        f"if os.getuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try: print(hash_source(Path('.'), 'a.txt')[1])\n"
        "except DocumentError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "a.txt").write_text(TEXT)
        said = []
        for mode in (0o644, 0o000):
            (folder / "a.txt").chmod(mode)
            done = subprocess.run(
                [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
            )
            said.append(done.stdout.strip())
    assert said == [str(len(TEXT)), "denied: Permission denied"]
