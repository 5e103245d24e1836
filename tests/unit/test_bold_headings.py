"""Bold lines that are headings elsewhere."""

from hpc_qa.documents.headings import large_lines, with_headings

BODY = ("words of the page that are longer than any title", "Serif", 11.0)
LARGE = [
    large_lines([("Scope", "Bold", 16.0), BODY]),
    large_lines([("Terms", "Bold", 16.04), BODY]),
    large_lines([("Forms", "Bold", 16.0), ("Note", "Bold", 11.0), ("Odd", "Other", 20.0), BODY]),
]
SEEN = ["## Scope\n\ntext", "## Terms\n\ntext"]


def test_a_bold_line_in_the_font_of_headings_gets_their_level() -> None:
    assert with_headings([*SEEN, "**Forms**\n\ntext"], LARGE)[2] == "## Forms\n\ntext"
    assert with_headings([*SEEN, "***Forms***"], LARGE)[2] == "## Forms"


def test_other_bold_lines_stay() -> None:
    for page in ("**Note**\n\ntext", "**Odd**\n\ntext", "**Forms** of text", "text\n**Forms**", "**Elsewhere**"):
        assert with_headings([*SEEN, page], LARGE)[2] == page


def test_one_heading_in_a_font_is_no_rule() -> None:
    assert with_headings(["## Scope", "text", "**Forms**"], LARGE)[2] == "**Forms**"
