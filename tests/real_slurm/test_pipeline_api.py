"""The budget stands between the dashboard's API and a real cluster, as it does for everybody who types `submit`."""

import json
import time

import pytest

from hpc_qa.report.dashboard_history import History
from hpc_qa.store.run_directory import find, list_runs
from tests.projects import call
from tests.real_slurm.runs import wait_until
from tests.served_dashboard import ask, served

PIPELINE = "/api/v1/pipeline"

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def test_a_pipeline_that_does_not_fit_is_refused_with_the_figures_and_one_that_fits_is_submitted(project, cluster):
    folder = project(documents=3, slurm='  time: "01:00:00"\nplan:\n  shards: 1\n')
    (folder / "configs").mkdir()
    (folder / "config.yaml").rename(folder / "configs" / "small.yaml")
    budget = folder / "project.yaml"
    budget.write_text("budget: {gpu_hours: 0.5, clusters: [lab]}\n")
    order = {"name": "by-api", "input_path": "m.jsonl", "model_strategy": "small", "limit": 2}
    with served(folder, history=History(folder, every_s=60.0)) as server:
        status, said = ask(server, "POST", PIPELINE, order)
        assert (status, said["error"]["type"]) == (409, "limit")
        assert "0 GPU-hours used" in said["error"]["message"]
        assert "this run up to 1 GPU-hours (worst case), of 0.5" in said["error"]["message"].replace(".00", "")
        assert list_runs(folder) == []
        assert cluster.run("squeue", "-h", "-o", "%j").strip() == ""

        budget.write_text("budget: {gpu_hours: 1.5, clusters: [lab]}\n")
        status, said = ask(server, "POST", PIPELINE, order)
        assert status == 201, said
        run = find(folder, said["pipeline_id"])
        assert run.facts()["admission"]["verdict"] == "admitted"
        status, again = ask(server, "POST", PIPELINE, order | {"name": "second"})
        assert (status, again["error"]["type"]) == (409, "limit"), json.dumps(again)  # the first has its lien
        assert "promised to 1 run" in again["error"]["message"]

        assert call(folder, "cancel", run.run_id) == 0
        server.pipelines._clock = lambda: 100.0 * time.monotonic()  # a test has no half minute to wait

        def state():
            return ask(server, "GET", f"{PIPELINE}/{run.run_id}")[1]["status"]

        wait_until(lambda: state() == "cancelled", "the end of the pipeline")
    assert wait_until(lambda: not cluster.run("squeue", "-h").strip(), "an empty queue")
