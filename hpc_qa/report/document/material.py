"""What the benchmark document is made of: the records of all runs, the budget, the targets, the gates.

Records are those of `records/`; a run without one is recorded now, and nothing is kept of that. Cells of sweeps are
records as well, and stand apart: they repeat documents and are of no batch.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from hpc_qa.bench.record import Record
from hpc_qa.bench.record_file import FOLDER, read_records
from hpc_qa.bench.record_ids import ids_of
from hpc_qa.bench.run_record import record_of
from hpc_qa.bench.targets import DEFAULT, Target, load_targets, profile_of
from hpc_qa.campaign.batches import rank
from hpc_qa.campaign.gate import GateReport, gate
from hpc_qa.config_file import Project
from hpc_qa.errors import HpcQaError
from hpc_qa.report.budget import BudgetReport, budget_report
from hpc_qa.store.files import list_folder
from hpc_qa.store.run_directory import RunDirectory, list_runs

LOCAL, CLUSTER = "local", "cluster"
LAST = (9, 0)


@dataclass(frozen=True, slots=True)
class Material:
    """All of it."""

    project: Path
    settings: Project
    records: tuple[Record, ...]  # oldest first
    runs: dict[str, RunDirectory]  # by the id of their record, those that are here
    budget: BudgetReport
    profile: str
    targets: dict[str, Target]
    today: date
    notes: tuple[str, ...]  # what was left out, and why

    @property
    def documents_total(self) -> int | None:
        """Of the corpus, as project.yaml says; None where it says nothing."""
        return self.settings.budget.corpus_documents or self.budget.projection.forecast.documents_total or None

    @property
    def budget_gpu_hours(self) -> float | None:
        return self.budget.budget_gpu_hours

    @property
    def single(self) -> list[Record]:
        """Records that are no cell of a sweep."""
        return [record for record in self.records if record.sweep is None]

    @property
    def measured(self) -> list[Record]:
        """Without cells of sweeps that have failed."""
        return [record for record in self.records if record.failure is None]

    def of_batch(self, batch: str | None) -> list[Record]:
        """Those of one batch."""
        return [record for record in self.single if record.batch == batch]

    def newest(self, environment: str) -> Record | None:
        """The newest record of an environment of which it is known how long it took; else the newest."""
        those = [record for record in self.single if record.environment == environment]
        timed = [record for record in those if record.results.avg_time_per_pdf_minutes is not None]
        return next(reversed(timed or those), None)

    def before(self, record: Record) -> Record | None:
        """The newest record of the nearest earlier batch of its environment."""
        place = rank(record.batch)
        found: tuple[tuple[int, int], Record] | None = None
        for other in self.single:
            at = rank(other.batch)
            if place is None or at is None or at >= place or other.environment != record.environment:
                continue
            if found is None or at >= found[0]:
                found = at, other
        return found[1] if found else None

    def gate_of(self, record: Record) -> GateReport | str | None:
        """The gate after the run of a record; why it cannot be read; None where the run is not here."""
        run = self.runs.get(record.id)
        if run is None:
            return None
        forecast = self.budget.projection.forecast
        try:
            return gate(
                run, self.project, budget_gpu_hours=self.budget_gpu_hours,
                forecast=forecast if forecast.p50 is not None else None,
            )  # fmt: skip
        except HpcQaError as error:
            return str(error)


def material(project: Path, settings: Project, *, today: date | None = None) -> Material:
    """What there is to write about.

    Raises:
        ConfigError: the targets, prices or the profile of the site are wrong.
        StoreError: a folder or the ledger cannot be listed.
    """
    kept, notes = _kept(project)
    runs, made, unread = _of_runs(project, {record.id for record in kept})
    place = {record_id: number for number, record_id in enumerate(runs)}  # of a day: in the order of their creation
    records = sorted((*kept, *made), key=lambda one: (one.date or "", place.get(one.id, -1), one.id))
    budget = budget_report(project, settings)
    profile = profile_of(records[-1], project) if records else DEFAULT
    return Material(
        project=project,
        settings=settings,
        records=tuple(records),
        runs=runs,
        budget=budget,
        profile=profile,
        targets=load_targets(project, profile),
        today=today or datetime.now(UTC).date(),
        notes=(*notes, *unread, *_behind(records, runs, {record.id for record in kept}), *budget.notes),
    )


def _behind(records: Iterable[Record], runs: dict[str, RunDirectory], kept: Collection[str]) -> Iterator[str]:
    """Runs of which the ledger does not say yet what they took."""
    for record in records:
        run = runs.get(record.id)
        if run is not None and record.results.total_time_minutes is None:
            again = f", then hpc-qa bench record {run.run_id} --replace" if record.id in kept else ""
            yield f"what {run.run_id} took is not known, or it goes on: hpc-qa ledger sync{again}"


def _kept(project: Path) -> tuple[Sequence[Record], list[str]]:
    """The records of records/, and what is wrong with others."""
    if not list_folder(project / FOLDER):
        return [], []
    found = read_records([project / FOLDER])
    return found.records, [*(f"left out: {fault}" for fault in found.faults), *found.warnings]


def _of_runs(project: Path, kept: Iterable[str]) -> tuple[dict[str, RunDirectory], list[Record], list[str]]:
    """(runs by the id of their record, records of runs that have none yet, runs that cannot be read)."""
    every = {run.run_id: run for run in list_runs(project)}
    ids, known = ids_of(project, every.values()), set(kept)
    made, unread = [], [f"left out: {run} cannot be read: hpc-qa status" for run in every.keys() - ids.keys()]
    for run_id, record_id in ids.items():
        if record_id not in known:
            try:
                made.append(record_of(every[run_id], project, record_id))
            except HpcQaError as error:
                unread.append(f"left out: {run_id}: {error}")
    return {record_id: every[run_id] for run_id, record_id in ids.items()}, made, sorted(unread)


def batches_of(records: Iterable[Record]) -> list[str]:
    """The names of batches in their order; those without a place in it come last."""
    return sorted({record.batch for record in records if record.batch}, key=lambda name: (rank(name) or LAST, name))
