"""`hpc-qa gate` and the gate before a submit: which run is held against which, and what is said of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hpc_qa.campaign.batches import earlier_run
from hpc_qa.campaign.gate import gate, gate_before
from hpc_qa.campaign.issues import CRITICAL, MINOR, Issue, read_issues
from hpc_qa.campaign.sync import sync_runs
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.config import Config
from hpc_qa.errors import ConfigError
from hpc_qa.ledger.attempts import current
from hpc_qa.store.files import write_json_once
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.units import iso
from tests.made_runs import attempt, document, finished_run, planned_run, whole

T0 = 1_795_319_000
BATCH = [f"doc{number}" for number in range(50)]


def ran(
    project: Path, batch: str | None, nonce: str, *, documents: list[str] = BATCH, failed: int = 0,
    seconds: float = 600, startup_s: float = 40, tokens_per_s: int = 500, **settings: Any,
) -> RunDirectory:  # fmt: skip
    """A finished run of one attempt on this machine, of so many seconds."""
    run = planned_run(project, [documents], batch=batch, nonce=nonce, **({"campaign": "c"} | settings))
    good = [records for doc_id in documents[failed:] for records in whole(doc_id, chunks=1, pairs=1)]
    made = attempt(run.shard(0), [*good, *([document(doc_id, state="failed")] for doc_id in documents[:failed])])
    moments = [iso(datetime.fromtimestamp(T0 + moment, UTC)) for moment in (0, seconds)]
    write_json_once(made.attempt_json, {"started_at": moments[0], "host": "elsewhere"})
    write_json_once(made.path / "progress.json", {"at": moments[1], "computed_tokens": 500 * tokens_per_s})
    write_json_once(made.path / "summary.json", {"startup_s": startup_s, "serving_s": 500})
    assert commit_shard(run.shard(0), made.name, documents)
    return run


def told(capsys: pytest.CaptureFixture[str], project: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code of `gate --json`, and what it said, with its criteria by name."""
    code = hpc_qa(["--project", str(project), "gate", *arguments, "--json"])
    said = json.loads(capsys.readouterr().out)
    return code, said | {"criteria": {one["name"]: one for one in said.get("criteria", [])}}


def test_a_smoke_test_that_works_is_a_go_and_needs_neither_a_forecast_nor_scores(tmp_path, capsys):
    (tmp_path / "project.yaml").write_text("budget:\n  gpu_hours: 1000\n")
    ran(tmp_path, "smoke", "0001", documents=["a"])
    code, said = told(capsys, tmp_path, "latest")
    assert (code, said["verdict"], said["exit_code"], said["batch"]) == (0, "go", 0, "smoke")
    assert {name: one["value"] for name, one in said["criteria"].items()} == {
        "complete": 0, "issues": 0, "error_rate": 0.0, "output": 1, "completion_tokens": 50, "sampled_gpus": None,
        "attempts": 0,
    }  # fmt: skip
    assert said["criteria"]["output"]["why"] == "1 train, 0 validation, 0 rejected"
    assert not list(tmp_path.glob("runs/*/dataset"))


