"""What the samples of an attempt say together: busy GPU-seconds, energy, memory, and what the host did.

`gpu.jsonl` has a line a second, `docs/ledger.md` has its keys. A sample holds until the next one; between two that are
more than 5 s apart nothing is known. Lines that are torn, foreign, or not later than the one before are left out. The
worker sums up as it samples (`samples.json`), so the lines are read again only where that file is lost.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeVar

from hpc_qa.budget.waterfall import STAGES

LONGEST_STEP_S = 5.0
LATEST_S = 253_402_300_799  # the last second of the year 9999
MOST = 2**62
WHOLE = {"sampled_gpus", "gpu_memory_peak_bytes", "host_memory_peak_bytes", "host_memory_mean_bytes"}
_N = TypeVar("_N", int, float)
COUNTER, POWER = "counter", "power"
NO_STAGE = "unattributed"
DEVICES = "devices"  # in samples.json, beside the figures: what the GPUs are


class Device(NamedTuple):
    """One GPU at one moment; None is what NVML does not say."""

    uuid: str
    utilization_percent: float | None
    memory_bytes: int | None
    power_w: float | None
    energy_mj: int | None  # a counter, since the driver was loaded


class Sample(NamedTuple):
    """One moment of an attempt."""

    time_s: float  # since 1970
    stage: str | None  # of STAGES
    cpu_s: float | None  # of the process tree, so far
    resident_bytes: int | None
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The samples of one attempt, summed up; what no sample tells is None. `docs/ledger.md` has the definitions."""

    sampled_gpus: int
    covered_gpu_s: float  # GPU-seconds whose utilisation is known
    gpu_busy_s: float | None
    gpu_utilization: float | None  # a share
    gpu_memory_peak_bytes: int | None
    gpu_energy_j: float | None
    energy_basis: str | None
    gpu_power_mean_w: float | None  # of one GPU
    host_cpu_s: float | None
    host_memory_peak_bytes: int | None
    host_memory_mean_bytes: int | None
    busy_ms: dict[str, int] | None  # GPU-milliseconds by stage

    def to_json(self) -> dict[str, Any]:
        """As `samples.json` has it."""
        return asdict(self)

    def samples_share(self, gpus: int | None, elapsed_s: float | None) -> float | None:
        """How much of so many GPUs for so long the samples tell of, 0 to 1."""
        if not gpus or not elapsed_s:
            return None
        return min(1.0, self.covered_gpu_s / (gpus * elapsed_s))  # Slurm's seconds are whole, ours are not


def to_line(sample: Sample) -> bytes:
    """The line of a sample in `gpu.jsonl`."""
    devices = [dict(zip(_KEYS, device, strict=True)) for device in sample.devices]
    line = {"t": sample.time_s, "s": sample.stage, "c": sample.cpu_s, "r": sample.resident_bytes, "g": devices}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


_KEYS = ("id", "u", "m", "w", "e")


