"""What came of a sweep: its table, the optimal setting, a plot, and the JSON that other programs read.

Which setting is optimal is decided where the benchmark document decides it (`document/sweeps.py`). What was not
measured is "no data".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hpc_qa.bench.grid import MODEL, Cell, Sweep, label_text
from hpc_qa.bench.ranking import Cell as Repeats
from hpc_qa.bench.ranking import rank
from hpc_qa.bench.record import Record
from hpc_qa.bench.sweep_state import Outcome
from hpc_qa.report.cells import rounded
from hpc_qa.report.document.sweeps import optimal
from hpc_qa.report.drawing import ACCENT, GREY, Plot, Sheet, drawn, name_rows, standalone
from hpc_qa.units import utc_now

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_DATA = "no data"
FIGURES = {  # of the table -> key of a record
    "minutes_per_pdf": "results.avg_time_per_pdf_minutes",
    "pdfs_per_hour": "results.throughput_pdfs_per_hour",
    "gpu_utilization_percent": "results.avg_gpu_utilization_percent",
    "quality_score": "quality.quality_score",
    "pairs_per_pdf": "results.qa_pairs_per_pdf",
}
THROUGHPUT = FIGURES["pdfs_per_hour"]


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The cells of a sweep with the records of their runs."""

    sweep: Sweep
    cells: Sequence[Cell]
    outcomes: Sequence[Outcome]
    records: dict[str, Record]  # by id

    def repeats_of(self, cell: Cell) -> Repeats:
        """The measurements of a cell, as the benchmark document sees them."""
        ids = [one.record for one in self.outcomes if one.cell == cell.name and one.record is not None]
        records = tuple(self.records[name] for name in ids if name in self.records)
        return Repeats(tuple(cell.labels.items()), records)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each cell; figures are means over its repeats, null where nothing is known."""
        return [self._row(cell) for cell in self.cells]

    def _row(self, cell: Cell) -> dict[str, Any]:
        repeats = self.repeats_of(cell)
        cost, unit = repeats.cost
        failed = [one for one in self.outcomes if one.cell == cell.name and one.state != "done"]
        figures = {name: repeats.mean(key) for name, key in FIGURES.items()}
        return {
            "cell": cell.name,
            "settings": dict(cell.labels),
            **figures,
            "cost": cost,
            "cost_unit": unit if cost is not None else None,
            "runs": len(repeats.measured),
            "failures": [
                {"repeat": one.repeat, "failure": one.failure or one.state, "why": one.why, "record": one.record}
                for one in failed
            ],
        }

    def optimal(self) -> list[str]:
        """The optimal setting with its reason, ties and what was not considered, as plain text."""
        measured = self._measured()
        if not measured:
            return ["Optimal Setting: no data, no cell was measured."]
        return [line.replace("**", "").replace("\\", "") for line in optimal(measured)]

    def winner(self) -> dict[str, Any] | None:
        """The settings of the optimal cell; None where none can be named."""
        found = rank(self._measured()).winner
        return None if found is None else dict(found.settings)

    def _measured(self) -> list[Repeats]:
        return [found for cell in self.cells if (found := self.repeats_of(cell)).measured]

    def export(self) -> list[dict[str, Any]]:
        """Rows of `benchmark_results_*.json`, one for each measurement; `bench import` reads them."""
        known = {cell.name: cell for cell in self.cells}
        return [self._exported(known[one.cell], one) for one in self.outcomes if one.cell in known]

    def _exported(self, cell: Cell, one: Outcome) -> dict[str, Any]:
        record = self.records.get(one.record or "") if one.state == "done" else None
        value = (record or Record(id=NO_DATA)).value
        return {
            "model": cell.labels.get("model") if MODEL in cell.settings else cell.config.model,
            "batch_size": cell.labels.get("batch_size", cell.config.client.concurrency_limit),
            "document_set": cell.labels.get("document_set", label_text(cell.config.manifest)),
            "duration_seconds": one.seconds,
            "metrics": {
                "pipeline": {
                    "documents_per_hour": value(THROUGHPUT),
                    "quality_score_avg": value("quality.quality_score"),
                    "pairs_per_document": value("results.qa_pairs_per_pdf"),
                    "pairs_accepted": value("results.qa_pairs_accepted"),
                    "error_rate": value("results.error_rate"),
                },
                "system": {
                    "memory_used_gb": value("results.max_cpu_memory_gb"),
                    "gpu_utilization_percent": value("results.avg_gpu_utilization_percent"),
                    "gpu_hours": value("results.gpu_hours"),
                },
            },
            "cell": one.cell,
            "repeat": one.repeat,
            "settings": dict(cell.labels),
            "state": one.state,
            "failure": one.failure,
            "why": one.why,
            "run": one.run,
            "record": one.record,
            "prefix_cache": one.prefix_cache,
        }

    def plot(self) -> str | None:
        """Throughput against what is swept, as an SVG file; None where nothing was measured."""
        values = {cell.name: self.repeats_of(cell).values(THROUGHPUT) for cell in self.cells}
        if not any(values.values()):
            return None
        said = "; ".join(
            f"{name}: {rounded(fmean(those))} documents an hour" for name, those in values.items() if those
        )
        draw = self._along_numbers if self._is_line() else self._bars
        height = 320.0 if self._is_line() else 80.0 + 26 * len(values)
        plot = Plot(self.sweep.name, f"Sweep {self.sweep.name}", "", "records of its cells")
        made = drawn(plot, lambda _: height, lambda sheet: draw(sheet, values), f"Mean throughput by cell: {said}")
        return standalone(made.wide) if made.wide else None

    def _is_line(self) -> bool:
        """Whether one setting is swept, and its labels are numbers."""
        labels = [list(cell.labels.values()) for cell in self.cells]
        return all(len(one) == 1 and type(one[0]) in (int, float) for one in labels)

    def _along_numbers(self, sheet: Sheet, values: dict[str, list[float]]) -> None:
        (axes,) = sheet.axes()
        places = {cell.name: float(next(iter(cell.labels.values()))) for cell in self.cells}
        means = sorted((places[name], fmean(those)) for name, those in values.items() if those)
        axes.plot([place for place, _ in means], [mean for _, mean in means], color=GREY, linewidth=1)
        for name, those in values.items():
            axes.plot([places[name]] * len(those), those, "o", color=ACCENT, markersize=6)
        axes.set_xlabel(next(iter(self.cells[0].labels)).replace("_", " "))
        axes.set_ylabel("documents an hour")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)

    def _bars(self, sheet: Sheet, values: dict[str, list[float]]) -> None:
        (axes,) = sheet.axes()
        name_rows(axes, list(values), sheet)
        for row, those in enumerate(values.values()):
            if those:
                axes.barh(row, fmean(those), height=0.62, color=ACCENT)
            else:
                _no_data(axes, row)
        axes.set_xlabel("documents an hour")
        axes.set_xlim(left=0)

    def write(self, folder: Path) -> list[Path]:
        """Write `benchmark_results_<time>.json` and the plot; which files these are.

        Raises:
            StoreError: one could not be written.
        """
        from hpc_qa.store.files import write_json_once, write_once

        stamp = f"{utc_now():%Y%m%d_%H%M%S}"
        rows = folder / f"benchmark_results_{stamp}.json"
        write_json_once(rows, self.export())
        drawing = self.plot()
        if drawing is None:
            return [rows]
        picture = folder / f"throughput_{stamp}.svg"
        write_once(picture, drawing.encode())
        return [rows, picture]


def _no_data(axes: "Axes", row: int) -> None:
    axes.text(0, row, f" {NO_DATA}", va="center", fontsize=11, color=GREY)
