"""What the batches used of the budget, and what all of them come to.

A document that several runs worked on counts once, its GPU-hours as often as they were used. Runs on this machine are
shown and never charged. Records that were imported count with what they say, as the ledger does not know their runs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpc_qa.bench.record import Record
from hpc_qa.ledger import documents
from hpc_qa.report.document.markdown import number, percent, table, words
from hpc_qa.report.document.material import LOCAL, Material, batches_of
from hpc_qa.units import plural

LOCAL_ROW, SWEEPS, UNNAMED, OTHER = "Local Test", "Sweeps", "Not named", "Other jobs"


@dataclass(slots=True)
class Documents:
    """Documents that were worked on: those that the ledger knows by their content, and a count of others."""

    known: dict[str, dict[str, Any]] = field(default_factory=dict)  # newest row by the SHA-256 of the file
    pdfs: int = 0
    pairs: int = 0
    ok: float | None = 0.0  # of `pdfs`; None: of some it is not known

    def add(self, other: "Documents") -> None:
        self.known |= other.known
        self.pdfs += other.pdfs
        self.pairs += other.pairs
        self.ok = None if self.ok is None or other.ok is None else self.ok + other.ok

    @property
    def total(self) -> int:
        return len(self.known) + self.pdfs

    @property
    def total_pairs(self) -> int:
        return sum(row["pairs"] or 0 for row in self.known.values()) + self.pairs

    @property
    def success_rate(self) -> float | None:
        """Share of all of them that ended ok; None where some records do not say."""
        if not self.total or self.ok is None:
            return None
        ok = sum(1.0 for row in self.known.values() if row["state"] == "ok")
        return (ok + self.ok) / self.total


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One line of the table of usage."""

    name: str
    documents: Documents
    gpu_hours: float | None  # charged; of this machine allocated. None: of one of its runs it is not known
    cumulative: float  # of what is charged and known, with all lines before
    remaining: float | None


def usage_rows(material: Material) -> list[UsageRow]:
    """A line for each batch, in their order; other jobs of accounting last."""
    by_run = _documents_of_runs(material)
    rows: list[UsageRow] = []
    cumulative = 0.0
    limit = material.budget_gpu_hours
    for name, records in _groups(material):
        hours = [_gpu_hours(record, material) for record in records]
        if name != LOCAL_ROW:
            cumulative += sum(spent for spent in hours if spent is not None)
        found = Documents()
        for record in records:
            found.add(_documents_of(record, material, by_run))
        remaining = None if limit is None else limit - cumulative
        rows.append(UsageRow(name, found, None if None in hours else sum(filter(None, hours)), cumulative, remaining))
    ours = {run.run_id for run in material.runs.values()}
    charged = material.budget.usage.charged_by_run
    others = material.budget.usage.charged.gpu_hours - sum(spent for run, spent in charged.items() if run in ours)
    if others > 1e-9:
        cumulative += others
        rows.append(UsageRow(OTHER, Documents(), others, cumulative, None if limit is None else limit - cumulative))
    return rows


def _groups(material: Material) -> Iterable[tuple[str, Sequence[Record]]]:
    local = [record for record in material.records if record.environment == LOCAL]
    others = [record for record in material.records if record.environment != LOCAL]
    single = [record for record in others if record.sweep is None]
    groups = [(LOCAL_ROW, local)]
    groups += [(name, [record for record in single if record.batch == name]) for name in batches_of(single)]
    groups += [(UNNAMED, [record for record in single if not record.batch])]
    groups += [(SWEEPS, [record for record in others if record.sweep is not None])]
    return [(name, records) for name, records in groups if records]


def _gpu_hours(record: Record, material: Material) -> float | None:
    run = material.runs.get(record.id)
    charged = material.budget.usage.charged_by_run
    return charged[run.run_id] if run and run.run_id in charged else record.results.gpu_hours