def from_line(line: bytes) -> Sample | None:
    """The sample of a line; None if it is none."""
    try:
        said = json.loads(line)
        time_s = _number(said["t"], LATEST_S)
        devices = tuple(_device(one) for one in said["g"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if time_s is None:
        return None
    stage = said.get("s")
    return Sample(
        time_s, stage if stage in STAGES else None, _number(said.get("c"), MOST), _whole(said.get("r")), devices
    )


def _device(said: Mapping[str, Any]) -> Device:
    if not isinstance(said["id"], str):
        raise TypeError("a device without a name")
    utilization, power_w = _number(said.get("u"), 100), _number(said.get("w"), MOST)
    return Device(said["id"], utilization, _whole(said.get("m")), power_w, _whole(said.get("e")))


def _number(value: Any, most: float) -> float | None:
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
    return float(value) if is_one else None


def _whole(value: Any) -> int | None:
    return int(value) if type(value) is int and 0 <= value <= MOST else None


@dataclass(slots=True)
class _Gpu:
    """What is known of one device so far."""

    energy_mj: int | None = None  # the last reading
    counted_mj: int | None = None  # between readings; None before there are two
    power_s: float = 0.0  # seconds whose power is known
    power_ws: float = 0.0  # power over those


@dataclass(slots=True)
class Totals:
    """Samples, summed up one after the other."""

    _last: Sample | None = None
    _gpus: dict[str, _Gpu] = field(default_factory=dict)
    _covered_s: float = 0.0
    _busy_s: dict[str, float] = field(default_factory=dict)  # by stage
    _memory_peak: int | None = None
    _cpu_s: float | None = None
    _resident_peak: int | None = None
    _resident_s: float = 0.0  # seconds whose resident memory is known
    _resident_bytes_s: float = 0.0

    def add(self, sample: Sample) -> None:
        """Take one more; it has to be later than those before."""
        last = self._last
        if last is not None:
            step_s = sample.time_s - last.time_s
            if step_s <= 0:
                return
            if step_s <= LONGEST_STEP_S:
                self._hold(last, step_s)
        self._last = sample
        self._cpu_s = _larger(self._cpu_s, sample.cpu_s)
        self._resident_peak = _larger(self._resident_peak, sample.resident_bytes)
        for device in sample.devices:
            self._read(device)

    def _hold(self, sample: Sample, step_s: float) -> None:
        """What a sample says went on for so long."""
        if sample.resident_bytes is not None:
            self._resident_s += step_s
            self._resident_bytes_s += sample.resident_bytes * step_s
        for device in {one.uuid: one for one in sample.devices}.values():
            if device.utilization_percent is not None:
                stage = sample.stage or NO_STAGE
                self._covered_s += step_s
                self._busy_s[stage] = self._busy_s.get(stage, 0.0) + device.utilization_percent / 100 * step_s
            if device.power_w is not None:
                gpu = self._gpus[device.uuid]
                gpu.power_s += step_s
                gpu.power_ws += device.power_w * step_s

    def _read(self, device: Device) -> None:
        gpu = self._gpus.setdefault(device.uuid, _Gpu())
        self._memory_peak = _larger(self._memory_peak, device.memory_bytes)
        if device.energy_mj is None:
            return
        if gpu.energy_mj is not None:  # less than before: the counter began anew, and so do we
            gpu.counted_mj = (gpu.counted_mj or 0) + max(0, device.energy_mj - gpu.energy_mj)
        gpu.energy_mj = device.energy_mj

    def figures(self) -> Figures | None:
        """What they say together; None while there is no sample."""
        if self._last is None:
            return None
        busy_s = min(self._covered_s, math.fsum(self._busy_s.values())) if self._covered_s else None
        basis, energy_j = self._energy()
        power_s = math.fsum(gpu.power_s for gpu in self._gpus.values())
        power_ws = math.fsum(gpu.power_ws for gpu in self._gpus.values())
        return Figures(
            sampled_gpus=len(self._gpus),
            covered_gpu_s=round(self._covered_s, 3),
            gpu_busy_s=None if busy_s is None else round(busy_s, 3),
            gpu_utilization=None if busy_s is None else busy_s / self._covered_s,
            gpu_memory_peak_bytes=self._memory_peak,
            gpu_energy_j=energy_j,
            energy_basis=basis,
            gpu_power_mean_w=power_ws / power_s if power_s else None,
            host_cpu_s=self._cpu_s,
            host_memory_peak_bytes=self._resident_peak,
            host_memory_mean_bytes=round(self._resident_bytes_s / self._resident_s) if self._resident_s else None,
            busy_ms=None if busy_s is None else {name: round(1000 * spent) for name, spent in self._busy_s.items()},
        )

    def _energy(self) -> tuple[str | None, float | None]:
        """Of all devices on one basis; None where one of them has neither."""
        gpus = self._gpus.values()
        counted = [gpu.counted_mj for gpu in gpus if gpu.counted_mj is not None]
        if gpus and len(counted) == len(gpus):
            return COUNTER, sum(counted) / 1000
        if gpus and all(gpu.power_s for gpu in gpus):
            return POWER, math.fsum(gpu.power_ws for gpu in gpus)
        return None, None


def _larger(one: _N | None, other: _N | None) -> _N | None:
    return other if one is None else one if other is None else max(one, other)


def sum_up(lines: Iterable[bytes]) -> Figures | None:
    """The figures of the lines of a `gpu.jsonl`; None where none of them is a sample."""
    totals = Totals()
    for line in lines:
        if (sample := from_line(line)) is not None:
            totals.add(sample)
    return totals.figures()


def from_json(said: Mapping[str, Any]) -> Figures | None:
    """The figures of a `samples.json`; None if it is not as we write it. What its devices are is no figure."""
    said = {name: value for name, value in said.items() if name != DEVICES}
    checked: dict[str, Any] = {
        name: _whole(value) if name in WHOLE else _number(value, MOST) for name, value in said.items()
    }
    if (basis := said.get("energy_basis")) in (COUNTER, POWER):
        checked["energy_basis"] = basis
    if isinstance(busy_ms := said.get("busy_ms"), dict):
        checked["busy_ms"] = {name: _whole(value) for name, value in busy_ms.items() if name in STAGES}
    try:
        found = Figures(**checked)
    except TypeError:
        return None
    known = None not in (checked["sampled_gpus"], checked["covered_gpu_s"])
    return found if known and checked == said else None
