"""What `convert` shows: documents on stdout; on stderr what the cache spared, pages that are pictures, and stages."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from hpc_qa.cli.options import print_json, print_table, say
from hpc_qa.documents.convert import Conversion
from hpc_qa.documents.next_steps import advice
from hpc_qa.documents.stage_record import StageRecord
from hpc_qa.manifest import Entry
from hpc_qa.store.revocation import REASON
from hpc_qa.units import plural

COLUMNS = (
    "doc_id", "status", "reason", "pages", "scanned_pages", "low_pages", "tokens", "chunks", "word_coverage",
    "structure", "repaired", "cached",
)  # fmt: skip
KEYS = (
    "doc_id", "status", "reason", "pages", "tokens", "chunks", "word_coverage", "markdown_path", "cached",
    "scanned_pages", "ocr_pages", "language", "unworthy", "suspicious", "removed_characters", "hidden_words",
    "structure", "low_pages", "raw_pages", "repaired", "undecodable",
)  # fmt: skip


def show_conversions(results: Sequence[Conversion], record: StageRecord, *, as_json: bool) -> None:
    """The documents, and what is to be said of all of them."""
    rows = [conversion_row(result) for result in results]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, {column: column for column in COLUMNS})
        for result in results:
            if result.detail:
                say(f"{result.doc_id}: {result.reason or 'note'}: {result.detail}", err=True)
        for line in advice(result.reason for result in results):
            say(f"  try: {line}", err=True)
    asked = [result for result in results if result.status != "skipped"]
    for line in (
        *_cache_line(asked),
        *_scan_lines(asked),
        *_fidelity_line(asked),
        *_chunk_lines(asked),
        *record.describe(),
    ):
        say(line, err=True)
    if record.path is not None:
        say(f"stages by size class and document: {record.path}", err=True)


def revoked_conversion(entry: Entry) -> Conversion:
    """A document that is not converted, because its content was revoked."""
    return Conversion(
        entry.doc_id, "skipped", REASON, detail="", pages=None, tokens=None, chunks=None, word_coverage=None,
        structure=None, low_pages=None, raw_pages=None, repaired=None, undecodable=None,
        markdown_path=None, cached=False, seconds=0.0, size_bytes=entry.bytes, scanned_pages=0, ocr_pages=0,
        language=None, unworthy={}, suspicious={}, removed_characters=0, hidden_words=0,
    )  # fmt: skip


def conversion_row(result: Conversion) -> dict[str, Any]:
    """One document, as `convert --json` lists it."""
    known = {each.name: getattr(result, each.name) for each in fields(Conversion)}
    known["markdown_path"] = str(result.markdown_path) if result.markdown_path else None
    return {key: known[key] for key in KEYS}


def _cache_line(results: Sequence[Conversion]) -> Iterator[str]:
    if results:
        there = sum(result.cached for result in results)
        yield (
            f"cache: {there:,} of {plural(len(results), 'document')} were there, hit rate "
            f"{100 * there / len(results):.1f} %"
        )


def _fidelity_line(results: Sequence[Conversion]) -> Iterator[str]:
    """What the gate found, over all documents."""
    counts = {
        "documents without structure": sum(result.structure is False for result in results),
        "pages whose lines did not stay together": sum(result.low_pages or 0 for result in results),
        "pages of raw text": sum(result.raw_pages or 0 for result in results),
        "documents repaired": sum(bool(result.repaired) for result in results),
        "places that could not be decoded": sum(result.undecodable or 0 for result in results),
    }
    if any(counts.values()):
        yield "fidelity: " + ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _chunk_lines(results: Sequence[Conversion]) -> Iterator[str]:
    """Chunks that nothing should be asked about, and text that speaks to the model."""
    unworthy = _sum(result.unworthy for result in results)
    if unworthy:
        chunks = sum(result.chunks or 0 for result in results)
        yield f"chunks: {unworthy.total():,} of {chunks:,} are not worth asking about: {_counted(unworthy)}"
    suspicious = _sum(result.suspicious for result in results)
    hidden = sum(result.hidden_words for result in results)
    documents = sum(bool(result.suspicious or result.hidden_words) for result in results)
    if documents:
        found = [*([f"chunks with {_counted(suspicious)}"] if suspicious else []),
                 *([f"{hidden:,} words that no reader sees, left out"] if hidden else [])]  # fmt: skip
        yield f"suspicious: {plural(documents, 'document')}: {'; '.join(found)}"


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def _scan_lines(results: Sequence[Conversion]) -> Iterator[str]:
    """Pages that are pictures, and what to do about those that were not read."""
    scanned = sum(result.scanned_pages for result in results)
    if not scanned:
        return
    pages = sum(result.pages or 0 for result in results)
    documents = sum(bool(result.scanned_pages) for result in results)
    read = sum(result.ocr_pages for result in results)
    yield (
        f"pages: {scanned:,} of {pages:,} are pictures, in {plural(documents, 'document')}; {read:,} of "
        "them read by OCR"
    )
    if not read:
        yield (
            "  try: documents.ocr: auto, with tesseract installed (hpc-qa doctor looks for it), to read them; only "
            "documents with such pages are converted again"
        )
