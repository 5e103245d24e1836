"""The program as a script meets it: exit codes, stdout and stderr apart, one JSON document. No model is started."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_qa.cli.corpus import parse_sizes
from hpc_qa.cli.main import COMMANDS, report_error, run
from hpc_qa.cli.options import printable
from hpc_qa.errors import ConfigError, StoreError
from tests.projects import make_project


def called(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one call."""
    code = run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with three small documents and a model folder that has no more than a name."""
    (tmp_path / "documents").mkdir()
    for name in ("a.txt", "b.md", "c.html"):
        (tmp_path / "documents" / name).write_text(f"{name}: The agency must decide within 45 days.\n")
    (tmp_path / "config.yaml").write_text("name: t\nmanifest: m.jsonl\nvllm:\n  model: nowhere\n")
    return tmp_path


def test_an_empty_project_has_no_runs_and_that_is_no_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert called(capsys, "--project", tmp_path, "status", "--json") == (0, "[]\n", "")
    code, _, err = called(capsys, "status", "--project", tmp_path)
    assert (code, err.splitlines()[0]) == (0, f"no run in {tmp_path}")


def test_the_project_may_stand_before_or_after_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = called(capsys, "--project", tmp_path, "status", "nothing")
    after = called(capsys, "status", "nothing", "--project", tmp_path)
    assert before == after
    assert before[0] == 2
    assert str(tmp_path) in before[2]


@pytest.mark.parametrize(("typed", "meant"), [("sumbit", "submit"), ("statsu", "status")])
def test_a_misspelt_command_is_named_with_the_one_that_was_meant(
    capsys: pytest.CaptureFixture[str], typed: str, meant: str
) -> None:
    code, out, err = called(capsys, typed)
    assert (code, out) == (2, "")
    assert f"did you mean {meant}?" in err


def test_with_json_an_error_is_one_document_on_stdout_and_a_message_on_stderr(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    code, out, err = called(capsys, "plan", project / "missing.yaml", "--project", project, "--json")
    assert code == 2
    assert json.loads(out)["error"]["exit_code"] == 2
    assert err.startswith("error: ")


def test_wrong_usage_with_json_is_one_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "status", "--json", "--no-such-option")
    assert (code, json.loads(out)["error"]["exit_code"]) == (2, 2)


def test_a_manifest_is_built_batched_and_read(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    manifest = project / "m.jsonl"
    code, out, err = called(
        capsys, "manifest", "build", project / "documents", "-o", manifest, "--project", project, "--json"
    )
    assert (code, json.loads(out)["documents"]) == (0, 3)
    assert err == ""
    batch = ["manifest", "batch", manifest, "--sizes", "smoke=1", "-o", project / "b", "--project", project, "--json"]
    code, out, _ = called(capsys, *batch)
    assert code == 0
    assert {row["batch"]: row["documents"] for row in json.loads(out)} == {"smoke": 1, "production": 2}
    code, _, err = called(capsys, *batch)
    assert code == 2
    assert "never edited" in err


def test_a_folder_without_documents_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = called(capsys, "manifest", "build", tmp_path, "-o", tmp_path / "m.jsonl")
    assert code == 2
    assert str(tmp_path) in err


def test_without_a_cluster_a_run_on_slurm_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project(tmp_path / "p", model=model_folder, socket=tmp_path / "none.sock", key="k", documents=1)
    config = folder / "config.yaml"
    text = config.read_text().replace("executor: local", "executor: slurm")
    config.write_text("\n".join(line for line in text.splitlines() if "attach" not in line))
    monkeypatch.setenv("PATH", "/nonexistent")
    capsys.readouterr()
    code, out, err = called(capsys, "submit", config, "--project", folder)
    assert (code, out) == (1, "")
    assert "scontrol is not on PATH" in err
    assert "load its Slurm module" in err
    assert list((folder / "runs").iterdir()) == []


def test_a_missing_tokenizer_is_said_before_anything_is_done(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    called(capsys, "manifest", "build", project / "documents", "-o", project / "m.jsonl", "--project", project)
    code, _, err = called(capsys, "submit", project / "config.yaml", "--executor", "local", "--project", project)
    assert code == 2
    assert "nowhere/tokenizer.json" in err
    assert not (project / "runs").exists()


@pytest.mark.parametrize("sizes", ["x", "=5", "smoke=one", "5,5", "a=1,a=2", ""])
def test_sizes_that_are_not_sizes_are_refused(sizes: str) -> None:
    with pytest.raises(ConfigError):
        parse_sizes(sizes)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = called(capsys, command, "--help")
    assert code == 0
    assert "Example: hpc-qa" in out


def test_help_and_status_load_nothing_heavy() -> None:
    heavy = "torch, vllm, ray, transformers, pandas, pyarrow, submitit, liteparse, rensa"
    program = (
        "import sys; from hpc_qa.cli.main import run; run(['--help']); run(['status', '--json']);"
        f"print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_log_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\tc") == "a\\x1b[2Jb\tc"


def test_many_faults_are_counted_for_people_and_listed_whole_as_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    error = StoreError(*(f"fault {number}" for number in range(200)), hint="look")
    report_error(error, as_json=True)
    out, err = capsys.readouterr()
    assert len(json.loads(out)["error"]["faults"]) == 200
    assert err.splitlines()[-2:] == ["error: and 150 more faults; --json lists all", "  try: look"]
