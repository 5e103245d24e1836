"""How each stage of an attempt used its processors, GPUs and memory, from the samples that its worker took.

A sample holds until the next one; over a gap nothing is known. What no sample tells is None.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from hpc_qa.ledger.samples import LONGEST_STEP_S, Sample, from_line

BUSY_PERCENT = 70.0  # from here on a resource is what holds the others up
FULL_PERCENT = 95.0  # of the KV cache
SATURATED = 0.95  # of the processors
REQUESTS = ("generation", "judging", "serving", "tail")  # stages in which a server can wait for its clients
LOADING = "model_load"
GB = 1e9


@dataclass(slots=True)
class Use:
    """What one stage used; sums over attempts."""

    cpu_s: float = 0.0
    core_s: float = 0.0  # that were there, while CPU time is known
    gpu_busy_s: float = 0.0
    gpu_s: float = 0.0  # whose utilisation is known
    peak_bytes: int | None = None  # resident memory of the processes, the highest sample

    @property
    def cpu_percent(self) -> float | None:
        return 100 * self.cpu_s / self.core_s if self.core_s else None

    @property
    def gpu_percent(self) -> float | None:
        return min(100.0, 100 * self.gpu_busy_s / self.gpu_s) if self.gpu_s else None

    @property
    def memory_gb_peak(self) -> float | None:
        return None if self.peak_bytes is None else self.peak_bytes / GB

    def add(self, other: "Use") -> None:
        """Sum up what two stages, or two attempts, used."""
        self.cpu_s += other.cpu_s
        self.core_s += other.core_s
        self.gpu_busy_s += other.gpu_busy_s
        self.gpu_s += other.gpu_s
        peaks = [peak for peak in (self.peak_bytes, other.peak_bytes) if peak is not None]
        self.peak_bytes = max(peaks, default=None)


@dataclass(slots=True)
class UseByStage:
    """The same of every stage."""

    stages: dict[str, Use] = field(default_factory=lambda: defaultdict(Use))
    saturated_s: float | None = None  # the longest stretch with more than 95 % of the processors busy, of any attempt

    def add_attempt(self, lines: Iterable[bytes], cpus: float | None) -> None:
        """Take the samples of one more attempt, which had so many processors."""
        samples = (sample for line in lines if (sample := from_line(line)) is not None)
        stretch_s = 0.0
        for sample, following in pairwise(samples):
            use = _between(sample, following, cpus)
            if sample.stage is not None:
                self.stages[sample.stage].add(use)
            saturated = use.core_s > 0 and use.cpu_s > SATURATED * use.core_s
            stretch_s = stretch_s + following.time_s - sample.time_s if saturated else 0.0
            if use.core_s > 0:
                self.saturated_s = max(self.saturated_s or 0.0, stretch_s)

    def together(self, names: Iterable[str]) -> Use:
        """What several stages used."""
        whole = Use()
        for name in names:
            if name in self.stages:
                whole.add(self.stages[name])
        return whole


def _between(sample: Sample, following: Sample, cpus: float | None) -> Use:
    found = Use(peak_bytes=sample.resident_bytes)
    step_s = following.time_s - sample.time_s
    if not 0 < step_s <= LONGEST_STEP_S:
        return found
    if cpus and sample.cpu_s is not None and following.cpu_s is not None:
        found.cpu_s, found.core_s = max(0.0, following.cpu_s - sample.cpu_s), cpus * step_s
    known = [gpu.utilization_percent for gpu in sample.devices if gpu.utilization_percent is not None]
    found.gpu_busy_s, found.gpu_s = sum(known) / 100 * step_s, len(known) * step_s
    return found


def lines_of(path: Path) -> Iterable[bytes]:
    """The lines of a file of samples; none where it cannot be read, as samples are never needed."""
    try:
        with path.open("rb") as lines:
            yield from lines
    except OSError:
        return


def bottleneck(stage: str, use: Use, kv_cache_percent: float | None = None) -> str | None:
    """The resource that held a stage up; None where too little is known to say.

    A busy GPU or CPU shows in the samples. What is left is found by elimination: with neither busy, a model that loads
    waits for its files, and a server for requests. Nothing is sampled of `launch`.

    >>> bottleneck("serving", Use(gpu_busy_s=9, gpu_s=10)), bottleneck("tail", Use(cpu_s=1, core_s=10))
    ('gpu', 'requests')
    """
    if use.gpu_percent is not None and use.gpu_percent >= BUSY_PERCENT:
        return "gpu"
    if use.cpu_percent is not None and use.cpu_percent >= BUSY_PERCENT:
        return "cpu"
    if stage in REQUESTS and kv_cache_percent is not None and kv_cache_percent >= FULL_PERCENT:
        return "gpu_memory"
    if use.cpu_percent is None:
        return None
    if stage == LOADING:
        return "storage"
    return "requests" if stage in REQUESTS else None
