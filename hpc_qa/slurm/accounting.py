"""How array tasks ended, as accounting has it: one `EndedTask` per task, its last allocation.

`sacct` text in, values out. A row that is not complete yet counts as absent: rows arrive some seconds late.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hpc_qa.slurm.programs import SEPARATOR, Run, run_program

FIELDS = ("JobID", "State", "DerivedExitCode", "Partition", "NodeList")
OUT_OF_MEMORY = "OUT_OF_MEMORY"
STEP_OUT_OF_MEMORY = "0:125"  # as a derived exit code: a job step passed --mem, and the job itself is only FAILED
LIVING = frozenset({"PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED"})


@dataclass(frozen=True, slots=True)
class EndedTask:
    """One array task, as accounting knows it."""

    task_id: str  # "4471_3"
    state: str  # the first word of Slurm's state
    detail: str  # all of it: "CANCELLED by 1000"
    nodes: str | None

    @property
    def lives(self) -> bool:
        """Whether accounting holds it for waiting or running; it may have ended since."""
        return self.state in LIVING


def recorded_tasks(job_ids: Sequence[str], run: Run = run_program) -> dict[str, EndedTask]:
    """What accounting says of the array tasks of these jobs, by their id; tasks that never started are absent.

    Raises:
        SlurmError: slurmdbd does not answer.
    """
    if not job_ids:
        return {}
    text = run(
        ["sacct", "-X", "-n", "-P", f"--delimiter={SEPARATOR}", f"--jobs={','.join(job_ids)}", "-o", ",".join(FIELDS)]
    )
    tasks = {}
    for line in text.splitlines():
        fields = line.split(SEPARATOR)
        # a row without a partition is a stub that is filled in later, and "4471_[5-9]" are tasks that have not started
        if len(fields) == len(FIELDS) and fields[3] and "[" not in fields[0]:
            tasks[fields[0]] = _task(fields)
    return tasks


def _task(fields: Sequence[str]) -> EndedTask:
    task_id, state, of_steps, _partition, nodes = fields
    if state == "FAILED" and of_steps == STEP_OUT_OF_MEMORY:
        state = OUT_OF_MEMORY
    return EndedTask(
        task_id=task_id,
        state=state.split()[0] if state else "UNKNOWN",
        detail=state,
        nodes=None if nodes in ("", "None assigned") else nodes,
    )
