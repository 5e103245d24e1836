"""Manifests as people and programs really leave them: each is refused with its line, or read."""

import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.manifest import Entry, entry_json
from tests.bad_input.conftest import TEXT, Call, grown_bytes

NOBODY = 65534


@pytest.fixture
def line(project: Path, call: Call) -> str:
    """A good line; its manifest is m.jsonl."""
    assert call("manifest", "build", "docs", "-o", "m.jsonl")[0] == 0
    return (project / "m.jsonl").read_text().strip()


def refused(call: Call, file: str | Path) -> str:
    """What `convert` says about this manifest, which it refuses."""
    code, out, err = call("convert", "config.yaml", "--manifest", file)
    assert (code, out) == (2, "")
    assert "error: " in err
    assert "\n  try: " in err
    return err


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder, not a file"),
        (os.mkfifo, "is a FIFO, a socket or a device"),
        (lambda path: path.symlink_to("/dev/zero"), "is a FIFO, a socket or a device"),
        (lambda path: path.symlink_to(path.name), "leads nowhere: Too many levels"),
        (lambda path: path.write_bytes(b""), "holds no document"),
        (lambda path: path.write_bytes(b"\n \r\n"), "holds no document"),
    ],
    ids=["missing", "folder", "fifo", "device", "loop", "empty", "blank"],
)
def test_what_is_no_list_is_named_and_never_opened(project: Path, call: Call, make, said: str) -> None:  # type: ignore[no-untyped-def]
    make(project / "x.jsonl")
    assert said in refused(call, "x.jsonl")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.csv", "doc_id,path,sha256\na,b,c\n", ":1: not JSON but a table (comma separated)"),
        ("x.jsonl", "doc_id;path;sha256\na;b;c\n", ":1: not JSON but a table (semicolon separated)"),
        ("x.tsv", "doc_id\tpath\tsha256\n", ":1: not JSON but a table (tab separated)"),
        ("x.jsonl", "some words\n" * 1000, ":1: not JSON"),
        ("x.json", "[]", ":1: not a JSON object"),
        ("x.jsonl", b'{"path": "caf\xe9"}\n', ":1: not UTF-8 at byte 13"),
        ("x.jsonl", '{"a": "\0"}\n', ":1: not JSON: Invalid control character"),
        ("x.jsonl", '{"bytes": NaN}\n', ":1: NaN is not JSON"),
        ("x.jsonl", '{"bytes": 1e999}\n', ":1: the number 1e999 is too large"),
        ("x.jsonl", '{"bytes": ' + "9" * 1_000_00 + "}\n", ":1: a number of 100000 digits"),
        ("x.jsonl", '{"path": "a", "path": "b"}\n', ":1: path stands in it twice"),
        ("x.jsonl", '{"path": "a', ":1: not JSON: Unterminated string"),
        ("x.jsonl", "[" * 100_000 + "\n", ":1: nested too deeply"),
    ],
)
def test_what_is_not_json_lines_is_refused_at_its_line(
    project: Path, call: Call, name: str, data: str | bytes, said: str
) -> None:
    (project / name).write_bytes(data.encode() if isinstance(data, str) else data)
    err = refused(call, name)
    assert name + said in err
    assert err.count("error: ") == 1


def test_a_table_is_one_fault_and_not_one_per_line(project: Path, call: Call) -> None:
    (project / "x.csv").write_text("a,b,c\n" * 10_000)
    assert refused(call, "x.csv").count("error: ") == 1


def test_utf_16_is_named_as_what_it_is(project: Path, call: Call, line: str) -> None:
    (project / "x.jsonl").write_bytes((line + "\n").encode("utf-16"))
    assert "is UTF-16 text; save it as UTF-8" in refused(call, "x.jsonl")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": "../../etc/passwd"}, "leads out of its root"),
        ({"path": "/etc/passwd"}, "is absolute"),
        ({"path": "a\0.txt"}, "NUL"),
        ({"path": "\ud800.txt"}, "half a character"),
        ({"path": "a.zip!/../../x.txt"}, "leads out of its archive"),
        ({"root": "../.."}, "root '../..' leads out of the project folder"),
        ({"root": "a\0"}, "root holds a NUL"),
        ({"doc_id": "../x"}, "doc_id may hold"),
        ({"doc_id": "a\nb"}, "doc_id may hold"),
        ({"sha256": "0" * 63}, "64 hexadecimal digits"),
        ({"bytes": -1}, "bytes is not a whole number from 0"),
        ({"bytes": True}, "bytes is not a whole number from 0"),
        ({"path": None}, "path is null"),
    ],
)
def test_a_line_that_cannot_be_right_is_refused(
    project: Path, call: Call, line: str, change: dict[str, object], said: str
) -> None:
    (project / "x.jsonl").write_text(json.dumps(json.loads(line) | change) + "\n")
    assert said in refused(call, "x.jsonl")


def test_a_number_of_bytes_beyond_all_memory_allocates_nothing(project: Path, call: Call, line: str) -> None:
    fields = json.loads(line) | {"bytes": 10**12, "sha256": "0" * 64}
    (project / "x.jsonl").write_text(json.dumps(fields) + "\n")
    (project / "config.yaml").write_text(
        (project / "config.yaml").read_text() + "documents: {limits: {max_file_mb: 1000000}}\n"
    )
    code, out, _ = call("convert", "config.yaml", "--manifest", "x.jsonl", "--json")
    assert (code, [row["reason"] for row in json.loads(out)]) == (1, ["changed"])


