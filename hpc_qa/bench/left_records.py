"""The records that runs leave by themselves: of each that has ended, as soon as the ledger knows what it took."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hpc_qa.bench.record_file import ENDINGS, FOLDER, keep, kept_as
from hpc_qa.bench.run_record import record_of
from hpc_qa.errors import HpcQaError
from hpc_qa.store.commits import read_commit
from hpc_qa.store.files import list_folder
from hpc_qa.store.run_directory import RunDirectory


def leave_records(project: Path, runs: Iterable[RunDirectory]) -> tuple[list[Path], list[str]]:
    """Keep the record of each of these runs that is complete and has none yet; (files, why others have none).

    Nothing that goes wrong here is an error of whoever asked: `bench record` says it again.
    """
    try:
        known = _recorded(project)
    except HpcQaError as error:
        return [], [f"no record is kept: {error}"]
    kept: list[Path] = []
    notes: list[str] = []
    for run in runs:
        if run.run_id in known:
            continue
        try:
            if _is_complete(run) and (made := record_of(run, project)).results.total_time_minutes is not None:
                kept.append(keep(made, project / FOLDER))
        except HpcQaError as error:
            notes.append(f"no record of {run.run_id} is kept: {error}")
    return kept, notes


def _recorded(project: Path) -> set[str | None]:
    folder = project / FOLDER
    return {kept_as(folder / one.name).run for one in list_folder(folder) if one.name.endswith(ENDINGS)}


def _is_complete(run: RunDirectory) -> bool:
    shards: Sequence[dict[str, object]] = run.frozen_plan()["shards"]
    return all(read_commit(run.shard(int(str(one["index"])))) is not None for one in shards)
