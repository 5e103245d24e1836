"""What a chunk and its numbered sentences are, and their JSON.

A chunk is a verbatim slice of the document's Markdown, a sentence a verbatim slice of its chunk; where the slices
come from is in `packing`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, list item or table row; offsets count characters from the start of the chunk's text."""

    number: int  # from 1, in the order of the text
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """Another section of the document that begins inside a chunk."""

    start: int  # of its first heading; characters from the start of the chunk's text
    headings: tuple[str, ...]  # in force from there on, outermost first


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document that is asked about at once."""

    chunk_id: str  # hash of the document, the place and the text
    index: int  # from 0
    text: str
    headings: tuple[str, ...]  # the headings above the first sentence, outermost first
    pages: tuple[int, ...] | None  # from 1; None where the format has no pages
    char_start: int  # in document.md
    char_end: int
    tokens: int
    sentences: tuple[Sentence, ...]
    table_header: str | None = None  # of the table that the chunk begins in the middle of; not part of the text
    sections: tuple[Section, ...] = ()  # that begin behind its first sentence, in the order of the text
    title: str | None = None  # of its document, and its file name; set where it is asked about, not kept with it

    @property
    def around(self) -> tuple[str, ...]:
        """What the model is shown beside the text: title, headings and the head of a table that began before."""
        return tuple(part for part in (self.title, *self.headings, self.table_header) if part)

    def headings_at(self, offset: int) -> tuple[str, ...]:
        """The headings in force at a character of the text, outermost first."""
        begun = [section for section in self.sections if section.start <= offset]
        return begun[-1].headings if begun else self.headings

    def headings_of(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """The headings above the first of these sentences; numbers that no sentence has do not count.

        Without any sentence they are those of the chunk.
        """
        starts = [self.sentences[number - 1].start for number in numbers if 1 <= number <= len(self.sentences)]
        return self.headings_at(min(starts, default=0))

    def sentence(self, number: int) -> str:
        """The text of a sentence, verbatim.

        Raises:
            IndexError: there is no sentence of that number.
        """
        if not 1 <= number <= len(self.sentences):
            raise IndexError(f"sentence {number} of {len(self.sentences)}")
        found = self.sentences[number - 1]
        return self.text[found.start : found.end]


def to_json(chunk: Chunk) -> str:
    """One line of chunks.jsonl."""
    fields: dict[str, Any] = {
        "chunk_id": chunk.chunk_id,
        "index": chunk.index,
        "headings": chunk.headings,
        "pages": chunk.pages,
        "char_start": chunk.char_start,
        "char_end": chunk.char_end,
        "tokens": chunk.tokens,
        "sentences": [(sentence.start, sentence.end) for sentence in chunk.sentences],
        "text": chunk.text,
    }
    if chunk.table_header is not None:
        fields["table_header"] = chunk.table_header
    if chunk.sections:
        fields["sections"] = [(section.start, section.headings) for section in chunk.sections]
    return json.dumps(fields, ensure_ascii=False)


def from_json(line: str) -> Chunk:
    """The chunk that `to_json` wrote.

    Raises:
        ValueError: the line is not one of ours.
    """
    fields = json.loads(line)
    try:
        return Chunk(
            chunk_id=fields["chunk_id"],
            index=fields["index"],
            text=fields["text"],
            headings=tuple(fields["headings"]),
            pages=None if fields["pages"] is None else tuple(fields["pages"]),
            char_start=fields["char_start"],
            char_end=fields["char_end"],
            tokens=fields["tokens"],
            sentences=tuple(
                Sentence(number, start, end) for number, (start, end) in enumerate(fields["sentences"], start=1)
            ),
            table_header=fields.get("table_header"),
            sections=tuple(Section(start, tuple(headings)) for start, headings in fields.get("sections", ())),
        )
    except (KeyError, TypeError) as exc:
        raise ValueError(f"not a chunk: {exc}") from exc
