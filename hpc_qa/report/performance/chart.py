"""A chart: what it shows in words, and how it is drawn into axes, on a page or in a picture."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpc_qa.bench.record import Record
from hpc_qa.bench.targets import Target
from hpc_qa.report.cells import visible
from hpc_qa.report.drawing import ACCENT, INK, SOFT, Plot, Sheet, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 260  # CSS pixels of one row of axes
MOST_DATES = 5
MANY_RUNS = 60  # from here on dots are smaller, and no line joins them


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart; without `draw` it says what is missing."""

    name: str
    title: str
    about: str
    source: str
    said: str = ""  # for who cannot see it
    draw: "Callable[[list[Axes], bool], None] | None" = None  # into so many axes; whether there is little room
    rows: int = 1
    height: int = HEIGHT
    missing: str | None = None

    def plot(self) -> Plot:
        """For a page."""
        plot = Plot(self.name, self.title, self.about, self.source, missing=self.missing)
        draw = self.draw
        if draw is None:
            return plot

        def on(sheet: Sheet) -> None:
            draw(sheet.axes(self.rows, sharex=self.rows > 1), sheet.is_narrow)

        return drawn(plot, lambda _: self.rows * self.height, on, visible(self.said))


def thresholds(axes: "Axes", target: Target | None, factor: float = 1.0) -> None:
    """Lines at what is asked and at what is critical, named at the right; the axis reaches to all of them."""
    for value, word, style, side in lines_of(target):
        at = value * factor
        axes.axhline(at, color=INK, linewidth=1, linestyle=style, zorder=3)
        axes.annotate(
            f"{word} {at:.4g}", (1, at), (5, 2 if side == "bottom" else -2),
            xycoords=("axes fraction", "data"), textcoords="offset points", va=side, fontsize=10, color=SOFT,
        )  # fmt: skip


def lines_of(target: Target | None) -> Iterator[tuple[float, str, str, str]]:
    """(value, word, style, side of the word) of each line of a target."""
    if target is None:
        return
    most = target.at_most if target.at_most != target.critical_above else None
    for value, word in ((target.aim, "aim"), (target.at_least, "target"), (most, "target, most")):
        if value is not None:
            yield value, word, "--", "bottom"
    for value in (target.critical_below, target.critical_above):
        if value is not None:
            yield value, "critical", ":", "top"


def dots(axes: "Axes", places: Sequence[float], values: Sequence[float], records: Sequence[Record]) -> None:
    """A dot for each run: filled on a cluster, hollow on this machine."""
    for local in (False, True):
        those = [at for at, record in enumerate(records) if (record.environment == "local") == local]
        axes.plot(
            [places[at] for at in those], [values[at] for at in those], "o",
            markersize=5 if len(records) < MANY_RUNS else 3.5,
            markerfacecolor="white" if local else ACCENT, markeredgecolor=ACCENT,
        )  # fmt: skip


def date_axis(axes: "Axes", records: Sequence[Record], is_narrow: bool) -> None:
    """Runs one after the other, some of them with their day."""
    most = 3 if is_narrow else MOST_DATES
    step = max(1, -(-len(records) // most))
    places = list(range(0, len(records), step))
    axes.set_xticks(places, [records[at].date or "no date" for at in places])
    axes.set_xlim(-0.5, max(len(records) - 0.5, 0.5))
