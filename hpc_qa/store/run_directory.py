"""The run directory: the one place that knows the names of its files.

A run is `runs/<name>-<UTC time>-<4 hex>`; below it shards, below them attempts. Nothing here decides what a run does,
and nothing trusts a modification time: the order of attempts is a number that each of them writes when it starts.

`runs` and everything above it may be links, to a larger disk for example. So may the folder of a run that was moved
away: commands resolve it first. Below it everything is a real folder; a link in the place of a shard or an attempt is
not followed, and an attempt whose folder was replaced under it stops.
"""

import difflib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.store.conversion_directory import IN_RUN, ConversionDirectory
from hpc_qa.store.files import (
    RUN_ID,
    list_folder,
    make_folder,
    make_folder_if_missing,
    read_json,
    read_sealed,
    storage_error,
    write_json_once,
    write_sealed_once,
)
from hpc_qa.store.job_directory import JobDirectory
from hpc_qa.units import plural

ATTEMPT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*_\d+_r\d+_[0-9a-f]{8}")
SEGMENT_NAME = re.compile(r"seg-\d+\.jsonl")
BY_PLAN, BY_WORKER = "plan", "worker"  # who chose the chunks that are asked about, in plan.json
NOT_STARTED = 1 << 30  # a folder whose marker was never written holds no record: it sorts last


def attempt_name(job_id: str, array_index: int, restart_count: int, nonce: str | None = None) -> str:
    """The folder name of one attempt at a shard; the nonce keeps it unique even when a scheduler reuses ids.

    >>> attempt_name("4471", 3, 0, "00c0ffee")
    '4471_3_r0_00c0ffee'
    """
    return f"{job_id}_{array_index}_r{restart_count}_{nonce or secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class AttemptDirectory:
    """The folder that one attempt alone writes."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def server_log(self) -> Path:
        return self.path / "server.log"

    @property
    def worker_log(self) -> Path:
        return self.path / "worker.log"

    @property
    def stages(self) -> Path:
        return self.path / "stages.jsonl"

    @property
    def gpu_samples(self) -> Path:
        return self.path / "gpu.jsonl"

    @property
    def samples_json(self) -> Path:
        return self.path / "samples.json"

    @property
    def metrics(self) -> Path:
        """What the attempt says of itself, as Prometheus text."""
        return self.path / "metrics.prom"

    @property
    def server_metrics(self) -> Path:
        """What its server says of itself, the same way."""
        return self.path / "vllm.prom"

    @property
    def attempt_json(self) -> Path:
        return self.path / "attempt.json"

    @property
    def started_json(self) -> Path:
        return self.path / "started.json"

    def order(self) -> int:
        """Which attempt at its shard this is, from 1; two that started together may share a number."""
        try:
            return int(read_json(self.started_json)["order"])
        except (StoreError, KeyError, TypeError, ValueError, OverflowError):
            return NOT_STARTED

    def segments(self) -> list[Path]:
        """The segment files, oldest first."""
        return [self.path / entry.name for entry in list_folder(self.path) if SEGMENT_NAME.fullmatch(entry.name)]


@dataclass(frozen=True, slots=True)
class ShardDirectory:
    """The folder of one array task: its attempts, and the commit that closes it."""

    path: Path

    @property
    def index(self) -> int:
        return int(self.path.name)

    @property
    def commit(self) -> Path:
        return self.path / "COMMIT.json"

    def attempts(self) -> list[AttemptDirectory]:
        """The attempts in the order in which they started."""
        names = [entry.name for entry in list_folder(self.path) if entry.is_dir(follow_symlinks=False)]
        attempts = [AttemptDirectory(self.path / name) for name in names if ATTEMPT_NAME.fullmatch(name)]
        return sorted(attempts, key=_by_start)

    def new_attempt(self, name: str) -> AttemptDirectory:
        """Make the folder of a new attempt and number it after all that are there."""
        if not ATTEMPT_NAME.fullmatch(name):
            raise StoreError(
                f"{name!r} is not the name of an attempt",
                hint="make it with attempt_name()",
            )
        make_folder_if_missing(self.path)
        _refuse_link(self.path.parent)
        _refuse_link(self.path)
        orders = [attempt.order() for attempt in self.attempts()]
        order = max((order for order in orders if order != NOT_STARTED), default=0) + 1
        attempt = AttemptDirectory(self.path / name)
        make_folder(attempt.path)
        write_json_once(attempt.started_json, {"order": order})
        return attempt


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise StoreError(f"{folder}: is a link", hint="put back the folder itself; only runs/ and above may be links")


def _by_start(attempt: AttemptDirectory) -> tuple[int, str]:
    return attempt.order(), attempt.name


def superseded(shard: ShardDirectory, attempt: AttemptDirectory) -> bool:
    """Whether a later attempt at this shard has started, so that this one may stop; nothing breaks if it does not."""
    ours = _by_start(attempt)
    others = (_by_start(other) for other in shard.attempts() if other.name != attempt.name)
    return any(ours < theirs and theirs[0] != NOT_STARTED for theirs in others)


@dataclass(frozen=True, slots=True)
class RunDirectory(JobDirectory):
    """The folder of one run."""

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.jsonl"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def prompts(self) -> Path:
        return self.path / "prompts.json"

    @property
    def dataset(self) -> Path:
        return self.path / "dataset"

    @property
    def review(self) -> Path:
        """What people said of a sample of its pairs; most runs have none."""
        return self.path / "review"

    @property
    def conversion(self) -> ConversionDirectory:
        """The conversion that the run waits for; most runs have none, their documents are converted before."""
        return ConversionDirectory(self.path / IN_RUN)

    def shard(self, index: int) -> ShardDirectory:
        return ShardDirectory(self.path / "shards" / f"{index:04}")

    def freeze(self, facts: Mapping[str, Any]) -> None:
        """Write run.json, the last file of a new run: with it the run exists."""
        write_sealed_once(self.run_json, facts)

    def facts(self) -> dict[str, Any]:
        """run.json: what was frozen when the run was submitted.

        Raises:
            StoreError: it cannot be read, or is not as it was written.
        """
        return read_sealed(self.run_json)

    def frozen_plan(self) -> dict[str, Any]:
        """plan.json: shards and their documents.

        Raises:
            StoreError: it cannot be read, or is not the file that run.json names.
        """
        expected = self.facts().get("plan_sha256")
        try:
            content = self.plan.read_bytes()
        except OSError as exc:
            raise storage_error(self.plan, "cannot be read", exc) from exc
        if hashlib.sha256(content).hexdigest() != expected:
            raise StoreError(
                f"{self.plan}: is not the file that run.json names by its SHA-256",
                hint="restore it from a backup, or submit a new run",
            )
        plan: dict[str, Any] = json.loads(content)
        return plan


def create(project: Path, name: str, *, now: datetime, nonce: str | None = None) -> RunDirectory:
    """Make the private folder of a new run, with empty `shards`, `logs` and `submit` in it."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
    run_id = f"{name}-{stamp}-{nonce or secrets.token_hex(2)}"
    if not RUN_ID.fullmatch(run_id):
        raise ConfigError(
            f"{run_id!r} cannot be the name of a folder",
            hint="use letters, digits, '.', '_' and '-'",
        )
    make_folder_if_missing(project / "runs")
    run = RunDirectory(project / "runs" / run_id)
    for folder in (run.path, run.path / "shards", run.logs, run.submit):
        make_folder(folder)
    return run


