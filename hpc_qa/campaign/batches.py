"""The batches of a campaign in their order: local_* first, then smoke, batch_N by N, production last."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError
from hpc_qa.manifest.batches import LOCAL, REST
from hpc_qa.store.run_directory import RunDirectory, list_runs

SMOKE = "smoke"
SMOKE_PLACE = (1, 0)  # nothing has to come before it
FIRST_LINE_BYTES = 1_000_000


def rank(batch: str | None) -> tuple[int, int] | None:
    """Where a batch stands; None for a name that has no place in the order.

    >>> sorted(["production", "batch_200", "smoke", "local_20", "batch_50", "local_5"], key=rank)
    ['local_5', 'local_20', 'smoke', 'batch_50', 'batch_200', 'production']
    """
    if batch in (SMOKE, REST):
        return SMOKE_PLACE if batch == SMOKE else (3, 0)
    numbered = re.fullmatch(rf"({LOCAL}|batch_)(\d{{1,12}})", batch or "", re.ASCII)
    return ((0 if numbered[1] == LOCAL else 2), int(numbered[2])) if numbered else None


def batch_of(run: RunDirectory) -> str | None:
    """The batch of a run: as its config says, else as the first line of its manifest does."""
    return batch_in(run.facts()["config"], run.manifest)


def batch_in(config: Mapping[str, Any], manifest: Path) -> str | None:
    """The same of a config that may not be a run yet."""
    if config["batch"]:
        return str(config["batch"])
    try:
        with manifest.open("rb") as lines:
            said = json.loads(lines.readline(FIRST_LINE_BYTES)).get("batch")
    except (OSError, ValueError, AttributeError, RecursionError):  # a list of paths says nothing of batches
        return None
    return said if isinstance(said, str) else None


def earlier_run(
    project: Path, config: Mapping[str, Any], batch: str | None, *, besides: str | None = None
) -> tuple[RunDirectory, str] | None:
    """The newest run of the nearest earlier batch of the same campaign that has one, and the name of that batch.

    Without a campaign those that name none and have the same model belong together.
    """
    place = rank(batch)
    found: tuple[tuple[int, int], RunDirectory, str] | None = None
    for run, theirs, name in _runs(project):
        at = rank(name)
        if (
            place is None
            or at is None
            or at >= place
            or run.run_id == besides
            or _campaign(theirs) != _campaign(config)
        ):
            continue
        if name and (found is None or at >= found[0]):
            found = at, run, name
    return found and found[1:]


def _runs(project: Path) -> Iterator[tuple[RunDirectory, Mapping[str, Any], str | None]]:
    for run in list_runs(project):
        try:
            config = run.facts()["config"]
        except StoreError:  # unreadable: hpc-qa status says so
            continue
        yield run, config, batch_in(config, run.manifest)


def _campaign(config: Mapping[str, Any]) -> tuple[str, object]:
    return ("campaign", config["campaign"]) if config["campaign"] else ("model", config["vllm"]["model"])
