"""What is known of each chunk before anybody decides which ones to ask about: the file screening.jsonl of the cache.

Facts alone: its kind, language and suspicious passages, and hashes by which equal chunks and equal paragraphs are found
across documents without their texts. Which of them leave a chunk out depends on the settings of a run and on the other
documents of its manifest; that is decided in `campaign.chunk_choice`.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpc_qa.config import Documents
from hpc_qa.documents.chunks import Chunk, Sentence
from hpc_qa.documents.languages import LANGUAGES, language_of
from hpc_qa.documents.suspicion import HIDDEN_CHARACTERS, HIDDEN_TEXT, flags_of, has_place, ordered
from hpc_qa.documents.worthiness import unworthy

SCREENING = "screening.jsonl"
LANGUAGE = "language"  # the reason for a chunk in another one
LOW_PAGE = "low_page"  # the reason for a chunk of a page whose lines did not stay together
LOW, RAW = "low", "raw"  # fidelity of pages: torn apart; raw text, without headings and tables
MAX_BYTES = 256_000_000
MIN_PARAGRAPH_WORDS = 8  # a shorter one repeats by chance

_PARAGRAPH = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph, list or table of a chunk that is long enough to be recognised elsewhere."""

    digest: str  # 16 hex digits of its words, as they stand
    start: int  # in the text of the chunk
    end: int


@dataclass(frozen=True, slots=True)
class Screened:
    """One chunk without its text."""

    kind: str | None  # why nothing should be asked about it, of `worthiness.KINDS`
    language: str | None  # None: it does not show
    flags: tuple[str, ...]  # of `suspicion.FLAGS`
    digest: str  # of its words with its innermost heading: equal chunks have equal ones
    chars: int
    paragraphs: tuple[tuple[str, int], ...]  # digest and characters
    page_fidelity: str | None = None  # of the worst of its pages, low or raw; None: nothing is wrong with them

    def reason(self, settings: Documents, language: str | None) -> str | None:
        """Why the chunk is left out for what it is by itself, None when it is not; `language` is the one asked for."""
        if self.kind is not None and self.kind in settings.skip:
            return self.kind
        foreign = language is not None and self.language not in (None, language)
        if foreign and language in LANGUAGES and LANGUAGE in settings.skip:
            return LANGUAGE
        return LOW_PAGE if self.page_fidelity == LOW and settings.low_pages == "skip" else None


def screen(chunk: Chunk, hidden_characters: Sequence[str] = (), hidden_text: Sequence[str] = ()) -> Screened:
    """Look at one chunk, with the places of its document where invisible characters and hidden text were found."""
    flags = [*flags_of(chunk.text)]
    flags += [HIDDEN_CHARACTERS] if has_place(chunk.text, hidden_characters) else []
    flags += [HIDDEN_TEXT] if has_place(chunk.text, hidden_text) else []
    heading = chunk.headings[-1] if chunk.headings else ""
    return Screened(
        kind=unworthy(chunk),
        language=language_of(chunk.text),
        flags=tuple(ordered(flags)),
        digest=_digest(f"{heading}\0{chunk.table_header or ''}\0{chunk.text}"),
        chars=len(chunk.text),
        paragraphs=tuple((one.digest, one.end - one.start) for one in paragraphs(chunk.text)),
    )


def paragraphs(text: str) -> Iterator[Paragraph]:
    """The paragraphs of a text that are long enough, headings left out."""
    for match in _PARAGRAPH.finditer(text):
        block = match.group()
        if not block.startswith("#") and len(block.split()) >= MIN_PARAGRAPH_WORDS:
            yield Paragraph(_digest(block), match.start(), match.end())


def without_paragraphs(chunk: Chunk, digests: Collection[str]) -> Chunk:
    """The chunk without the sentences of these paragraphs; its text stays as it is, what is left is numbered anew."""
    spans = [(one.start, one.end) for one in paragraphs(chunk.text) if one.digest in digests]
    if not spans:
        return chunk
    left = (s for s in chunk.sentences if not any(start <= s.start and s.end <= end for start, end in spans))
    sentences = tuple(Sentence(number, s.start, s.end) for number, s in enumerate(left, start=1))
    return replace(chunk, sentences=sentences)


def _digest(text: str) -> str:
    words = " ".join(text.split())
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def to_json(screened: Screened) -> str:
    """One line of screening.jsonl."""
    fields: dict[str, Any] = {
        "kind": screened.kind,
        "language": screened.language,
        "flags": screened.flags,
        "digest": screened.digest,
        "chars": screened.chars,
        "paragraphs": screened.paragraphs,
    }
    if screened.page_fidelity is not None:
        fields["page_fidelity"] = screened.page_fidelity
    return json.dumps(fields)


def from_json(line: str) -> Screened:
    """The chunk that `to_json` wrote.

    Raises:
        ValueError: the line is not one of ours.
    """
    fields = json.loads(line)
    try:
        return Screened(
            kind=fields["kind"],
            language=fields["language"],
            flags=tuple(fields["flags"]),
            digest=fields["digest"],
            chars=fields["chars"],
            paragraphs=tuple((digest, chars) for digest, chars in fields["paragraphs"]),
            page_fidelity=fields.get("page_fidelity"),
        )
    except (KeyError, TypeError) as exc:
        raise ValueError(f"not what a chunk was screened for: {exc}") from exc


def read(path: Path) -> list[Screened]:
    """All chunks of a document.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("larger than any screening.jsonl")
    return [from_json(line) for line in data.decode().splitlines()]
