"""What the attempts at the shards of a run say about themselves, and whether their processes live.

An attempt writes who it is (`attempt.json`), how far it is (`progress.json`, a view that nothing relies on), what it
took (`summary.json`) and why it broke (`failure.json`). Whether it lives is only known on its own host.
"""

import json
import platform
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from hpc_qa.store.run_directory import AttemptDirectory, ShardDirectory

CREATE_TIME_TOLERANCE_S = 2.0
# what is reckoned with, by name; the other fields are only shown
MOMENTS = {"at", "started_at"}
FIGURES = {
    "computed_tokens", "serving_s", "documents_todo", "documents_fed", "documents_done", "chunks_fed", "chunks_done",
    "pid", "process_start_s", "predicted_tokens", "startup_s", "gpus_per_server", "judge_prompt_tokens",
    "judge_cached_tokens", "judge_completion_tokens",
}  # fmt: skip
WORDS = {"host", "job_id", "stage", "phase", "model"}
LARGEST = 1e18


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a shard, as its files tell it."""

    directory: AttemptDirectory
    identity: dict[str, Any]
    progress: dict[str, Any]
    summary: dict[str, Any]
    failure: dict[str, Any]  # why it broke, in the worker's words; empty when it did not

    @property
    def process(self) -> psutil.Process | None:
        """Its worker, while that lives on this host."""
        if self.identity.get("host") != platform.node():
            return None
        return live_process(self.identity.get("pid"), self.identity.get("process_start_s"))


def live_process(pid: object, started_s: object) -> psutil.Process | None:
    """The process with this pid, if it is still the one that started then; a pid alone may belong to a stranger."""
    if not isinstance(pid, int) or not isinstance(started_s, int | float):
        return None
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started_s) < CREATE_TIME_TOLERANCE_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError, OverflowError):  # the latter two: a damaged file named no possible process
        return None


def attempts_of(shard: ShardDirectory) -> list[Attempt]:
    """All attempts at this shard, in the order in which they started."""
    return [_read(directory) for directory in shard.attempts()]


def _read(directory: AttemptDirectory) -> Attempt:
    return Attempt(
        directory,
        identity=read_view(directory.attempt_json),
        progress=read_view(directory.path / "progress.json"),
        summary=read_view(directory.path / "summary.json"),
        failure=read_view(directory.path / "failure.json"),
    )


def read_view(path: Path) -> dict[str, Any]:
    """A JSON object that may be absent, half-written or damaged: then empty, or without what is damaged."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return {name: value for name, value in document.items() if _fits(name, value)} if isinstance(document, dict) else {}


def _fits(name: str, value: object) -> bool:
    if name in MOMENTS:
        try:
            return datetime.fromisoformat(str(value)).tzinfo is not None
        except ValueError:
            return False
    if name in FIGURES:
        return isinstance(value, int | float) and 0 <= value < LARGEST
    return name not in WORDS or value is None or isinstance(value, str)
