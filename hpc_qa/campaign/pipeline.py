"""A run as a pipeline of the dashboard's API: one of five states, its figures, and where its dataset is to be.

Nobody is asked more than once in half a minute about the same run: the queue of Slurm is everybody's.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from hpc_qa.campaign.attempts import read_view
from hpc_qa.campaign.live_metrics import LiveTasks, pipeline_of
from hpc_qa.campaign.status import RunStatus, status
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.store.files import RUN_ID, read_json, write_json_once
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.units import iso, stamp, utc_now

QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = "queued", "running", "completed", "failed", "cancelled"
STATES = {"pending": QUEUED, "queued": QUEUED, "running": RUNNING, "complete": COMPLETED, "damaged": FAILED}
ASK_EVERY_S = 30.0
MOST_REMEMBERED = 256
REQUEST = "pipeline.json"
CANCELLED_AT = "cancelled-"


def write_request(run: RunDirectory, output: Path | None) -> None:
    """Keep where the dataset of this run was asked for.

    Raises:
        StoreError: the run's folder cannot be written.
    """
    write_json_once(run.path / REQUEST, {"at": iso(utc_now()), "output": None if output is None else str(output)})


def output_of(run: RunDirectory) -> Path | None:
    """Where its dataset was asked for; None where nobody said.

    Raises:
        StoreError: that cannot be read.
    """
    path = run.path / REQUEST
    said = read_json(path).get("output") if path.is_file() else None
    return None if said is None else Path(str(said))


def note_cancelled(run: RunDirectory, shards: list[int]) -> None:
    """Keep that somebody cancelled these shards, if any.

    Raises:
        StoreError: the run's folder cannot be written.
    """
    if not shards:
        return
    now = utc_now()
    write_json_once(run.path / f"{CANCELLED_AT}{stamp(now)}.json", {"at": iso(now), "shards": shards})


def state_of(run: RunDirectory, now: RunStatus) -> str | None:
    """Queued, running, completed, failed or cancelled; None where Slurm does not say what lives.

    A run of which something is left and nothing lives has failed, unless it was cancelled after it was started last.
    """
    if now.state in STATES or now.state == "unknown":
        return STATES.get(now.state)
    return CANCELLED if _cancelled(run, now) else FAILED


def _cancelled(run: RunDirectory, now: RunStatus) -> bool:
    started = max((_moment(one.get("at")) for one in run.list_submissions()), default=0.0)
    marks = (_moment(read_view(path).get("at")) for path in run.path.glob(f"{CANCELLED_AT}*.json"))
    return any(mark > started for mark in marks) or any(
        shard.state == "interrupted" and str(shard.detail).startswith("CANCELLED") for shard in now.shards
    )


def _moment(at: object) -> float:
    try:
        return datetime.fromisoformat(str(at)).timestamp()
    except ValueError:
        return 0.0


class Pipelines:
    """Answers what is asked about the runs of a project, from memory where it was asked just now."""

    def __init__(self, project: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._project, self._clock = project, clock
        self._answers: dict[str, tuple[float, dict[str, Any]]] = {}
        self._tasks = LiveTasks(project)

    def find(self, run_id: str) -> RunDirectory | None:
        """The run of exactly this id; None where there is none."""
        run = RunDirectory(self._project / "runs" / run_id)
        return run if RUN_ID.fullmatch(run_id) and run.run_json.is_file() else None

    def answer(self, run: RunDirectory) -> dict[str, Any]:
        """{"status", "metrics", ...} of a run.

        Raises:
            StoreError: it cannot be read.
        """
        at, known = self._answers.get(run.run_id, (0.0, None))
        if known is None or self._clock() - at > ASK_EVERY_S:
            known = self._ask(run)
            self._answers.pop(run.run_id, None)
            self._answers[run.run_id] = (self._clock(), known)
            while len(self._answers) > MOST_REMEMBERED:
                self._answers.pop(next(iter(self._answers)), None)
        return known

    def _ask(self, run: RunDirectory) -> dict[str, Any]:
        now = status(run)
        state, totals = state_of(run, now), now.to_json()["totals"]
        live = pipeline_of(self._tasks.read([run]).running)
        ended = self._figures(run) if state == COMPLETED else {}
        done = now.documents - totals["left"]
        left_s = [one.time_left_s for one in now.shards if one.state == "running" and one.time_left_s is not None]
        metrics = {
            "documents": now.documents,
            "documents_processed": done,
            "documents_failed": totals["failed"],
            "documents_left": totals["left"],
            "documents_per_hour": ended.get("throughput_pdfs_per_hour", live["documents_per_hour"]),
            "error_rate": totals["failed"] / done if done else None,
            "quality_score_avg": ended.get("quality_score", live["quality_score_avg"]),
            "pairs": totals["pairs"],
            "pairs_accepted": totals["accepted"],
            "gpu_hours": totals["gpu_hours"],
            "seconds_left": max(left_s) if left_s else None,
        }
        return {"pipeline_id": run.run_id, "status": state, "metrics": metrics, "notes": list(now.notes)}

    def _figures(self, run: RunDirectory) -> dict[str, Any]:
        from hpc_qa.campaign.figures import figures  # reads every record, and pandas takes its time to load

        try:
            found = figures(run, self._project)
        except (ConfigError, StoreError):  # the ledger: hpc-qa ledger sync says what is wrong with it
            return {}
        return {
            "throughput_pdfs_per_hour": found.throughput_pdfs_per_hour,
            "quality_score": found.quality.quality_score,
        }
