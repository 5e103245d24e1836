"""Each row and each column of a table of a page or a Word document reads alone."""

import io

import docx
import pytest

from hpc_qa.documents.docx import read_docx
from hpc_qa.documents.html import read_html
from hpc_qa.documents.spans import MAX_CELLS, readable_tables


def rows(table: str) -> list[str]:
    markdown = read_html(f"<p>Before.</p><table>{table}</table>".encode(), min_word_coverage=0.9).markdown
    return [line for line in markdown.splitlines() if line.startswith("|") and "---" not in line]


def test_a_cell_over_several_rows_stands_in_each() -> None:
    body = "<tr><th>State<th>Year<th>Fee<tr><td rowspan=2>Ohio<td>2023<td>5<tr><td>2024<td>6<tr><td>Iowa<td>2024<td>7"
    assert rows(body) == ["| State | Year | Fee |", "| Ohio | 2023 | 5 |", "| Ohio | 2024 | 6 |", "| Iowa | 2024 | 7 |"]


def test_a_cell_over_several_columns_stands_in_each() -> None:
    body = "<tr><th>A</th><th>B</th><th>C</th></tr><tr><td>1</td><td colspan='2'>none</td></tr>"
    assert rows(body) == ["| A | B | C |", "| 1 | none | none |"]


@pytest.mark.parametrize(
    "head",
    [
        "<thead><tr><th rowspan=2>Size<th colspan=2>Limit<tr><th>2023<th>2024</thead><tbody>",
        "<tr><th rowspan=2>Size</th><th colspan=2>Limit</th></tr><tr><th>2023</th><th>2024</th></tr>",
        "<tr><td rowspan=2>Size</td><td colspan=2>Limit</td></tr><tr><td>2023</td><td>2024</td></tr>",
    ],
)
def test_a_head_of_two_rows_becomes_one(head: str) -> None:
    assert rows(f"{head}<tr><td>1<td>10<td>20") == ["| Size | Limit / 2023 | Limit / 2024 |", "| 1 | 10 | 20 |"]


def test_rows_of_heads_without_names_over_several_columns_stay_rows() -> None:
    assert rows("<tr><th>A<th>B<tr><th>c<th>d") == ["| A | B |", "| c | d |"]


def test_a_cell_ends_with_its_part_of_the_table() -> None:
    body = "<thead><tr><th>A<th>B</thead><tbody><tr><td rowspan=9>x<td>1</tbody><tbody><tr><td>y<td>2</tbody>"
    assert rows(body) == ["| A | B |", "| x | 1 |", "| y | 2 |"]


def test_a_cell_of_no_number_of_rows_reaches_to_the_end() -> None:
    assert rows("<tr><th>A<th>B<tr><td rowspan=0>x<td>1<tr><td>2") == ["| A | B |", "| x | 1 |", "| x | 2 |"]


def test_a_table_that_would_grow_without_bound_stays_as_it_is() -> None:
    wide = f"<table><tr><td colspan={MAX_CELLS - 1}>a</td><td colspan=2>b</td></tr></table>"
    long = f"<table><tr><td colspan=900>{'a' * 10_000}</td></tr></table>"
    assert (readable_tables(wide), readable_tables(long)) == (wide, long)


def test_a_table_without_such_cells_and_one_around_another_stay_as_they_are() -> None:
    plain = "<table><caption>C</caption><tr><th>a</th></tr><tr><td>b</td></tr></table>"
    assert readable_tables(plain) == plain
    inner = "<table><tr><td colspan=2>x</td></tr></table>"
    outer = "<table><tr><td colspan=2>{}</td></tr></table>"
    assert readable_tables(outer.format(inner)) == outer.format("<table><tr><td>x</td><td>x</td></tr></table>")


def test_merged_cells_of_a_word_table_stand_in_each_row_and_column() -> None:
    document = docx.Document()
    table = document.add_table(rows=4, cols=3)
    texts = (("Size", "Limit", ""), ("", "2023", "2024"), ("1", "10", "20"), ("", "30", "40"))
    for row, line in zip(table.rows, texts, strict=True):
        for cell, text in zip(row.cells, line, strict=True):
            cell.text = text
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(0, 0).merge(table.cell(1, 0))
    table.cell(2, 0).merge(table.cell(3, 0))
    target = io.BytesIO()
    document.save(target)
    found = read_docx(target.getvalue(), min_word_coverage=0.9).markdown.splitlines()
    assert [line for line in found if line.startswith("|") and "---" not in line] == [
        "| Size | Limit / 2023 | Limit / 2024 |", "| 1 | 10 | 20 |", "| 1 | 30 | 40 |",
    ]  # fmt: skip
