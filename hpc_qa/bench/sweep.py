"""Run the cells of a sweep, one run each through the same steps as `submit`, and keep a benchmark record of each.

On this machine cells run one after the other on servers that they share (`sweep_server.py`). On Slurm every cell is a
run with its own servers: all are submitted, then waited for. A cell that fails is put into a class and the sweep goes
on; done cells are not run again.
"""

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hpc_qa.bench.arm import FOLDER as RECORDS
from hpc_qa.bench.grid import Cell, Measurement, Sweep, axis_name
from hpc_qa.bench.record import Configuration, Record
from hpc_qa.bench.record_file import keep
from hpc_qa.bench.run_record import record_of
from hpc_qa.bench.stage_list import with_switch
from hpc_qa.bench.sweep_server import FRESH, SweepServers
from hpc_qa.bench.sweep_state import FailureKind, Outcome, SweepState
from hpc_qa.budget.admission import Admission, sum_of
from hpc_qa.campaign.admission import committed, demanded_of
from hpc_qa.campaign.control import cancel, last_words
from hpc_qa.campaign.follow import Show, follow, starters
from hpc_qa.campaign.follow import wait as wait_for_slurm
from hpc_qa.campaign.memory import fit_of
from hpc_qa.campaign.plan import RunPlan, plan_run
from hpc_qa.campaign.start import start_new
from hpc_qa.campaign.status import RunStatus
from hpc_qa.campaign.submit import check_startable, freeze
from hpc_qa.campaign.sync import sync_runs
from hpc_qa.config_file import load_site
from hpc_qa.errors import ConfigError, HpcQaError, ManifestError, ServerError, SlurmError, StoreError
from hpc_qa.store.run_directory import RunDirectory, find
from hpc_qa.units import duration, parse_clock

Say = Callable[[str], None]
GRANT = "sweep"  # where a run keeps that it was admitted as a part of one


class CellFailed(Exception):
    """A cell cannot be measured, and why."""

    def __init__(self, kind: FailureKind, why: str) -> None:
        super().__init__(why)
        self.kind, self.why = kind, why


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


def left_to_do(order: Sequence[Measurement], state: SweepState, *, retry_failed: bool) -> list[Measurement]:
    """What is to be measured: not what is done, and what has failed only when that is asked for."""
    settled = {"done"} if retry_failed else {"done", "failed"}
    return [one for one in order if (was := state.outcomes.get(one.key)) is None or was.state not in settled]


