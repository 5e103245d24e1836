"""Ruled tables: which are seen, which are left alone, and what becomes of torn ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from hpc_qa.documents.pdf import read_pdf
from hpc_qa.documents.ruled import Page, mended, ruled_tables, torn_tables
from tests.made_manual import manual
from tests.printed_manual import by_reportlab
from tests.recall import recall

Line = tuple[float, float, float, float]


@dataclass
class Box:
    text: str
    x: float
    y: float
    width: float = 20
    height: float = 10


def grid(xs: Sequence[float], ys: Sequence[float]) -> list[Line]:
    return [*((xs[0], y, xs[-1], y) for y in ys), *((x, ys[0], x, ys[-1]) for x in xs)]


LINES = grid([100, 200, 300], [100, 120, 160])
WORDS = [Box("State", 110, 105), Box("Limit|Year", 210, 105), Box("Ohio", 110, 125), Box("first", 210, 125),
         Box("second", 210, 140), Box("beside", 235, 124)]  # fmt: skip
WHOLE = "| State | Limit\\|Year |\n|---|---|\n| Ohio | first beside second |"


def page(markdown: str = "", lines: Sequence[Line] = LINES) -> Page:
    return Page(markdown, 800, lines, WORDS)


def test_a_ruled_table_is_read_from_its_lines_and_words() -> None:
    assert [table.as_markdown() for table in ruled_tables(page())] == [WHOLE]


def test_borders_that_are_drawn_twice_or_row_by_row_are_the_same_borders() -> None:
    twice = [*LINES, *((x1 + 0.7, y1 + 0.7, x2 + 0.7, y2 + 0.7) for x1, y1, x2, y2 in LINES)]
    by_row = [*grid([100, 200, 300], [100, 120]), *grid([100, 200, 300], [120, 160])]
    for lines in (twice, by_row):
        assert [table.as_markdown() for table in ruled_tables(page(lines=lines))] == [WHOLE]


def test_a_cell_over_two_columns_leaves_the_second_empty() -> None:
    lines = [line for line in LINES if line != (200, 100, 200, 160)] + [(200, 120, 200, 160)]
    assert ruled_tables(page(lines=lines))[0].rows[0] == ["State Limit|Year", ""]


def test_frames_rules_drawings_and_cells_over_several_rows_are_left_to_the_converter() -> None:
    frame = grid([100, 300], [100, 160])
    rules = [(100.0, y, 300.0, y) for y in (100.0, 120.0, 160.0)]
    over_two_rows = [*LINES, (200, 138, 300, 138)]
    drawing = grid([100 + index for index in range(300)], [100 + index for index in range(300)])
    for lines in (frame, rules, over_two_rows, drawing, []):
        assert ruled_tables(page(lines=lines)) == []


def test_a_table_is_torn_when_a_row_of_it_is_nowhere_in_the_markdown() -> None:
    assert torn_tables(page(WHOLE.replace("first beside", "**first** beside<br>"))) == []
    assert len(torn_tables(page("| State | Limit|Year |\n|---|---|\n| Ohio | first |\n\nbeside second"))) == 1


def test_a_page_stays_as_it_is_when_putting_tables_back_fails() -> None:
    data = by_reportlab(manual()[:2])
    torn = page("State Ohio\n\nLimit|Year first beside second")
    assert mended(data, [torn], lambda _: None) == [torn.markdown]
    assert mended(data, [torn], lambda _: [page("no mark")]) == [torn.markdown]
    assert mended(data, [torn], lambda _: [page("ruledtable0x0x")]) == [WHOLE_PAGE]
    lost = page(torn.markdown + "\n\nand a word that is lost")
    assert mended(data, [lost], lambda _: [page("ruledtable0x0x")]) == [lost.markdown]
    assert mended(b"no PDF", [torn], lambda _: [page("ruledtable0x0x")]) == [torn.markdown]


WHOLE_PAGE = f"\n\n{WHOLE}\n\n"


def test_a_manual_of_reportlab_keeps_its_headings_and_table_rows_and_no_running_line() -> None:
    parts = manual()
    found = read_pdf(by_reportlab(parts), max_pages=100, min_word_coverage=0.9)
    kept = recall(found.markdown, parts)
    assert found.engine == "liteparse"
    assert (kept.all_rows, kept.leaked) == (319, 0)
    assert kept.headings >= 0.95
    assert kept.rows >= 0.85
    assert min(kept.rows_by_style.values()) >= 0.85
