"""Trends over runs: documents an hour, quality, memory and GPU utilisation, each with the lines of its target."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hpc_qa.bench.record import Record
from hpc_qa.bench.targets import Target
from hpc_qa.report.cells import rounded
from hpc_qa.report.document.material import Material
from hpc_qa.report.drawing import GREY
from hpc_qa.report.performance.chart import MANY_RUNS, Chart, date_axis, dots, thresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUALITY = "quality.quality_score"
READ = "One dot for each run, oldest first; hollow ones ran on this machine."
SOURCE = "Benchmark records; targets of the profile {}."


def trends(material: Material) -> list[Chart]:
    """The four of the dashboard, in its order."""
    return [
        _trend(material, "throughput", "Document throughput", "results.throughput_pdfs_per_hour", "documents an hour",
               "throughput_pdfs_per_hour"),
        _trend(material, "quality", "Quality score", QUALITY, "quality score", "quality_score"),
        _memory(material),
        _trend(material, "gpu_utilization", "GPU utilisation", "results.avg_gpu_utilization_percent", "% of the time",
               "gpu_utilization_percent"),
    ]  # fmt: skip


def _trend(material: Material, name: str, title: str, key: str, unit: str, metric: str) -> Chart:
    target = material.targets.get(metric)
    return _over_runs(material, name, title, key, unit, "", lambda axes: thresholds(axes, target))


def _memory(material: Material) -> Chart:
    """Peak memory of the host in GB, with the shares of what was allocated last as lines."""
    sizes = [one.hardware.ram_gb_allocated for one in material.single if one.hardware.ram_gb_allocated]
    target: Target | None = material.targets.get("host_memory_percent") if sizes else None
    about = (
        f"Lines are shares of the {rounded(sizes[-1])} GB that were allocated last."
        if sizes
        else ("No lines: of no run it is known how much memory was allocated.")
    )
    factor = sizes[-1] / 100 if sizes else 1.0
    return _over_runs(
        material, "memory", "Memory usage", "results.max_cpu_memory_gb", "GB at most", about,
        lambda axes: thresholds(axes, target, factor),
    )  # fmt: skip


def _over_runs(
    material: Material, name: str, title: str, key: str, unit: str, about: str, lines: "Callable[[Axes], None]"
) -> Chart:
    records = [record for record in material.single if record.value(key) is not None]
    source, about = SOURCE.format(material.profile), f"{READ} {about}".strip()
    if not records:
        return Chart(name, title, about, source, missing=f"{title}: of no run it is known ({key}).")
    values = [float(record.value(key)) for record in records]
    said = f"{title} of {len(records)} runs, from {rounded(min(values))} to {rounded(max(values))} {unit}"

    def draw(every: "list[Axes]", is_narrow: bool) -> None:
        (axes,) = every
        _line(axes, values, records)
        lines(axes)
        axes.set_ylabel(unit)
        if key != QUALITY:  # whose differences are small
            axes.set_ylim(0, max(axes.get_ylim()[1], 1.05 * max(values)))  # values that are close: room above them
        date_axis(axes, records, is_narrow)

    return Chart(name, title, about, source, said, draw)


def _line(axes: "Axes", values: Sequence[float], records: Sequence[Record]) -> None:
    places = list(range(len(values)))
    if len(values) < MANY_RUNS:
        axes.plot(places, values, color=GREY, linewidth=1)
    dots(axes, places, values, records)
