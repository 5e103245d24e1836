"""Convert one document, all of it: bytes in, the files of its cache folder out.

This runs in a child with limits (`sandbox`), because the bytes come from strangers. What can go wrong with a document
ends in facts.json with a reason; what goes wrong with the machine ends the child.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpc_qa.documents import chunks as chunk_json
from hpc_qa.documents import facts as facts_json
from hpc_qa.documents import screening
from hpc_qa.documents.blocks import Block, parse_blocks
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.converters import SiteConverter, read_with
from hpc_qa.documents.docx import read_docx
from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.facts import Facts
from hpc_qa.documents.fidelity import count_words, coverage, words
from hpc_qa.documents.html import read_html
from hpc_qa.documents.languages import dominant
from hpc_qa.documents.ocr import Ocr
from hpc_qa.documents.packing import chunk_blocks
from hpc_qa.documents.pdf import read_pdf, shown_pdf
from hpc_qa.documents.pieces import CountTokens
from hpc_qa.documents.reissues import sketch
from hpc_qa.documents.suspicion import MAX_PLACES
from hpc_qa.documents.text import read_markdown, read_text
from hpc_qa.documents.usage import Meter
from hpc_qa.errors import DocumentError
from hpc_qa.manifest.entry import DOCX

FACTS, MARKDOWN, PAGES, CHUNKS = "facts.json", "document.md", "pages.json", "chunks.jsonl"
USAGES = "usages.json"  # what each stage took; beside the bytes of the document, not in the cache
MAX_DETAIL = 500
MAX_TITLE = 300
CUT_OFF = "the file is cut off: pages may be missing; compare it with where it came from"
KINDS = {
    "application/pdf": "pdf",
    DOCX: "docx",
    "text/html": "html",
    "text/markdown": "markdown",
    "text/plain": "text",
    "text/x-rst": "text",
}
FIRST_PAGE = 2_000  # characters


@dataclass(frozen=True, slots=True)
class Settings:
    """What the conversion of every document of a run depends on."""

    chunk_size: int
    max_pages: int
    min_word_coverage: float
    versions: dict[str, str]
    limits: dict[str, float]
    ocr: Ocr | None = None  # None: pages that are pictures are only counted
    converters: dict[str, SiteConverter] = field(default_factory=dict)  # of the site, by media type


def settings_from(fields: Mapping[str, Any]) -> Settings:
    """The settings that `dataclasses.asdict` took apart."""
    ocr, converters = fields["ocr"], fields["converters"]
    of_site = {media_type: SiteConverter(**each) for media_type, each in converters.items()}
    return Settings(**{**fields, "ocr": ocr and Ocr(**ocr), "converters": of_site})


@dataclass(frozen=True, slots=True)
class Job:
    """One document to convert: where its bytes lie, and where the files go."""

    source: Path
    out: Path
    sha256: str
    media_type: str


def convert_document(job: Job, settings: Settings, count: CountTokens) -> None:
    """Write facts.json last, beside the other files when the conversion went well."""
    began, meter = time.monotonic(), Meter()
    with meter.stage("raw_input"):
        data = job.source.read_bytes()
    try:
        facts = _converted(data, job, settings, count, began, meter)
    except DocumentError as exc:
        facts = failed(job.sha256, job.media_type, len(data), exc.reason, exc.detail, settings)
        facts = replace(facts, pages=exc.pages, scanned_pages=list(exc.scanned_pages))
    (job.out / FACTS).write_text(facts_json.to_json(facts), encoding="ascii")
    meter.write(job.source.with_name(USAGES))


def failed(sha256: str, media_type: str, size_bytes: int, reason: str, detail: str, settings: Settings) -> Facts:
    """The facts of a document that could not be converted."""
    return Facts(
        status="failed",
        sha256=sha256,
        media_type=media_type,
        size_bytes=size_bytes,
        reason=reason,
        detail=detail[:MAX_DETAIL],
        versions=settings.versions,
        limits=settings.limits,
    )


def _converted(data: bytes, job: Job, settings: Settings, count: CountTokens, began: float, meter: Meter) -> Facts:
    with meter.stage("conversion"):
        found = _extract(data, job.media_type, settings)
    if not any(character.isalnum() for character in found.markdown):
        raise DocumentError("empty", "no text in it")
    with meter.stage("preprocessing"):
        blocks = parse_blocks(found.markdown)
        chunks = chunk_blocks(
            found.markdown,
            blocks,
            document_sha256=job.sha256,
            page_starts=found.page_starts,
            chunk_size=settings.chunk_size,
            count=count,
        )
        if not chunks:
            raise DocumentError("empty", "nothing but headings in it")
        if not chunks.tokens:
            raise DocumentError("empty", "the tokenizer of the served model knows none of its characters")
        seen = _write(job.out, found, chunks)
    return Facts(
        status="ok",
        sha256=job.sha256,
        media_type=job.media_type,
        size_bytes=len(data),
        detail="; ".join(filter(None, (CUT_OFF if found.truncated else "", found.note))),
        engine=found.engine,
        versions=settings.versions,
        title=(_title(found, blocks) or "")[:MAX_TITLE] or None,
        pages=None if found.page_starts is None else len(found.page_starts),
        words=count_words(found.markdown),
        chars=len(found.markdown),
        tokens=chunks.tokens,
        chunks=len(chunks),
        sentences=seen.sentences,
        tables=Counter(block.kind for block in blocks)["table"],
        word_coverage=found.word_coverage,
        low_pages=found.low_pages or [],
        raw_pages=found.raw_pages or [],
        scanned_pages=found.scanned_pages or [],
        ocr_pages=found.ocr_pages or [],
        structure=found.structure,
        repaired=found.repaired,
        truncated=found.truncated,
        undecodable=found.undecodable,
        encoding=found.encoding,
        removed_characters=found.removed_characters,
        suspicious_unicode=found.suspicious_unicode,
        hidden_words=found.hidden_words,
        language=dominant(seen.languages.items()),
        suspicious=dict(sorted(seen.flags.items())),
        unworthy=dict(sorted(seen.kinds.items())),
        page_fidelity=dict(sorted(seen.page_fidelity.items())),
        sketch=sketch(found.markdown),
        files=seen.files,
        seconds=round(time.monotonic() - began, 3),
        limits=settings.limits,
    )


def kind_of(media_type: str) -> str:
    """The short name of what a document is read as, which is part of the name of its folder.

    >>> kind_of("text/x-rst"), kind_of("application/epub+zip")
    ('text', 'application-epub-zip')
    """
    return KINDS.get(media_type) or re.sub(r"[^a-z0-9]+", "-", media_type.lower())[:60]


def _extract(data: bytes, media_type: str, settings: Settings) -> Extracted:
    site = settings.converters.get(media_type)
    if site is None:
        return _read(data, media_type, settings)
    shown = shown_pdf(data, settings.max_pages) if media_type == "application/pdf" else None
    found = read_with(site, shown.data if shown else data)
    if shown is None:
        return found
    found.hidden_words += shown.hidden.words
    found.hidden_text_places += shown.hidden.places[:MAX_PLACES]
    found.word_coverage = round(coverage(shown.bodies, found.markdown), 4)
    if found.word_coverage >= settings.min_word_coverage:
        return found
    lost = f"{site.name} kept {found.word_coverage:.2f} of the words: converted without it"
    ours = _read(data, media_type, settings)
    return replace(ours, note="; ".join(filter(None, (lost, ours.note))))


def _read(data: bytes, media_type: str, settings: Settings) -> Extracted:
    if media_type == "application/pdf":
        return read_pdf(
            data, max_pages=settings.max_pages, min_word_coverage=settings.min_word_coverage, ocr=settings.ocr
        )
    if media_type == DOCX:
        return read_docx(data, min_word_coverage=settings.min_word_coverage)
    if media_type == "text/html":
        return read_html(data, min_word_coverage=settings.min_word_coverage)
    if media_type == "text/markdown":
        return read_markdown(data)
    if media_type in ("text/plain", "text/x-rst"):
        return read_text(data)
    raise DocumentError("unsupported", f"{media_type} cannot be converted; {', '.join(KINDS)} can")


def _title(found: Extracted, blocks: Sequence[Block]) -> str | None:
    """The title of the file's properties where its first page says it too (it may be a template's), else a heading."""
    if (
        found.title
        and words(found.title)
        and " ".join(words(found.title)) in " ".join(words(found.markdown[:FIRST_PAGE]))
    ):
        return found.title
    headings = [block for block in blocks[:50] if block.kind == "heading" and block.title]
    top = min((block.level for block in headings), default=0)
    is_file_name = found.title is not None and re.search(r"\.\w{2,5}$", found.title) is not None
    return next((block.title for block in headings if block.level == top), None if is_file_name else found.title)


@dataclass(slots=True)
class _Seen:
    """Counts over the chunks of a document, as they are written."""

    sentences: int = 0
    languages: Counter[str | None] = field(default_factory=Counter)  # tokens
    flags: Counter[str] = field(default_factory=Counter)  # chunks
    kinds: Counter[str] = field(default_factory=Counter)  # chunks
    page_fidelity: Counter[str] = field(default_factory=Counter)  # chunks
    files: dict[str, int] = field(default_factory=dict)  # bytes, by name


def _page_fidelity(chunk: Chunk, found: Extracted) -> str | None:
    pages = set(chunk.pages or ())
    if not pages.isdisjoint(found.low_pages or ()):
        return screening.LOW
    is_raw = not found.structure or not pages.isdisjoint(found.raw_pages or ())
    return screening.RAW if is_raw else None


def _write(out: Path, found: Extracted, chunks: Iterable[Chunk]) -> _Seen:
    """Write text, chunks, what is known of each chunk, and pages."""
    seen = _Seen()
    # newline="": offsets count characters of the file as it is.
    with (out / MARKDOWN).open("x", encoding="utf-8", newline="") as stream:
        stream.write(found.markdown)
    with (
        (out / CHUNKS).open("x", encoding="utf-8", newline="") as stream,
        (out / screening.SCREENING).open("x", encoding="ascii") as screened,
    ):
        for chunk in chunks:
            stream.write(chunk_json.to_json(chunk) + "\n")
            known = screening.screen(chunk, found.hidden_places, found.hidden_text_places)
            known = replace(known, page_fidelity=_page_fidelity(chunk, found))
            screened.write(screening.to_json(known) + "\n")
            seen.sentences += len(chunk.sentences)
            seen.languages[known.language] += chunk.tokens
            seen.flags.update(known.flags)
            if known.kind is not None:
                seen.kinds[known.kind] += 1
            if known.page_fidelity is not None:
                seen.page_fidelity[known.page_fidelity] += 1
    read_by_ocr = {number: {"ocr": True} for number in found.ocr_pages or ()}
    pages = None if found.page_starts is None else [
        {"page": number, "char_start": start} | read_by_ocr.get(number, {})
        for number, start in enumerate(found.page_starts, start=1)
    ]  # fmt: skip
    (out / PAGES).write_text(json.dumps({"pages": pages}) + "\n", encoding="ascii")
    seen.files = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    return seen
