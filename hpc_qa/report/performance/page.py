"""The benchmark records as one HTML file: newest figures, plots, tables. No script, no network, no other file."""

from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

import hpc_qa
from hpc_qa.bench.record import Record
from hpc_qa.bench.targets import against
from hpc_qa.report.cells import identifier, number, text, visible
from hpc_qa.report.document.goals import KEY_METRICS
from hpc_qa.report.document.material import Material
from hpc_qa.report.document.usage import differences, together, usage_rows
from hpc_qa.report.page import Figure
from hpc_qa.report.performance.files import charts
from hpc_qa.report.replaced import replace_file
from hpc_qa.report.tables import MOST_ROWS, Table

TEMPLATE = "performance.html.j2"


def write_page(path: Path, material: Material) -> None:
    """Write the page, whole or not at all; a page that is there is replaced.

    Raises:
        StoreError: it cannot be written there.
    """
    replace_file(path, page(material).encode(), "page")


def page(material: Material) -> str:
    """The page as text: the same for the same material."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hpc_qa", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(TEMPLATE).render(
        title=f"Runs on record: {len(material.records):,}" if material.records else "No run is recorded yet",
        summary=list(_summary(material)),
        figures=list(_figures(material)),
        plots=[chart.plot() for chart in charts(material)],
        tables=[_records(material), _targets(material)],
        notes=[visible(note) for note in material.notes],
        made_on=material.today.isoformat(),
        records=len(material.records),
        version=hpc_qa.__version__,
    )


def _summary(material: Material) -> Iterator[Markup]:
    if not material.records:
        yield text("hpc-qa bench record RUN makes one of a run, bench import FILE reads one that was written by hand.")
        return
    done, total = together(usage_rows(material)), material.documents_total
    of = Markup(" of {}").format(number(total)) if total else ""
    said = Markup("Documents that were worked on: {}{}; pairs that they gave: {}.")
    yield said.format(number(done.total), of, number(done.total_pairs))
    limit, used = material.budget_gpu_hours, material.budget.usage.charged.gpu_hours
    if limit is not None:
        said = Markup("{} of {} GPU-hours are used; the forecast says: {}.")
        yield said.format(number(used), number(limit), material.budget.status)
    for sentence in differences(material).values():
        yield text(f"{sentence}.")


def _figures(material: Material) -> Iterator[Figure]:
    """The key metrics of the newest run."""
    if material.single:
        newest = material.single[-1]
        for name, unit, _, key in KEY_METRICS:
            yield Figure(name, number(newest.value(key)), text(f"{unit}; of the newest run"))


def _records(material: Material) -> Table:
    """The newest records, the latest first."""
    rows = [
        (
            identifier(one.id), text(one.batch or one.sweep or ""), text(one.model.name),
            number(one.dataset.pdfs_processed), number(one.results.avg_time_per_pdf_minutes),
            number(one.results.qa_pairs_per_pdf), number(one.quality.quality_score, digits=3),
            number(one.results.gpu_hours), number(None if one.issues is None else len(one.issues)),
        )
        for one in reversed(material.records[-MOST_ROWS:])
    ]  # fmt: skip
    headings = ("record", "batch", "model", "PDFs", "minutes a PDF", "pairs a PDF", "quality", "GPU-hours", "issues")
    more = len(material.records) - len(rows)
    about = f"The latest {len(rows):,}; hpc-qa report --json has the {more:,} before them." if more > 0 else ""
    return Table("records", "Records", headings, rows, "No run is recorded yet.", about, frozenset({0, 1, 2}))


def _targets(material: Material) -> Table:
    """The newest run against the targets."""
    newest: list[Record] = material.single[-1:]
    rows = [
        (text(one.metric.replace("_", " ")), number(one.value), text(one.verdict), text(one.target))
        for one in against(newest, material.targets)
    ]
    title = f"Targets of the profile {visible(material.profile)}"
    about = f"Of the newest run, {visible(newest[0].id)}." if newest else ""
    return Table("targets", title, ("metric", "value", "verdict", "asked"), rows, "No run is recorded yet.", about,
                 frozenset({0, 2, 3}))  # fmt: skip
