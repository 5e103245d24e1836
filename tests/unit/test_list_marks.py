"""A paragraph of a list is found by the mark that the document gives it."""

import pytest

from hpc_qa.documents.html import read_html


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<ol type=a><li>One</li><li>Two</li></ol>", "- a. One\n- b. Two\n"),
        ("<ol type='I' start=4><li>One<li>Two</ol>", "- IV. One\n- V. Two\n"),
        ("<ol style='list-style-type: lower-roman'><li><p>One</p></li></ol>", "- i. One\n"),
        ("<ol><li>One<li value=7>Two<li>Three</ol>", "- 1. One\n- 7. Two\n- 8. Three\n"),
        ("<ol start=5><li>One<li>Two</ol>", "5. One\n6. Two\n"),
        ("<ol type=1><li>One</ol><ul><li type=a>Two</ul>", "1. One\n\n- Two\n"),
        ("<ol><li>One<ol type=a><li>In<ol type=i><li>Deep</ol></ol></ol>", "1. One\n   - a. In\n     * i. Deep\n"),
    ],
)
def test_a_page_keeps_the_marks_of_its_lists(html: str, markdown: str) -> None:
    assert read_html(html.encode(), min_word_coverage=0.9).markdown == markdown
