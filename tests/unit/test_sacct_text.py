"""Text of accounting to rows: whatever names hold, and whatever was cut off."""

from pathlib import Path

import pytest

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.sacct_text import read_rows

DATA = Path(__file__).resolve().parent.parent / "data" / "sacct"


def rows(text: str | bytes) -> list[tuple[dict[str, str], bool]]:
    return [(row.fields, row.readable) for row in read_rows(text.encode() if isinstance(text, str) else text)]


def names(text: str | bytes) -> list[str]:
    return [fields["JobName"] for fields, readable in rows(text) if readable]


def test_columns_are_found_by_name_in_any_order_and_unknown_ones_are_kept():
    found = rows("State|Novelty|JobID|Elapsed\nCOMPLETED|x|9_1|00:01:00\n")
    assert found == [({"State": "COMPLETED", "Novelty": "x", "JobID": "9_1", "Elapsed": "00:01:00"}, True)]


def test_a_name_with_bars_is_put_together_from_both_ends():
    assert names("JobID|JobName|State|ElapsedRaw\n8|odd|name, `q`|COMPLETED|0\n") == ["odd|name, `q`"]
    assert names("JobName|JobID|State|ElapsedRaw\na|b|8|COMPLETED|0\n") == ["a|b"]
    assert names("JobID|State|ElapsedRaw|JobName\n8|COMPLETED|0|a|b|\n") == ["a|b|"]


def test_with_two_columns_of_free_text_a_row_that_cannot_be_cut_stays_and_says_so():
    found = list(read_rows((DATA / "attempts.psv").read_bytes()))
    assert [(row.line, row.fields["JobIDRaw"]) for row in found if not row.readable] == [(9, "8")]
    assert len(found) == 28


def test_between_unit_separators_names_may_hold_anything():
    lines = [["JobID", "JobName", "Comment", "State", "Elapsed"], ["8", "odd|name", "a|b\nc", "FAILED", "00:01"]]
    ((fields, readable),) = rows("\n".join("\x1f".join(line) for line in lines) + "\n")
    assert readable
    assert (fields["JobName"], fields["Comment"], fields["State"]) == ("odd|name", "a|b\nc", "FAILED")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8|two\nlines|COMPLETED|0\n9|b|FAILED|1\n", ["two\nlines", "b"]),
        ("7|a|COMPLETED|0\n8|two\n\nlines|COMPLETED|0\n9|b|FAILED|1\n", ["a", "two\n\nlines", "b"]),
        ("7|a|COMPLETED|0\n8|12\n34|COMPLETED|0\n", ["a", "12\n34"]),
        ("7|a|COMPLETED|0\r\n\r\n9|b|FAILED|1\r\n", ["a", "b"]),
    ],
)
def test_a_line_with_too_few_fields_continues_the_one_before_it(text, expected):
    assert names("JobID|JobName|State|ElapsedRaw\n" + text) == expected


def test_where_the_name_stands_last_its_other_lines_follow_a_whole_row():
    assert names("JobID|State|ElapsedRaw|JobName\n8|COMPLETED|0|two\nlines\n9|FAILED|1|b\n") == ["two\nlines", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "a|7|COMPLETED|0\ntwo\nlines|8|FAILED|1\n",
        "a|7|COMPLETED|0\ntwo|x\nlines|8|FAILED|1\n",
        "a|7|COMPLETED|0\nx|9|COM\nlines|8|FAILED|1\n",
        "a|7|COMPLETED|0\ntwo\n\nmore\nlines|8|FAILED|1\n",
    ],
)
def test_a_name_of_several_lines_before_the_id_does_not_take_the_row_before_it_away(text):
    found = list(read_rows(f"JobName|JobID|State|ElapsedRaw\n{text}".encode()))
    assert [(row.fields.get("JobID"), row.fields.get("State")) for row in found if row.readable] == [
        ("7", "COMPLETED"), ("8", "FAILED"),
    ]  # fmt: skip
    (rest,) = [row for row in found if not row.readable]
    assert (rest.line, rest.text) == (3, "\n".join(text.split("\n")[1:-2]))


def test_a_name_whose_first_line_looks_like_a_row_is_still_put_together():
    assert names("JobID|JobName|State|ElapsedRaw\n8|o|d|d\nme|COMPLETED|0\n9|b|FAILED|1\n") == ["o|d|d\nme", "b"]


def test_fields_of_which_none_is_an_id_are_no_row():
    assert [readable for _, readable in rows("JobName|JobID|State|ElapsedRaw\na|b|c|d\nb|8|FAILED|1\n")] == [
        False,
        True,
    ]


def test_a_row_that_was_cut_off_does_not_take_the_next_one_with_it():
    found = rows("JobID|JobName|State|ElapsedRaw\n8|cut\n9|b|FAILED|1\n")
    assert [readable for _, readable in found] == [False, True]
    assert found[1][0]["JobID"] == "9"


def test_bytes_that_are_no_text_cost_one_character():
    assert names(b"JobID|JobName|State|ElapsedRaw\n8|a\xffb|COMPLETED|0\n") == ["a\ufffdb"]


def test_the_bar_at_the_end_that_sacct_prints_without_the_2_is_no_column():
    assert rows("JobID|State|Elapsed|\n9|FAILED|00:01|\n") == [
        ({"JobID": "9", "State": "FAILED", "Elapsed": "00:01"}, True)
    ]


@pytest.mark.parametrize(
    "text", ["", "JobID|State\n", "State|Elapsed\n", "sacct: error: slurmdbd: Connection refused\n", "\0\1\2", "{}"]
)
def test_text_that_is_no_accounting_is_refused_and_what_is_needed_is_said(text):
    with pytest.raises(SlurmError, match="needed are columns JobID or JobIDRaw, State, and Elapsed or ElapsedRaw"):
        read_rows(text.encode())


def test_a_column_that_stands_twice_is_refused():
    with pytest.raises(SlurmError, match="column State stands in the first line twice"):
        read_rows(b"JobID|State|State|Elapsed\n")


def test_a_hundred_thousand_lines_that_are_no_rows_are_one():
    ((_, readable),) = rows("JobID|State|Elapsed\n" + "nothing of the kind\n" * 100_000)
    assert not readable
