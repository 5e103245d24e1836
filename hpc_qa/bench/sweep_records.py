"""Records of the cells of a sweep: of those that were measured, and of those that failed.

A failed cell has a record too, which says so under `failure`: with what its run gave until then, or with nothing but
its settings where there was no run. What was used stays accounted for, and nobody takes its figures for a measurement.
"""

from contextlib import suppress
from pathlib import Path
from typing import Literal

from hpc_qa.bench.grid import Cell, Sweep
from hpc_qa.bench.record import Configuration, Dataset, Model, Record
from hpc_qa.bench.record_file import FOLDER, keep, read_records
from hpc_qa.bench.run_record import record_of, with_labels
from hpc_qa.bench.stage_list import SWITCH, with_switch
from hpc_qa.bench.sweep_failures import CellFailed
from hpc_qa.bench.sweep_state import Outcome
from hpc_qa.campaign.sync import sync_runs
from hpc_qa.errors import ConfigError, SlurmError, StoreError
from hpc_qa.store.run_directory import find
from hpc_qa.units import utc_now

MOST_WORDS = 1_000  # characters of why it failed; the logs have the rest


def of_cell(record: Record, sweep: Sweep, cell: Cell) -> Record:
    """The record of a cell's run: it names its sweep, and among its settings stand those that are swept."""
    configuration = with_labels(record.configuration, cell.labels)
    return record.model_copy(update={"sweep": sweep.name, "configuration": configuration})


def still_of_cell(record: Record, folder: Path) -> Record:
    """A record that is made anew, with what only its sweep knows, where the one that is kept in this folder says it."""
    path = folder / f"{record.id}.yaml"
    was = next(iter(read_records([path]).records), None) if path.is_file() else None
    if was is None or was.sweep is None:
        return record
    known = {name: value for name, value in record.configuration.model_dump().items() if value is not None}
    settings = Configuration.model_validate(was.configuration.model_dump() | known)
    made = record.model_copy(update={"sweep": was.sweep, "failure": was.failure, "configuration": settings})
    return with_switch(made, next((stage.duration_s for stage in was.stages if stage.name == SWITCH), None))


def keep_failure(sweep: Sweep, cell: Cell, outcome: Outcome, failed: CellFailed, project: Path) -> Record:
    """Keep the record of a cell that has failed; it replaces that of an earlier failure of the same.

    Raises:
        ConfigError, StoreError: it cannot be written.
    """
    record = (_of_run(outcome.run, project) if outcome.run else None) or _bare(sweep, cell, outcome.repeat)
    said = f"{failed.kind}: {failed.why}"[:MOST_WORDS]
    made = of_cell(record, sweep, cell).model_copy(update={"failure": said})
    keep(made, project / FOLDER, replace=True)
    return made


def _of_run(run_id: str, project: Path) -> Record | None:
    """What there is of a run that broke; None where nothing of it can be read any more."""
    try:
        run = find(project, run_id)
        with suppress(SlurmError):  # accounting does not answer: what it took stays unknown until it does
            sync_runs(project, [run])
        return record_of(run, project)
    except (ConfigError, StoreError):
        return None


def _bare(sweep: Sweep, cell: Cell, repeat: int) -> Record:
    """The settings of a cell of which nothing ran."""
    config = cell.config
    environment: Literal["cluster", "local"] = "cluster" if config.executor == "slurm" else "local"
    return Record(
        id=f"{environment}_{sweep.name}_{cell.name}_{repeat}_failed",
        date=f"{utc_now():%Y-%m-%d}",
        environment=environment,
        config_file=sweep.config,
        dataset=Dataset(manifest=config.manifest),
        model=Model(name=config.model, tensor_parallel=config.vllm.tensor_parallel_size),
        configuration=Configuration(
            chunk_size=config.qa.chunk_size,
            questions_per_chunk=config.qa.questions_per_chunk,
            concurrency_limit=config.client.concurrency_limit,
        ),
    )
