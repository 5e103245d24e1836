"""Run the cells of a sweep, one run each through the same steps as `submit`, and keep a benchmark record of each.

On this machine cells run one after the other on servers that they share (`sweep_server.py`). On Slurm every cell is a
run with its own servers: all are submitted, each when it is admitted to the budget, then waited for. A cell that fails
is put into a class (`sweep_failures.py`) and has a record that says so, and the sweep goes on. Done cells stay.
"""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hpc_qa.bench.grid import Cell, Measurement, Sweep
from hpc_qa.bench.ranking import LEAST_RUNS, least_chunks
from hpc_qa.bench.record import Record
from hpc_qa.bench.record_file import FOLDER as RECORDS
from hpc_qa.bench.record_file import keep
from hpc_qa.bench.run_record import record_of
from hpc_qa.bench.stage_list import with_switch
from hpc_qa.bench.sweep_failures import CellFailed, FailureKind, of_error, of_run, said
from hpc_qa.bench.sweep_records import keep_failure, of_cell
from hpc_qa.bench.sweep_server import FRESH, SweepServers
from hpc_qa.bench.sweep_state import Outcome, SweepState
from hpc_qa.budget.admission import Admission, sum_of
from hpc_qa.campaign.admission import admission_of, committed, demanded_of
from hpc_qa.campaign.control import cancel
from hpc_qa.campaign.follow import Show, follow, starters
from hpc_qa.campaign.follow import wait as wait_for_slurm
from hpc_qa.campaign.memory import fit_of
from hpc_qa.campaign.plan import RunPlan, plan_run
from hpc_qa.campaign.start import start_new
from hpc_qa.campaign.status import RunStatus
from hpc_qa.campaign.submit import check_startable, freeze
from hpc_qa.campaign.sync import sync_runs
from hpc_qa.config_file import load_site
from hpc_qa.errors import ConfigError, HpcQaError, ServerError, StoreError
from hpc_qa.processes import killed_for_memory
from hpc_qa.store.run_directory import RunDirectory, find
from hpc_qa.units import duration, number, parse_clock

