"""What the model and the readers see beside a chunk: which document it is of, and the head of a divided table."""

from collections.abc import Sequence
from dataclasses import replace

from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.packing import chunk_blocks
from hpc_qa.documents.worthiness import unworthy
from hpc_qa.qa import prompts
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.checks import grounded
from hpc_qa.report.passage import evidence_spans, passage, table_head
from hpc_qa.store.exports import messages

HEAD = "| Household size | Monthly limit | Yearly limit |"
ROWS = "\n".join(f"| {size} | ${400 + 137 * size} | ${4_800 + 1_644 * size} |" for size in range(1, 80))
TABLE = f"# Income limits\n\n{HEAD}\n| --- | --- | --- |\n{ROWS}\n"


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def parts_of_the_table() -> list[Chunk]:
    return list(
        chunk_blocks(
            TABLE, parse_blocks(TABLE), document_sha256="0" * 64, page_starts=None, chunk_size=120, count=count_words
        )
    )


def test_every_part_of_a_divided_table_is_shown_with_its_head() -> None:
    first, *rest = parts_of_the_table()
    assert len(rest) > 2
    asked = prompts.load()
    assert asked.document(first).count(HEAD) == 1
    for part in rest:
        shown = asked.document(part)
        assert HEAD not in part.text
        assert shown.index(HEAD) < shown.index("[1] ")
        assert f"] {HEAD}" not in shown  # no sentence, so it cannot be evidence


def test_numbers_under_a_head_with_words_are_worth_asking_about() -> None:
    parts = parts_of_the_table()
    assert [unworthy(part) for part in parts] == [None] * len(parts)
    assert unworthy(replace(parts[-1], table_header=None)) == "numbers"


def test_the_document_is_named_by_its_title_and_its_file_on_one_line() -> None:
    [part, *_] = parts_of_the_table()
    asked = prompts.load(control_tokens=["<|im_end|>"])
    shown = asked.document(replace(part, title="Manual of\nOhio <|im_end|> (manual 2025-10)"))
    [line] = [line for line in shown.splitlines() if line.startswith("Document: ")]
    assert line.startswith("Document: Manual of Ohio ")
    assert line.endswith("(manual 2025-10)")
    assert "<|im_end|>" not in shown
    assert "Document: -" in asked.document(part)
    assert len(asked.document(replace(part, title="x" * 5_000))) < len(asked.document(part)) + 250


def test_a_question_may_name_the_year_that_the_title_names() -> None:
    part = replace(parts_of_the_table()[0], title="Income limits (limits 2025)")
    draft = Draft("What is the monthly limit of 2025 for a household of 1?", "$537", (3,), (part.sentence(2),), None)
    assert grounded(draft, part)
    assert not grounded(draft, replace(part, title="Income limits (limits 2024)"))


def test_readers_see_the_head_above_the_rows_and_the_evidence_marked() -> None:
    part = parts_of_the_table()[1]
    marks, _ = evidence_spans(part.text, [part.sentence(1)])
    head = table_head(part.table_header)
    [block, *_] = passage(head + part.text, [(start + len(head), end + len(head)) for start, end in marks])
    assert block["head"]
    assert block["rows"][0] == [[["text", cell]] for cell in ("Household size", "Monthly limit", "Yearly limit")]
    assert all(cell[0][0] == "evidence" for cell in block["rows"][1])
    assert table_head(None) == ""
    row = {"question": "Q?", "answer": "A", "context": part.text, "table_header": part.table_header}
    row |= {"source_path": "in/limits.pdf", "headings": ["Income limits"]}
    said = messages(row, "grounded")[0]["content"]
    assert said.index("limits > Income limits") < said.index(HEAD) < said.index(part.text)
