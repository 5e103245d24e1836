"""A server that spans two nodes of an array task: Ray joins them; vLLM places its ranks by Ray on GPUs only.

Without a GPU vLLM refuses at that point, with its own words. Everything before and after it is real: two nodes held,
Ray from one to the other, one clear error that is not repeated, and nothing left on either.
"""

import json
from pathlib import Path

import psutil
import pytest

from hpc_qa.store.run_directory import list_runs
from tests.projects import call
from tests.real_slurm.cluster import Cluster
from tests.real_slurm.runs import served_project, wait_for_end, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.vllm, pytest.mark.timeout(900)]


@pytest.mark.long
@pytest.mark.covers("worker", "serving", "slurm")
def test_the_nodes_of_a_task_are_joined_by_ray_and_what_vllm_then_says_ends_the_task_once(
    cluster: Cluster, tmp_path: Path, model_folder: Path
) -> None:
    folder = tmp_path / "p"
    settings = {"model": str(model_folder), "pipeline_parallel_size": 2}
    served_project(folder, documents=1, vllm=settings, slurm={"nodes_per_task": 2, "mem": "4G"})
    assert call(folder, "submit", str(folder / "config.yaml")) == 0
    (run,) = list_runs(folder)
    job = run.list_submissions()[0]["job_id"]
    assert wait_for_end(folder, run)["state"] == "incomplete"
    (attempt,) = run.shard(0).attempts()
    assert (attempt.path / "span" / "joined-1").is_file()
    assert "Ray" in attempt.server_log.read_text()
    log = (run.logs / f"{job}_0.log").read_text()
    assert "joining 2 nodes by Ray" in log
    assert "node 1, node" in log
    failure = json.loads((attempt.path / "failure.json").read_text())
    assert "servers on several nodes need GPUs" in failure["faults"][0]
    assert not failure["retryable"]
    (held,) = set(cluster.run("sacct", "-n", "-P", "-X", f"--jobs={job}", "-o", "AllocTRES").split())
    assert "gres/gpu:a100=2" in held
    assert "node=2" in held
    wait_until(lambda: not left_of(attempt.name), "no process of it")


def left_of(attempt: str) -> list[int]:
    """Processes that still name this attempt, or a Ray of array tasks."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if attempt in line or ("ray" in line and "--node-ip-address" in line and "start" in line):
            found.append(process.pid)
    return found
