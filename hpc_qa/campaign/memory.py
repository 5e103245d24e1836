"""Whether the model of a config fits into the GPUs that it names, before any of them is held."""

from pathlib import Path

from hpc_qa.campaign import provenance
from hpc_qa.config import Config
from hpc_qa.serving.memory_fit import MemoryFit, memory_fit
from hpc_qa.serving.model_size import model_size

OF_PROJECT = Path("configs") / "models.yaml"  # models whose folder is not here; goes before the table of the package
OF_PACKAGE = Path(__file__).with_name("models.yaml")


def fit_of(config: Config, project: Path) -> MemoryFit | None:
    """What the server of this config needs, and what its GPUs have; None where that is not known, or not our server.

    Raises:
        ConfigError: the model's folder or a table of models cannot be read.
    """
    if config.vllm.attach is not None:
        return None
    name, memory_gib = _gpu(config)
    if memory_gib is None:  # a CPU, a driver that does not answer, a site that does not say: the start will tell
        return None
    tables = [path for path in (project / OF_PROJECT, OF_PACKAGE) if path.is_file()]
    size = model_size(config.model, project=project, tables=tables)
    return memory_fit(config.vllm, size, gpu_memory_gib=memory_gib, gpu_name=name)


def _gpu(config: Config) -> tuple[str | None, float | None]:
    """(name, memory in GiB) of a GPU: of the site's nodes, or of this machine."""
    if config.executor == "slurm":
        gpu = config._site.gpu if config._site else None
        return (gpu.name, gpu.memory_gib) if gpu else (None, None)
    gpus = provenance.visible_gpus() or []
    smallest = min(gpus, key=lambda gpu: float(str(gpu["vram_gb"])), default=None)
    return (str(smallest["model"]), float(str(smallest["vram_gb"])) * 1e9 / 2**30) if smallest else (None, None)
