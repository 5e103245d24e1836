"""A chunk of several sections: the model sees each heading at its place, and a pair carries those of its evidence."""

from collections.abc import Sequence

from hpc_qa.config import Qa
from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.chunks import Chunk, Section, from_json, to_json
from hpc_qa.documents.packing import chunk_blocks
from hpc_qa.documents.screening import paragraphs, without_paragraphs
from hpc_qa.qa import prompts
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.checks import check

MANUAL = """\
# Manual

## Fees

The fee is 25 dollars a month.

## Appeals

### Dates

A member may appeal within 30 days.

The agency must answer within ten days of the day on which it had the appeal.

# Annex

The form has two pages.
"""
FEES, DATES, ANNEX = ("Manual", "Fees"), ("Manual", "Appeals", "Dates"), ("Annex",)


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def whole(text: str) -> Chunk:
    [chunk] = chunk_blocks(
        text, parse_blocks(text), document_sha256="0" * 64, page_starts=None, chunk_size=1_000, count=count_words
    )
    return chunk


def test_a_chunk_says_where_each_of_its_sections_begins() -> None:
    chunk = whole(MANUAL)
    assert chunk.headings == FEES
    assert chunk.sections == (
        Section(chunk.text.index("## Appeals"), DATES),
        Section(chunk.text.index("# Annex"), ANNEX),
    )
    assert [chunk.headings_of([number]) for number in (1, 2, 3, 4)] == [FEES, DATES, DATES, ANNEX]


def test_a_pair_has_the_headings_of_the_first_sentence_of_its_evidence() -> None:
    chunk = whole(MANUAL)
    assert chunk.headings_of([4, 2]) == DATES
    assert chunk.headings_of([9, 0]) == chunk.headings_of([]) == FEES


def test_a_rule_in_front_of_the_first_heading_has_no_headings_of_its_own() -> None:
    assert whole("# Old\n\n***\n\n## New\n\nThe fee is 25 dollars.").headings == ("Old", "New")


def test_sections_survive_the_line_of_their_chunk_and_a_line_without_them_is_read() -> None:
    chunk = whole(MANUAL)
    assert from_json(to_json(chunk)) == chunk
    assert '"sections"' not in to_json(whole("# One\n\nThe fee is 25 dollars."))


def test_the_model_sees_every_heading_at_its_place_in_words_that_the_chunk_has() -> None:
    document = prompts.load().document(whole(MANUAL))
    lines = [line for line in document.splitlines() if "document" not in line]
    assert lines == [
        "Document: -",
        "Section: Manual > Fees",
        "[1] The fee is 25 dollars a month.",
        "## Appeals",
        "### Dates",
        "[2] A member may appeal within 30 days.",
        "[3] The agency must answer within ten days of the day on which it had the appeal.",
        "# Annex",
        "[4] The form has two pages.",
    ]


def test_without_its_boilerplate_a_chunk_still_has_its_sections() -> None:
    chunk = whole(MANUAL)
    [long] = [one.digest for one in paragraphs(chunk.text)]
    left = without_paragraphs(chunk, {long})
    assert [left.headings_of([number]) for number in (1, 2, 3)] == [FEES, DATES, ANNEX]


def test_a_question_may_take_its_words_from_the_headings_above_its_evidence_and_from_no_others() -> None:
    chunk = whole("# Fees\n\nThe rate is 25 dollars.\n\n# Nursing homes\n\nThe limit is 30 days.")
    draft = Draft("Which limit do nursing homes have?", "30 days.", (2,), (chunk.sentence(2),), "numeric")
    assert check(draft, chunk, Qa())["fits_evidence"]
    elsewhere = Draft("Which rate do nursing homes have?", "25 dollars.", (1,), (chunk.sentence(1),), "numeric")
    assert not check(elsewhere, chunk, Qa())["fits_evidence"]