def test_a_line_of_200_mb_is_refused_in_little_memory(project: Path, call: Call) -> None:
    with (project / "x.jsonl").open("wb") as stream:
        stream.write(b'{"path": "')
        stream.truncate(200_000_000)  # a hole: NUL bytes without end of line
    (project / "short.jsonl").write_text("{\n")
    refused(call, "short.jsonl")  # everything is loaded
    said = []
    assert grown_bytes(lambda: said.append(refused(call, "x.jsonl"))) < 20_000_000
    assert "longer than 1000000 bytes" in said[0]


def test_a_manifest_that_another_user_may_not_read_is_said_to_be_so(project: Path, line: str) -> None:
    assert line
    (project / "m.jsonl").chmod(0o000)
    project.chmod(0o755)
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "from hpc_qa import manifest\n"
        "from hpc_qa.errors import HpcQaError\n"
        f"if os.getuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try: manifest.read(Path('m.jsonl'), project=Path('.'))\n"
        "except HpcQaError as error: print(int(error.exit_code), error, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("2 "), done.stderr
    assert "cannot be read: Permission denied" in done.stdout


def test_twice_the_same_document_is_refused_and_the_same_content_at_two_places_is_not(
    project: Path, call: Call, line: str
) -> None:
    first = Entry(**json.loads(line))
    (project / "docs" / "b.txt").write_text(TEXT)
    second = replace(first, path="b.txt", doc_id="b")
    (project / "good.jsonl").write_text(f"{line}\n{entry_json(second)}\n")
    assert call("convert", "config.yaml", "--manifest", "good.jsonl")[0] == 0
    (project / "bad.jsonl").write_text(f"{line}\n{entry_json(replace(second, path='a.txt'))}\n{line}\n")
    err = refused(call, "bad.jsonl")
    assert "bad.jsonl:2: path 'a.txt' is already in line 1" in err
    assert "bad.jsonl:3: doc_id" in err


def test_names_that_differ_in_case_or_in_unicode_form_alone_stay_two_documents(project: Path, call: Call) -> None:
    names = ["Fee.txt", "fee.txt", unicodedata.normalize("NFC", "é.txt"), unicodedata.normalize("NFD", "é.txt")]
    for name in names:
        (project / "docs" / name).write_text(TEXT)  # even with equal content
    assert call("manifest", "build", "docs", "-o", "m.jsonl")[0] == 0
    entries = manifest.read(project / "m.jsonl", project=project)
    assert {entry.path for entry in entries} == {"a.txt", *names}
    assert len({entry.doc_id.lower() for entry in entries}) == 5
    code, out, _ = call("convert", "config.yaml", "--json")
    assert (code, [row["status"] for row in json.loads(out)]) == (0, ["ok"] * 5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("../out.txt", "leads out of the project folder; write the absolute path if it is meant"),
        ("docs/../../out.txt", "leads out of the project folder"),
        ("~/a.txt", "the shell expands ~ and $, we do not"),
        ("$HOME/a.txt", "the shell expands ~ and $, we do not"),
        ("https://example.org/a.pdf", "nothing is fetched; download it first"),
        ("docs", "is a folder, not a file"),
        ("-rf", "no such file (paths count from the project folder"),
        ("/etc/passwd", "a name without a suffix is not read"),
        ("docs/a.doc", ".doc is Word, which is not read: save it as .docx"),
        ("docs/\x1b[2Ja.txt", "no such file"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_a_list_of_paths_says_for_each_why_it_cannot_be_used(project: Path, call: Call, given: str, said: str) -> None:
    (project / "docs" / "a.doc").write_bytes(b"PK")
    (project / "list.txt").write_text(f"docs/a.txt\n{given}\n")
    err = refused(call, "list.txt")
    assert "list.txt:2: " in err
    assert said in err
    assert "\x1b" not in err


def test_a_manifest_that_was_used_is_not_replaced_unasked(project: Path, call: Call, line: str) -> None:
    again = ["manifest", "build", "docs", "-o", "m.jsonl"]
    assert call(*again)[0] == 0  # nothing changed
    (project / "docs" / "b.txt").write_text("Another text is here.")
    code, _, err = call(*again)
    assert code == 2
    assert "is there already and holds something else" in err
    assert "--force" in err
    assert (project / "m.jsonl").read_text().strip() == line
    assert call(*again, "--force")[0] == 0
    assert len((project / "m.jsonl").read_text().splitlines()) == 2


def test_what_this_program_writes_is_no_source(project: Path, call: Call) -> None:
    assert call("manifest", "build", ".", "-o", "m.jsonl")[0] == 0
    assert call("convert", "config.yaml")[0] == 0
    assert list((project / "cache").rglob("document.md"))
    code, out, err = call("manifest", "build", ".", "-o", "again.jsonl", "--json")
    assert (code, json.loads(out)["documents"]) == (0, 1)
    assert "left out: cache, which this program writes" in err


@pytest.mark.parametrize("place", ["docs/a.txt/m.jsonl", "/proc/m.jsonl"])
def test_a_manifest_that_cannot_be_written_is_no_traceback(call: Call, project: Path, place: str) -> None:
    code, _, err = call("manifest", "build", "docs", "-o", place)
    assert code == 1
    assert f"{place}: cannot be written" in err
    assert not list(project.rglob(".m.jsonl*"))


def test_a_run_keeps_its_own_copy_of_the_manifest(project: Path, line: str) -> None:
    from hpc_qa.campaign.plan import plan_run
    from hpc_qa.campaign.submit import freeze
    from hpc_qa.config_file import load

    config = load(project / "config.yaml", project=project)
    run = freeze(plan_run(config, project=project), project=project)
    (project / "m.jsonl").write_text("edited\n")
    assert [entry.path for entry in manifest.read(run.manifest, project=project)] == ["a.txt"]
    assert line
