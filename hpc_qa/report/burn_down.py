"""The burn-down: what is left of the budget over time, and what the forecast leaves of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING

from hpc_qa.ledger.history import History
from hpc_qa.report.cells import rounded
from hpc_qa.report.drawing import ACCENT, INK, LIGHT, NO_ATTEMPT, PALE, SOFT, Plot, Report, Sheet, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEARLY_USED_UP = 0.1  # of the budget
FURTHEST_HOURS = 20 * 365 * 24  # a forecast that ends later says nothing of when
FURTHEST_TOTAL = 2  # budgets, or expected totals, that are drawn


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where the forecast leads: GPU-hours in all, and how many hours from now."""

    totals: tuple[float, float, float]  # p05, p50, p95
    hours: float | None  # of GPUs held, for what is expected to be left; None: not known


def outlook(report: Report) -> Outlook | None:
    """The forecast as the burn-down draws it; None while there is none.

    Wall hours of the forecast include those so far. They grow in proportion to the GPU-hours that are left, so the
    slope between the ends of both intervals says how long a GPU-hour of the rest takes.
    """
    found = report.get("forecast") or {}
    totals = [float(found[name]) for name in ("p05", "p50", "p95") if found.get(name) is not None]
    if len(totals) < 3:
        return None
    low, middle, high = totals
    wall, spent, hours = found.get("wall_hours"), found.get("spent_gpu_hours"), None
    if wall and spent is not None and high > low:
        hours = max(0.0, middle - spent) * (wall["p95"] - wall["p05"]) / (high - low)
        hours = hours if hours < FURTHEST_HOURS else None
    return Outlook((low, middle, high), hours)


def burn_down(report: Report, history: History) -> Plot:
    """The budget that is left over time, and what the forecast leaves of it."""
    budget, ahead = report.get("budget_gpu_hours"), outlook(report)
    plot = Plot(
        "burn-down",
        "GPU-hours used over time" if budget is None else "What is left of the budget",
        _about(budget, ahead, history),
        "Ledger of attempts (Slurm accounting), charged evenly from start to end of each; forecast of this report.",
    )
    if not history.times_s:
        return replace(plot, missing=NO_ATTEMPT)
    used = history.charged[-1]
    said = f"{rounded(used)} GPU-hours were used" + ("" if budget is None else f" of {rounded(float(budget))}")
    return drawn(plot, lambda narrow: 300 if narrow else 340, lambda sheet: _burn_down(sheet, report, history), said)


def _about(budget: float | None, ahead: Outlook | None, history: History) -> str:
    words = "No budget is set (budget.gpu_hours in project.yaml), so this is what was used. " if budget is None else ""
    if ahead is None:
        words += "There is no forecast yet: it needs documents that are done."
    else:
        end = "at an end that is not known, as it is not known how long GPUs will be held"
        if ahead.hours is not None:
            end = f"after {rounded(ahead.hours)} more hours with GPUs held, without time in the queue"
        words += f"The fan is the forecast: nine of ten such campaigns end within it, {end}. The numbers are "
        words += "what it would leave of the budget." if budget is not None else "GPU-hours of the whole corpus."
    if budget is not None:
        words += " What is promised to runs is still part of it."
    if history.undated:
        words += f" {rounded(history.undated)} GPU-hours have no time and count from the beginning."
    return words


def _burn_down(sheet: Sheet, report: Report, history: History) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    budget, ahead = report.get("budget_gpu_hours"), outlook(report)
    (axes,) = sheet.axes()

    def level(used: float) -> float:
        return used if budget is None else budget - used

    times = [*history.times_s, history.now_s]
    days = [at / 86_400 for at in times]  # matplotlib counts from 1970 as well
    values = [level(used) for used in (*history.charged, history.charged[-1])]
    if len(history.times_s) == 1 and budget is not None:  # one step
        days, values = [days[0], *days], [budget, *values]
    axes.fill_between(days, values, color=PALE, linewidth=0)
    axes.plot(days, values, color=INK, linewidth=1.8)
    now, left = days[-1], values[-1]
    axes.plot([now], [left], "o", color=INK, markersize=5, clip_on=False)
    beside = (5, -13) if budget is None else (5, 6)  # neither on the curve nor on the fan
    axes.annotate(rounded(left), (now, left), beside, textcoords="offset points", fontsize=11, color=INK)
    reach = max(days[-1] - days[0], 1 / 24)
    end = now
    if ahead:
        end = now + (ahead.hours / 24 if ahead.hours else reach / 4)
        # far outside, the rest of the plot would be too small to see
        furthest = FURTHEST_TOTAL * (ahead.totals[1] if budget is None else budget)
        _fan(axes, (now, left), end, [(level(total), level(min(total, furthest))) for total in ahead.totals])
    _limits(axes, budget, days[0], end)
    axes.set_xlim(days[0], end + 0.02 * (end - days[0]))
    axes.set_ylabel("GPU-hours used" if budget is None else "GPU-hours left")
    axes.set_xlabel("date (UTC)", loc="left")
    locator = AutoDateLocator(minticks=3, maxticks=5 if sheet.is_narrow else 9, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}".replace("-", "\u2212"))
    axes.grid(axis="y")


def _fan(axes: "Axes", begin: tuple[float, float], end: float, levels: Sequence[tuple[float, float]]) -> None:
    """From now to each end of the interval; `levels` are what it is there, and where that is drawn."""
    low, middle, high = (drawn_at for _, drawn_at in levels)
    axes.fill([begin[0], end, end], [begin[1], low, high], color=LIGHT, linewidth=0)
    axes.plot([begin[0], end], [begin[1], middle], color=ACCENT, linewidth=1.8, linestyle=(0, (4, 2)))
    axes.plot([end, end], [low, high], color=ACCENT, linewidth=2.4, solid_capstyle="butt")
    gap, up = 0.075 * max(abs(begin[1]), abs(low), abs(high), abs(high - low)), 1 if low >= high else -1
    places = (max(up * low, up * middle + gap) * up, middle, min(up * high, up * middle - gap) * up)
    for name, (level, _), place in zip(("p05", "p50", "p95"), levels, places, strict=True):
        axes.annotate(f"{name} {rounded(level)}", (end, place), (6, 0), textcoords="offset points", va="center",
                      color=INK if name == "p50" else SOFT, fontsize=11)  # fmt: skip


def _limits(axes: "Axes", budget: float | None, begin: float, end: float) -> None:
    if budget is None:
        axes.set_ylim(bottom=0)
        return
    for value, words, line in (
        (0.0, "budget used up", "-"),
        (NEARLY_USED_UP * budget, "10 % of the budget", (0, (1, 2))),
    ):
        axes.plot([begin, end], [value, value], color=SOFT, linewidth=1, linestyle=line)
        axes.annotate(words, (begin, value), (4, 3), textcoords="offset points", color=SOFT, fontsize=10)
    axes.set_ylim(top=1.04 * budget)
