"""Names, documents and logs with control characters in them never steer the terminal, whatever command shows them."""

import json
import os
import unicodedata
from pathlib import Path

import pytest

from hpc_qa.cli.options import as_json_text
from tests.made_runs import attempt, finished_run, leave_traces
from tests.projects import CONFIG, call

HOSTILE = {
    "clear the screen": "\x1b[2J",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "C1 CSI": "\x9b2J",
    "right to left": "\u202etxt.exe\u202c",
    "isolate": "\u2066hidden\u2069",
    "newline": "a\nerror: all is well",
    "carriage return": "real\rfake",
    "tags": "\U000e0041\U000e0042",
    "backspace": "abc\b\b\b",
}
RULE = "The office must answer every letter about a fee of 4 dollars within 17 days. "
EVERYTHING = "".join(HOSTILE.values())


def steering(text: str) -> set[str]:
    """Characters that a terminal or a reader's eye would follow; the end of a line is ours."""
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")}


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert steering(out) == set()
    assert steering(err) == set()
    return out + err


@pytest.fixture
def project(tmp_path: Path, model_folder: Path) -> Path:
    """Documents with hostile names and hostile text."""
    (tmp_path / "documents").mkdir()
    for number, text in enumerate(HOSTILE.values()):
        name = text.replace("/", "_")
        (tmp_path / "documents" / f"{number}{name}.txt").write_text(f"{RULE * 100} Rule {number}: {text} {RULE}\n")
        (tmp_path / "documents" / f"{number}{name}.pdf").write_bytes(b"%PDF-1.7 broken")
        (tmp_path / "documents" / f"{number}{name}.odd").write_bytes(b"x")
    os.symlink("/nowhere", tmp_path / "documents" / f"link{HOSTILE['title']}.txt")
    config = CONFIG.format(style="extractive", model=model_folder, socket="s.sock", key="key", limit=2)
    (tmp_path / "config.yaml").write_text(config)
    return tmp_path


def test_the_list_of_what_steers_finds_it() -> None:
    assert all(steering(text) for name, text in HOSTILE.items() if name != "newline")


def test_building_a_manifest_and_converting_show_hostile_names_spelled_out(project: Path, capsys) -> None:
    manifest = str(project / "m.jsonl")
    assert call(project, "manifest", "build", str(project / "documents"), "-o", manifest) == 0
    assert call(project, "manifest", "build", str(project / "documents"), "-o", manifest, "--json") == 0
    shown(capsys)
    for extra in ([], ["--json"]):
        assert call(project, "convert", str(project / "config.yaml"), *extra) == 0
    said = shown(capsys)
    assert "malformed" in said
    assert " ok " in said


def test_the_prompt_of_a_hostile_document_is_shown_spelled_out(project: Path, capsys) -> None:
    manifest = str(project / "m.jsonl")
    assert call(project, "manifest", "build", str(project / "documents"), "-o", manifest) == 0
    entries = [json.loads(line) for line in Path(manifest).read_text().splitlines()]
    doc = next(entry["doc_id"] for entry in entries if entry["media_type"] == "text/plain")
    assert call(project, "convert", str(project / "config.yaml")) == 0
    capsys.readouterr()
    for extra in ([], ["--json"]):
        assert call(project, "prompt", "show", str(project / "config.yaml"), doc, *extra) == 0
    assert "4 dollars" in shown(capsys)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_errors_repeat_hostile_words_spelled_out(project: Path, capsys, text: str) -> None:
    assert call(project, "status", f"run{text}") == 2
    assert call(project, "verify", f"run{text}", "--json") == 2
    assert call(project, f"no{text}") == 2
    assert call(project, "convert", f"{project}/no{text}.yaml") == 2
    (project / "hostile.yaml").write_text(json.dumps({"name": text, f"key{text}": text, "manifest": text}))
    assert call(project, "plan", f"{project}/hostile.yaml") == 2
    (project / "m.jsonl").write_text(json.dumps({"doc_id": text, "path": text}) + "\n" + text)
    assert call(project, "convert", f"{project}/config.yaml") in (1, 2)
    said = shown(capsys)
    assert sum(line.startswith("error: all is well") for line in said.splitlines()) == 0


def test_logs_and_status_of_a_hostile_run_are_spelled_out(tmp_path: Path, capsys) -> None:
    run = finished_run(tmp_path, [["a"]])
    run.shard(0).commit.unlink()
    made = attempt(run.shard(0), [], restart=1)
    leave_traces(made)
    (made.path / "worker.log").write_text(f"2026 ERROR {EVERYTHING}\n")
    (made.path / "server.log").write_bytes(EVERYTHING.encode() + b"\xff\xfe\n")
    progress = made.path / "progress.json"
    progress.write_text(json.dumps(json.loads(progress.read_text()) | {"stage": EVERYTHING, "phase": EVERYTHING}))
    for command in (
        ["logs", "latest", "0"],
        ["status"],
        ["status", "latest"],
        ["verify", "latest"],
        ["collect", "latest"],
    ):
        for extra in ([], ["--json"]):
            assert call(tmp_path, *command, *extra) in (0, 3)
    said = shown(capsys)
    assert "\\x1b[2J" in said


@pytest.mark.parametrize("text", [*HOSTILE.values(), "naïve \u00a0 日本 🎓"], ids=[*HOSTILE, "ordinary"])
def test_json_that_is_made_harmless_says_the_same(text: str) -> None:
    made = as_json_text({text: [text, 1.5, None]})
    assert steering(made) == set()
    assert json.loads(made) == {text: [text, 1.5, None]}
