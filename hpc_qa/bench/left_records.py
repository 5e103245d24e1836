"""The records that runs leave by themselves: of each that is complete, as soon as the ledger knows what it took."""

from collections.abc import Iterable
from pathlib import Path

from hpc_qa.bench.record_file import FOLDER, keep, kept_in
from hpc_qa.bench.run_record import record_of
from hpc_qa.errors import HpcQaError
from hpc_qa.store.commits import read_commit
from hpc_qa.store.run_directory import RunDirectory


def leave_records(project: Path, runs: Iterable[RunDirectory]) -> tuple[list[Path], list[str]]:
    """Keep the record of each of these runs that is complete and has none yet; (files, why others have none).

    What cannot be read or written is said and no error: the ledger, which was asked for, is whole.
    """
    try:
        known = {one.run for one in kept_in(project / FOLDER)}
    except HpcQaError as error:
        return [], [f"no record is kept: {error}; mend that, and the next hpc-qa ledger sync keeps them"]
    kept: list[Path] = []
    notes: list[str] = []
    for run in runs:
        if run.run_id in known:
            continue
        try:
            if _is_complete(run) and (made := record_of(run, project)).results.total_time_minutes is not None:
                kept.append(keep(made, project / FOLDER))
        except HpcQaError as error:
            notes.append(f"no record of {run.run_id} is kept: {error}; hpc-qa bench record {run.run_id} tries again")
    return kept, notes


def _is_complete(run: RunDirectory) -> bool:
    return all(read_commit(run.shard(int(one["index"]))) is not None for one in run.frozen_plan()["shards"])
