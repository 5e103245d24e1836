"""Configuration comparisons: the cells of sweeps, by what they vary, and which of them is best.

Optimal is the least GPU-hours per accepted pair among the cells with a quality within 5 % of the best; where no GPU
was held, the least time. Cells of the same settings are repeats: their means are shown.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpc_qa.bench.record import Record
from hpc_qa.report.document.markdown import chapter, number, table, to_be_filled, words
from hpc_qa.report.document.material import Material
from hpc_qa.report.document.remarks import NOTHING, Remarks, key_of

CONCURRENCY, CHUNK_SIZE = "concurrency_limit", "chunk_size"
NOTES = {
    CONCURRENCY: {10: "baseline", 20: "default", 50: "aggressive", 100: "max"},
    CHUNK_SIZE: {1000: "small", 1500: "default", 2000: "large", 3000: "very large"},
}
NEAR_BEST = 0.05  # of the best quality
TIE = 0.02  # of the least cost: less than what runs differ by
NO_SETTING = ("prompts_sha256",)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The repeats of one combination of settings."""

    settings: tuple[tuple[str, object], ...]
    records: tuple[Record, ...]

    def mean(self, key: str) -> float | None:
        """Mean over the repeats of which it is known."""
        known = [value for record in self.records if (value := record.value(key)) is not None]
        return sum(known) / len(known) if known else None

    @property
    def name(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.settings)

    @property
    def cost(self) -> tuple[float | None, str]:
        """What an accepted pair took, and in what; of all pairs where it is not known which were accepted."""
        which = "results.qa_pairs_accepted" if self.mean("results.qa_pairs_accepted") else "results.qa_pairs_generated"
        pairs, said = self.mean(which), "accepted pair" if which.endswith("accepted") else "pair"
        hours, minutes = self.mean("results.gpu_hours"), self.mean("results.total_time_minutes")
        whole, unit = (hours, "GPU-hours") if hours else (minutes, "minutes")
        return (whole / pairs if whole is not None and pairs else None), f"{unit} for each {said}"


def sweeps(material: Material, remarks: Remarks) -> str:
    """A table for each sweep; the two that every campaign makes are named also while they are missing."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in material.records:
        if record.sweep is not None:
            found[record.sweep].append(record)
    varied = {name: varied_settings(records) for name, records in found.items()}
    parts = []
    for setting, title in ((CONCURRENCY, "Concurrency Limit Impact"), (CHUNK_SIZE, "Chunk Size Impact")):
        if not any(settings == [setting] for settings in varied.values()):
            values = ", ".join(str(value) for value in NOTES[setting])
            parts.append(chapter(f"Experiment: {title}", to_be_filled(f"a sweep over {setting} ({values})"), level=4))
    for name, records in sorted(found.items()):
        place = remarks.place(key_of("sweep", name), NOTHING)
        parts.append(chapter(f"Experiment: {words(name)}", _experiment(records, varied[name]), place, level=4))
    return chapter("Configuration Comparisons", *parts, level=3)


def varied_settings(records: Sequence[Record]) -> list[str]:
    """The settings of which the cells have more than one value; `model` where they differ in it."""
    names = {name for record in records for name in record.configuration.model_dump()} - set(NO_SETTING)
    found = [name for name in sorted(names) if len({str(_setting(record, name)) for record in records}) > 1]
    return [*(["model"] if len({record.model.name for record in records}) > 1 else []), *found]


def _setting(record: Record, name: str) -> object:
    return record.model.name if name == "model" else record.configuration.model_dump().get(name)


def cells_of(records: Sequence[Record], settings: Sequence[str]) -> list[Cell]:
    """The cells, in the order of their settings."""
    cells: dict[tuple[tuple[str, object], ...], list[Record]] = defaultdict(list)
    for record in records:
        cells[tuple((name, _setting(record, name)) for name in settings)].append(record)
    numbers_first = sorted(
        cells,
        key=lambda key: [
            (not isinstance(v, int | float), v if isinstance(v, int | float) else 0, str(v)) for _, v in key
        ],
    )
    return [Cell(key, tuple(cells[key])) for key in numbers_first]


def _experiment(records: Sequence[Record], settings: Sequence[str]) -> str:
    cells = cells_of(records, settings)
    headings = [name.replace("_", " ").capitalize() for name in settings] or ["Setting"]
    columns = ["Time/PDF (min)", "GPU Util (%)", "QA Pairs/PDF", "Quality", "Cost", "Runs", "Notes"]
    rows = [
        [
            *([words(value) for _, value in cell.settings] or ["as configured"]),
            number(cell.mean("results.avg_time_per_pdf_minutes")),
            number(cell.mean("results.avg_gpu_utilization_percent")),
            number(cell.mean("results.qa_pairs_per_pdf")),
            number(cell.mean("quality.quality_score"), digits=3),
            number(*cell.cost),
            number(len(cell.records)),
            "; ".join(NOTES.get(name, {}).get(value, "") for name, value in cell.settings if isinstance(value, int)),
        ]
        for cell in cells
    ]  # fmt: skip
    return table([*headings, *columns], rows) + "\n" + "".join(f"{line}\n" for line in optimal(cells))


def optimal(cells: Sequence[Cell]) -> Iterator[str]:
    """The optimal setting with the reason, in words; why none can be named."""
    if len({cell.cost[1] for cell in cells if cell.cost[0] is not None}) > 1:
        yield "**Optimal Setting**: undecided, what a pair took is not known in the same unit of all cells."
        return
    scores = {cell: score for cell in cells if (score := cell.mean("quality.quality_score")) is not None}
    costs = {cell: cost for cell in cells if (cost := cell.cost[0]) is not None}
    best = max(scores.values(), default=None)
    good = {
        cell: cost for cell, cost in costs.items() if best is None or scores.get(cell, 0.0) >= best * (1 - NEAR_BEST)
    }
    if len(cells) < 2 or not good:
        yield "**Optimal Setting**: undecided, of no two cells it is known what a pair took."
        return
    first = min(good, key=lambda cell: good[cell])
    near = f"within {100 * NEAR_BEST:.0f} % of the best ({number(best, digits=3)})" if best else "not known"
    least = f"{number(*first.cost)}, the least of cells with a quality that is {near}: {len(good)}"
    yield f"**Optimal Setting**: {words(first.name)}: {least}."
    ties = [cell.name for cell in good if cell is not first and good[cell] <= good[first] * (1 + TIE)]
    if ties:
        yield f"A tie, within {100 * TIE:.0f} %: {words('; '.join(ties))}."
    left_out = [cell.name for cell in costs if cell not in good]
    if left_out:
        yield f"Not considered, as quality is lower or not known: {words('; '.join(left_out))}."
