"""Convert one document, all of it: bytes in, the files of its cache folder out.

This runs in a child with limits (`sandbox`), because the bytes come from strangers. What can go wrong with a document
ends in facts.json with a reason; what goes wrong with the machine ends the child.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc_qa.documents import chunks as chunk_json
from hpc_qa.documents import facts as facts_json
from hpc_qa.documents.blocks import Block, parse_blocks
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.facts import Facts
from hpc_qa.documents.fidelity import count_words, words
from hpc_qa.documents.html import read_html
from hpc_qa.documents.packing import chunk_blocks
from hpc_qa.documents.pdf import read_pdf
from hpc_qa.documents.pieces import CountTokens
from hpc_qa.documents.text import read_markdown, read_text
from hpc_qa.errors import DocumentError

FACTS, MARKDOWN, PAGES, CHUNKS = "facts.json", "document.md", "pages.json", "chunks.jsonl"
MAX_DETAIL = 500
MAX_TITLE = 300
CUT_OFF = "the file is cut off: pages may be missing; compare it with where it came from"
KINDS = {
    "application/pdf": "pdf",
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


@dataclass(frozen=True, slots=True)
class Job:
    """One document to convert: where its bytes lie, and where the files go."""

    source: Path
    out: Path
    sha256: str
    media_type: str


def convert_document(job: Job, settings: Settings, count: CountTokens) -> None:
    """Write facts.json last, beside the other files when the conversion went well."""
    began = time.monotonic()
    data = job.source.read_bytes()
    try:
        facts = _converted(data, job, settings, count, began)
    except DocumentError as exc:
        facts = failed(job.sha256, job.media_type, len(data), exc.reason, exc.detail, settings)
    (job.out / FACTS).write_text(facts_json.to_json(facts), encoding="ascii")


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


def _converted(data: bytes, job: Job, settings: Settings, count: CountTokens, began: float) -> Facts:
    found = _extract(data, job.media_type, settings)
    if not any(character.isalnum() for character in found.markdown):
        raise DocumentError("empty", "no text in it")
    read_cpu_s = time.process_time()
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
    sentences = _write(job.out, found, chunks)
    chunking_cpu_s = time.process_time() - read_cpu_s
    return Facts(
        status="ok",
        sha256=job.sha256,
        media_type=job.media_type,
        size_bytes=len(data),
        detail=CUT_OFF if found.truncated else "",
        engine=found.engine,
        versions=settings.versions,
        title=(_title(found, blocks) or "")[:MAX_TITLE] or None,
        pages=None if found.page_starts is None else len(found.page_starts),
        words=count_words(found.markdown),
        chars=len(found.markdown),
        tokens=chunks.tokens,
        chunks=len(chunks),
        sentences=sentences,
        tables=Counter(block.kind for block in blocks)["table"],
        word_coverage=found.word_coverage,
        low_pages=found.low_pages or [],
        scanned_pages=found.scanned_pages or [],
        structure=found.structure,
        repaired=found.repaired,
        truncated=found.truncated,
        undecodable=found.undecodable,
        encoding=found.encoding,
        removed_characters=found.removed_characters,
        suspicious_unicode=found.suspicious_unicode,
        seconds=round(time.monotonic() - began, 3),
        chunking_cpu_s=round(chunking_cpu_s, 4),
        limits=settings.limits,
    )


def _extract(data: bytes, media_type: str, settings: Settings) -> Extracted:
    if media_type == "application/pdf":
        return read_pdf(data, max_pages=settings.max_pages, min_word_coverage=settings.min_word_coverage)
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


def _write(out: Path, found: Extracted, chunks: Iterable[Chunk]) -> int:
    """Write text, chunks and pages; gives the number of sentences."""
    sentences = 0
    # newline="": offsets count characters of the file as it is.
    with (out / MARKDOWN).open("x", encoding="utf-8", newline="") as stream:
        stream.write(found.markdown)
    with (out / CHUNKS).open("x", encoding="utf-8", newline="") as stream:
        for chunk in chunks:
            stream.write(chunk_json.to_json(chunk) + "\n")
            sentences += len(chunk.sentences)
    pages = None if found.page_starts is None else [
        {"page": number, "char_start": start} for number, start in enumerate(found.page_starts, start=1)
    ]  # fmt: skip
    (out / PAGES).write_text(json.dumps({"pages": pages}) + "\n", encoding="ascii")
    return sentences
