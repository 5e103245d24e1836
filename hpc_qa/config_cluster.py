"""The sections about a cluster: one array task, what a site charges, and the profile of a site.

A key under `slurm` is the option of `sbatch` with underscores.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hpc_qa.config_values import Clock, Day, OptionName, Section, SlurmWord
from hpc_qa.units import parse_clock

MEMORY = r"^\d+[KMGT]?$"
CURRENCY = r"^[A-Z]{3}$"
# Options that a run gives sbatch itself, or that change what sbatch answers; and what does instead
OF_THE_RUN = {
    "array": "slurm.array_parallelism says how many array tasks run at once",
    "chdir": "it works in its own folder",
    "comment": "it is found again by it",
    "job-name": "it is its id, which begins with `name`",
    "no-requeue": "slurm.max_requeues: 0 says so",
    "nodes": "slurm.nodes_per_task says how many",
    "open-mode": "its logs go on after a requeue",
    "requeue": "slurm.max_requeues says how often",
    "signal": "slurm.stop_before_end says when an array task stops",
    **dict.fromkeys(("error", "output"), "hpc-qa logs RUN SHARD shows what is printed"),
    **dict.fromkeys(("ntasks", "ntasks-per-node"), "an array task is one worker"),
    **dict.fromkeys(("parsable", "quiet", "test-only", "wait", "wrap"), "`submit` reads what sbatch answers"),
}


def _is_setup_line(text: str) -> str:
    if text.lstrip().startswith("#SBATCH"):
        raise ValueError("an option of sbatch is no setup line; write it as a key under slurm")
    return text


SetupLine = Annotated[str, AfterValidator(_is_setup_line)]


def _is_free(name: str) -> str:
    option, key = name.replace("_", "-"), name.replace("-", "_")
    if option in OF_THE_RUN:
        raise ValueError(f"this option is not for a config: {OF_THE_RUN[option]}")
    if key in Slurm.model_fields:
        raise ValueError(f"this option has a key of its own: slurm.{key}")
    return name


FreeOption = Annotated[OptionName, AfterValidator(_is_free)]


class Convert(Section):
    """One array task of the job array that converts documents on CPUs, before the GPU array may start.

    What is not named here is as in the `slurm` section, but for GPUs and what belongs to their nodes.
    """

    partition: SlurmWord | None = None  # None: that of the GPU array
    qos: SlurmWord | None = None
    constraint: SlurmWord | None = None
    time: Clock = "02:00:00"
    cpus_per_task: int = Field(8, ge=1, le=100_000)  # as many documents at once
    mem: str | None = Field(None, pattern=MEMORY)  # None: documents.limits.memory_gib for each of them, and 2 GiB
    tasks: int = Field(8, ge=1, le=1_000)  # at most; all of them may run at once
    additional_parameters: dict[FreeOption, str | int | bool] = {}


def _gpus_in(asked: str) -> int:
    """GPUs of `4`, `a100:4` or `a100:2,h100:1` as `--gpus` takes them; one where a type has no number.

    >>> _gpus_in("a100:2,h100:1"), _gpus_in("a100"), _gpus_in("")
    (3, 1, 0)
    """
    counts = [one.rpartition(":")[2] for one in asked.split(",")] if asked else []
    return sum(int(count) if count.isdigit() else 1 for count in counts)


class Slurm(Section):
    """One array task: options of `sbatch` with underscores."""

    site: str | None = None
    partition: SlurmWord | None = None
    account: SlurmWord | None = None
    qos: SlurmWord | None = None
    time: Clock = "04:00:00"
    gres: SlurmWord | None = None
    constraint: SlurmWord | None = None
    mem: str | None = Field(None, pattern=MEMORY)
    cpus_per_task: int | None = Field(None, ge=1, le=100_000)
    nodes_per_task: int = Field(1, ge=1, le=64)
    array_parallelism: int = Field(8, ge=1, le=1_000_000)
    stop_before_end: Clock = "00:03:00"  # nothing new is begun so long before the time limit
    max_requeues: int = Field(10, ge=0, le=1_000)  # of one array task; 0: only `resume` continues it
    python: str | None = None  # of the array tasks, where it is not the one that submits
    setup: list[SetupLine] = []
    command_prefix: list[str] = []
    mail_type: SlurmWord | None = None
    mail_user: SlurmWord | None = None
    additional_parameters: dict[FreeOption, str | int | bool] = {}
    convert: Convert = Convert()

    @property
    def gpus_asked(self) -> int:
        """GPUs that `gres` and `additional_parameters` ask for, on all nodes of an array task; 0 where neither does.

        `gres` and `gpus_per_node` count on each node, `gpus_per_task` for each node as well: it has one Slurm task.

        >>> Slurm(gres="gpu:a100:4,nvme:1", nodes_per_task=2).gpus_asked, Slurm(gres="gpu").gpus_asked
        (8, 1)
        """
        more = {name.replace("-", "_"): str(value) for name, value in self.additional_parameters.items()}
        of_node = [_gpus_in(more.get(name, "")) for name in ("gpus_per_node", "gpus_per_task")]
        gres = [one.partition(":") for one in (self.gres or "").removeprefix("gres/").split(",")]
        of_node.append(sum(_gpus_in(rest or "1") for kind, _, rest in gres if kind == "gpu"))
        return max(*(count * self.nodes_per_task for count in of_node), _gpus_in(more.get("gpus", "")))

    @model_validator(mode="after")
    def _stops_after_it_starts(self) -> Self:
        if parse_clock(self.stop_before_end) >= parse_clock(self.time):
            raise ValueError(f"stop_before_end {self.stop_before_end} leaves nothing of the time limit {self.time}")
        if parse_clock(self.stop_before_end) >= parse_clock(self.convert.time):
            raise ValueError(
                f"stop_before_end {self.stop_before_end} leaves nothing of convert.time {self.convert.time}"
            )
        return self


class Gpu(Section):
    """The GPUs of a cluster's nodes."""

    name: str | None = None  # as NVML says it
    memory_gib: float | None = Field(None, gt=0, le=1e5)  # of one GPU, GiB of 2^30 bytes
    per_node: int | None = Field(None, ge=1, le=1_024)


