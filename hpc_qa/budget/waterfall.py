"""Where the time of an allocation went: stages that do not overlap and sum to it exactly.

    launch      Slurm's start to the worker's first mark
    setup, model_load, warm_up, serving, tail, teardown
                as the worker marked them; teardown goes on until Slurm's end
    lost        of an attempt that was killed: from its last mark to Slurm's end
    unattributed
                between two marks, in no stage

Whole milliseconds, so that sums are exact. Marks are of the node's clock, Slurm's times are whole seconds: what lies
outside of the allocation by that much is cut off.
"""

from collections.abc import Iterable
from typing import NamedTuple

MARKED = ("setup", "model_load", "warm_up", "serving", "tail", "teardown")
STAGES = ("launch", *MARKED, "lost", "unattributed")


class Span(NamedTuple):
    """One stage as the worker marked it, in milliseconds since 1970."""

    stage: str
    start_ms: int
    end_ms: int


def waterfall(start_ms: int, end_ms: int, spans: Iterable[Span]) -> dict[str, int]:
    """Milliseconds of each stage of an allocation; an attempt that never came to its teardown was killed.

    >>> waterfall(0, 100, [Span("setup", 10, 30), Span("serving", 30, 90)])["lost"]
    10
    """
    taken = dict.fromkeys(STAGES, 0)
    at, last = start_ms, "launch"
    for span in sorted(spans, key=lambda one: (one.start_ms, one.end_ms)):
        begins, ends = (min(max(moment, at), end_ms) for moment in (span.start_ms, span.end_ms))
        taken["launch" if last == "launch" else "unattributed"] += begins - at
        taken[span.stage] += ends - begins
        at, last = max(at, ends), span.stage
    taken["teardown" if last == "teardown" else "launch" if last == "launch" else "lost"] += end_ms - at
    return taken
