"""A server that spans nodes: what is asked of Slurm and vLLM, and what is refused before anything is started."""

from pathlib import Path

import pytest

from hpc_qa.campaign.cluster_faults import span_faults
from hpc_qa.config import Config, Vllm
from hpc_qa.serving.causes import likely_cause
from hpc_qa.serving.command import serve_command
from hpc_qa.slurm.array import ArrayRequest

RUN = Path("/p/runs/x-20260101T000000-0000")


def config(nodes: int = 2, **vllm: object) -> Config:
    settings = {"model": "m", "tensor_parallel_size": 4, "pipeline_parallel_size": 2} | vllm
    return Config.model_validate({"name": "x", "manifest": "m", "vllm": settings, "slurm": {"nodes_per_task": nodes}})


def test_each_node_holds_its_part_of_the_gpus_and_srun_starts_one_process_on_each():
    settings = config()
    script = ArrayRequest(RUN.name, RUN, [0, 1], settings.slurm, settings.gpus_per_node).script()
    options = {line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert {"--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=4"} <= options
    assert "--wait 120" in script


def test_one_node_is_asked_for_without_anything_of_that():
    settings = config(1, pipeline_parallel_size=1)
    script = ArrayRequest(RUN.name, RUN, [0], settings.slurm, settings.gpus_per_node).script()
    assert "--wait" not in script
    assert span_faults(settings) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (config(3), "pipeline_parallel_size 2 is no multiple of it"),
        (config(2, pipeline_parallel_size=1), "tensor parallelism (4) between nodes would wait for the network"),
        (config(2, attach="v.sock"), "the server of vllm.attach is on one node"),
    ],
)
def test_what_cannot_span_the_nodes_is_refused_with_the_reason(settings, words):
    (fault,) = span_faults(settings)
    assert words in fault


def test_vllm_places_its_ranks_by_ray_only_where_they_span_nodes():
    def command(*, spans_nodes: bool) -> list[str]:
        settings, socket = Vllm(model="m"), Path("s")
        return serve_command(settings, model_path="m", socket=socket, served_model_name="n", spans_nodes=spans_nodes)

    one, two = command(spans_nodes=False), command(spans_nodes=True)
    assert "--distributed-executor-backend" not in one
    assert two[two.index("--distributed-executor-backend") + 1] == "ray"


def test_a_cpu_that_ray_cannot_place_ranks_on_is_named():
    cause = likely_cause(["ValueError: current platform cpu does not support ray."], 1)
    assert "several nodes need GPUs" in cause.what
    assert "slurm.nodes_per_task: 1" in cause.hint
    assert not cause.retryable
