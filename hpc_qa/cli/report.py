"""report: everything for people, on a terminal, as the benchmark document, as a page and as plots."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpc_qa.cli.options import common, print_json, print_table, say
from hpc_qa.errors import ExitCode
from hpc_qa.units import number, plural

if TYPE_CHECKING:
    from hpc_qa.report.document.material import Material

MOST_RECORDS = 8  # of which a line is shown
COLUMNS = {
    "id": "record", "environment": "where", "batch": "batch", "pdfs": "PDFs", "minutes": "minutes/PDF",
    "pairs": "pairs/PDF",
    "quality": "quality score", "gpu_hours": "GPU-hours", "issues": "issues", "verdict": "targets",
}  # fmt: skip


@click.command()
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Fill the benchmark document there.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write one page with plots there.")
@click.option(
    "--plots", type=click.Path(file_okay=False, path_type=Path), help="Also write each plot into that folder."
)
@common
def report(markdown: Path | None, html: Path | None, plots: Path | None, *, project: Path, as_json: bool) -> int:
    """Everything that is known of the runs, in short; --markdown fills the benchmark document, section by section.

    The document is made of all records and the ledger. What people wrote between the marks of its places stays, byte
    for byte; one whose marks are damaged is left as it is (2).

    Example: hpc-qa report --markdown BENCHMARKS.md
    """
    from hpc_qa.config_file import load_project
    from hpc_qa.report.document.document import fill
    from hpc_qa.report.document.material import material

    found = material(project, load_project(project))
    if markdown:
        fill(markdown, found)
        say(f"{'document':<11}{markdown}", err=True)
    if html:
        from hpc_qa.report.performance.page import write_page

        write_page(html, found)
        say(f"{'page':<11}{html}", err=True)
    if plots:
        from hpc_qa.report.performance.files import write_plots

        for path in write_plots(plots, found):
            say(f"{'plot':<11}{path}", err=True)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
    for note in found.notes:
        say(f"note: {note}", err=True)
    return ExitCode.DONE


def _as_json(found: "Material") -> dict[str, Any]:
    from hpc_qa.bench.targets import against

    return {
        "records": [record.model_dump() for record in found.records],
        "profile": found.profile,
        "targets": [one.to_json() for one in against(found.measured, found.targets, found.profile)],
        "batches": list(_batches(found)),
        "budget": found.budget.to_json(),
        "notes": list(found.notes),
    }


def _batches(found: "Material") -> Iterator[dict[str, Any]]:
    """Each batch of the document, its newest record, and how many it has."""
    from hpc_qa.report.document.batches import expected_of

    for expected in expected_of(found):
        records = found.of_batch(expected.batch)
        yield {"batch": expected.batch, "record": records[-1].id if records else None, "records": len(records)}


def _verdict(said: list[str]) -> str:
    """How many targets are met, missed, critical."""
    return ", ".join(f"{said.count(word)} {word}" for word in ("met", "missed", "critical", "no data") if word in said)


def _print(found: "Material") -> None:
    from hpc_qa.bench.targets import against

    shown = found.records[-MOST_RECORDS:]
    rows = [
        {
            "id": record.id, "environment": record.environment, "batch": record.batch or record.sweep,
            "pdfs": record.dataset.pdfs_processed,
            "minutes": record.results.avg_time_per_pdf_minutes, "pairs": record.results.qa_pairs_per_pdf,
            "quality": record.quality.quality_score, "gpu_hours": record.results.gpu_hours,
            "issues": None if record.issues is None else len(record.issues),
            "verdict": f"failed, {record.failure}" if record.failure else _verdict(
                [one.verdict for one in against([record], found.targets)]
            ),
        }
        for record in shown
    ]  # fmt: skip
    if rows:
        print_table(rows, COLUMNS)
        if (more := len(found.records) - len(shown)) > 0:
            say(f"and {plural(more, 'record')} before them; --json has all")
        say("")
    else:
        say("no run is recorded yet: hpc-qa submit CONFIG, then hpc-qa bench record latest")
    for line in _lines(found):
        say(line)


def _lines(found: "Material") -> Iterator[str]:
    """The state of the campaign, one line each."""
    from hpc_qa.report.document.usage import differences, together, usage_rows

    empty = [batch["batch"] for batch in _batches(found) if not batch["records"]]
    if empty:
        yield f"{'to be done':<11}{', '.join(empty)}"
    done, total = together(usage_rows(found)), found.documents_total
    if done.total:
        of = f" of {total:,}" if total else ""
        rate = done.success_rate
        ok = (
            "" if rate is None else f", {100 * rate:.1f} % of these ended ok{', the others failed' if rate < 1 else ''}"
        )
        yield f"{'documents':<11}{done.total:,}{of}{ok}; {plural(done.total_pairs, 'pair')}"
    limit, left = found.budget_gpu_hours, found.budget.left
    if limit is not None and left is not None:
        used = number(found.budget.usage.charged.gpu_hours)
        yield f"{'budget':<11}{used} of {number(limit)} GPU-hours used, {number(left)} left; {found.budget.status}"
    for name, sentence in differences(found).items():
        yield f"{name:<11}{sentence}"
