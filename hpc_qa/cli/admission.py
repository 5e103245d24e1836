"""What is said of a run that asks to be admitted to the budget."""

from pathlib import Path
from typing import TYPE_CHECKING

from hpc_qa.cli.options import print_json, say
from hpc_qa.errors import ExitCode
from hpc_qa.units import number, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpc_qa.budget.admission import Admission
    from hpc_qa.campaign.plan import RunPlan
    from hpc_qa.store.run_directory import RunDirectory


def ask_for_admission(plan: "RunPlan", project: Path, *, fresh: bool) -> "Admission | None":
    """Whether a run of this plan is let in; None for a run on this machine, which is not charged.

    With `fresh` accounting is asked before.
    """
    from hpc_qa.campaign.admission import admission_of

    if plan.config.executor != "slurm":
        return None
    admission, notes = admission_of(plan, project, fresh=fresh)
    for note in notes:
        say(f"note: {note}", err=True)
    return admission


def fits_again(
    run: "RunDirectory", shards: "Sequence[int]", project: Path, *, over_budget: bool, as_json: bool
) -> bool:
    """Whether these shards of a run may be started once more; says why not."""
    from hpc_qa.campaign.admission import admission_again, write_down_over_budget
    from hpc_qa.config_file import load_project

    admission, notes = admission_again(run, shards, project, load_project(project).budget)
    for note in notes:
        say(f"note: {note}", err=True)
    if not admission.refused or over_budget:
        say_admission(admission, over_budget=over_budget)
        if admission.refused:
            write_down_over_budget(run, admission)
        return True
    hint = "a larger budget.gpu_hours in project.yaml, or hpc-qa resume with --over-budget"
    _say_refused(admission, f"what is missing does not fit into the budget: {_words(admission)}", hint, as_json=as_json)
    return False


def print_admission(admission: "Admission", plan: "RunPlan", project: Path) -> None:
    """The lines of `plan` about the budget."""
    say(f"{'budget':<11}{_words(admission)}")
    if admission.refused:
        say(f"{'':<11}{_what_fits(admission, plan, project)}")


def say_admission(admission: "Admission", *, over_budget: bool) -> None:
    """What is to be known about a run that was let in."""
    if admission.budget_gpu_hours is None:
        say("note: no budget is set, so that the run is admitted; budget.gpu_hours in project.yaml sets one", err=True)
    elif admission.refused and over_budget:
        say(f"note: over the budget, as --over-budget allows: {_words(admission)}", err=True)
    elif admission.exceeds_at_worst:
        room, worst = admission.room or 0.0, admission.demanded.worst
        say(f"warning: were every array task to use up its time limit, the run would take {number(worst)} GPU-hours, "
            f"{number(worst - room)} more than are left", err=True)  # fmt: skip


def refuse(admission: "Admission", plan: "RunPlan", project: Path, *, as_json: bool) -> int:
    """Say that the run does not fit, and what would."""
    fault, hint = f"the run does not fit into the budget: {_words(admission)}", _what_fits(admission, plan, project)
    _say_refused(admission, fault, hint, as_json=as_json)
    return ExitCode.NO


def _say_refused(admission: "Admission", fault: str, hint: str, *, as_json: bool) -> None:
    say(f"error: {fault}", err=True)
    say(f"  try: {hint}", err=True)
    if as_json:
        error = {"faults": [fault], "hint": hint, "exit_code": int(ExitCode.NO)}
        print_json({"run": None, "path": None, "job_ids": [], "admission": admission.to_json(), "error": error})


def _words(admission: "Admission") -> str:
    asked, room = admission.demanded, admission.room
    most, limit = f"{number(asked.counted)} GPU-hours ({asked.basis})", admission.budget_gpu_hours
    if limit is None or room is None:
        return f"none is set; {number(admission.used)} GPU-hours used, this run takes up to {most}"
    committed = f"{number(admission.committed)} promised to {plural(len(admission.liens), 'run')}"
    said = f"{number(admission.used)} GPU-hours used, {committed}, this run up to {most}, of {number(limit)}"
    if admission.refused:
        return f"{said}: {number(asked.counted - room)} too many"
    return f"{said}: it fits"


def _what_fits(admission: "Admission", plan: "RunPlan", project: Path) -> str:
    from hpc_qa.campaign.admission import largest_that_fits

    room = admission.room or 0.0
    most = largest_that_fits(plan, room, project) if room > 0 else 0
    largest = f"--limit {most} is the largest batch that fits" if most else "no batch of it fits"
    if admission.demanded.p90 is None:
        largest += "; a shorter slurm.time, as every array task counts with it until three attempts were measured"
    return f"{largest}; or --over-budget, which is written down"
