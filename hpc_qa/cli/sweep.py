"""bench sweep: the cells of a grid, one run each, and what came of them."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpc_qa.cli.options import common, print_json, print_table, say
from hpc_qa.errors import ExitCode
from hpc_qa.units import duration, number, plural

if TYPE_CHECKING:
    from hpc_qa.bench.grid import Cell, Measurement, Sweep
    from hpc_qa.bench.sweep import Predicted
    from hpc_qa.budget.admission import Admission
    from hpc_qa.report.sweep_result import SweepResult


@click.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--dry-run", is_flag=True, help="List the cells and what they would cost; start nothing.")
@click.option("--retry-failed", is_flag=True, help="Measure cells that have failed once more.")
@click.option("--over-budget", is_flag=True, help="Although the sweep does not fit into the budget.")
@common
def sweep(
    config: str, dry_run: bool, retry_failed: bool, over_budget: bool, *, project: Path, as_json: bool
) -> int:  # fmt: skip
    """Run the cells of a sweep file, each as a run of its own, and say which setting is optimal.

    CONFIG names the base config and the grid. A cell that fails does not stop the others; called again, the sweep goes
    on where it was. Exit code 3: a cell failed or is left. 4: the sweep does not fit into the budget.

    Example: hpc-qa bench sweep configs/sweeps/demo_concurrency.yaml --dry-run
    """
    from hpc_qa.bench.grid import load_sweep
    from hpc_qa.bench.sweep_state import held

    asked, cells = load_sweep(Path(config), project)
    with nullcontext() if dry_run else held(project, asked):
        try:
            return _sweep(asked, cells, project, dry_run=dry_run, retry_failed=retry_failed, over_budget=over_budget,
                          as_json=as_json)  # fmt: skip
        except KeyboardInterrupt:
            say(f"stopped; hpc-qa bench sweep {config} goes on", err=True)
            return _report(asked, cells, project, as_json=as_json)


def _sweep(
    asked: "Sweep", cells: "Sequence[Cell]", project: Path, *, dry_run: bool, retry_failed: bool, over_budget: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Measure what is left, or say what that would be."""
    from hpc_qa.bench.grid import schedule
    from hpc_qa.bench.sweep import Runner, admission_of_sweep, left_to_do, predict, shortcomings
    from hpc_qa.bench.sweep_state import SweepState
    from hpc_qa.campaign.follow import printer

    state = SweepState(project, asked)
    todo = left_to_do(schedule(asked, cells), state, retry_failed=retry_failed)
    names = {one.cell.name for one in todo}
    charged = bool(todo) and todo[0].cell.config.executor == "slurm"
    predicted = predict([cell for cell in cells if cell.name in names], project) if dry_run or charged else []
    admission = admission_of_sweep(predicted, todo, state, project, fresh=not dry_run)
    refused = admission is not None and admission.refused and not over_budget
    for note in shortcomings(asked, cells, predicted) if todo else ():
        say(f"note: {note}", err=True)
    if dry_run:
        _print_cells(asked, cells, predicted, todo, admission, as_json=as_json)
        return ExitCode.NO if refused else ExitCode.DONE
    if admission and refused:
        return _refuse(admission, as_json=as_json)
    with printer() as show:
        Runner(asked, project, state, say=lambda line: say(line, err=True), show=show).run(todo, admission)
    return _report(asked, cells, project, as_json=as_json)


def _print_cells(
    asked: "Sweep", cells: "Sequence[Cell]", predicted: "Sequence[Predicted]", todo: "Sequence[Measurement]",
    admission: "Admission | None", *, as_json: bool,
) -> None:  # fmt: skip
    """What would run: each cell with its predicted hours, and the sum over what is left."""
    left = {cell.name: sum(one.cell.name == cell.name for one in todo) for cell in cells}
    known = {one.cell.name: one for one in predicted}
    rows = [_predicted_row(cell, left[cell.name], known.get(cell.name)) for cell in cells]
    total = _sum_of(rows)
    if as_json:
        print_json({"sweep": asked.name, "cells": rows, "total_gpu_hours": total,
                    "admission": admission.to_json() if admission else None})  # fmt: skip
        return
    columns = {"cell": "cell", "runs_left": "runs left", "documents": "documents", "chunks": "chunks",
               "wall_hours": "hours", "gpu_hours": "GPU-hours", "failure": "would fail"}  # fmt: skip
    print_table(rows, columns)
    for row in rows:
        if row["why"]:
            say(f"note       {row['cell']}: {row['why']}")
    say(f"cells      {len(cells)}, {len(todo)} runs left, {'unknown' if total is None else number(total)} GPU-hours")
    if admission:
        say(f"budget     {admission.verdict}: {number(admission.used)} used, {number(admission.committed)} promised, "
            f"the sweep up to {number(admission.demanded.counted)} ({admission.demanded.basis})")  # fmt: skip
    say("nothing started (--dry-run)", err=True)


