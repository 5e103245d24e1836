"""The id of the record of a run: environment_batch_date_number, without a batch with the name of the run.

A record that is kept says of which run it is, and that run has its id for good, whatever becomes of other runs. The
others have the first numbers that no kept record has, in the order of their creation, until they are recorded.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpc_qa.bench.record_file import FOLDER, kept_in
from hpc_qa.campaign.batches import batch_of
from hpc_qa.errors import StoreError
from hpc_qa.store.run_directory import RunDirectory, list_runs


def id_of(run: RunDirectory, project: Path) -> str:
    """The id of the record of one run, among those of all runs of the project.

    Raises:
        StoreError: the run or the folder of records cannot be read.
    """
    runs = {one.run_id: one for one in (*list_runs(project), run)}  # it may lie elsewhere
    return ids_of(project, runs.values())[run.run_id]


def ids_of(project: Path, runs: Iterable[RunDirectory]) -> dict[str, str]:
    """The id of the record of each of these runs, oldest first; those that cannot be read are left out.

    Raises:
        StoreError: the folder of records cannot be listed.
    """
    names: dict[str, str] = {}
    for run in runs:
        with suppress(StoreError):  # unreadable: hpc-qa status says so
            names[run.run_id] = name_of(run.facts(), batch_of(run))
    kept = kept_in(project / FOLDER)
    found = {one.run: one.id for one in kept if one.run in names}
    unsaid, taken = {one.id for one in kept if one.run is None}, {one.id for one in kept}
    places: dict[str, int] = defaultdict(int)
    for run_id, name in names.items():
        places[name] += 1
        if run_id in found:
            continue
        place = f"{name}_{places[name]:03}"
        if place in unsaid:  # kept before records said of which run they are
            unsaid.remove(place)
            found[run_id] = place
            continue
        number = 1
        while (free := f"{name}_{number:03}") in taken:
            number += 1
        taken.add(free)
        found[run_id] = free
    return {run_id: found[run_id] for run_id in names}


def name_of(facts: Mapping[str, Any], batch: str | None) -> str:
    """The id without its number."""
    return f"{environment_of(facts)}_{batch or facts['config']['name']}_{date_of(facts)}"


def date_of(facts: Mapping[str, Any]) -> str:
    """The day on which a run was submitted, UTC."""
    return str(facts["created_at"])[:10]


def environment_of(facts: Mapping[str, Any]) -> Any:
    """Where a run was worked on: on Slurm, or on this machine."""
    return "cluster" if facts["executor"] == "slurm" else "local"
