"""A sample a second of our GPUs and of our processes, from the beginning of an attempt to its last mark.

A server that was there before the attempt counts where it is ours, as that of a sweep is. What one of somebody else
uses is not known here: then the samples are of the clients alone, and a benchmark record makes nothing of them.

A thread takes them and appends them in blocks to `gpu.jsonl`; beside it lies their sum so far, `samples.json`, so that
nobody has to read the lines again, not even of an attempt that was killed. Only this node is sampled. Samples are
figures and no more: whatever happens to them is said once in the log, and the attempt goes on.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from hpc_qa.config import Vllm
from hpc_qa.errors import StoreError
from hpc_qa.ledger.samples import DEVICES, Device, Sample, Totals, to_line
from hpc_qa.serving.gpu_samples import GpuKind, Read
from hpc_qa.store.files import FILE_MODE, HeldFolder
from hpc_qa.store.run_directory import AttemptDirectory
from hpc_qa.worker.process_tree import ProcessTree, Use
from hpc_qa.worker.progress import ProgressFile

log = logging.getLogger("hpc_qa.worker")

EVERY_S = 1.0
BLOCK_S = 10.0
LONGEST_END_S = 5.0  # for the last block; a call of NVML that never returns is left behind


@contextmanager
def sampling(
    directory: AttemptDirectory,
    stage: Callable[[], str | None],
    gpus: Callable[[], AbstractContextManager[Read]],
    *,
    kinds: Callable[[], Sequence[GpuKind]] = tuple,
    use: Callable[[], Use | None] | None = None,
) -> Iterator[None]:
    """Sample while this is open; `stage` tells what the attempt does, `gpus` opens the devices that it holds.

    `kinds` says once what those are, `use` what the host did for the attempt: by default its own processes.
    """
    stop = threading.Event()
    arguments = (directory, stage, gpus, kinds, use, stop)
    thread = threading.Thread(target=_run, args=arguments, name="samples", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(LONGEST_END_S)


def _run(
    directory: AttemptDirectory,
    stage: Callable[[], str | None],
    gpus: Callable[[], AbstractContextManager[Read]],
    kinds: Callable[[], Sequence[GpuKind]],
    use: Callable[[], Use | None] | None,
    stop: threading.Event,
) -> None:
    try:
        with gpus() as read:
            Sampler(directory, stage, read, kinds=kinds(), use=use).run(stop)
    except Exception:  # no figure is worth an attempt
        log.exception("nothing is sampled any more")


def use_of(settings: Vllm) -> Callable[[], Use | None]:
    """What says what the host does for an attempt with these settings: its processes, and a server of ours beside them.

    Such a server counts from now on; None once it is gone.
    """
    own = ProcessTree(os.getpid())
    if settings.attach_pid is None:
        return own.use
    server = ProcessTree(settings.attach_pid)
    before = server.use()

    def both() -> Use | None:
        ours, its = own.use(), server.use()
        if ours is None or its is None or before is None:
            return None
        return Use(ours.cpu_s + its.cpu_s - before.cpu_s, ours.resident_bytes + its.resident_bytes)

    return both


class Sampler:
    """Takes samples, keeps their sum, and writes both."""

    def __init__(
        self,
        directory: AttemptDirectory,
        stage: Callable[[], str | None],
        read: Read,
        *,
        kinds: Sequence[GpuKind] = (),
        use: Callable[[], Use | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = directory.gpu_samples
        self._folder = HeldFolder(directory.path)
        self._sums = ProgressFile(directory.samples_json, clock=clock)
        self._stage = stage
        self._read = read
        self._devices = {DEVICES: [kind._asdict() for kind in kinds]} if kinds else {}
        self._use = use or ProcessTree(os.getpid(), clock=clock).use
        self._clock = clock
        self._zero_s = time.time() - clock()  # the node's clock may be set meanwhile: then steps would be wrong
        self._totals = Totals()
        self._lines: list[bytes] = []
        self._failed = False

    def run(self, stop: threading.Event) -> None:
        """Sample until told to stop, and once more then."""
        at = self._clock()
        block_at = at + BLOCK_S
        try:
            while not stop.is_set():
                self.take()
                if self._clock() >= block_at:
                    self.write()
                    block_at = self._clock() + BLOCK_S
                at = max(at + EVERY_S, self._clock())
                stop.wait(at - self._clock())
            self.take()
        finally:
            self.write()

    def take(self) -> None:
        """One sample."""
        use = self._use()
        sample = Sample(
            round(self._zero_s + self._clock(), 3),
            self._stage(),
            use.cpu_s if use else None,
            use.resident_bytes if use else None,
            tuple(Device(*reading) for reading in self._read()),
        )
        self._totals.add(sample)
        self._lines.append(to_line(sample))

    def write(self) -> None:
        """Append what was taken since the last time; what cannot be written is lost."""
        block, self._lines = b"".join(self._lines), []
        try:
            self._folder.check()
            self._append(b"\n" + block if self._failed else block)  # a line of the last time may have been cut off
            if (figures := self._totals.figures()) is not None:
                self._sums.write(figures.to_json() | self._devices)
        except (OSError, StoreError) as error:
            if not self._failed:
                log.warning("samples are lost, and the attempt goes on: %s", error)
            self._failed = True

    def _append(self, block: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, FILE_MODE)
        try:
            if os.write(descriptor, block) != len(block):
                raise OSError("a block of samples was cut off")
        finally:
            os.close(descriptor)
