"""What stands in the `header` of a page is text where it is written as such, and a menu where it is not."""

import pytest

from hpc_qa.documents.html import read_html

RULE = "The fee is 5 dollars for all members of the plan."


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (
            "<nav>Home</nav><h1>Manual of fees</h1><p>It holds from 2024.</p>",
            "# Manual of fees\n\nIt holds from 2024.\n\n",
        ),
        ("<ul><li><a href=x>Home</a></li><li><a href=y>About</a></li></ul>", ""),
        ("<a href=x>Logo</a>", ""),
    ],
)
@pytest.mark.parametrize("within", ["body", "article", "main"])
def test_a_header_with_a_heading_or_a_paragraph_stays_and_a_menu_goes(header, kept, within):
    page = f"<body><{within}><header class=top>{header}</header><p>{RULE}</p></{within}></body>"
    found = read_html(page.encode(), min_word_coverage=0.97)
    assert (found.structure, found.markdown) == (True, f"{kept}{RULE}\n")


def test_a_header_that_is_never_closed_is_text():
    found = read_html(f"<body><header>Logo<p>{RULE}</p></body>".encode(), min_word_coverage=0.9)
    assert RULE in found.markdown
