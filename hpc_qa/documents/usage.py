"""What one stage of the conversion of one document takes, measured by the process that does it.

Wall and CPU time, the peak of resident memory, and bytes read and written. Bytes are those of read and write calls
(rchar and wchar of proc_pid_io(5)), from the page cache or not, as Slurm counts them in its accounting. Programs that
the stage starts and waits for count as part of it. What the system does not tell is None.
"""

import json
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

# Opened, checked and copied; read as Markdown; cut into chunks and written.
STAGES = ("raw_input", "conversion", "preprocessing")
MAX_JSON_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stage took."""

    duration_s: float
    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None

    def __add__(self, other: "Usage") -> "Usage":
        """Both together: sums, and the higher peak; a sum of which a part is not known is not known."""
        peaks = [peak for peak in (self.memory_peak_bytes, other.memory_peak_bytes) if peak is not None]
        return Usage(
            self.duration_s + other.duration_s,
            _sum(self.cpu_s, other.cpu_s),
            max(peaks, default=None),
            _sum(self.io_read_bytes, other.io_read_bytes),
            _sum(self.io_write_bytes, other.io_write_bytes),
        )


def _sum(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other


class Meter:
    """Measures the stages of one document in this process; without peaks where the process has other things to do."""

    def __init__(self, *, peaks: bool = True) -> None:
        self.stages: dict[str, Usage] = {}
        self._peaks = peaks

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what is done inside, also when it fails; the parts of a stage that is done in parts are added."""
        fresh = self._peaks and _reset_peak()
        began, cpu, before, started = time.monotonic(), time.process_time(), _io_bytes(), _programs()
        try:
            yield
        finally:
            after = _io_bytes()
            read = None if before is None or after is None else after[0] - before[0]
            written = None if before is None or after is None else after[1] - before[1]
            programs_cpu_s, programs_peak = _programs()
            cpu_s = time.process_time() - cpu + programs_cpu_s - started[0]
            peak = _peak_bytes() if fresh else None
            if peak is not None and programs_cpu_s > started[0]:
                peak = max(peak, programs_peak)
            used = Usage(time.monotonic() - began, cpu_s, peak, read, written)
            self.stages[name] = self.stages[name] + used if name in self.stages else used

    def write(self, path: Path) -> None:
        """Keep what was measured in a small file."""
        path.write_text(json.dumps({name: asdict(usage) for name, usage in self.stages.items()}), encoding="ascii")


def read_usages(path: Path) -> dict[str, Usage]:
    """What `Meter.write` wrote; empty where it did not come so far."""
    try:
        with path.open("rb") as stream:
            return usages_from(json.loads(stream.read(MAX_JSON_BYTES)))
    except (OSError, ValueError):
        return {}


def together(*stages: Mapping[str, Usage]) -> dict[str, Usage]:
    """What several processes took of the same document."""
    found: dict[str, Usage] = {}
    for name in STAGES:
        if parts := [each[name] for each in stages if name in each]:
            found[name] = reduce(add, parts)
    return found


def usages_from(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Usage]:
    """Usages by stage from their JSON.

    Raises:
        ValueError: it is something else.
    """
    try:
        return {name: Usage(**fields[name]) for name in STAGES if name in fields}
    except TypeError as exc:
        raise ValueError(f"not the usage of stages: {exc}") from exc


def _programs() -> tuple[float, int]:
    """CPU seconds of all programs that were started and waited for, and the highest peak of one, in bytes."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime, children.ru_maxrss * 1024


def _io_bytes() -> tuple[int, int] | None:
    try:
        words = _read_proc("io").split()
        fields = dict(zip(words[::2], words[1::2], strict=True))
        return int(fields[b"rchar:"]), int(fields[b"wchar:"])
    except (OSError, ValueError, KeyError):
        return None


def _reset_peak() -> bool:
    """Begin the peak of resident memory anew, see proc_pid_clear_refs(5); whether that was allowed."""
    try:
        descriptor = os.open("/proc/self/clear_refs", os.O_WRONLY)
    except OSError:
        return False
    try:
        return os.write(descriptor, b"5") == 1
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _peak_bytes() -> int | None:
    try:
        return int(_read_proc("status").partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, ValueError, IndexError):
        return None


def _read_proc(name: str) -> bytes:
    """A file of this process in /proc; without the layers of `open`, which cost a child as much as the kernel does."""
    descriptor = os.open(f"/proc/self/{name}", os.O_RDONLY)
    try:
        return os.read(descriptor, 65536)
    finally:
        os.close(descriptor)
