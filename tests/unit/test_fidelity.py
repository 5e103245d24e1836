"""The gate: what counts as lost, and what as a header or footer."""

from hpc_qa.documents.fidelity import association, coverage, running_lines, without_running_lines


def test_coverage_counts_each_word_as_often_as_it_was_there() -> None:
    assert coverage(["one two two three"], "one two three") == 0.75
    assert coverage(["one two"], "**One** two, four") == 1.0
    assert coverage(["exam-\nple here"], "example here") == 1.0
    assert coverage([], "x") == 1.0


def test_a_table_torn_into_columns_has_all_its_words_and_no_association() -> None:
    raw = "Ohio 138 yes\nTexas 17 no\nMaine 133 yes"
    torn = "Ohio\n\nTexas\n\nMaine\n\n138\n\n17\n\n133\n\nyes\n\nno\n\nyes"
    kept = "| Ohio | 138 | yes |\n| Texas | 17 | no |\n| Maine | 133 | yes |"
    assert (coverage([raw], torn), association(raw, torn)) == (1.0, 0.0)
    assert association(raw, kept) == 1.0


PAGES = [
    f"Handbook\nChapter {page * 3}\nText of {page} is long enough.\nmore\nand more\nPage {page} of 9"
    for page in range(1, 7)
]


def test_headers_and_page_numbers_go_and_counting_headings_stay() -> None:
    running = running_lines(PAGES)
    for place, page in enumerate(PAGES, start=1):
        assert without_running_lines(page, place, running).splitlines()[0] == f"Chapter {place * 3}"
        assert "Page" not in without_running_lines(page, place, running)


def test_table_rows_and_headings_with_changing_numbers_are_never_running_lines() -> None:
    running = running_lines(["A | 1\nx\ny\nz\nw\nPart 1", "A | 1\nx\nPart 2", "A | 1\nx\nPart 3"])
    page = "| A | 1 |\n\n# Part 2\n\ntext"
    assert without_running_lines(page, 2, running) == page


def test_two_pages_show_no_running_line() -> None:
    assert without_running_lines("Header\ntext", 1, running_lines(["Header\ntext", "Header\nother"])) == "Header\ntext"
