"""The plots of the page, and those of batches and of efficiencies.

Each takes the report as `budget --json` prints it. What is absent or null there is not known, and never drawn as zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpc_qa.ledger.history import BINS, WEIGHTS, History
from hpc_qa.report.burn_down import burn_down
from hpc_qa.report.cells import NOTHING, rounded, visible
from hpc_qa.report.drawing import (
    ACCENT,
    GREY,
    INK,
    NO_ATTEMPT,
    PALE,
    SOFT,
    Plot,
    Report,
    Sheet,
    drawn,
    hours_axis,
    label,
    name_rows,
    short,
)
from hpc_qa.report.waterfall import waterfall

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {"cpu_efficiency": "CPU", "memory_efficiency": "memory", "gpu_utilization": "GPU"}
MOST_STATES, MOST_BATCHES = 6, 24


def all_plots(report: Report, history: History) -> list[Plot]:
    """In the order in which they are read."""
    return [burn_down(report, history), batches(report), waterfall(report), efficiency(report, history)]


def batches(report: Report) -> Plot:
    """What each batch used, on top of those before it, up to the budget."""
    plot = Plot(
        "batches",
        "Usage per batch",
        "Dark is what the batch used, grey what those before it did; the number is what "
        + ("it used." if report.get("budget_gpu_hours") is None else "then remained of the budget."),
        "Runs by batch, GPU-hours as charged.",
    )
    rows = [row for row in report.get("batches") or () if row.get("gpu_hours") is not None]
    if not rows:
        return replace(plot, missing="No run of a batch has used GPU-hours yet: hpc-qa manifest batch makes batches.")
    hidden = len(rows) - MOST_BATCHES
    if hidden > 0:
        plot = replace(plot, about=f"{plot.about} The first {hidden:,} batches are left out here.")
        rows = rows[-MOST_BATCHES:]
    said = "; ".join(f"{visible(row.get('batch'))}: {rounded(row['gpu_hours'])} GPU-hours" for row in rows)
    height = 90 + 30 * len(rows)
    return drawn(plot, lambda _: height, lambda sheet: _batches(sheet, rows, report.get("budget_gpu_hours")), said)


def _batches(sheet: Sheet, rows: Sequence[Report], budget: float | None) -> None:
    (axes,) = sheet.axes()
    running = 0.0
    furthest = max((row.get("cumulative") or 0.0) for row in rows)
    width = max(furthest, budget or 0.0) or 1.0
    for place, row in enumerate(rows):
        used, cumulative = row["gpu_hours"], row.get("cumulative")
        running = running + used if cumulative is None else cumulative
        axes.barh(place, width, height=0.62, color=PALE)
        axes.barh(place, running - used, height=0.62, color=GREY)
        axes.barh(place, used, left=running - used, height=0.62, color=ACCENT)
        remaining = row.get("remaining")
        label(axes, place, f"{rounded(used)} used" if remaining is None else f"{rounded(remaining)} left")
    if budget is not None:
        axes.axvline(budget, color=INK, linewidth=1)
    name_rows(axes, [row.get("batch") or "no batch" for row in rows], sheet)
    axes.set_xlim(0, width * 1.002)
    hours_axis(axes, "GPU-hours, cumulative" + ("" if budget is None else "; the line is the budget"), sheet)


def efficiency(report: Report, history: History) -> Plot:
    """How attempts of each state used what they held."""
    plot = Plot(
        "efficiency",
        "Efficiency by state",
        "The share of hours in each tenth of efficiency, by the state in which attempts ended; the number is the mean "
        "where it is known. CPU and memory are weighted by core-hours, GPU utilisation by GPU-hours.",
        "Slurm accounting (CPU time, peak memory) and samples of NVML in the attempts.",
    )
    states = _states(report, history)
    if not states:
        attempts = (report.get("used") or {}).get("attempts")
        nothing = "No attempt in the ledger has an efficiency: accounting said neither CPU time nor memory."
        return replace(plot, missing=nothing if attempts else NO_ATTEMPT)
    means = {str(row.get("state")): row for row in report.get("states") or ()}
    said = f"Histograms of {', '.join(states)}"
    return drawn(
        plot,
        lambda narrow: 90 + (88 if narrow else 90) * len(states),
        lambda sheet: _efficiency(sheet, history, states, means),
        visible(said),
    )


def _states(report: Report, history: History) -> list[str]:
    """States of which an efficiency is known, those with the most GPU-hours first."""
    hours = {row.get("state"): row.get("gpu_hours") or 0.0 for row in report.get("states") or ()}
    known = {state for found in history.efficiencies.values() for state in found}
    return sorted(known, key=lambda state: (-hours.get(state, 0.0), state))[:MOST_STATES]


def _efficiency(sheet: Sheet, history: History, states: Sequence[str], means: Mapping[str, Report]) -> None:
    every = sheet.axes(
        len(states), len(MEASURES), sharex=True, sharey=True, gridspec_kw={"wspace": 0.15, "hspace": 0.15}
    )
    shares = [part / sum(bins) for found in history.efficiencies.values() for bins in found.values() for part in bins]
    highest = next(top for top in (25, 50, 100) if 100 * max(shares) <= top + NOTHING)
    for place, axes in enumerate(every):
        axes.set_ylim(0, highest)
        axes.set_yticks([0, highest])
        state, measure = states[place // len(MEASURES)], list(MEASURES)[place % len(MEASURES)]
        if place < len(MEASURES):
            kind = MEASURES[measure] if sheet.is_narrow else f"{MEASURES[measure]} ({WEIGHTS[measure]})"
            axes.set_title(kind, fontsize=11, color=SOFT, loc="left", pad=34 if sheet.is_narrow else 22)
        if place % len(MEASURES) == 0:
            _above(axes, 0, 16 if sheet.is_narrow else 3, short(state, sheet), color=INK, fontweight="bold")
        mean = (means.get(state) or {}).get(measure)
        if mean is not None:
            _above(axes, 1, 3, f"{100 * mean:.0f} %", color=SOFT, ha="right")
        _histogram(axes, history.efficiencies.get(measure, {}).get(state), ACCENT if state == "COMPLETED" else SOFT)
    sheet.figure.supylabel("share of hours, %", fontsize=11, color=SOFT)
    for axes in every[-len(MEASURES) :]:
        axes.set_xlabel("%" if sheet.is_narrow else "efficiency, %")


def _histogram(axes: "Axes", hours: Sequence[float] | None, colour: str) -> None:
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100])
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    if hours is None:
        axes.annotate("not known", (50, 0), (0, 20), textcoords="offset points", ha="center", fontsize=10.5, color=SOFT)
        return
    width = 100 / BINS
    middles = [(place + 0.5) * width for place in range(len(hours))]
    axes.bar(middles, [100 * part / sum(hours) for part in hours], width=0.86 * width, color=colour)


def _above(axes: "Axes", x: float, points: float, words: str, **style: Any) -> None:
    axes.annotate(
        words, (x, 1), (0, points), xycoords="axes fraction", textcoords="offset points", fontsize=10.5, **style
    )
