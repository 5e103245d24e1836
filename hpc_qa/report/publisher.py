"""Publish the datasets of pipelines where they were asked for, once their runs are complete.

Only while the dashboard runs, in a process of its own; otherwise `hpc-qa collect RUN -o FOLDER` does the same. Slurm is
not asked: a run is complete when all its shards are committed.
"""

from pathlib import Path
from typing import Any

from hpc_qa.campaign.pipeline import REQUEST, output_of
from hpc_qa.errors import StoreError
from hpc_qa.report.local_server import Refused
from hpc_qa.report.pipeline_api import call
from hpc_qa.store.run_directory import RunDirectory, list_runs


class Publisher:
    """What waits to be published, and why something was not."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._settled: set[str] = set()  # nothing is left to do for these runs
        self._faults: dict[str, str] = {}

    def publish_due(self) -> None:
        """Publish what is complete; a fault is kept for who asks, and tried again by the next dashboard only."""
        try:
            runs = [run for run in list_runs(self._project) if run.run_id not in self._settled]
        except StoreError:  # the history says so
            return
        for run in runs:
            try:
                self._publish(run)
            except StoreError as error:
                self._settle(run, str(error))
            except Refused as refused:
                self._settle(run, refused.why)

    def of(self, run: RunDirectory) -> dict[str, Any]:
        """What is known of the dataset of a run: its path once it is there, and why it could not be published."""
        try:
            output = output_of(run) or run.dataset
        except StoreError as error:
            return {"dataset": None, "dataset_error": str(error)}
        return {"dataset": str(output) if output.is_dir() else None, "dataset_error": self._faults.get(run.run_id)}

    def _publish(self, run: RunDirectory) -> None:
        if not (run.path / REQUEST).is_file():  # written within a moment of the start, by us
            return
        output = output_of(run)
        if output is None or output.exists():
            self._settle(run)
        elif all(run.shard(int(one["index"])).commit.is_file() for one in run.frozen_plan()["shards"]):
            call(self._project, "collect", run.run_id, "-o", str(output))
            self._settle(run)

    def _settle(self, run: RunDirectory, fault: str | None = None) -> None:
        self._settled.add(run.run_id)
        if fault:
            self._faults[run.run_id] = fault
