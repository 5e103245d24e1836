"""Delete the folder of a run. What it was stays in the ledger and in its benchmark record.

In this order, so that what is interrupted can be repeated: accounting is asked once more, the folder gets a name that
no reader looks at, then it is emptied. A run that goes on is refused, and so is one with documents that are done
nowhere else, in no other run and no dataset outside of it, unless somebody insists.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hpc_qa.campaign.publication import publications_of
from hpc_qa.campaign.status import status
from hpc_qa.campaign.sync import sync_runs
from hpc_qa.errors import ConfigError, SlurmError, StoreError
from hpc_qa.store.dataset import FILES, is_published
from hpc_qa.store.files import list_folder, storage_error
from hpc_qa.store.merge import merge_shard
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.store.trust import check_run
from hpc_qa.units import plural

PREFIX = ".deleted-"  # of the folder's name from the moment on at which it is no run any more
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Doomed:
    """A run that somebody wants to delete."""

    run: RunDirectory
    files: int
    size_mb: float  # MB of 10^6 bytes
    done: int  # documents that ended ok in it
    only_here: tuple[str, ...]  # those of them that are done nowhere else
    datasets: tuple[str, ...]  # published from it, outside of its folder: they stay

    def to_json(self) -> dict[str, Any]:
        """As `runs delete --json` prints it, with what was done."""
        return {
            "run": self.run.run_id,
            "files": self.files,
            "size_mb": self.size_mb,
            "documents_ok": self.done,
            "only_here": list(self.only_here),
            "datasets": list(self.datasets),
        }

    def lines(self) -> list[str]:
        """What stands before the question."""
        lines = [f"run          {self.run.path}: {plural(self.files, 'file')}, {self.size_mb:,.1f} MB"]
        lines += [f"dataset      {path}: stays" for path in self.datasets]
        if self.only_here:
            shown = ", ".join(self.only_here[:SHOWN])
            more = f" and {len(self.only_here) - SHOWN:,} more" if len(self.only_here) > SHOWN else ""
            lines.append(f"only here    {plural(len(self.only_here), 'document')} of {self.done:,}: {shown}{more}")
        return lines


def doomed(run: RunDirectory, project: Path) -> Doomed:
    """What a deletion would take away.

    Raises:
        ConfigError: the run goes on, Slurm does not say whether it does, or it is not ours to change.
        StoreError: it cannot be read.
    """
    check_run(run)
    now = status(run)
    if now.goes_on or now.state == "unknown":
        why = "goes on" if now.goes_on else "may go on: Slurm does not say"
        raise ConfigError(f"{run.run_id} {why}", hint="wait for its end or stop it with hpc-qa cancel")
    done = _done(run)
    outside = [one.path for one in publications_of([run]) if not one.path.is_relative_to(run.path)]
    elsewhere = {doc_id for path in outside if is_published(path) for doc_id in _documents_of(path)}
    for other in list_runs(project):
        if other.path != run.path and not done <= elsewhere:
            with suppress(StoreError):  # it proves nothing, then
                elsewhere |= _done(other)
    sizes = [path.lstat().st_size for path in run.path.rglob("*") if path.is_file() and not path.is_symlink()]
    only_here = tuple(sorted(done - elsewhere))
    return Doomed(run, len(sizes), sum(sizes) / 1e6, len(done), only_here, tuple(map(str, outside)))


def delete(one: Doomed, project: Path, *, force: bool) -> list[str]:
    """Delete the run; notes. What an earlier call left is removed as well.

    Raises:
        ConfigError: documents are done nowhere else, and nobody insists.
        StoreError: something cannot be removed; the run is none any more, and the same command goes on.
    """
    if one.only_here and not force:
        what = plural(len(one.only_here), "document is", "documents are")
        raise ConfigError(
            f"{one.run.run_id}: {what} done in no other run and in no dataset outside of its folder",
            hint=f"hpc-qa collect {one.run.run_id} -o DIR keeps their pairs; or the same with --force",
        )
    notes = []
    try:
        sync_runs(project, [one.run])
    except SlurmError as error:
        notes.append(f"accounting was not asked once more, the ledger has what it knew: {'; '.join(error.faults)}")
    gone = one.run.path.with_name(f"{PREFIX}{one.run.run_id}")
    try:
        one.run.path.rename(gone)
    except OSError as exc:
        raise storage_error(one.run.path, "cannot be removed", exc) from exc
    remove_left_over(one.run.path.parent)
    return notes


def remove_left_over(folder: Path) -> int:
    """Remove what deletions have left that were interrupted; how many runs there were.

    Raises:
        StoreError: something cannot be removed.
    """
    left = [Path(entry.path) for entry in list_folder(folder) if entry.name.startswith(PREFIX)]
    for path in left:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:  # somebody else removes it as well
            continue
        except OSError as exc:
            raise storage_error(path, "cannot be removed", exc) from exc
    return len(left)


def _done(run: RunDirectory) -> set[str]:
    """The documents that ended ok in a run."""
    merged = [merge_shard(run.shard(int(shard["index"]))) for shard in run.frozen_plan()["shards"]]
    return {doc_id for one in merged for doc_id, state in one.done.items() if state == "ok"}


def _documents_of(dataset: Path) -> set[str]:
    files = [dataset / name for name in FILES.values() if (dataset / name).exists()]
    return {doc_id for path in files for doc_id in pq.read_table(path, columns=["doc_id"]).column(0).to_pylist()}
