"""How chunks are packed, checked with a count of one token a word."""

import re
from collections.abc import Sequence

import pytest

from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.chunks import Chunk, from_json, to_json
from hpc_qa.documents.packing import chunk_blocks


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


def chunked(text: str, size: int, page_starts: list[int] | None = None) -> list[Chunk]:
    packed = chunk_blocks(
        text, parse_blocks(text), document_sha256="0" * 64, page_starts=page_starts, chunk_size=size, count=count_words
    )
    return list(packed)


PROSE = "One two three four five six seven eight nine. "


def test_headings_stand_beside_the_text_as_a_path() -> None:
    chunks = chunked(f"# A\n\n## B\n\n{PROSE * 6}\n\n## C\n\n{PROSE * 6}\n\n# D\n\n{PROSE}", 70)
    assert [chunk.headings for chunk in chunks] == [("A", "B"), ("A", "C"), ("D",)]
    assert chunks[1].text.startswith("## C")


def test_no_chunk_ends_in_a_bare_heading() -> None:
    text = "\n\n".join(f"# H{index}\n\n{PROSE * (index % 4)}" for index in range(40)) + "\n\n# Last"
    for chunk in chunked(text, 40):
        assert not chunk.text.splitlines()[-1].startswith("#")


def test_a_table_that_fits_is_not_divided() -> None:
    table = "| a | b |\n|---|---|\n" + "| x | y |\n" * 8
    chunks = chunked(f"{PROSE * 5}\n\n{table}\n{PROSE * 5}", 90)
    assert sum(table.strip() in chunk.text for chunk in chunks) == 1


def test_the_rows_of_a_divided_table_keep_its_header_beside_them() -> None:
    table = "| name | limit |\n|---|---|\n" + "".join(f"| n{index} | {index} |\n" for index in range(60))
    chunks = chunked(table, 60)
    assert [chunk.table_header for chunk in chunks] == [None] + ["| name | limit |"] * (len(chunks) - 1)
    assert len(chunks) > 3
    rows = [chunk.sentence(s.number) for chunk in chunks for s in chunk.sentences]
    assert rows == [line for line in table.splitlines() if "---" not in line]


def test_a_first_row_that_does_not_fit_beside_its_header_is_whole_and_keeps_it() -> None:
    row = "| n0 | " + " ".join(["word"] * 50) + " |"
    chunks = chunked(f"| name | {' '.join(['limit'] * 10)} |\n|---|---|\n{row}\n| n1 | 1 |\n", 60)
    [whole] = [chunk for chunk in chunks if row in chunk.text]
    assert (whole.table_header or "").startswith("| name | limit")


def test_the_parts_of_a_row_that_is_too_long_by_itself_keep_its_header() -> None:
    row = "| n0 | " + " ".join(["word"] * 200) + " |"
    first, *parts = chunked(f"| name | limit |\n|---|---|\n{row}\n| n1 | 1 |\n", 60)
    assert first.text.startswith("| name | limit |\n|---|---|")
    assert len(parts) >= 3
    assert {part.table_header for part in parts} == {"| name | limit |"}


def test_a_long_paragraph_is_divided_between_sentences() -> None:
    for chunk in chunked(PROSE * 30, 40):
        assert chunk.text.startswith("One")
        assert chunk.text.endswith("nine.")


def test_pages_of_a_chunk_are_those_it_lies_on() -> None:
    pages = [PROSE * 2, PROSE * 2, PROSE * 2]
    text = "\n\n".join(pages)
    starts = [0, len(pages[0]) + 2, len(pages[0]) + len(pages[1]) + 4]
    assert [chunk.pages for chunk in chunked(text, 20, starts)] == [(1,), (2,), (3,)]
    assert chunked(text, 1_000, starts)[0].pages == (1, 2, 3)
    assert chunked(text, 1_000)[0].pages is None


def test_a_chunk_survives_its_line() -> None:
    for chunk in chunked(f"# A\n\n{PROSE * 9}\n\n| é | 漢 |\n|---|---|\n| 1 | 2 |", 30, [0]):
        line = to_json(chunk)
        assert "\n" not in line
        assert from_json(line) == chunk


def test_a_sentence_is_asked_for_by_its_number() -> None:
    chunk = chunked("First one here. Second one here.", 50)[0]
    assert (chunk.sentence(1), chunk.sentence(2)) == ("First one here.", "Second one here.")
    for number in (0, 3, -1):
        with pytest.raises(IndexError):
            chunk.sentence(number)


def test_a_line_that_is_no_chunk_is_refused() -> None:
    for line in ("{}", "[]", "nothing"):
        with pytest.raises(ValueError, match=r"not a chunk|Expecting value"):
            from_json(line)
