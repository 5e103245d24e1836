"""The charts as files: an SVG for each, and the four of the dashboard as one picture of 15 x 10 inches."""

import io
from collections.abc import Iterator
from pathlib import Path

from hpc_qa.report.document.material import Material
from hpc_qa.report.drawing import SOFT, STYLE, standalone
from hpc_qa.report.performance.chart import Chart
from hpc_qa.report.performance.moments import over_time
from hpc_qa.report.performance.settings import concurrency, stage_bars
from hpc_qa.report.performance.trends import trends
from hpc_qa.report.replaced import replace_file
from hpc_qa.store.files import make_folder_if_missing

DASHBOARD = "performance_dashboard.png"
INCHES, DPI = (15, 10), 150
PAD = 0.25  # inches around each of the four, so that nothing touches the edge or its neighbour


def charts(material: Material) -> list[Chart]:
    """All of them, in the order in which they are read."""
    return [*trends(material), concurrency(material), stage_bars(material), over_time(material)]


def write_plots(folder: Path, material: Material) -> list[Path]:
    """Write every chart of which something is known, and the dashboard; files that are there are replaced.

    Raises:
        StoreError: they cannot be written there.
    """
    make_folder_if_missing(folder)
    written = []
    for name, data in _files(material):
        replace_file(folder / name, data, "plot")
        written.append(folder / name)
    return written


def _files(material: Material) -> Iterator[tuple[str, bytes]]:
    for chart in charts(material):
        if (svg := chart.plot().wide) is not None:
            yield f"{chart.name}.svg", standalone(svg).encode()
    yield DASHBOARD, dashboard(material)


def dashboard(material: Material) -> bytes:
    """The four trends, two by two, as PNG."""
    import matplotlib.style
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.style.context(STYLE, after_reset=True):
        figure = Figure(figsize=INCHES, layout=ConstrainedLayoutEngine(w_pad=PAD, h_pad=PAD))
        for axes, chart in zip(figure.subplots(2, 2).flat, trends(material), strict=True):
            axes.set_title(chart.title, loc="left", fontsize=14)
            if chart.draw is None:
                axes.set_axis_off()
                axes.text(0.5, 0.5, chart.missing or "", ha="center", va="center", color=SOFT, wrap=True)
            else:
                chart.draw([axes], False)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()
