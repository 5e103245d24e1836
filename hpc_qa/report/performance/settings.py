"""Throughput against concurrency, and the stages of the newest runs."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_qa.bench.record import Record, Stage
from hpc_qa.report.cells import rounded, visible
from hpc_qa.report.document.material import Material
from hpc_qa.report.document.stages import of_allocation
from hpc_qa.report.drawing import ACCENT, GREY, INK, LIGHT, SOFT
from hpc_qa.report.performance.chart import Chart, dots, thresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 12
GROUPS = {  # of stages -> colour
    "start-up": (("launch", "setup", "model_load", "warm_up"), GREY),
    "serving": (("serving",), ACCENT),
    "tail": (("tail",), LIGHT),
    "other": (("teardown", "lost", "unattributed"), SOFT),
}


def concurrency(material: Material) -> Chart:
    """Throughput of every run, cells of sweeps too, against its concurrency limit."""
    name, title = "concurrency", "Throughput against concurrency"
    about = "One dot for each run or cell of a sweep; a line joins the means of like runs: model, GPUs, sweep."
    source = "Benchmark records: configuration.concurrency_limit."
    records = [
        one for one in material.measured
        if one.configuration.concurrency_limit and one.results.throughput_pdfs_per_hour is not None
    ]  # fmt: skip
    if not records:
        missing = "Of no run both concurrency limit and throughput are known."
        return Chart(name, title, about, source, missing=missing)
    places = [float(one.configuration.concurrency_limit or 0) for one in records]
    values = [float(one.results.throughput_pdfs_per_hour or 0.0) for one in records]
    lines = _means_of_alike(records)
    said = " / ".join(
        f"{name}: " + "; ".join(f"{rounded(place)}: {rounded(mean)} documents an hour" for place, mean in means.items())
        for name, means in lines.items()
    )

    def draw(every: "list[Axes]", _is_narrow: bool) -> None:
        (axes,) = every
        for means in lines.values():
            axes.plot(list(means), list(means.values()), color=GREY, linewidth=1)
        dots(axes, places, values, records)
        thresholds(axes, material.targets.get("throughput_pdfs_per_hour"))
        axes.set_xlabel("concurrency limit")
        axes.set_ylabel("documents an hour")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)

    return Chart(name, title, about, source, f"Mean throughput by concurrency limit: {said}", draw)


def _means_of_alike(records: Sequence[Record]) -> dict[str, dict[float, float]]:
    """Mean throughput by concurrency limit, of each kind of runs: of a sweep, of a model, on the same GPUs."""
    values: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in records:
        gpus = f"{one.hardware.gpu_count} x {one.hardware.gpu_model}" if one.hardware.gpu_count else "no GPU"
        parts = (one.sweep, one.model.name and Path(one.model.name).name, one.environment, gpus)
        limit, value = one.configuration.concurrency_limit, one.results.throughput_pdfs_per_hour
        values[", ".join(filter(None, parts))][float(limit or 0)].append(float(value or 0.0))
    return {
        name: {place: math.fsum(those) / len(those) for place, those in sorted(by_limit.items())}
        for name, by_limit in values.items()
    }


def stage_bars(material: Material) -> Chart:
    """What share of its allocations each of the newest runs spent in which stages."""
    name, title = "stages", "Stages of the allocations"
    about = f"The newest {MOST_BARS} runs of which the stages are known, the latest at the bottom."
    source = "Marks of the workers, all attempts; start-up is launch, set-up, model load and warm-up."
    shares = {one.id: found for one in material.single if (found := _shares_of(of_allocation(one)))}
    if not shares:
        missing = "Of no run the stages are known: hpc-qa ledger sync reads them."
        return Chart(name, title, about, source, missing=missing)
    shown = dict(list(shares.items())[-MOST_BARS:])
    said = "; ".join(f"{visible(run)}: {rounded(found['serving'])} % serving" for run, found in shown.items())

    def draw(every: "list[Axes]", is_narrow: bool) -> None:
        (axes,) = every
        begin = [0.0] * len(shown)
        for group, (_, colour) in GROUPS.items():
            lengths = [found[group] for found in shown.values()]
            axes.barh(range(len(shown)), lengths, left=begin, height=0.62, color=colour, label=group)
            begin = [at + length for at, length in zip(begin, lengths, strict=True)]
        room = 18 if is_narrow else 40
        names = [visible(run) for run in shown]
        short = [run if len(run) <= room else f"{run[: room - 1]}\u2026" for run in names]
        axes.set_yticks(range(len(shown)), short)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("% of what was held")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2 if is_narrow else len(GROUPS), frameon=False)

    return Chart(name, title, about, source, said, draw, height=120 + 28 * len(shown))


def _shares_of(stages: Sequence[Stage]) -> dict[str, float]:
    """Percent of each group; empty where nothing is known."""
    spent = {one.name: one.duration_s or 0.0 for one in stages}
    whole = math.fsum(spent.values())
    sums = {group: sum(spent.get(name, 0.0) for name in names) for group, (names, _) in GROUPS.items()}
    return {group: 100 * part / whole for group, part in sums.items()} if whole else {}
