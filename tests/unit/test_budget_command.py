"""`budget` and `budget forecast --costs`: one JSON document, exit codes that scripts rely on, lines for people."""

import json
from pathlib import Path

import pytest

from hpc_qa.cli.main import run

KEYS = {
    "p05", "p50", "p95", "budget_gpu_hours", "p_within", "status", "method", "naive", "naive_status", "documents_done",
    "documents_total", "tasks_done", "more_documents_to_decide", "wall_hours", "qa_pairs",
}  # fmt: skip


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    """20 of 100 documents are done, at half a GPU-hour on average; every array task has five."""
    lines = ["doc_id,size,task_id,gpu_hours"]
    for number in range(100):
        size = 10 + number % 7
        hours = f"{size / 26 * (1 + 0.1 * (-1) ** number):.6f}" if number < 20 else ""
        lines.append(f"d{number},{size},t{number // 5},{hours}")
    path = tmp_path / "costs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("budget", "status", "code"), [(80, "within", 0), (54, "close", 0), (30, "over", 4)])
def test_the_exit_code_says_whether_the_corpus_fits(capsys, costs, budget, status, code):
    assert run(["budget", "forecast", "--costs", str(costs), "--budget-gpu-hours", str(budget), "--json"]) == code
    said = json.loads(capsys.readouterr().out)
    assert said.keys() >= KEYS
    assert (said["status"], said["documents_done"], said["documents_total"], said["tasks_done"]) == (status, 20, 100, 4)
    assert said["p05"] < said["p50"] < said["p95"]
    assert said["p50"] == pytest.approx(50, rel=0.02)


def test_what_tasks_cost_on_top_is_in_every_percentile(capsys, costs):
    def said(*more: str) -> dict[str, float]:
        assert run(["budget", "forecast", "--costs", str(costs), "--budget-gpu-hours", "500", "--json", *more]) == 0
        return dict(json.loads(capsys.readouterr().out))

    with_it, without = said("--overhead-gpu-hours-per-task", "2"), said()
    assert with_it["p50"] - without["p50"] == pytest.approx(20 * 2)
    assert with_it["p05"] - without["p05"] > 20


def test_the_budget_is_that_of_the_project_unless_it_is_given(capsys, costs, tmp_path):
    (tmp_path / "project.yaml").write_text("budget:\n  gpu_hours: 30\n")
    arguments = ["--project", str(tmp_path), "budget", "forecast", "--costs", str(costs)]
    assert run(arguments) == 4
    assert "budget 30.0: over" in capsys.readouterr().out
    assert run([*arguments, "--budget-gpu-hours", "80"]) == 0
    assert "budget 80.0: within" in capsys.readouterr().out


def test_without_a_budget_or_without_documents_nothing_is_decided_and_it_says_what_is_missing(capsys, costs, tmp_path):
    assert run(["budget", "forecast", "--costs", str(costs)]) == 5
    captured = capsys.readouterr()
    assert "no budget set: undecided" in captured.out
    assert "--budget-gpu-hours N" in captured.err
    few = tmp_path / "few.csv"
    few.write_text("doc_id,size,task_id,gpu_hours\na,1,t0,1\nb,1,t1,\n")
    assert run(["budget", "forecast", "--costs", str(few), "--budget-gpu-hours", "10"]) == 5
    assert "to decide  about 1 more document has to be done" in capsys.readouterr().out


def test_one_document_decides_nothing_unless_it_alone_cost_more_than_the_budget(capsys, tmp_path):
    table = tmp_path / "one.csv"
    table.write_text("doc_id,size,task_id,gpu_hours\na,10,t1,2000\nb,10,t2,\n")
    for budget, status, code in (("2001", "undecided", 5), ("1999", "over", 4)):
        assert run(["budget", "forecast", "--costs", str(table), "--budget-gpu-hours", budget, "--json"]) == code
        said = json.loads(capsys.readouterr().out)
        assert (said["status"], said["p05"], said["p50"], said["p95"], said["p_within"]) == (status, *4 * (None,))


def test_options_of_budget_itself_are_not_taken_for_those_of_its_commands(capsys, costs, tmp_path):
    assert run(["budget", "--budget-gpu-hours", "30", "forecast", "--costs", str(costs)]) == 2
    assert "write them behind forecast" in capsys.readouterr().err
    (tmp_path / "project.yaml").write_text("budget:\n  gpu_hours: 30\n")
    assert run(["budget", "--project", str(tmp_path), "forecast", "--costs", str(costs)]) == 4


def test_a_wrong_table_is_refused_with_its_lines(capsys, tmp_path):
    (tmp_path / "bad.csv").write_text("doc_id,size,task_id,gpu_hours\na,0,t0,1\na,1,t0,1\n")
    assert run(["budget", "forecast", "--costs", str(tmp_path / "bad.csv"), "--json"]) == 2
    captured = capsys.readouterr()
    faults = json.loads(captured.out)["error"]["faults"]
    assert [fault.partition("bad.csv:")[2] for fault in faults] == [
        "2: size 0 is not above zero", "3: a stands in line 2 as well",
    ]  # fmt: skip
    assert run(["budget", "forecast", "--costs", str(tmp_path / "bad.csv"), "--budget-gpu-hours", "0"]) == 2


ROWS = """\
JobIDRaw|JobID|Cluster|State|ElapsedRaw|Submit|Start|End|AllocTRES
1|1|a100|COMPLETED|3600|100|200|3800|gres/gpu=4
2|2|a100|FAILED|1800|100|200|2000|gres/gpu=4
3|3|other|COMPLETED|3600|100|200|3800|gres/gpu=8
4|4|a100|COMPLETED|3600|100|200|3800|
"""


def test_what_was_used_is_summed_over_every_attempt_and_what_is_not_known_is_in_no_sum(capsys, tmp_path):
    project = ["--project", str(tmp_path)]
    assert run([*project, "budget", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["used"] == {"attempts": 0, "gpu_hours": 0.0, "attempts_unknown": 0}
    (tmp_path / "sacct.txt").write_text(ROWS)
    assert run([*project, "ledger", "sync", "--sacct-file", str(tmp_path / "sacct.txt")]) == 0
    (tmp_path / "project.yaml").write_text("budget:\n  gpu_hours: 20\n")
    capsys.readouterr()
    assert run([*project, "budget", "--json"]) == 5
    said = json.loads(capsys.readouterr().out)
    assert said["used"] == {"attempts": 4, "gpu_hours": 14.0, "attempts_unknown": 1}
    failed = {"state": "FAILED", "attempts": 1, "gpu_hours": 2.0, "attempts_unknown": 0}
    unknown = dict.fromkeys(("cpu_efficiency", "memory_efficiency", "gpu_utilization"))
    assert said["states"][1] == failed | unknown
    assert sum(stage["gpu_hours"] for stage in said["stages"]) == pytest.approx(14.0)
    assert run([*project, "budget"]) == 5
    assert "14.0 GPU-hours of 20.0, 6 left" in capsys.readouterr().out
    assert run([*project, "budget", "--budget-gpu-hours", "13"]) == 4
    capsys.readouterr()


def test_only_the_clusters_of_the_budget_are_charged(capsys, tmp_path):
    (tmp_path / "sacct.txt").write_text(ROWS)
    (tmp_path / "project.yaml").write_text("budget:\n  gpu_hours: 20\n  clusters: [a100]\n")
    assert run(["--project", str(tmp_path), "ledger", "sync", "--sacct-file", str(tmp_path / "sacct.txt")]) == 0
    capsys.readouterr()
    assert run(["--project", str(tmp_path), "budget", "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["used"]["gpu_hours"] == 6.0