def list_runs(project: Path) -> list[RunDirectory]:
    """The runs of a project, oldest first; a folder without run.json was never submitted and is left out."""
    folder = project / "runs"
    found = [RunDirectory(folder / entry.name) for entry in list_folder(folder) if RUN_ID.fullmatch(entry.name)]
    return sorted((run for run in found if os.path.isfile(run.run_json)), key=_by_creation)


def find(project: Path, text: str) -> RunDirectory:
    """The run that a user means: `latest`, an id, a unique prefix of one, or a path."""
    path = Path(text)
    if os.path.isfile(path / "run.json"):
        return RunDirectory(path.resolve())
    if os.path.isdir(path) and ("/" in text.rstrip("/") or RUN_ID.fullmatch(path.resolve().name)):
        raise ConfigError(f"{text} has no run.json", hint="it is no run, or what was frozen at its start is lost")
    text = text.rstrip("/")
    runs = list_runs(project)
    if text == "latest" and runs:
        return runs[-1]
    hits = [run for run in runs if run.run_id == text] or [run for run in runs if run.run_id.startswith(text)]
    if len(hits) == 1:
        return hits[0]
    raise _not_found(project, text, hits, runs)


def _not_found(project: Path, text: str, hits: list[RunDirectory], runs: list[RunDirectory]) -> ConfigError:
    if not runs:
        return ConfigError(f"{project / 'runs'}: no run yet", hint="hpc-qa submit CONFIG starts one")
    if hits:
        same = ", ".join(run.run_id for run in hits)
        return ConfigError(
            f"{text!r} is the beginning of {plural(len(hits), 'run')}: {same}",
            hint="give more of the id",
        )
    ids = [run.run_id for run in runs]
    near = difflib.get_close_matches(text, ids, n=3, cutoff=0.4) or ids[-3:]
    return ConfigError(
        f"no run is called {text!r}",
        hint="there is " + ", ".join(near) + "; or say latest",
    )


def _by_creation(run: RunDirectory) -> tuple[str, str, str]:
    match = RUN_ID.fullmatch(run.run_id)
    stamp = match["stamp"] if match else ""
    try:
        created_at = str(run.facts().get("created_at", ""))
    except StoreError:  # unreadable: it is still listed, under the second that its id names
        created_at = ""
    return stamp, created_at, run.run_id
