"""What the tool itself saw go wrong in a run, or was odd: issues of its record, beside those that people noted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hpc_qa.bench.document_costs import DocumentCost
from hpc_qa.bench.record import Issue
from hpc_qa.campaign.figures import RunFigures, critical_seen

MINOR, CRITICAL = "minor", "critical"
ENDED_WELL = ("COMPLETED", "RUNNING", "PENDING")
FEW_ACCEPTED = 0.5  # of the pairs
FEW_SAMPLES = 0.9  # of the allocated GPU-seconds


def anomalies(
    found: RunFigures, costs: Sequence[DocumentCost], rows: Iterable[Mapping[str, Any]],
    summaries: Iterable[Mapping[str, Any]],
) -> list[Issue]:  # fmt: skip
    """Issues of a run; `rows` are its attempts in the ledger, `summaries` what those wrote down at their end."""
    seen = [*_of_attempts(found, rows, summaries), *_of_documents(found, costs)]
    return [Issue(text=text, severity=severity) for text, severity in seen]


def _of_attempts(
    found: RunFigures, rows: Iterable[Mapping[str, Any]], summaries: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Any]]:
    for state, count in found.spent.states.items():
        if state not in ENDED_WELL:
            yield f"attempts that ended as {state}: {count}", MINOR
    amiss: Counter[str] = Counter()
    unseen = 0
    for row in rows:
        amiss.update(row["data_quality"] or ())
        unseen += bool(row["gpu_count"]) and (row["gpu_samples_share"] or 0.0) < FEW_SAMPLES
    for what, count in sorted(amiss.items()):
        yield f"attempts of which accounting says {what}: {count}", MINOR
    if unseen:
        yield f"attempts whose GPUs were not sampled all the time: {unseen}", MINOR
    for name, share in found.spent.partly_known.items():
        yield f"{name} is not known: attempts with {share:.0%} of its weight alone say something", MINOR
    restarts = sum(int(summary.get("server_restarts") or 0) for summary in summaries)
    if restarts:
        yield f"the server died and was started again: {restarts}", MINOR


def _of_documents(found: RunFigures, costs: Sequence[DocumentCost]) -> Iterator[tuple[str, Any]]:
    yield from ((text, CRITICAL) for text in critical_seen(found))
    if found.failed and not found.fails_too_often:
        yield f"documents that failed: {found.failed} of {found.documents}", MINOR
    if found.left:
        yield f"documents that are not done: {found.left} of {found.documents}", MINOR
    if not found.accepts_nothing and found.qa_pairs_accepted < FEW_ACCEPTED * found.qa_pairs_generated:
        yield f"pairs that were accepted: {found.qa_pairs_accepted} of {found.qa_pairs_generated}", MINOR
    lost = sum((cost.lost for cost in costs), Counter[str]())
    for outcome, count in sorted(lost.items()):
        yield f"chunks that ended as {outcome}: {count}", MINOR
    facts = [cost.facts for cost in costs if cost.facts is not None]
    odd = {
        "with characters that could not be decoded": sum(bool(one.undecodable) for one in facts),
        "with suspicious characters": sum(one.suspicious_unicode for one in facts),
        "with pages that lost words": sum(bool(one.low_pages or one.raw_pages) for one in facts),
        "without structure": sum(not one.structure for one in facts),
        "with scanned pages": sum(bool(one.scanned_pages) for one in facts),
        "that had to be repaired": sum(one.repaired for one in facts),
        "that were cut": sum(one.truncated for one in facts),
    }
    for what, count in odd.items():
        if count:
            yield f"documents {what}: {count} of {len(costs)}", MINOR
