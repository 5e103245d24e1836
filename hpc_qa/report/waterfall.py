"""The waste waterfall: from the GPU-hours that were allocated down to those that served requests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hpc_qa.report.cells import NOTHING, decimals, rounded, visible
from hpc_qa.report.drawing import (
    ACCENT,
    GREY,
    NO_ATTEMPT,
    SOFT,
    Plot,
    Report,
    Sheet,
    drawn,
    hours_axis,
    label,
    name_rows,
)

WORK = ("serving", "generation", "judging")
STAGES = {
    "launch": "launch", "setup": "set-up", "model_load": "model load", "warm_up": "warm-up", "tail": "tail",
    "teardown": "teardown", "lost": "lost", "unattributed": "unattributed", "not marked": "not marked",
    "generation": "generation", "judging": "judging", "serving": "serving",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the waterfall, in GPU-hours."""

    stage: str
    begin: float
    end: float

    @property
    def gpu_hours(self) -> float:
        return self.end - self.begin


def waterfall_bars(report: Report) -> list[Bar]:
    """From everything that was allocated down to serving: each bar begins where the one before it left off.

    What stages do not tell of, as the sum is more than they are, is a bar of its own.
    """
    spent = {row["stage"]: row["gpu_hours"] for row in report.get("stages") or () if row.get("gpu_hours") is not None}
    allocated = (report.get("allocated") or report.get("used") or {}).get("gpu_hours")
    if not spent or not allocated:
        return []
    work = [name for name in (*WORK, *spent) if name in WORK and name in spent]
    names = [name for name in STAGES if name in spent and name not in WORK]
    names += [name for name in spent if name not in STAGES]
    gap = allocated - math.fsum(spent.values())
    if abs(gap) > 1e-6 * allocated:
        spent["in no stage"] = gap
        names.append("in no stage")
    bars, left = [], allocated
    for name in (*names, *dict.fromkeys(work)):
        bars.append(Bar(name, left - spent[name], left))
        left -= spent[name]
    return bars


def waterfall(report: Report) -> Plot:
    """Where allocated GPU-hours went, from all of them down to serving."""
    plot = Plot(
        "waterfall",
        "Where the allocation went",
        "From everything that was allocated, at the top, each stage takes its part; what is left at the bottom served "
        "requests. Lost is what attempts did that were killed; attempts without marks of ours are not marked.",
        "Marks of the workers inside of the allocations that Slurm accounting has. The bars sum to the allocation.",
    )
    bars = waterfall_bars(report)
    if not bars:
        return replace(plot, missing=NO_ATTEMPT)
    said = "; ".join(f"{STAGES.get(bar.stage, visible(bar.stage))}: {rounded(bar.gpu_hours)}" for bar in bars)
    height = 66 + 24 * (len(bars) + 1)
    return drawn(plot, lambda _: height, lambda sheet: _waterfall(sheet, bars), f"GPU-hours by stage: {said}")


def _waterfall(sheet: Sheet, bars: Sequence[Bar]) -> None:
    (axes,) = sheet.axes()
    whole = bars[0].end
    digits = decimals([whole])
    rows = [("allocated", 0.0, whole, GREY)]
    rows += [(STAGES.get(bar.stage, visible(bar.stage)), bar.begin, bar.end,
              ACCENT if bar.stage in WORK else SOFT) for bar in bars]  # fmt: skip
    for place, (_, begin, end, colour) in enumerate(rows):
        axes.barh(place, end - begin, left=begin, height=0.62, color=colour)
        if place:
            axes.plot([end, end], [place - 1, place], color=GREY, linewidth=0.8)
        share = f" ({100 * (end - begin) / whole:.1f} %)" if place and abs(end - begin) > NOTHING else ""
        label(axes, place, rounded(end - begin, digits) + share)
    name_rows(axes, [row[0] for row in rows], sheet)
    axes.set_xlim(min(0.0, *(row[1] for row in rows)), max(row[2] for row in rows) * 1.002)
    hours_axis(axes, "GPU-hours", sheet)
