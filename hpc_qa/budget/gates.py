"""Go or no-go to the next batch: each criterion with its number, its limit in words, and why.

Pure: figures in, criteria out. A figure that was not measured leaves its criterion undecided and never says go; where
nothing is asked it is `not asked`. A first batch has nothing to be compared with, and that holds nothing up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hpc_qa.errors import ExitCode
from hpc_qa.units import number, plural

if TYPE_CHECKING:
    from hpc_qa.budget.forecast import Forecast

GO, NO_GO, UNDECIDED = "go", "no-go", "undecided"
NOBODY_SAID = "the record does not say; write `issues: none` in it where there were none"
NOT_ASKED = "not asked"  # of this run: there is no limit, or nothing that it is about; it holds nothing up
MARGIN = 0.10  # of the previous batch: time per PDF, start-up, tokens/s, GPU-hours per PDF
QUALITY_DROP = 0.05  # of the previous batch
LEAST_QUALITY = 0.690
ERRORS_GO, ERRORS_NO_GO = 0.02, 0.05
ROUNDING = 1e-9
# how Slurm names what a cluster did to an attempt; a worker that broke by itself is FAILED
CLUSTER_FAULTS = frozenset(
    {"BOOT_FAIL", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL", "REQUEUED",
     "REQUEUE_HOLD", "SPECIAL_EXIT", "TIMEOUT"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Criterion:
    """One of them."""

    name: str  # of the figure that it is about
    value: float | int | None
    limit: str
    verdict: str  # go | no-go | undecided | not asked
    why: str

    def to_json(self) -> dict[str, Any]:
        """As `gate --json` prints it."""
        return asdict(self)


def verdict(criteria: Iterable[Criterion]) -> str:
    """The worst of them."""
    found = {one.verdict for one in criteria}
    return next((word for word in (NO_GO, UNDECIDED) if word in found), GO)


def exit_code(said: str) -> ExitCode:
    """0 go, 4 no-go, 5 undecided."""
    return {GO: ExitCode.DONE, NO_GO: ExitCode.NO}.get(said, ExitCode.UNDECIDED)


@dataclass(frozen=True, slots=True)
class Previous:
    """The batch before: its figures, or why it has none that compare."""

    name: str | None = None
    figures: Mapping[str, float | None] | None = None
    why_not: str = "no previous batch"


def not_worse(name: str, now: float | None, before: Previous, *, more_is_worse: bool) -> Criterion:
    """Within the margin of the previous batch. A change for the better is said and holds nothing up."""
    limit = f"at most {100 * MARGIN:.0f} % {'above' if more_is_worse else 'below'} the previous batch"
    if now is None:
        return Criterion(name, None, limit, UNDECIDED, "not measured in this run")
    if before.figures is None:
        return Criterion(name, now, limit, GO, before.why_not)
    then = before.figures[name]
    if then is None:
        return Criterion(name, now, limit, UNDECIDED, f"not measured in {before.name}")
    if now == then:
        return Criterion(name, now, limit, GO, f"as in {before.name}")
    if not then:
        return Criterion(name, now, limit, UNDECIDED, f"it was 0 in {before.name}: the two do not compare")
    worse = (now / then - 1) * (1 if more_is_worse else -1)
    said = _change(now, then, f"{before.name} ({then:.4g})")
    if -worse > MARGIN + ROUNDING:
        said += ", better than expected: look whether the same was done"
    return Criterion(name, now, limit, NO_GO if worse > MARGIN + ROUNDING else GO, said)


def quality_held(score: float | None, judged_pairs: int, before: Previous) -> Criterion:
    """Not below the least that is accepted, and not much below the previous batch."""
    name = "quality_score"
    limit = f"at least {LEAST_QUALITY:.3f}, and less than {100 * QUALITY_DROP:.0f} % below the previous batch"
    if score is None:
        return Criterion(name, None, limit, UNDECIDED, "no pair that passed the checks was judged")
    pairs = f"of {judged_pairs:,} judged pairs"
    if score < LEAST_QUALITY - ROUNDING:
        return Criterion(name, score, limit, NO_GO, f"{pairs}, below {LEAST_QUALITY:.3f}")
    if before.figures is None:
        return Criterion(name, score, limit, GO, f"{pairs}; {before.why_not}")
    then = before.figures[name]
    if then is None:
        return Criterion(name, score, limit, UNDECIDED, f"{pairs}; {before.name} was not judged")
    dropped = score <= then * (1 - QUALITY_DROP) + ROUNDING
    said = f"{pairs}, {_change(score, then, f'{before.name} ({then:.3f})')}"
    return Criterion(name, score, limit, NO_GO if dropped else GO, said)


def _change(now: float, then: float, against: str) -> str:
    """For people: by how much it changed.

    >>> _change(1.1, 1.0, "batch_50"), _change(1.0, 1.0 + 1e-12, "batch_50")
    ('+10.0 % against batch_50', '+0.0 % against batch_50')
    """
    return f"{round(100 * (now / then - 1), 1) + 0.0:+.1f} % against {against}" if then else f"0 in {against}"


def few_errors(failed: int, documents: int) -> Criterion:
    """Failed documents of all."""
    limit = f"under {100 * ERRORS_GO:.0f} % go, over {100 * ERRORS_NO_GO:.0f} % no-go"
    if not documents:
        return Criterion("error_rate", None, limit, UNDECIDED, "there is no document")
    rate = failed / documents
    said = GO if rate < ERRORS_GO else NO_GO if rate > ERRORS_NO_GO else UNDECIDED
    why = f"{failed:,} of {plural(documents, 'document')} failed"
    if said == UNDECIDED:
        why += ": look at their reasons (hpc-qa verify RUN)"
    return Criterion("error_rate", rate, limit, said, why)


def no_critical_issue(issues: Sequence[tuple[str, bool]] | None) -> Criterion:
    """What people noted, and the tool: (text, whether it is critical); None where nobody said whether there was any."""
    if issues is None:
        return Criterion("issues", None, "none that is critical", UNDECIDED, NOBODY_SAID)
    critical = [text for text, is_critical in issues if is_critical]
    why = "; ".join(critical) if critical else f"{len(issues)} minor noted" if issues else "none noted"
    return Criterion("issues", len(critical), "none that is critical", NO_GO if critical else GO, why)


def complete(*, left: int, uncommitted: int, faults: int, goes_on: bool = False) -> Criterion:
    """Every document in its terminal state, every shard committed, nothing damaged or double."""
    limit = "every shard committed, nothing damaged"
    if faults:
        why = f"{plural(faults, 'thing is', 'things are')} damaged or double: hpc-qa verify RUN"
        return Criterion("complete", left, limit, NO_GO, why)
    if left or uncommitted:
        why = f"{plural(left, 'document')} left, {plural(uncommitted, 'shard')} not committed"
        why += ", and the run goes on: hpc-qa status RUN --watch" if goes_on else ": hpc-qa resume RUN"
        return Criterion("complete", left, limit, UNDECIDED, why)
    return Criterion("complete", left, limit, GO, "no document left, nothing damaged")


def affordable(forecast: "Forecast | None", budget_gpu_hours: float | None) -> Criterion:
    """Whether the corpus fits into the budget by what is known now."""
    name = "gpu_hours_projected"
    if budget_gpu_hours is None:
        return Criterion(name, forecast.p50 if forecast else None, "the budget", NOT_ASKED, "no budget is set")
    limit = f"within {number(budget_gpu_hours)} GPU-hours"
    if forecast is None:
        return Criterion(name, None, limit, UNDECIDED, "there is no forecast")
    if forecast.p05 is None or forecast.p50 is None or forecast.p95 is None:
        interval = forecast.reason or f"nothing to say yet from {plural(forecast.documents_done, 'document')}"
    else:
        interval = f"{number(forecast.p05)} to {number(forecast.p95)}"
        if forecast.status == "over" and forecast.p50 > budget_gpu_hours:
            interval += f", {number(forecast.p50 - budget_gpu_hours)} over"
    why = f"{forecast.status}: {interval}"
    if forecast.more_documents_to_decide is not None:
        why += f"; about {plural(forecast.more_documents_to_decide, 'more document')} would decide"
    return Criterion(name, forecast.p50, limit, {"within": GO, "over": NO_GO}.get(forecast.status, UNDECIDED), why)


def output_opens(rows: Mapping[str, int] | None, fault: str | None) -> Criterion:
    """The published dataset of a first run, read back: rows by split, or what was wrong with it."""
    name, limit = "output", "opens and passes its schema"
    if rows is None:
        return Criterion(name, None, limit, NO_GO if fault else UNDECIDED, fault or "the run is not complete")
    accepted = rows["train"] + rows["validation"]
    why = ", ".join(f"{count} {split}" for split, count in rows.items())
    if not accepted:
        return Criterion(name, 0, limit, UNDECIDED, f"no pair was accepted: nothing to look at ({why})")
    return Criterion(name, accepted, limit, GO, why)


def every_gpu_seen(allocated: int | None, sampled: int | None, *, used_by_us: bool = True) -> Criterion:
    """Whether the samples saw all GPUs that were held; none are looked at that our server does not use."""
    name, limit = "sampled_gpus", "every GPU that was allocated"
    if not used_by_us:
        return Criterion(name, None, limit, NOT_ASKED, "no server of ours ran on a GPU")
    if allocated == 0:
        return Criterion(name, sampled, limit, NOT_ASKED, "no GPU was held")
    if allocated is None or sampled is None:
        why = "what was allocated is not known" if allocated is None else f"no samples of {plural(allocated, 'GPU')}"
        return Criterion(name, sampled, limit, UNDECIDED, why)
    why = f"{sampled} of {allocated}"
    return Criterion(name, sampled, limit, GO if sampled >= allocated else NO_GO, why)


def endpoint_answered(completion_tokens: int, chunks_asked: int) -> Criterion:
    """Whether the server gave an answer."""
    name, limit = "completion_tokens", "the endpoint answered"
    if not chunks_asked:
        return Criterion(name, completion_tokens, limit, UNDECIDED, "nothing was asked: take another document")
    said = GO if completion_tokens else NO_GO
    return Criterion(name, completion_tokens, limit, said, f"tokens written for {plural(chunks_asked, 'chunk')}")


def no_cluster_fault(states: Mapping[str, int]) -> Criterion:
    """Whether any attempt was ended or given back by the cluster; `states` counts them by Slurm's word."""
    name, limit = "attempts", "none that the cluster ended or started again"
    faults = sum(count for state, count in states.items() if state in CLUSTER_FAULTS)
    others = [state for state in states if state not in CLUSTER_FAULTS | {"COMPLETED"}]
    why = ", ".join(f"{count} {state}" for state, count in states.items())
    if faults:
        return Criterion(name, faults, limit, NO_GO, why)
    if not states:
        return Criterion(name, None, limit, UNDECIDED, "the ledger knows none: hpc-qa ledger sync")
    return Criterion(name, 0, limit, UNDECIDED if others else GO, why)
