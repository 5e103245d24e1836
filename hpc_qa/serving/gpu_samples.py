"""What our GPUs do at this moment: utilisation, memory, power and energy of each, by NVML.

Only devices that we hold are asked, never those of others on the node. A value that NVML does not have, or does not
give any more, is None; why is logged once. Without NVML, and where it cannot be said which devices are ours, there are
none.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from hpc_qa.config import Vllm
from hpc_qa.serving.gpus import nvml, ours, uses_gpus, visible_devices

logger = logging.getLogger(__name__)


class GpuReading(NamedTuple):
    """One GPU now."""

    uuid: str
    utilization_percent: int | None  # of the last sample period of the driver, with any kernel resident
    memory_bytes: int | None  # used
    power_w: float | None
    energy_mj: int | None  # since the driver was loaded


class GpuKind(NamedTuple):
    """What one GPU is, which does not change while it is held."""

    id: str  # UUID
    name: str | None  # as NVML calls it
    memory_bytes: int | None  # all of it


@dataclass(frozen=True, slots=True)
class _Device:
    index: int
    uuid: str
    handle: Any


Read = Callable[[], Sequence[GpuReading]]


def held_kinds(settings: Vllm, count: int) -> list[GpuKind]:
    """What the `count` GPUs of this node are that a server with these settings holds; none where it holds none."""
    return named_kinds(count, visible_devices(settings)) if uses_gpus(settings) else []


def named_kinds(count: int, visible: str | None) -> list[GpuKind]:
    """What the first `count` of the GPUs are that CUDA_VISIBLE_DEVICES names; none where that cannot be said."""
    with nvml() as library:
        devices = None if library is None else ours(_devices(library), count, visible)
        said: set[tuple[str, str]] = set()
        return [
            GpuKind(
                device.uuid,
                _asked(library, device, said, "Name", str),
                _asked(library, device, said, "MemoryInfo", lambda memory: int(memory.total)),
            )
            for device in devices or ()
        ]


@contextmanager
def held_gpus(settings: Vllm, count: int) -> Iterator[Read]:
    """Readings of the `count` GPUs of this node that a server with these settings holds; of none where it holds none.

    A server of somebody else and a vLLM that was built for the CPU hold none, whatever this machine has. Those of a
    server that a sweep shares among its cells are sampled by each of them.
    """
    if not uses_gpus(settings):
        yield list
        return
    with named_gpus(count, visible_devices(settings)) as read:
        yield read


@contextmanager
def named_gpus(count: int, visible: str | None) -> Iterator[Read]:
    """Readings of the first `count` of the GPUs that CUDA_VISIBLE_DEVICES names; of none where that cannot be said."""
    with nvml() as library:
        devices = None if library is None else ours(_devices(library), count, visible)
        if devices is None:
            logger.info("GPUs are not sampled: NVML is not here, or does not know the %d that are ours", count)
        said: set[tuple[str, str]] = set()
        yield lambda: [_reading(library, device, said) for device in devices or ()]


def _devices(library: Any) -> list[_Device]:
    """All that answer; one that has fallen off the bus does not."""
    found = []
    for index in range(_count(library)):
        try:
            handle = library.nvmlDeviceGetHandleByIndex(index)
            found.append(_Device(index, str(library.nvmlDeviceGetUUID(handle)), handle))
        except library.NVMLError as error:
            logger.warning("GPU %d: %s", index, error)
    return found


def _count(library: Any) -> int:
    try:
        return int(library.nvmlDeviceGetCount())
    except library.NVMLError as error:
        logger.warning("NVML: %s", error)
        return 0


def _asked(
    library: Any, device: _Device, said: set[tuple[str, str]], what: str, value: Callable[[Any], Any]
) -> Any:  # fmt: skip
    """What NVML says of a device; None where it does not, and why is logged once."""
    try:
        return value(getattr(library, f"nvmlDeviceGet{what}")(device.handle))
    except library.NVMLError as error:
        if (device.uuid, what) not in said:
            said.add((device.uuid, what))
            logger.warning("GPU %d: no %s: %s", device.index, what, error)
        return None


def _reading(library: Any, device: _Device, said: set[tuple[str, str]]) -> GpuReading:
    def ask(what: str, value: Callable[[Any], Any]) -> Any:
        return _asked(library, device, said, what, value)

    return GpuReading(
        device.uuid,
        ask("UtilizationRates", lambda rates: int(rates.gpu)),
        ask("MemoryInfo", lambda memory: int(memory.used)),
        ask("PowerUsage", lambda milliwatts: milliwatts / 1000),
        ask("TotalEnergyConsumption", int),
    )
