"""What the dashboard keeps, and what it says of runs: states, figures, and why something was not started."""

import json
from pathlib import Path
from typing import Any

import pytest

from hpc_qa.campaign import pipeline
from hpc_qa.campaign.control import cancel
from hpc_qa.campaign.live_metrics import LiveTasks
from hpc_qa.campaign.pipeline import Pipelines, note_cancelled, output_of, write_request
from hpc_qa.campaign.status import status
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.report import pipeline_api
from hpc_qa.report.dashboard_history import FRESH_S, MOST_POINTS, History, limits_of, profile_of
from hpc_qa.report.local_server import Refused
from hpc_qa.report.publisher import Publisher
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.units import iso, utc_now
from tests.made_live import document, half_an_hour, pair
from tests.made_runs import attempt, finished_run, planned_run, submission, whole


def answer(project: Path, run: RunDirectory) -> dict[str, Any]:
    return Pipelines(project).answer(run)


def test_a_day_of_points_is_kept_and_no_more(tmp_path):
    now = [0.0]
    history = History(tmp_path, clock=lambda: now[0])
    for _ in range(MOST_POINTS + 20):
        now[0] += 30
        history.poll()
    points = history.since(0)
    assert len(points) == MOST_POINTS == 24 * 60 * 2
    assert points[-1]["t"] - points[0]["t"] <= 24 * 3600
    assert history.since(points[-2]["t"]) == [points[-1]]


def test_a_point_has_the_figures_of_the_moment_and_null_where_nothing_is_known(tmp_path):
    history = History(tmp_path)
    history.poll()
    run = planned_run(tmp_path, [["a"]], hardware={"ram_gb": 64.0})
    half_an_hour(run, [pair(0.7), document()], gpus=(30, 50))
    history._last = None
    history.poll()
    first, last = history.since(0)
    assert {value for key, value in first.items() if key != "t"} == {None}
    assert {key: value for key, value in last.items() if key != "t"} == {
        "documents_per_hour": 2, "quality_score_avg": pytest.approx(0.7), "memory_used_gb": 8,
        "memory_allocated_gb": 64, "gpu_utilization_percent": 40, "error": None,
    }  # fmt: skip


@pytest.mark.parametrize("fault", [StoreError("runs: cannot be listed"), RuntimeError("odd")], ids=["ours", "another"])
def test_a_reading_that_fails_is_a_point_that_says_why_and_the_next_one_is_taken(tmp_path, monkeypatch, fault):
    now = [0.0]
    history = History(tmp_path, clock=lambda: now[0])

    def fail(*_words: object, **_named: object) -> None:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(LiveTasks, "read", fail)
        history.poll()
    now[0] += FRESH_S + 1
    history.poll()
    bad, good = history.since(-1)
    assert str(fault) in bad["error"]
    assert {bad[key] for key in bad if key not in ("t", "error")} == {None}
    assert good["error"] is None


def test_a_damaged_file_of_a_task_is_said_in_the_point(tmp_path):
    run = planned_run(tmp_path, [["a"]])
    half_an_hour(run, [document()])
    (made,) = run.shard(0).attempts()
    made.metrics.write_text("hpc_qa_task_running{")
    history = History(tmp_path)
    history.poll()
    assert str(made.metrics) in history.since(0)[0]["error"]


def test_the_lines_are_those_of_the_profile_that_the_newest_run_names(tmp_path):
    assert profile_of(tmp_path) == "medicaid"
    medicaid, ran = limits_of(tmp_path, "medicaid"), limits_of(tmp_path, "ran")
    assert medicaid["documents_per_hour"] == [{"name": "target", "value": 20}, {"name": "critical", "value": 10}]
    assert medicaid["quality_score_avg"] == [{"name": "baseline", "value": 0.742}, {"name": "critical", "value": 0.69}]
    assert medicaid["memory_shares"] == [0.85, 0.95]
    assert (medicaid["gpu_band"], ran["gpu_band"]) == ([60, None], [40, 60])
    with pytest.raises(ConfigError, match="no profile"):
        limits_of(tmp_path, "x")


@pytest.mark.parametrize(
    ("mem", "nodes", "gb"),
    [("64G", 1, 68.7), ("1000", 1, 1.05), ("1T", 2, 2199.0), (None, 1, None), ("0", 1, None)],
    ids=str,
)
def test_what_is_allocated_is_what_the_config_asks_slurm_for(tmp_path, monkeypatch, mem, nodes, gb):
    run = planned_run(tmp_path, [["a"], ["b"]], executor="slurm")
    facts = run.facts()
    facts["config"]["slurm"] |= {"mem": mem, "nodes_per_task": nodes}
    monkeypatch.setattr(RunDirectory, "facts", lambda _self: facts)
    for shard in (0, 1):
        half_an_hour(run, [document()], shard=shard)
    found = LiveTasks(tmp_path).read().to_json()["system"]["memory_allocated_gb"]
    assert found == (None if gb is None else pytest.approx(2 * gb, rel=0.01))


def test_tasks_of_one_machine_share_its_memory(tmp_path):
    run = planned_run(tmp_path, [["a"], ["b"]], hardware={"ram_gb": 64.0})
    for shard in (0, 1):
        half_an_hour(run, [document()], shard=shard)
    assert LiveTasks(tmp_path).read().to_json()["system"]["memory_allocated_gb"] == 64