def admission_of_sweep(
    predicted: Sequence[Predicted], todo: Sequence[Measurement], project: Path, *, fresh: bool
) -> Admission | None:
    """Whether all of it together is let in to the budget; None on this machine, where nothing is charged.

    Raises:
        StoreError: the ledger cannot be read or written.
    """
    plans = {one.cell.name: one.plan for one in predicted if one.plan is not None}
    asked = [plan for one in todo if (plan := plans.get(one.cell.name)) is not None]
    if not asked or asked[0].config.executor != "slurm":
        return None
    budget, site = asked[0].config.budget, load_site(project)
    found = committed(project, budget, site, fresh=fresh)
    return Admission(budget.gpu_hours, found.used, found.liens, sum_of([demanded_of(plan, site) for plan in asked]))


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
            for number, one in enumerate(todo, 1):
                self._give_up_interrupted(one)
                done = self._attempted(one, functools.partial(self._measured, one, servers))
                left_s = (time.monotonic() - began) / number * (len(todo) - number)
                self._told(done, f"{number} of {len(todo)}", left_s)

    def _on_slurm(self, todo: Sequence[Measurement], grant: Admission | None) -> None:
        """Submit what is not submitted yet, then wait for all of it."""
        waiting = []
        for one in todo:
            was = self._state.outcomes.get(one.key)
            if was is None or was.state != "running" or was.run is None:
                was = self._attempted(one, functools.partial(self._submitted, one, grant))
            if was.state == "running":
                waiting.append((one, was))
        self._say(f"{len(waiting)} runs are submitted; a sweep that is stopped goes on with the same command")
        began = time.monotonic()
        for number, (one, was) in enumerate(waiting, 1):
            done = self._attempted(one, functools.partial(self._awaited, one, was))
            left_s = (time.monotonic() - began) / number * (len(waiting) - number)
            self._told(done, f"{number} of {len(waiting)}", left_s)

    def _attempted(self, one: Measurement, measure: Callable[[], Outcome]) -> Outcome:
        """What came of it, kept in the state; a failure is an outcome too."""
        try:
            outcome = measure()
        except CellFailed as error:
            was = self._state.outcomes.get(one.key) or Outcome(one.cell.name, one.repeat, "running")
            outcome = replace(was, state="failed", failure=error.kind, why=error.why)
        self._state.put(outcome)
        return outcome

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

    # -- one cell

    def _measured(self, one: Measurement, servers: SweepServers) -> Outcome:
        plan = _plan(one.cell, self._project)
        try:
            prepared = servers.prepare(one.cell, warm_up=self._sweep.warm_up)
        except (ServerError, ConfigError) as error:
            raise CellFailed("server did not start", _said(error)) from error
        run = self._started(one, replace(plan, config=prepared.config), prepared.prefix_cache, None)
        last = self._followed(run)
        self._check(run, last, servers.death())
        return self._recorded(one, run, servers.switch_s)

    def _submitted(self, one: Measurement, grant: Admission | None) -> Outcome:
        self._started(one, _plan(one.cell, self._project), FRESH, grant)
        return self._state.outcomes[one.key]

    def _awaited(self, one: Measurement, was: Outcome) -> Outcome:
        try:
            run = find(self._project, was.run or "")
            last = wait_for_slurm(run, self._show)
        except SlurmError as error:
            raise CellFailed("refused by Slurm", _said(error)) from error
        except (ConfigError, StoreError) as error:
            raise CellFailed("storage", _said(error)) from error
        if any("TIMEOUT" in (shard.detail or "") for shard in last.shards):
            raise CellFailed("timed out", f"{run.run_id}: slurm.time was over")
        self._check(run, last, None)
        return self._recorded(one, run)

    def _started(self, one: Measurement, plan: RunPlan, cache: str, grant: Admission | None) -> RunDirectory:
        granted = grant.to_json() | {"of": GRANT, "over_budget": grant.refused} if grant else None
        try:
            run = freeze(plan, project=self._project, admission=granted)
            self._state.put(Outcome(one.cell.name, one.repeat, "running", run.run_id, prefix_cache=cache))
            start_new(run, plan.config, [shard.index for shard in plan.shards])
        except SlurmError as error:
            raise CellFailed("refused by Slurm", _said(error)) from error
        except (ConfigError, ManifestError) as error:
            raise CellFailed("wrong settings", _said(error)) from error
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

    def _check(self, run: RunDirectory, last: RunStatus, death: str | None) -> None:
        if last.state != "complete":
            left = [one.shard for one in last.shards if one.state != "done"]
            words = last_words(run, left[0]) if left else []
            why = f"{run.run_id}: {death or (words[-1].strip() if words else last.state)}"
            raise CellFailed("server died" if death else "run incomplete", why)
        if not last.count("ok"):
            raise CellFailed("no document done", f"{run.run_id}: {last.count('failed')} documents failed")

    def _recorded(self, one: Measurement, run: RunDirectory, switch_s: float | None = None) -> Outcome:
        try:
            sync_runs(self._project, [run])
            record = with_switch(of_cell(record_of(run, self._project), self._sweep, one.cell), switch_s)
            keep(record, self._project / RECORDS, replace=True)
        except (ConfigError, SlurmError, StoreError) as error:
            raise CellFailed("storage", f"{run.run_id} has no record: {_said(error)}") from error
        minutes = record.results.total_time_minutes
        seconds = None if minutes is None else 60 * minutes
        return replace(self._state.outcomes[one.key], state="done", record=record.id, seconds=seconds)


def of_cell(record: Record, sweep: Sweep, cell: Cell) -> Record:
    """The record of a cell's run: it names its sweep, and among its settings stand those that are swept."""
    settings = record.configuration.model_dump()
    for setting, axis in sweep.grid.items():
        name = axis_name(setting, axis)
        if name != "model" and name not in settings:
            settings[name] = cell.labels[name]
    return record.model_copy(update={"sweep": sweep.name, "configuration": Configuration.model_validate(settings)})


def _plan(cell: Cell, project: Path) -> RunPlan:
    """The plan of a cell's run, or the class of the failure that there would be."""
    try:
        fit = fit_of(cell.config, project)
        if fit is not None and fit.faults:
            raise CellFailed("does not fit", "; ".join(fit.faults))
        check_startable(cell.config, project)
        return plan_run(cell.config, project=project)
    except ManifestError as error:
        raise CellFailed("manifest", _said(error)) from error
    except ConfigError as error:
        raise CellFailed("wrong settings", _said(error)) from error
    except HpcQaError as error:
        raise CellFailed("storage", _said(error)) from error


def _said(error: HpcQaError) -> str:
    return "; ".join(error.faults)