def differences(material: Material) -> dict[str, str]:
    """Why GPU-hours of the records are not all in `budget`: a sentence for each kind of record, under its name."""
    said = {}
    unknown = sum(_gpu_hours(record, material) is None for record in material.records)
    if unknown:
        said["not known"] = f"GPU-hours of {plural(unknown, 'record')} are not known: the sums are without them"
    here = [record for record in material.records if record.environment == LOCAL]
    if hours := _known(_gpu_hours(record, material) for record in here):
        said["local"] = f"{number(hours)} GPU-hours on this machine: recorded, and never charged"
    charged = material.budget.usage.charged_by_run
    by_hand = [one for one in material.records if one.environment != LOCAL and _run_id(one, material) not in charged]
    if hours := _known(record.results.gpu_hours for record in by_hand):
        said["by hand"] = (
            f"{number(hours)} GPU-hours of records whose runs the ledger does not know: used by the benchmark "
            "document's tables, not by hpc-qa budget"
        )
    return said


def _known(hours: Iterable[float | None]) -> float:
    return sum(one for one in hours if one is not None)


def _run_id(record: Record, material: Material) -> str | None:
    run = material.runs.get(record.id)
    return run.run_id if run else None


def _documents_of_runs(material: Material) -> dict[str, dict[str, dict[str, Any]]]:
    runs = [run.run_id for run in material.runs.values()]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in documents.of_runs(material.project, runs).table.to_pylist() if runs else ():
        if row["state"] in ("ok", "failed"):
            found.setdefault(row["run_id"], {})[row["doc_sha256"] or row["doc_id"]] = row
    return found


def _documents_of(record: Record, material: Material, by_run: dict[str, dict[str, dict[str, Any]]]) -> Documents:
    run = material.runs.get(record.id)
    if run is not None and run.run_id in by_run:
        return Documents(by_run[run.run_id])
    pdfs = record.dataset.pdfs_processed or 0
    rate = record.results.error_rate
    ok = pdfs * (1 - rate) if rate is not None else None if pdfs else 0.0
    return Documents({}, pdfs, record.results.qa_pairs_generated or 0, ok)


def together(rows: Iterable[UsageRow]) -> Documents:
    """The documents of all lines, each once."""
    found = Documents()
    for row in rows:
        found.add(row.documents)
    return found


def usage_table(material: Material) -> str:
    """Usage per batch, with cumulative and remaining GPU-hours."""
    rows = usage_rows(material)
    lines = [
        [
            words(row.name) + (" (not charged)" if row.name == LOCAL_ROW else ""),
            number(row.documents.total), number(row.gpu_hours), number(row.cumulative), _left(row.remaining),
        ]
        for row in rows
    ]  # fmt: skip
    used = rows[-1].cumulative if rows else 0.0
    limit = material.budget_gpu_hours
    left = _left(None if limit is None else limit - used)
    at_least = _at_least(rows)
    total = [number(together(rows).total), f"{at_least}{number(used)}", f"{at_least}{number(used)}", left]
    lines.append(["**Total**", *(f"**{cell}**" for cell in total)])
    headings = ["Batch", "PDFs", "GPU-Hours Used", "Cumulative GPU-Hours", "Remaining Budget"]
    return table(headings, lines) + _said(differences(material).values())


def cumulative(material: Material) -> str:
    """Cumulative totals of all batches."""
    rows = usage_rows(material)
    found = together(rows)
    used = rows[-1].cumulative if rows else 0.0
    limit, total = material.budget_gpu_hours, material.documents_total
    totals = table(
        ["Metric", "Value"],
        [
            ["Total PDFs Processed", f"{number(found.total)} / {number(total)}"],
            ["Total QA Pairs", number(found.total_pairs)],
            ["Total GPU-Hours Used", f"{_at_least(rows)}{number(used)} / {_left(limit)}"],
            ["GPU Hour Budget Remaining", _left(None if limit is None else limit - used)],
            ["Overall Success Rate", f"{percent(found.success_rate)} of the PDFs processed ended ok"],
        ],
    )
    return totals + _said(differences(material).values())


def _at_least(rows: Iterable[UsageRow]) -> str:
    """In front of a sum of which a part is not known."""
    return "at least " if any(row.gpu_hours is None and row.name != LOCAL_ROW for row in rows) else ""


def _said(sentences: Iterable[str]) -> str:
    """A list below a table; nothing where there is nothing to say."""
    lines = "".join(f"- {sentence}\n" for sentence in sentences)
    return f"\n{lines}" if lines else ""


def _left(hours: float | None) -> str:
    return "no budget is set" if hours is None else number(hours)
