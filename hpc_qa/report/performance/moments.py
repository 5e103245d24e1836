"""Utilisation and memory over the time of one run: the newest of which an attempt was sampled."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from hpc_qa.bench.record import Record
from hpc_qa.bench.stage_use import lines_of
from hpc_qa.campaign.figures import local_cpus
from hpc_qa.errors import StoreError
from hpc_qa.ledger.samples import LONGEST_STEP_S, Sample, from_line
from hpc_qa.report.document.material import Material
from hpc_qa.report.drawing import ACCENT, SOFT
from hpc_qa.report.performance.chart import Chart, thresholds
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 400  # of a curve; the samples between two points are averaged
GB = 1e9
FEWEST = 3


class Moment(NamedTuple):
    """What some neighbouring samples say; None is not known."""

    minutes: float  # since the first sample
    cpu_percent: float | None
    gpu_percent: float | None  # mean over the GPUs
    memory_gb: float | None  # resident, of the worker's processes
    gpu_memory_gb: float | None  # of the fullest GPU


def over_time(material: Material) -> Chart:
    """The attempt with the most samples of the newest run that has any."""
    name, title = "utilisation", "Utilisation and memory over time"
    about = "Blue is the GPU, grey the CPUs and the memory of the host; means over neighbouring samples."
    source = "Samples of the worker, one a second."
    for record in reversed(material.records):
        run = material.runs.get(record.id)
        if run is not None and (found := _samples_of(run)) is not None:
            return _chart(name, title, about, source, record, found[0], moments(found[1], _cpus(record, run)), material)
    return Chart(name, title, about, source, missing="No run that is here was sampled.")


def _samples_of(run: RunDirectory) -> tuple[AttemptDirectory, list[Sample]] | None:
    """The samples of the attempt that has most of them."""
    try:
        shards = [run.shard(int(shard["index"])) for shard in run.frozen_plan()["shards"]]
        attempts = [attempt for shard in shards for attempt in shard.attempts()]
        sizes = {attempt: attempt.gpu_samples.stat().st_size for attempt in attempts if attempt.gpu_samples.is_file()}
    except (StoreError, OSError):  # unreadable: hpc-qa status says so
        return None
    if not sizes:
        return None
    largest = max(sizes, key=lambda attempt: (sizes[attempt], attempt.name))
    samples = [sample for line in lines_of(largest.gpu_samples) if (sample := from_line(line)) is not None]
    return (largest, samples) if len(samples) >= FEWEST else None


def _cpus(record: Record, run: RunDirectory) -> float | None:
    """CPUs of an array task; of this machine, shared by the servers that run at once."""
    if record.environment == "local":
        return local_cpus(run.facts(), len(run.frozen_plan()["shards"]))
    return record.hardware.cpu_cores


def moments(samples: Sequence[Sample], cpus: float | None) -> list[Moment]:
    """Samples as points of curves, each the mean of as many as there have to be."""
    steps = [(one, other) for one, other in pairwise(samples) if 0 < other.time_s - one.time_s <= LONGEST_STEP_S]
    size = max(1, -(-len(steps) // MOST_POINTS))
    return [_moment(steps[at : at + size], samples[0].time_s, cpus) for at in range(0, len(steps), size)]


def _moment(steps: Sequence[tuple[Sample, Sample]], began_s: float, cpus: float | None) -> Moment:
    """The CPU time of a process is counted when it ends at the latest: what is more than there was, was used before."""
    cpu = [
        min(100.0, 100 * (other.cpu_s - one.cpu_s) / (cpus * (other.time_s - one.time_s)))
        for one, other in steps
        if cpus and one.cpu_s is not None and other.cpu_s is not None and other.cpu_s >= one.cpu_s
    ]
    samples = [one for one, _ in steps]
    gpus = [gpu for sample in samples for gpu in sample.devices]
    busy = [gpu.utilization_percent for gpu in gpus if gpu.utilization_percent is not None]
    full = [gpu.memory_bytes / GB for gpu in gpus if gpu.memory_bytes is not None]
    resident = [one.resident_bytes / GB for one in samples if one.resident_bytes is not None]
    return Moment((samples[0].time_s - began_s) / 60, _mean(cpu), _mean(busy), _mean(resident), max(full, default=None))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _chart(
    name: str, title: str, about: str, source: str, record: Record, attempt: AttemptDirectory,
    found: Sequence[Moment], material: Material,
) -> Chart:  # fmt: skip
    about = f"{record.id}, attempt {attempt.name}. {about}"
    memory = material.targets.get("host_memory_percent") if record.hardware.ram_gb_allocated else None

    def draw(every: "list[Axes]", _is_narrow: bool) -> None:
        use, held = every
        _curve(use, found, "cpu_percent", SOFT)
        _curve(use, found, "gpu_percent", ACCENT)
        if any(one.gpu_percent is not None for one in found):
            thresholds(use, material.targets.get("gpu_utilization_percent"))
        use.set_ylim(0, 105)
        use.set_ylabel("% busy")
        _curve(held, found, "memory_gb", SOFT)
        _curve(held, found, "gpu_memory_gb", ACCENT)
        thresholds(held, memory, (record.hardware.ram_gb_allocated or 0.0) / 100)
        held.set_ylim(bottom=0)
        held.set_ylabel("GB")
        held.set_xlabel("minutes")

    minutes = found[-1].minutes if found else 0.0
    return Chart(name, title, about, source, f"{title} of {record.id}, {minutes:.1f} minutes", draw, rows=2, height=190)


def _curve(axes: "Axes", found: Sequence[Moment], key: str, colour: str) -> None:
    known = [(one.minutes, value) for one in found if (value := getattr(one, key)) is not None]
    if known:
        axes.plot(*zip(*known, strict=True), color=colour, linewidth=1.4)
