"""What an array task is asked to hold, against what its server needs; known without asking the cluster."""

from hpc_qa.config import Config
from hpc_qa.slurm.array import setup_faults
from hpc_qa.units import plural


def cluster_faults(config: Config) -> list[str]:
    """Settings under which no array task could work, one line each."""
    if config.executor != "slurm":
        return []
    settings = config.slurm
    faults = [*setup_faults(settings.setup), *span_faults(config)]
    most = config._site.gpu.per_node if config._site else None
    if config._site and most is not None and config.gpus_per_node > most:
        faults.append(
            f"vllm.tensor_parallel_size x pipeline_parallel_size needs {plural(config.gpus_per_node, 'GPU')} on a "
            f"node, nodes of {config._site.name} have {most}; make it smaller, or choose other nodes with slurm.site"
        )
    held = settings.gpus_asked
    if held and held < config.gpus_per_task and "gpu" in (settings.gres or ""):
        faults.append(
            f"slurm.gres {settings.gres} holds {plural(held, 'GPU')}, "
            f"vllm.tensor_parallel_size x pipeline_parallel_size needs {config.gpus_per_task}"
        )
    return faults


def span_faults(config: Config) -> list[str]:
    """Why a server cannot span the nodes that the config asks for."""
    nodes, tensor, pipeline = (
        config.slurm.nodes_per_task, config.vllm.tensor_parallel_size, config.vllm.pipeline_parallel_size,
    )  # fmt: skip
    if nodes == 1:
        return []
    if config.vllm.attach is not None:
        return [f"slurm.nodes_per_task {nodes}: the server of vllm.attach is on one node; leave it at 1"]
    if pipeline % nodes:
        why = f"tensor parallelism ({tensor}) between nodes would wait for the network in every layer"
        said = f"slurm.nodes_per_task {nodes}: vllm.pipeline_parallel_size {pipeline} is no multiple of it"
        return [f"{said}. A node holds whole stages of the pipeline: {why}"]
    return []