Say = Callable[[str], None]
GRANT = "sweep"  # where a run keeps that it was admitted as a part of one
ACCOUNTING_LATE_S = 20.0  # what a job took is known some seconds after it has left the queue


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one run of a cell would be; without a plan, why there is none."""

    cell: Cell
    plan: RunPlan | None
    failure: FailureKind | None = None
    why: str | None = None


def predict(cells: Iterable[Cell], project: Path) -> list[Predicted]:
    """The plan of each cell. Starts nothing; little that is not converted yet is converted."""
    found = []
    for cell in cells:
        try:
            found.append(Predicted(cell, _plan(cell, project)))
        except CellFailed as error:
            found.append(Predicted(cell, None, error.kind, error.why))
    return found


def shortcomings(sweep: Sweep, cells: Iterable[Cell], predicted: Iterable[Predicted]) -> Iterator[str]:
    """Why no setting could be called optimal although every cell were measured, as far as that is known before."""
    if sweep.repeats < LEAST_RUNS:
        yield f"repeats: {sweep.repeats}; of fewer than {LEAST_RUNS} runs of a cell no setting can be called optimal"
    plans = {one.cell.name: one.plan for one in predicted}
    for cell in cells:
        chunks, needed = chunks_of(cell, plans.get(cell.name)), least_chunks(cell.config.client.concurrency_limit)
        if chunks is not None and chunks < needed:
            yield f"{cell.name}: {chunks:,} of {needed:,} chunks that a ranking needs"


def chunks_of(cell: Cell, plan: RunPlan | None) -> int | None:
    """How many chunks a run of a cell asks about at most; None where the workers find out."""
    if plan is not None and plan.choice is not None:
        return int(plan.choice.counts()["asked"])
    return cell.config.documents.sample_chunks


def left_to_do(order: Sequence[Measurement], state: SweepState, *, retry_failed: bool) -> list[Measurement]:
    """What is to be measured: not what is done, and what has failed only when that is asked for or it was cut off."""
    return [one for one in order if not _settled(state.outcomes.get(one.key), retry_failed=retry_failed)]


def _settled(was: Outcome | None, *, retry_failed: bool) -> bool:
    if was is None or was.is_left:
        return False
    return was.state == "done" or not retry_failed


def admission_of_sweep(
    predicted: Sequence[Predicted], todo: Sequence[Measurement], state: SweepState, project: Path, *, fresh: bool
) -> Admission | None:
    """Whether all of it together is let in to the budget; None on this machine, where nothing is charged.

    Runs of it that wait or run already are among what is promised, and are not asked for again.

    Raises:
        StoreError: the ledger cannot be read or written.
    """
    plans = {one.cell.name: one.plan for one in predicted if one.plan is not None}
    new = [one for one in todo if not _is_under_way(state.outcomes.get(one.key))]
    asked = [plan for one in new if (plan := plans.get(one.cell.name)) is not None]
    if not asked or asked[0].config.executor != "slurm":
        return None
    budget, site = asked[0].config.budget, load_site(project)
    found = committed(project, budget, site, fresh=fresh)
    return Admission(budget.gpu_hours, found.used, found.liens, sum_of([demanded_of(plan, site) for plan in asked]))


def _is_under_way(was: Outcome | None) -> bool:
    return was is not None and was.state == "running" and was.run is not None


class Runner:
    """One go at a sweep."""

    def __init__(self, sweep: Sweep, project: Path, state: SweepState, *, say: Say, show: Show) -> None:
        self._sweep = sweep
        self._project = project
        self._state = state
        self._say = say
        self._show = show
        self._limit_s = parse_clock(sweep.cell_timeout)

    def run(self, todo: Sequence[Measurement], grant: Admission | None = None) -> None:
        """Measure these; what came of each is in the state, whatever ends this.

        Raises:
            StoreError: the state cannot be written.
        """
        if todo and todo[0].cell.config.executor == "slurm":
            self._on_slurm(todo, grant)
        else:
            self._here(todo)

    def _here(self, todo: Sequence[Measurement]) -> None:
        began = time.monotonic()
        with SweepServers(self._project, self._state.folder, self._say) as servers:
            for place, one in enumerate(todo, 1):
                self._give_up_interrupted(one)
                try:
                    done = self._attempted(one, functools.partial(self._measured, one, servers))
                except KeyboardInterrupt:
                    self._give_up_interrupted(one)
                    raise
                left_s = (time.monotonic() - began) / place * (len(todo) - place)
                self._told(done, f"{place} of {len(todo)}", left_s)

    def _on_slurm(self, todo: Sequence[Measurement], grant: Admission | None) -> None:
        """Submit what is not submitted yet, then wait for all of it."""
        waiting = []
        for one in todo:
            was = self._state.outcomes.get(one.key)
            if not _is_under_way(was):
                was = self._attempted(one, functools.partial(self._submitted, one, grant))
            if was is not None and was.state == "running":
                waiting.append((one, was))
            elif was is not None:
                self._told(was, "not submitted", 0.0)
        self._say(f"{len(waiting)} runs are submitted; a sweep that is stopped goes on with the same command")
        began = time.monotonic()
        for place, (one, was) in enumerate(waiting, 1):
            done = self._attempted(one, functools.partial(self._awaited, one, was))
            left_s = (time.monotonic() - began) / place * (len(waiting) - place)
            self._told(done, f"{place} of {len(waiting)}", left_s)

    def _attempted(self, one: Measurement, measure: Callable[[], Outcome]) -> Outcome:
        """What came of it, kept in the state; a failure is an outcome too."""
        try:
            outcome = measure()
        except CellFailed as error:
            outcome = self._failed(one, error)
        except HpcQaError as error:
            outcome = self._failed(one, of_error(error))
        self._state.put(outcome)
        return outcome

    def _failed(self, one: Measurement, error: CellFailed) -> Outcome:
        """The failure as an outcome, and as a record."""
        was = self._state.outcomes.get(one.key)
        if was is None or was.state != "running":  # what was kept is of an earlier go
            was = Outcome(one.cell.name, one.repeat, "running")
        record = None
        try:
            record = keep_failure(self._sweep, one.cell, was, error, self._project).id
        except (ConfigError, StoreError) as unkept:
            self._say(f"note: the failure of {one.cell.name} has no record: {said(unkept)}")
        return replace(was, state="failed", failure=error.kind, why=error.why, record=record)

    def _told(self, outcome: Outcome, place: str, left_s: float) -> None:
        what = "done" if outcome.state == "done" else f"failed, {outcome.failure}: {outcome.why}"
        took = f" in {duration(outcome.seconds)}" if outcome.seconds is not None else ""
        left = f"; about {duration(left_s)} left" if left_s else ""
        self._say(f"[{place}] {outcome.cell} ({outcome.repeat}) {what}{took}{left}")

    def _give_up_interrupted(self, one: Measurement) -> None:
        """A cell that was cut off is measured from its beginning; what still runs of it would share the machine."""
        was = self._state.outcomes.get(one.key)
        if was is not None and was.state == "running" and was.run is not None:
            with suppress(HpcQaError):  # its folder may be gone
                cancel(find(self._project, was.run))
            self._state.put(self._failed(one, CellFailed("interrupted", f"{was.run}: the sweep was cut off")))

    # -- one cell

    def _measured(self, one: Measurement, servers: SweepServers) -> Outcome:
        killed = killed_for_memory()
        try:
            run = self._run_here(one, servers)
        except (CellFailed, ServerError) as error:
            if killed_for_memory() > killed:  # explains whatever else has happened
                raise CellFailed("out of memory", f"the kernel killed a process for memory; {error}") from error
            raise
        return self._recorded(one, run, servers.switch_s)

    def _run_here(self, one: Measurement, servers: SweepServers) -> RunDirectory:
        plan = _plan(one.cell, self._project)
        try:
            prepared = servers.prepare(one.cell, warm_up=self._sweep.warm_up)
        except ServerError as error:
            if death := servers.death():  # it was up, and did not outlive its warm-up
                raise CellFailed("server died", f"{death}; {said(error)}") from error
            raise
        run = self._started(one, replace(plan, config=prepared.config), prepared.prefix_cache, None)
        last = self._followed(run)
        if failed := of_run(run, last, servers.death()):
            raise failed
        return run

    def _submitted(self, one: Measurement, grant: Admission | None) -> Outcome:
        plan = _plan(one.cell, self._project)
        if grant is not None:
            grant = self._admitted(plan, over_budget=grant.refused)
        self._started(one, plan, FRESH, grant)
        return self._state.outcomes[one.key]

    def _admitted(self, plan: RunPlan, *, over_budget: bool) -> Admission:
        """The admission of one run of the sweep, asked now: others may have used the budget since the sweep was let in.

        Raises:
            CellFailed: it does not fit any more.
        """
        now, notes = admission_of(plan, self._project, fresh=True)
        for note in notes:
            self._say(f"note: {note}")
        if now.refused and not over_budget:
            asked = f"{number(now.demanded.counted)} GPU-hours ({now.demanded.basis})"
            raise CellFailed("over the budget", f"it may take {asked}, {number(now.room or 0.0)} are left")
        return now

    def _awaited(self, one: Measurement, was: Outcome) -> Outcome:
        try:
            run = find(self._project, was.run or "")
        except ConfigError as error:
            raise CellFailed("storage", said(error)) from error
        if failed := of_run(run, wait_for_slurm(run, self._show), None):
            raise failed
        return self._recorded(one, run)

    def _started(self, one: Measurement, plan: RunPlan, cache: str, grant: Admission | None) -> RunDirectory:
        granted = grant.to_json() | {"of": GRANT, "over_budget": grant.refused} if grant else None
        swept = {"name": self._sweep.name, "labels": one.cell.labels}
        run = freeze(plan, project=self._project, admission=granted, sweep=swept)
        self._state.put(Outcome(one.cell.name, one.repeat, "running", run.run_id, prefix_cache=cache))
        start_new(run, plan.config, [shard.index for shard in plan.shards])
        return run

    def _followed(self, run: RunDirectory) -> RunStatus:
        """Its last status; it is ended when the sweep is interrupted, or its time is over."""
        deadline = time.monotonic() + self._limit_s

        def show(now: RunStatus) -> None:
            self._show(now)
            if time.monotonic() > deadline and now.goes_on:
                raise CellFailed("timed out", f"{run.run_id}: not done after {self._sweep.cell_timeout}")

        try:
            return follow(run, starters(run), show)
        except (CellFailed, KeyboardInterrupt):
            cancel(run)
            raise

    def _recorded(self, one: Measurement, run: RunDirectory, switch_s: float | None = None) -> Outcome:
        """The outcome of a run that is complete, its record kept; its server may have taken the place of another."""
        record = self._record_of(run)
        if record.results.total_time_minutes is None and one.cell.config.executor == "slurm":
            time.sleep(ACCOUNTING_LATE_S)
            record = self._record_of(run)
        minutes = record.results.total_time_minutes
        if minutes is None:
            raise CellFailed("no data", f"{run.run_id} is complete, and the ledger does not know what it took")
        made = with_switch(of_cell(record, self._sweep, one.cell), switch_s)
        keep(made, self._project / RECORDS, replace=True)
        return replace(self._state.outcomes[one.key], state="done", record=record.id, seconds=60 * minutes)

    def _record_of(self, run: RunDirectory) -> Record:
        sync_runs(self._project, [run])
        return record_of(run, self._project)


def _plan(cell: Cell, project: Path) -> RunPlan:
    """The plan of a cell's run, or the class of the failure that there would be."""
    try:
        fit = fit_of(cell.config, project)
        if fit is not None and fit.faults:
            raise CellFailed("does not fit", "; ".join(fit.faults))
        check_startable(cell.config, project)
        return plan_run(cell.config, project=project)
    except HpcQaError as error:
        raise of_error(error) from error