def test_a_batch_is_held_against_the_newest_run_of_the_batch_before_it(tmp_path, capsys):
    ran(tmp_path, "batch_50", "0001", seconds=100)
    before = ran(tmp_path, "batch_50", "0002")
    ran(tmp_path, "smoke", "0003", documents=["a"])
    ran(tmp_path, "batch_50", "0004", campaign="another")
    ran(tmp_path, "batch_200", "0005", seconds=700, startup_s=44, tokens_per_s=449)
    code, said = told(capsys, tmp_path, "latest")
    assert (code, said["verdict"], said["previous"]) == (4, "no-go", before.run_id)
    assert {name: one["verdict"] for name, one in said["criteria"].items()} == {
        "complete": "go", "issues": "go", "error_rate": "go", "avg_time_per_pdf_minutes": "no-go", "startup_s": "go",
        "tokens_per_s": "no-go", "gpu_hours_per_pdf": "go", "quality_score": "go", "gpu_hours_projected": "not asked",
    }  # fmt: skip
    assert said["criteria"]["avg_time_per_pdf_minutes"]["why"] == "+16.7 % against batch_50 (0.2)"
    assert hpc_qa(["--project", str(tmp_path), "gate", "latest"]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(said["criteria"])
    assert lines[-1] == "no-go: avg_time_per_pdf_minutes, tokens_per_s"


def test_a_first_batch_is_not_held_up_by_the_lack_of_another_but_by_the_lack_of_a_forecast(tmp_path, capsys):
    ran(tmp_path, "batch_50", "0001")
    code, said = told(capsys, tmp_path, "latest")
    assert (code, said["verdict"], said["previous"]) == (0, "go", None)
    assert said["criteria"]["startup_s"]["why"] == "no previous batch"
    (tmp_path / "project.yaml").write_text("budget:\n  gpu_hours: 1000\n")
    code, said = told(capsys, tmp_path, "latest")
    assert (code, said["criteria"]["gpu_hours_projected"]["verdict"]) == (5, "undecided")


def test_costs_of_a_batch_on_other_hardware_are_not_compared(tmp_path, capsys):
    ran(tmp_path, "local_20", "0001", gpus=2)
    ran(tmp_path, "batch_50", "0002", seconds=6000)
    code, said = told(capsys, tmp_path, "latest")
    assert code == 0
    assert said["criteria"]["tokens_per_s"]["why"] == "local_20 had another number of GPUs: not compared"


def test_documents_that_failed_decide_by_their_share(tmp_path, capsys):
    assert told(capsys, tmp_path, ran(tmp_path, "batch_50", "0001", failed=2).run_id)[0] == 5
    assert told(capsys, tmp_path, ran(tmp_path, "batch_50", "0002", failed=3).run_id)[0] == 4


def test_a_run_that_is_not_complete_is_undecided_and_one_that_is_damaged_a_no_go(tmp_path, capsys):
    run = planned_run(tmp_path, [["a", "b"]], batch="batch_50")
    attempt(run.shard(0), whole("a"))
    code, said = told(capsys, tmp_path, "latest")
    assert (code, said["criteria"]["complete"]["verdict"]) == (5, "undecided")
    assert "1 document left" in said["criteria"]["complete"]["why"]
    done = ran(tmp_path, "batch_50", "0002")
    (segment,) = done.path.glob("shards/*/*/seg-*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"factual", b"faktual", 1))
    code, said = told(capsys, tmp_path, done.run_id)
    assert (code, set(said["criteria"])) == (4, {"complete", "issues"})


def test_a_ledger_that_lacks_the_attempts_is_brought_up_to_date_and_silent_accounting_leaves_it_undecided(
    tmp_path, capsys, monkeypatch
):
    run = ran(tmp_path, "batch_50", "0001")
    assert gate(run, tmp_path, budget_gpu_hours=None).verdict == "go"
    assert current(tmp_path).table.num_rows == 1
    cluster = ran(tmp_path, "smoke", "0002", documents=["a"], executor="slurm")
    cluster.add_submission({"executor": "slurm", "job_id": "4471", "tasks": [{"shard": 0, "job_id": "4471_0"}]})
    monkeypatch.setenv("PATH", "")
    report = gate(cluster, tmp_path, budget_gpu_hours=None)
    assert report.notes == ("what was used is not known: sacct is not on PATH",)
    assert [one.name for one in report.criteria if one.verdict == "undecided"] == ["sampled_gpus", "attempts"]


def test_accounting_is_not_asked_about_what_the_ledger_has(tmp_path, monkeypatch):
    run = ran(tmp_path, "smoke", "0001", documents=["a"])
    sync_runs(tmp_path, [run])
    monkeypatch.setattr("hpc_qa.campaign.gate.sync_runs", None)
    assert gate(run, tmp_path, budget_gpu_hours=None).verdict == "go"


def test_the_batch_stands_in_the_config_or_in_the_manifest(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    assert gate(run, tmp_path, budget_gpu_hours=None).batch is None
    lines = run.manifest.read_text().replace('{"doc_id"', '{"batch": "smoke", "doc_id"')
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(lines)
    config = run.facts()["config"]
    assert earlier_run(tmp_path, config, "batch_50") is None  # its own batch is not known
    assert gate_before(Config.model_validate(config), tmp_path).notes == ()


def test_runs_without_a_campaign_belong_together_by_their_model(tmp_path):
    run = ran(tmp_path, "smoke", "0001", documents=["a"], campaign=None)
    config = run.facts()["config"]
    assert earlier_run(tmp_path, config, "production") == (run, "smoke")
    other = config | {"vllm": config["vllm"] | {"model": "models/other"}}
    assert earlier_run(tmp_path, other, "production") is None
    assert earlier_run(tmp_path, config | {"campaign": "c"}, "production") is None
    assert earlier_run(tmp_path, config, "local_5") is None
    assert earlier_run(tmp_path, config, "no place") is None


def submitting(batch: str, **budget: float) -> Config:
    """A config that is about to be submitted."""
    said = {"name": "made", "campaign": "c", "batch": batch, "manifest": "m.jsonl", "vllm": {"model": "models/small"}}
    return Config.model_validate(said | {"budget": budget})


def test_before_a_submit_a_no_go_refuses_with_its_criteria_and_what_to_do(tmp_path):
    run = ran(tmp_path, "batch_50", "0001", failed=5)
    before = gate_before(submitting("batch_200"), tmp_path)
    assert before.refusal == [
        f"the gate after batch_50 ({run.run_id}) says no-go",
        "issues 1: documents that failed: 5 of 50 (none that is critical)",
        "error_rate 0.1: 5 of 50 documents failed (under 2 % go, over 5 % no-go)",
    ]
    assert before.warnings == []
    assert before.hint.startswith(f"hpc-qa gate {run.run_id} shows all of it")
    assert before.to_json() == {"run": run.run_id, "verdict": "no-go", "criteria": before.refusal[1:]}


def test_before_a_submit_what_is_undecided_warns_and_a_go_says_nothing(tmp_path):
    ran(tmp_path, "batch_50", "0001")
    undecided = gate_before(submitting("batch_200", gpu_hours=1000.0), tmp_path)
    assert undecided.refusal == []
    assert undecided.warnings[1] == "gpu_hours_projected unknown: there is no forecast (within 1,000 GPU-hours)"
    go = gate_before(submitting("production"), tmp_path)
    assert (go.refusal, go.warnings, go.notes) == ([], [], ())


def test_before_a_submit_without_an_earlier_batch_it_is_said_unless_it_is_the_first(tmp_path):
    for batch in ("smoke", "local_5"):
        assert gate_before(submitting(batch), tmp_path).notes == ()
    (note,) = gate_before(submitting("batch_50"), tmp_path).notes
    assert note.startswith("batch_50 is the first batch of its campaign here")
    assert gate_before(submitting("batch_50"), tmp_path).to_json() is None


def test_a_gate_before_a_submit_that_cannot_be_read_is_a_note(tmp_path):
    run = ran(tmp_path, "batch_50", "0001")
    (run.path / "issues.yaml").write_text("issues: 5\n")
    before = gate_before(submitting("batch_200"), tmp_path)
    assert before.report is None
    assert "cannot be read" in before.notes[0]


ISSUES = """\
issues:
  - slow scratch
  - {text: wrong state, severity: critical}
  - text: odd
  - Critical: wrong answers
"""


def test_issues_of_a_run_are_read_and_a_critical_one_is_a_no_go(tmp_path, capsys):
    run = ran(tmp_path, "batch_50", "0001")
    assert read_issues(run) == []
    (run.path / "issues.yaml").write_text(ISSUES)
    found = [
        Issue("slow scratch", MINOR),
        Issue("wrong state", CRITICAL),
        Issue("odd", MINOR),
        Issue("wrong answers", CRITICAL),
    ]
    assert read_issues(run) == found
    code, said = told(capsys, tmp_path, "latest")
    assert (code, said["criteria"]["issues"]["why"]) == (4, "wrong state; wrong answers")
    for text in ("issues: none\n", "issues: []\n", "issues:\n", ""):
        (run.path / "issues.yaml").write_text(text)
        assert read_issues(run) == []


def test_every_fault_of_an_issues_file_is_named_with_its_line(tmp_path, capsys):
    run = ran(tmp_path, "batch_50", "0001")
    path = run.path / "issues.yaml"
    path.write_text(
        "issues:\n  - {text: a, severity: bad}\n  - 5\n  - {severity: minor}\n  - {text: a, who: me}\nissue: []\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_issues(run)
    assert [fault.removeprefix(f"{path}:") for fault in caught.value.faults] == [
        "2: issues[0]: severity bad: is minor or critical",
        "3: issues[1]: is neither a text nor {text, severity}",
        "4: issues[2]: text is missing",
        "5: issues[3]: who is not a key; there are text and severity",
        "6: issue is not a key; there is only issues",
    ]
    assert told(capsys, tmp_path, "latest")[0] == 2
    path.write_text("issues: [*a]\n")
    with pytest.raises(ConfigError, match="aliases are not allowed"):
        read_issues(run)


def test_a_run_that_is_not_there_is_wrong_usage(tmp_path):
    finished_run(tmp_path, [["a"]])
    assert hpc_qa(["--project", str(tmp_path), "gate", "nothing"]) == 2
