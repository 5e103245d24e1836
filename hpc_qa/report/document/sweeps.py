"""Configuration comparisons: the cells of sweeps, by what they vary, and which of them is best.

Optimal is the least GPU-hours per accepted pair among the cells with a quality within 5 % of the best; where no GPU
was held, the least time. Cells of the same settings are repeats: their means are shown, and what failed is listed.
What is noise, no winner is made of (`bench/ranking.py`).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from hpc_qa.bench.ranking import LEVEL, NEAR_BEST, TIE, Cell, Lead, Ranking, rank
from hpc_qa.bench.record import Record
from hpc_qa.report.document.markdown import chapter, number, table, to_be_filled, words
from hpc_qa.report.document.material import Material
from hpc_qa.report.document.remarks import NOTHING, Remarks, key_of

CONCURRENCY, CHUNK_SIZE = "concurrency_limit", "chunk_size"
NOTES = {
    CONCURRENCY: {10: "baseline", 20: "default", 50: "aggressive", 100: "max"},
    CHUNK_SIZE: {1000: "small", 1500: "default", 2000: "large", 3000: "very large"},
}
NO_SETTING = ("prompts_sha256",)


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
    found = [name for name in sorted(names) if len(set(_known(records, name))) > 1]
    return [*(["model"] if len({record.model.name for record in records}) > 1 else []), *found]


def _known(records: Sequence[Record], name: str) -> Iterator[str]:
    """The values of a setting; the record of a cell that never ran has no more settings than the swept ones."""
    for record in records:
        value = _setting(record, name)
        if value is not None or record.failure is None:
            yield str(value)


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
    columns = ["Time/PDF (min)", "GPU Util (%)", "QA Pairs/PDF", "Quality", "Cost", "Runs", "Failed", "Notes"]
    rows = [
        [
            *([words(value) for _, value in cell.settings] or ["as configured"]),
            number(cell.mean("results.avg_time_per_pdf_minutes")),
            number(cell.mean("results.avg_gpu_utilization_percent")),
            number(cell.mean("results.qa_pairs_per_pdf")),
            number(cell.mean("quality.quality_score"), digits=3),
            number(*cell.cost),
            number(len(cell.measured)),
            number(len(cell.failures)) if cell.failures else "",
            "; ".join(NOTES.get(name, {}).get(value, "") for name, value in cell.settings if isinstance(value, int)),
        ]
        for cell in cells
    ]  # fmt: skip
    failed = "".join(f"- failed: {words(cell.name)}: {words(why)}\n" for cell in cells for why in cell.failures)
    said = "".join(f"{line}\n" for line in optimal(cells))
    return table([*headings, *columns], rows) + "\n" + said + (f"\n{failed}" if failed else "")


def optimal(cells: Sequence[Cell]) -> Iterator[str]:
    """The optimal setting with the reason, in words; why none can be named."""
    found = rank(cells)
    if found.first is None:
        yield f"**Optimal Setting**: undecided, {words(found.why_not)}."
    elif found.winner is not None:
        yield from _won(found, found.winner)
    else:
        yield from _not_shown(found, found.first)
    for lead in found.others:
        if lead.is_shown and lead.more <= TIE:
            yield f"A tie, within {100 * TIE:.0f} %: {words(lead.cell.name)}."
    if found.left_out:
        names = words("; ".join(cell.name for cell in found.left_out))
        yield f"Not considered, as quality is lower or not known: {names}."
    reasons: dict[str, list[str]] = defaultdict(list)
    for cell, why in found.unranked:
        reasons[why].append(cell.name)
    for why, those in reasons.items():
        yield f"Not ranked, with {words(why)}: {words('; '.join(those))}."


def _won(found: Ranking, first: Cell) -> Iterator[str]:
    among = f"{1 + len(found.others)}, of cells with a quality {_near(found)}"
    yield f"**Optimal Setting**: {words(first.name)}: {number(*first.cost)}, the least of {among}."
    if found.others:
        yield f"The next, {_lead(found.others[0])}."


def _not_shown(found: Ranking, first: Cell) -> Iterator[str]:
    """No winner: the interval of a difference reaches over none, or the quality of the cheapest is in doubt."""
    alike = found.alike
    if alike:
        names = words("; ".join([first.name, *(one.cell.name for one in alike)]))
        yield f"**Optimal Setting**: no difference shown between {names}: what runs differ by is more."
        yield f"The least is {words(first.name)} with {number(*first.cost)}. {'; '.join(map(_lead, alike))}."
        needed = max(one.runs_needed for one in alike)
        yield f"Runs of each cell that would show differences of this size, at most: {needed:,}."
        if dearer := [one for one in found.others if one.is_shown]:
            yield f"These take less than {'; '.join(map(_lead, dearer))}."
    else:
        yield f"**Optimal Setting**: undecided, {words(first.name)} is the cheapest with {number(*first.cost)}."
    if found.doubtful:
        low = "; ".join(
            f"{words(cell.name)} ({number(cell.mean('quality.quality_score'), digits=3)})" for cell in found.doubtful
        )
        yield f"Quality {_near(found)} is not shown, and less is not shown either: {low}."


def _lead(one: Lead) -> str:
    between = f"{100 * one.low:+.1f} to {100 * one.high:+.1f} %"
    return f"{words(one.cell.name)}, takes {100 * one.more:.1f} % more ({100 * LEVEL:.0f} % interval {between})"


def _near(found: Ranking) -> str:
    if found.best_quality is None:
        return "that is not known"
    return f"within {100 * NEAR_BEST:.0f} % of the best ({number(found.best_quality, digits=3)})"
