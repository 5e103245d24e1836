"""What each batch of a campaign took, and what was left of the budget after it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hpc_qa.campaign.admission import on_slurm
from hpc_qa.campaign.batches import batch_of, rank
from hpc_qa.errors import StoreError
from hpc_qa.ledger.usage import Usage
from hpc_qa.report.runs import RunOutput
from hpc_qa.store.run_directory import RunDirectory

UNNAMED = "not named"
OTHER = "other jobs"  # of accounting that belong to no run that is here
LAST = (9, 0)


@dataclass(frozen=True, slots=True)
class BatchRow:
    """The runs of one batch."""

    batch: str
    runs: tuple[str, ...]
    attempts: int
    documents: int  # that are done
    gpu_hours: float | None  # allocated; recorded and not charged where it ran on this machine
    cumulative: float  # GPU-hours charged, with all batches before
    remaining: float | None  # of the budget, after it


def batch_rows(
    runs: Sequence[RunDirectory], used: Usage, done: Mapping[str, RunOutput], budget: float | None
) -> Iterator[BatchRow]:
    """The batches in their order; runs without a name of a batch, and jobs that are not ours, come last."""
    members: dict[str, list[str]] = defaultdict(list)
    local = {run.run_id for run in runs if not on_slurm(run)}
    for run in runs:
        if run.run_id in used.by_run:
            members[_batch(run)].append(run.run_id)
    cumulative, counted = 0.0, 0
    for batch in sorted(members, key=lambda name: (rank(name) or LAST, name)):
        those = members[batch]
        cumulative += sum(used.charged_by_run.get(run, 0.0) for run in those if run not in local)
        counted += sum(used.by_run[run].attempts for run in those)
        yield BatchRow(
            batch=batch,
            runs=tuple(those),
            attempts=sum(used.by_run[run].attempts for run in those),
            documents=sum(done[run].documents for run in those if run in done),
            gpu_hours=_known([used.by_run[run].known_gpu_hours for run in those]),
            cumulative=cumulative,
            remaining=None if budget is None else budget - cumulative,
        )
    others = used.charged.gpu_hours - cumulative
    attempts = used.attempts - counted
    if attempts and abs(others) > 1e-9:
        remaining = None if budget is None else budget - used.charged.gpu_hours
        yield BatchRow(OTHER, (), attempts, 0, others, used.charged.gpu_hours, remaining)


def _known(hours: Sequence[float | None]) -> float | None:
    """The sum of what is known; None where that is nothing."""
    known = [one for one in hours if one is not None]
    return sum(known) if known else None


def _batch(run: RunDirectory) -> str:
    try:
        return batch_of(run) or UNNAMED
    except StoreError:  # unreadable: hpc-qa status says so
        return UNNAMED
