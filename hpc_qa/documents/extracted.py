"""What a reader of one format hands on: Markdown, where its pages begin, and what is known about the reading."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Extracted:
    """One document as Markdown, before it is cut."""

    markdown: str
    engine: str  # which reader made the Markdown
    page_starts: list[int] | None = None  # offset of each page; None where the format has no pages
    word_coverage: float | None = None  # share of the words of the page text that the converter kept; None: unknown
    low_pages: list[int] | None = None  # pages, from 1, whose lines did not stay together
    raw_pages: list[int] | None = None  # pages that lost words, and have their raw text in place of Markdown
    scanned_pages: list[int] | None = None  # pages that are pictures, with hardly any text
    ocr_pages: list[int] | None = None  # those of them whose text was recognised
    note: str = ""  # what people should know of the reading
    structure: bool = True  # false: no headings and tables could be told apart
    repaired: bool = False
    title: str | None = None
    encoding: str | None = None  # of text files
    truncated: bool = False  # the file ends in the middle, so that something may be missing
    undecodable: int = 0  # places of a text file that are not in its encoding
    removed_characters: int = 0  # invisible and control characters
    suspicious_unicode: bool = False  # among them some that hide or reorder text
    hidden_places: list[str] = field(default_factory=list)  # where those stood, see `suspicion.place_of`
    hidden_words: int = 0  # that a reader of the page would not see
    hidden_text_places: list[str] = field(default_factory=list)  # beside them, see `suspicion.places_beside`
