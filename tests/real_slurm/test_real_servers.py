"""Array tasks of a real cluster that each start a real tensor-parallel vLLM server and feed it through Ray."""

import json
from pathlib import Path

import pytest

from hpc_qa.store.run_directory import list_runs
from tests.projects import call, keys, proof, states
from tests.real_slurm.cluster import Cluster
from tests.real_slurm.runs import accounted, served_project
from tests.tiny_model import tiny_model

pytestmark = [pytest.mark.slurm, pytest.mark.vllm, pytest.mark.timeout(900)]


def test_two_array_tasks_each_with_a_server_of_two_ranks_answer_everything_and_prove_it(
    cluster: Cluster, tmp_path: Path, model_folder: Path
) -> None:
    folder = tmp_path / "p"
    tiny = tiny_model(model_folder, model_folder.parent / "tiny-random-llama")
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "0|1"}
    settings = {"model": str(tiny), "tensor_parallel_size": 2, "env": environment}
    served_project(folder, documents=2, vllm=settings, slurm={"array_parallelism": 2, "mem": "7G"})
    assert call(folder, "submit", str(folder / "config.yaml"), "--wait") == 0
    (run,) = list_runs(folder)
    assert proof(folder, run)["exit_code"] == 0
    # a model of two random ranks never ends a sentence: every answer is cut off, and that is a terminal state
    assert set(states(run).values()) == {("failed", "truncated")}
    assert set(keys(run).values()) == {1}
    assert [state for _, state in accounted(cluster, run)] == ["COMPLETED", "COMPLETED"]
    job = run.list_submissions()[0]["job_id"]
    held = cluster.run("sacct", "-n", "-P", "-X", f"--jobs={job}", "-o", "AllocTRES").split()
    assert all("gres/gpu:a100=2" in tres for tres in held)
    names = set()
    for shard in (0, 1):
        (attempt,) = run.shard(shard).attempts()
        summary = json.loads((attempt.path / "summary.json").read_text())
        assert summary["gpus_per_server"] == 2
        assert summary["server"]["generation_tokens"] > 0
        assert "tensor_parallel_size=2" in attempt.server_log.read_text().replace("'", "").replace(": ", "=")
        names.add(attempt.name)
    assert len(names) == 2