class Charging(Section):
    """What the site charges for an allocation, and what a GPU-hour of it costs."""

    unit: Literal["gpu", "node", "billing"] = "gpu"
    factor: float = Field(1.0, gt=0, le=1e6)  # of the system, on everything
    qos_factors: dict[SlurmWord, Annotated[float, Field(ge=0, le=1e6)]] = {}  # 1 for any other QOS
    suspended: bool = False  # whether time in suspension is charged as well
    rate_per_gpu_hour: float | None = Field(None, gt=0, le=1e6)  # None: not charged directly
    currency: str = Field("USD", pattern=CURRENCY)
    rate_source: str | None = None  # where the rate is written down
    rate_date: Day | None = None  # and when it was read there

    @model_validator(mode="after")
    def _says_where_the_rate_is_from(self) -> Self:
        if self.rate_per_gpu_hour is not None and not (self.rate_source and self.rate_date):
            raise ValueError(
                "rate_per_gpu_hour needs rate_source, where it is written, and rate_date, when it was read"
            )
        return self


class Site(Section):
    """A cluster: what holds for every run on it. A config's own `slurm` section goes before it."""

    name: str
    gpu: Gpu = Gpu()
    gres: str | None = None  # how the cluster counts GPUs: "gpu:a100:{gpus}"
    cpus_per_gpu: int | None = Field(None, ge=1, le=10_000)
    memory_per_gpu_gib: int | None = Field(None, ge=1, le=100_000)
    charging: Charging = Charging()
    slurm: Slurm = Slurm()  # defaults of the section of that name

    def complete(self, settings: Slurm, gpus_per_node: int) -> Slurm:
        """The settings with what follows from the number of GPUs that an array task holds on a node."""
        found: dict[str, object] = {}
        if settings.gres is None and self.gres is not None:
            found["gres"] = self.gres.replace("{gpus}", str(gpus_per_node))
        if settings.cpus_per_task is None and self.cpus_per_gpu is not None:
            found["cpus_per_task"] = self.cpus_per_gpu * gpus_per_node
        if settings.mem is None and self.memory_per_gpu_gib is not None:
            found["mem"] = f"{self.memory_per_gpu_gib * gpus_per_node}G"
        return settings.model_copy(update=found)
