"""How plots look, and how they become SVG that stands inside of a page.

One accent colour and greys, which everybody can tell apart, also on paper. Text stays text. Nothing says when it was
made, so that the same figures give the same page. matplotlib is loaded here and inside functions alone: it takes half
a second, and no other command needs it.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hpc_qa.report.cells import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Report = Mapping[str, Any]  # as `budget --json` prints it

ACCENT, INK, SOFT, GREY, PALE = "#1f5a93", "#222222", "#5c5c5c", "#b4b4b4", "#e9e9e9"
LIGHT = "#c3d6e8"  # of the accent
NO_ATTEMPT = "No attempt is in the ledger yet: hpc-qa ledger sync reads what accounting knows of the runs."
WIDE, NARROW = 820, 330  # CSS pixels; a page shows the one that fits
STYLE = {
    "font.size": 12,
    "font.family": "DejaVu Sans",  # comes with matplotlib; the page sets its own, which is narrower
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": GREY,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 11,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "svg.fonttype": "none",
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot for the page; without drawings it says what is missing."""

    name: str
    title: str
    about: str  # how it is read
    source: str  # which figures it shows
    wide: Markup | None = None
    narrow: Markup | None = None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """An empty drawing, and how wide it will be shown."""

    figure: "Figure"
    is_narrow: bool

    def axes(self, rows: int = 1, columns: int = 1, **settings: Any) -> "list[Axes]":
        """Axes in a grid, row by row."""
        return list(self.figure.subplots(rows, columns, squeeze=False, **settings).flat)


def drawn(plot: Plot, height: Callable[[bool], float], draw: Callable[[Sheet], None], said: str) -> Plot:
    """The plot with both drawings; `height` is in CSS pixels, `said` is what somebody hears who cannot see it."""
    wide, narrow = (_svg(plot.name, is_narrow, height(is_narrow), draw, said) for is_narrow in (False, True))
    return replace(plot, wide=wide, narrow=narrow)


def _svg(name: str, is_narrow: bool, height: float, draw: Callable[[Sheet], None], said: str) -> Markup:
    import matplotlib.style
    from matplotlib.figure import Figure

    kind, width = ("narrow", NARROW) if is_narrow else ("wide", WIDE)
    # nothing of a matplotlibrc of the user or of this folder counts; ids of two drawings on a page must differ
    with matplotlib.style.context([STYLE, {"svg.hashsalt": f"{name}-{kind}"}], after_reset=True):
        # an SVG has 72 units an inch, whatever matplotlib is told; the page shows one as one pixel
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        figure.patch.set_visible(False)
        stream = io.StringIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a character that our font lacks: the reader's may have it
            draw(Sheet(figure, is_narrow))
            figure.savefig(stream, format="svg", metadata={"Date": None})
    return _inline(stream.getvalue(), kind, said)


def _inline(svg: str, kind: str, said: str) -> Markup:
    """What matplotlib wrote, as an element of an HTML page; names in it are escaped, so no tag comes from them."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # axes_1 and its like are in every drawing
    view = re.search(r'viewBox="([^"]+)"', svg)
    head = Markup('<svg class="{}" role="img" aria-label="{}" viewBox="{}" {}>').format(
        kind, said, view[1] if view else "", Markup('stroke-linejoin="round" stroke-linecap="butt"')
    )
    body = svg[svg.index(">") + 1 :]
    return head + Markup(re.sub(r"\s*\n\s*", "\n", body))  # noqa: S704 -- matplotlib escaped all text in it


def standalone(drawing: Markup) -> str:
    """A drawing of a page as a file of its own."""
    svg = str(drawing)
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg.replace("<svg ", f"<svg {names} ", 1)}\n'


# -- what plots of horizontal bars share


def name_rows(axes: "Axes", names: Sequence[object], sheet: Sheet) -> None:
    """Name the rows, from the top."""
    axes.set_yticks(range(len(names)), [short(name, sheet) for name in names])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 0.5, -0.5)


def label(axes: "Axes", row: int, words: str) -> None:
    """Words at the right end of a row."""
    place: Any = ("axes fraction", "data")
    axes.annotate(
        words, (1, row), (6, 0), xycoords=place, textcoords="offset points", va="center", fontsize=11, color=INK
    )


def hours_axis(axes: "Axes", words: str, sheet: Sheet) -> None:
    """An axis of GPU-hours below the bars."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(3 if sheet.is_narrow else 6))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.set_xlabel(words)
    axes.grid(axis="x")


def short(name: object, sheet: Sheet) -> str:
    """The name, cut where it would take the room of the plot."""
    whole, room = visible(name), 14 if sheet.is_narrow else 32
    return whole if len(whole) <= room else f"{whole[: room - 1]}\u2026"
