"""Where sentences end, and what is none."""

import pytest

from hpc_qa.documents.blocks import Kind, parse_blocks
from hpc_qa.documents.sentences import sentence_spans


def sentences(text: str, kind: Kind = "paragraph") -> list[str]:
    return [text[start:end] for start, end in sentence_spans(kind, text, 0, len(text))]


@pytest.mark.parametrize(
    "parts",
    [
        ["The rule is in 42 CFR 431.10.", "The State must follow it."],
        ["See 42 C.F.R. 431.10(b) for details.", "It applies now."],
        ["Dr. Smith and Mrs. Jones met at 5 p.m. on Monday.", "They agreed."],
        ["Use a proxy, e.g. Squid, or a cache, i.e. memory.", "Both work."],
        ["The U.S. Government pays.", "Nobody in the U.S. pays twice."],
        ["It costs $4.50 a day.", "That is 3.2 % more."],
        ["See Fig. 3 and No. 5 of Sec. 2.", "The answer is no.", "The end."],
        ["1. Scope of this manual is given here.", "It is wide."],
        ["Section 4. Benefits are listed below.", "They are many."],
        ["Who pays?", "The plan does!", "Always."],
        ['He said "stop."', "Then he left."],
        ["It ends (here.)", "Next one begins."],
        ["**Note.**", "The State may ask."],
        ["Jan. 5 is a holiday.", "So is Dec. 25 of each year."],
        ["Filed by Acme Inc. in March.", "Filed by Acme Inc.", "The court agreed."],
        ["They sent the form.", "12 days later it came back."],
        ["規則はここです。", "次の文です。"],
        ["See Appendix B.", "The table lists all."],
        ["Smith et al. found this.", "J. R. Miller did not."],
    ],
)
def test_sentences_end_where_a_reader_ends_them(parts: list[str]) -> None:
    assert sentences(" ".join(parts)) == parts


def test_a_lost_space_between_two_sentences_does_not_glue_them() -> None:
    assert sentences("It holds the geometry.The package is new.") == ["It holds the geometry.", "The package is new."]
    assert sentences("Call os.Path or System.Object here.") == ["Call os.Path or System.Object here."]


def test_a_sentence_may_run_over_lines_but_not_over_a_hard_break() -> None:
    assert sentences("One sentence\nover lines. Next") == ["One sentence\nover lines.", "Next"]
    assert sentences("Street 1  \nCity 2") == ["Street 1", "City 2"]


def test_a_table_row_is_one_sentence_and_the_dashes_are_none() -> None:
    table = "| State | Limit |\n|---|---|\n| Ohio. The | 138 |\n| | |"
    assert sentences(table, "table") == ["| State | Limit |", "| Ohio. The | 138 |"]


def test_a_list_item_is_without_its_mark() -> None:
    assert sentences("12. Ask the agency\n    for a hearing.", "item") == ["Ask the agency\n    for a hearing."]


def test_headings_fences_and_rules_are_no_sentences() -> None:
    assert [sentences("# Some title", kind) for kind in ("heading", "fence", "rule")] == [[], [], []]


def test_lines_that_say_nothing_are_no_sentences() -> None:
    for text in ("***", "49", "1.2 Scope ........... 7", ".. _target:\n   https://x.org/", "Name ________ Date"):
        assert sentences(text) == []


def test_blocks_are_told_apart() -> None:
    text = (
        "# One #\n\nProse\nwith a line.\n- item\n  more\n- item 2\n\n| a |\n|---|\n| b |\n\n```\n# no heading\n```\n"
        "Two\n---\n\na | b\n--|--\n1 | 2\n\n***\n:Author: me\n:Date: now\n"
    )
    assert [(block.kind, block.level) for block in parse_blocks(text)] == [
        ("heading", 1), ("paragraph", 0), ("item", 0), ("item", 0), ("table", 0), ("fence", 0), ("heading", 2),
        ("table", 0), ("rule", 0), ("item", 0), ("item", 0),
    ]  # fmt: skip


def test_a_fence_that_is_never_closed_hides_nothing() -> None:
    kinds = [block.kind for block in parse_blocks("~~~~\n\n# Title\n\nProse.\n\n~~~~x\n")]
    assert kinds == ["rule", "heading", "paragraph", "paragraph"]


def test_a_wrapped_line_that_begins_with_a_number_is_no_item() -> None:
    assert [block.kind for block in parse_blocks("It happened in May\n12. nothing else did.")] == ["paragraph"]
