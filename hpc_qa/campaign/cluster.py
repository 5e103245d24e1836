"""What Slurm says of the array tasks of a run, and what that means for its shards.

The queue says what lives, accounting how things ended, each with one call. Either may be silent: then the other and the
files of the attempts have to do, and what is not known is said to be unknown.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.accounting import OUT_OF_MEMORY, EndedTask, recorded_tasks
from hpc_qa.slurm.queue import QueuedTask, queued_tasks

T = TypeVar("T")
REMEDIES = {OUT_OF_MEMORY: "an array task needs more memory than slurm.mem: hpc-qa resume {run} --mem SIZE"}


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What the queue and accounting said; None where they did not answer."""

    queued: Mapping[str, QueuedTask] | None
    recorded: Mapping[str, EndedTask] | None
    notes: tuple[str, ...] = ()  # what did not answer

    def state_of(self, task_id: str) -> tuple[str, str | None]:
        """(queued | running | interrupted | unknown, Slurm's own words) of an array task that has not committed."""
        if self.queued is not None and task_id in self.queued:
            task = self.queued[task_id]
            return ("queued", task.reason) if task.waits else ("running", _words(task.state, task.nodes))
        ended = (self.recorded or {}).get(task_id)
        if self.queued is None:
            if ended is None:
                return "unknown", None
            if ended.lives:
                return "running" if ended.state == "RUNNING" else "queued", f"{ended.state} as far as accounting knows"
        # what is not in the queue has ended, also when accounting has not heard of it yet or never will: a task that is
        # cancelled while it waits leaves no row
        if ended is None or ended.lives:
            return "interrupted", None if self.recorded is not None else "accounting does not answer"
        return "interrupted", _words(ended.detail, ended.nodes)


def look(job_ids: Sequence[str]) -> ClusterView:
    """Ask the queue and accounting about these jobs: at most one call of each."""
    notes: list[str] = []
    queued = _answer(lambda: queued_tasks(job_ids), notes)
    recorded = _answer(lambda: recorded_tasks(job_ids), notes)
    return ClusterView(queued, recorded, tuple(notes))


def remedies(run_id: str, details: Iterable[str | None]) -> list[str]:
    """What to do about array tasks that ended like this, in Slurm's words; empty where `resume` alone does."""
    ends = {str(detail).partition(" ")[0] for detail in details}
    return [advice.format(run=run_id) for state, advice in REMEDIES.items() if state in ends]


def _answer(ask: Callable[[], T], notes: list[str]) -> T | None:
    try:
        return ask()
    except SlurmError as error:
        notes.append(str(error))
        return None


def _words(state: str, nodes: str | None) -> str:
    return f"{state} on {nodes}" if nodes else state
