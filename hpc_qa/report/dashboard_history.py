"""The last day of a project, a point every half minute, kept in memory; and what its plots are held against.

A reading that fails is a point without figures that says why, and ends nothing.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpc_qa.bench.targets import DEFAULT, Target, load_targets
from hpc_qa.campaign.live_metrics import LiveTasks
from hpc_qa.errors import HpcQaError, StoreError
from hpc_qa.store.run_directory import list_runs

log = logging.getLogger(__name__)

EVERY_S = 30.0
HOURS = 24
MOST_POINTS = int(HOURS * 3600 / EVERY_S)
FRESH_S = 2.0  # a reading so young is given again
FIGURES = {  # of a point: where a reading has them
    "documents_per_hour": "pipeline",
    "quality_score_avg": "pipeline",
    "memory_used_gb": "system",
    "memory_allocated_gb": "system",
    "gpu_utilization_percent": "system",
}


class History:
    """Readings of one project, one after the other. Calls are made in turn."""

    def __init__(self, project: Path, *, every_s: float = EVERY_S, clock: Callable[[], float] = time.time) -> None:
        self.every_s = every_s
        self._tasks, self._clock = LiveTasks(project), clock
        self._points: deque[dict[str, Any]] = deque(maxlen=MOST_POINTS)
        self._last: tuple[float, dict[str, Any], list[str]] | None = None
        self._lock = threading.Lock()

    def now(self) -> dict[str, Any]:
        """What runs now, as `/api/v1/metrics` gives it.

        Raises:
            StoreError: it cannot be read.
        """
        with self._lock:
            return self._read()[0]

    def text(self) -> str:
        """The same as Prometheus text.

        Raises:
            StoreError: it cannot be read.
        """
        with self._lock:
            return self._tasks.read(servers=True).text()

    def poll(self) -> None:
        """Take one more point."""
        with self._lock:
            point: dict[str, Any] = {"t": round(self._clock(), 3), **dict.fromkeys(FIGURES), "error": None}
            try:
                said, notes = self._read()
            except HpcQaError as error:
                point["error"] = str(error)
            except Exception as error:  # a day of history is worth more than one reading
                log.exception("a reading failed")
                point["error"] = f"{type(error).__name__}: {error}"
            else:
                point |= {name: said[part][name] for name, part in FIGURES.items()}
                point["error"] = "; ".join(notes) or None
            self._points.append(point)

    def since(self, moment: float) -> list[dict[str, Any]]:
        """The points that are later than that, in seconds since 1970."""
        with self._lock:
            return [point for point in self._points if point["t"] > moment]

    def _read(self) -> tuple[dict[str, Any], list[str]]:
        moment = self._clock()
        if self._last is None or not 0 <= moment - self._last[0] <= FRESH_S:
            found = self._tasks.read()
            self._last = moment, found.to_json(), list(found.notes)
        return self._last[1:]


def profile_of(project: Path) -> str:
    """The profile of targets that the config of the newest run names; the default where it names none."""
    for run in reversed(list_runs(project)):
        try:
            return str(run.facts()["config"].get("targets") or DEFAULT)
        except StoreError:  # unreadable: hpc-qa status says so
            continue
    return DEFAULT


def limits_of(project: Path, profile: str) -> dict[str, Any]:
    """What each plot is held against, by this profile.

    Raises:
        ConfigError: there is no such profile, or the project's file of targets is wrong.
    """
    targets = load_targets(project, profile)
    pace, quality = _of(targets, "throughput_pdfs_per_hour"), _of(targets, "quality_score")
    gpu, memory = _of(targets, "gpu_utilization_percent"), _of(targets, "host_memory_percent")
    return {
        "documents_per_hour": _lines(target=pace.at_least, critical=pace.critical_below),
        "quality_score_avg": _lines(baseline=quality.aim, critical=quality.critical_below),
        "memory_shares": [percent / 100 for percent in (memory.at_least, memory.at_most) if percent is not None],
        "gpu_band": [gpu.at_least, gpu.at_most],
        "profile": profile,
    }


def _of(targets: Mapping[str, Target], metric: str) -> Target:
    """What is asked of a metric; nothing where the profile does not name it."""
    return targets.get(metric, Target.model_validate({}))


def _lines(**lines: float | None) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in lines.items() if value is not None]