def test_a_run_is_queued_running_completed_failed_or_cancelled(tmp_path):
    queued = planned_run(tmp_path, [["a"]], nonce="0001")
    assert answer(tmp_path, queued)["status"] == "queued"

    running = planned_run(tmp_path, [["a"]], nonce="0002")
    half_an_hour(running, [pair(0.9), document()])
    said = answer(tmp_path, running)
    assert said["status"] == "running"
    assert (said["metrics"]["documents_per_hour"], said["metrics"]["quality_score_avg"]) == (2, 0.9)

    failed = planned_run(tmp_path, [["a", "b"]], nonce="0003")
    failed.add_submission(submission([0]))
    attempt(failed.shard(0), whole("a"))
    said = answer(tmp_path, failed)
    assert (said["status"], said["metrics"]["documents_left"]) == ("failed", 1)

    note_cancelled(failed, [0])
    assert answer(tmp_path, failed)["status"] == "cancelled"
    failed.add_submission(submission([0]) | {"at": iso(utc_now())})  # started again, and broken again
    assert answer(tmp_path, failed)["status"] == "failed"

    completed = finished_run(tmp_path, [["a"]], nonce="0004")
    said = answer(tmp_path, completed)
    assert (said["status"], said["metrics"]["documents_processed"]) == ("completed", 1)
    assert said["metrics"]["quality_score_avg"] == pytest.approx(0.83)
    assert said["metrics"]["documents_per_hour"] is None  # the ledger does not know it yet
    assert said["metrics"]["error_rate"] == 0


def test_what_slurm_does_not_say_is_null(tmp_path, monkeypatch):
    run = planned_run(tmp_path, [["a"]], executor="slurm")
    run.add_submission({"executor": "slurm", "job_id": "7", "tasks": [{"shard": 0, "job_id": "7_0"}]})
    monkeypatch.setenv("PATH", "/nonexistent")
    said = answer(tmp_path, run)
    assert said["status"] is None
    assert said["notes"]


def test_cancel_is_noted_only_where_something_was_stopped(tmp_path):
    run = finished_run(tmp_path, [["a"]])
    assert cancel(run) == []
    assert list(run.path.glob("cancelled-*.json")) == []


def test_the_same_run_is_not_asked_about_more_than_twice_a_minute(tmp_path, monkeypatch):
    run, now, asked = finished_run(tmp_path, [["a"]]), [0.0], []
    monkeypatch.setattr(pipeline, "status", lambda one: asked.append(one) or status(one))
    pipelines = Pipelines(tmp_path, clock=lambda: now[0])
    for moment in (0, 10, 29, 31, 40):
        now[0] = moment
        pipelines.answer(run)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("code", "said", "status", "kind"),
    [
        (2, {"error": {"faults": ["vllm.model is missing"], "hint": None}}, 422, "refused"),
        (4, {"run": None, "error": {"faults": ["it does not fit into the budget"], "hint": "--limit 3"}}, 409, "limit"),
        (1, {"error": {"faults": ["sbatch is not on PATH"], "hint": None}}, 502, "outside"),
        (70, "no JSON", 500, "broke"),
    ],
)
def test_what_the_program_refuses_is_said_in_its_words(tmp_path, monkeypatch, code, said, status, kind):
    program = tmp_path / "program"
    program.write_text(
        f"#!/bin/sh\ncat <<'END'\n{said if isinstance(said, str) else json.dumps(said)}\nEND\nexit {code}\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr(pipeline_api.sys, "executable", str(program))
    with pytest.raises(Refused) as refused:
        pipeline_api.call(tmp_path, "submit", "x.yaml")
    assert (refused.value.status, refused.value.kind) == (status, kind)
    if isinstance(said, dict):
        assert said["error"]["faults"][0] in refused.value.why


def test_a_program_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nsleep 60 & wait\n")
    program.chmod(0o700)
    monkeypatch.setattr(pipeline_api.sys, "executable", str(program))
    monkeypatch.setattr(pipeline_api, "SUBMIT_S", 0.2)
    with pytest.raises(Refused, match="ask again") as refused:
        pipeline_api.call(tmp_path, "submit", "x.yaml")
    assert refused.value.status == 504


def test_the_real_program_says_what_is_wrong_with_a_config(tmp_path):
    (tmp_path / "bad.yaml").write_text("name: x\n")
    with pytest.raises(Refused, match="manifest is missing") as refused:
        pipeline_api.call(tmp_path, "submit", str(tmp_path / "bad.yaml"))
    assert refused.value.status == 422


def test_a_dataset_is_published_once_where_it_was_asked_for(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("hpc_qa.report.publisher.call", lambda _project, *words: asked.append(words) or {})
    done = finished_run(tmp_path, [["a"]], nonce="0001")
    open_run = planned_run(tmp_path, [["a"]], nonce="0002")
    finished_run(tmp_path, [["a"]], nonce="0003")  # of somebody who typed `submit`
    for run in (done, open_run):
        write_request(run, tmp_path / "out" / run.run_id)
    publisher = Publisher(tmp_path)
    for _ in range(2):
        publisher.publish_due()
    assert asked == [("collect", done.run_id, "-o", str(output_of(done)))]
    assert publisher.of(done) == {"dataset": None, "dataset_error": None}


def test_a_dataset_that_cannot_be_published_is_said_and_not_tried_again_and_again(tmp_path):
    run = finished_run(tmp_path, [["a"]])
    (tmp_path / "file").write_text("")
    write_request(run, tmp_path / "file" / "out")
    publisher = Publisher(tmp_path)
    for _ in range(2):
        publisher.publish_due()
    assert publisher.of(run)["dataset"] is None
    assert publisher.of(run)["dataset_error"]
