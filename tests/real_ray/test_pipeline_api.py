"""A pipeline that the API starts is a run like any other, published where it was asked for."""

import time
from pathlib import Path

import pytest

from hpc_qa.report.dashboard_history import History
from hpc_qa.store.run_directory import find
from tests.projects import echo_process, make_project, proof
from tests.served_dashboard import ask, served

WAIT_S = 300


@pytest.mark.timeout(600)
def test_a_pipeline_is_started_followed_to_its_end_and_published(tmp_path: Path, model_folder: Path) -> None:
    with echo_process() as socket:
        project = make_project(tmp_path / "p", model=model_folder, socket=socket, key="echo-key", documents=3)
        (project / "configs").mkdir()
        (project / "config.yaml").rename(project / "configs" / "small.yaml")
        order = {
            "name": "by-api", "input_path": "documents", "output_path": "out/set", "model_strategy": "small",
            "batch_size": 5, "limit": 2,
        }  # fmt: skip
        with served(project, history=History(project, every_s=1.0), polled=True) as server:
            server.pipelines._clock = lambda: 100.0 * time.monotonic()  # a test has no half minute to wait
            status, said = ask(server, "POST", "/api/v1/pipeline", order)
            assert status == 201, said
            run_id = said["pipeline_id"]
            assert run_id.startswith("by-api-")
            seen, until = [], time.monotonic() + WAIT_S
            while True:
                _, now = ask(server, "GET", f"/api/v1/pipeline/{run_id}")
                seen.append(now["status"])
                if now["status"] == "completed" and now["dataset"]:
                    break
                assert now["dataset_error"] is None
                assert now["status"] in ("queued", "running", "completed"), now
                assert time.monotonic() < until, seen
                time.sleep(0.5)
    assert "running" in seen
    metrics = now["metrics"]
    assert (metrics["documents"], metrics["documents_processed"], metrics["documents_left"]) == (2, 2, 0)
    assert metrics["pairs"] > 0
    assert (project / "out" / "set" / "qa.jsonl").read_text().count("\n") > 0
    run = find(project, run_id)
    assert (run.facts()["limit"], run.facts()["config"]["name"]) == (2, "by-api")
    assert run.facts()["config"]["client"]["concurrency_limit"] == 5
    assert proof(project, run)["exit_code"] == 0