def _predicted_row(cell: "Cell", runs_left: int, found: "Predicted | None") -> dict[str, Any]:
    from hpc_qa.bench.sweep import chunks_of

    plan = found.plan if found else None
    return {
        "cell": cell.name,
        "settings": dict(cell.labels),
        "runs_left": runs_left,
        "documents": plan.entries.count if plan else None,
        "chunks": chunks_of(cell, plan),
        "wall_hours": plan.wall_s.times(1 / 3600).p50 if plan else None,
        "gpu_hours": plan.gpu_hours.p50 if plan else None,
        "failure": found.failure if found else None,
        "why": found.why if found else None,
    }


def _sum_of(rows: "Sequence[dict[str, Any]]") -> float | None:
    """GPU-hours of all that is left; None where those of a cell are not known."""
    counted = [row for row in rows if row["runs_left"] and row["failure"] is None]
    if any(row["gpu_hours"] is None for row in counted):
        return None
    return float(sum(row["runs_left"] * row["gpu_hours"] for row in counted))


def _refuse(admission: "Admission", *, as_json: bool) -> int:
    fault = (
        f"the sweep does not fit into the budget: it may take {number(admission.demanded.counted)} GPU-hours "
        f"({admission.demanded.basis}), {number(admission.room or 0.0)} are left"
    )
    hint = "fewer cells or repeats, a smaller manifest, or --over-budget, which is written down"
    say(f"error: {fault}", err=True)
    say(f"  try: {hint}", err=True)
    if as_json:
        print_json({"admission": admission.to_json(),
                    "error": {"faults": [fault], "hint": hint, "exit_code": int(ExitCode.NO)}})  # fmt: skip
    return ExitCode.NO


def _report(asked: "Sweep", cells: "Sequence[Cell]", project: Path, *, as_json: bool) -> int:
    from hpc_qa.bench.record_file import FOLDER, read_records
    from hpc_qa.bench.sweep_state import SweepState
    from hpc_qa.report.sweep_result import SweepResult

    state = SweepState(project, asked)
    outcomes = list(state.outcomes.values())
    paths = [project / FOLDER / f"{one.record}.yaml" for one in outcomes if one.record]
    found = read_records([path for path in paths if path.is_file()])
    for fault in found.faults:
        say(f"note: {fault}", err=True)
    result = SweepResult(asked, cells, outcomes, {record.id: record for record in found.records})
    files = result.write(state.folder)
    left = len(cells) * asked.repeats - sum(not one.is_left for one in outcomes)
    if as_json:
        print_json({"sweep": asked.name, "cells": result.rows(), "optimal": result.optimal(),
                    "winner": result.winner(), "left": left,
                    "files": [str(path) for path in files]})  # fmt: skip
    else:
        _print_result(result, outcomes)
        for path in files:
            say(str(path))
    failed = sum(one.state == "failed" and not one.is_left for one in outcomes)
    if failed or left:
        say(f"{plural(failed, 'run')} failed, {left} are left; --retry-failed measures what failed again", err=True)
    return ExitCode.INCOMPLETE if failed or left else ExitCode.DONE


def _print_result(result: "SweepResult", outcomes: "Sequence[Any]") -> None:
    from hpc_qa.report.sweep_result import FIGURES, NO_DATA

    rows = result.rows()
    units = {row["cost_unit"] for row in rows if row["cost_unit"]}
    shown = [
        {name: NO_DATA if row[name] is None else row[name] for name in ("cell", *FIGURES, "cost")}
        | {"runs": row["runs"], "failure": ", ".join(sorted({one["failure"] for one in row["failures"]}))}
        for row in rows
    ]
    columns = {"cell": "cell", "minutes_per_pdf": "min/PDF", "pdfs_per_hour": "PDFs/h",
               "gpu_utilization_percent": "GPU %", "quality_score": "quality", "pairs_per_pdf": "pairs/PDF",
               "cost": " / ".join(sorted(units)) or "cost", "runs": "runs", "failure": "failed"}  # fmt: skip
    print_table(shown, columns)
    for one in outcomes:
        if one.state == "failed":
            say(f"failed     {one.cell} ({one.repeat}): {one.failure}: {one.why}")
        elif one.state == "running":
            say(f"running    {one.cell} ({one.repeat}): {one.run}")
    for line in result.optimal():
        say(line)
    seconds = sum(one.seconds or 0.0 for one in outcomes)
    say(f"measured   {duration(seconds)} in {sum(one.state == 'done' for one in outcomes)} runs; prefix cache: "
        + (", ".join(sorted({one.prefix_cache for one in outcomes if one.prefix_cache})) or NO_DATA))  # fmt: skip
