"""Headers and footers that say something stay, and what every page of a site has goes."""

import pytest

from hpc_qa.documents.html import read_html


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<header><nav><a>Home</a></nav><h1>T</h1><p>Hello.</p></header><main><p>x</p></main>", "# T\n\nHello.\n\nx\n"),
        ("<header class='site-header'><h1>T</h1></header><p>x</p>", "# T\n\nx\n"),
        ("<header><div><h1>T</h1></header><p>x</p><footer>Imprint</footer>", "# T\n\nx\n"),
        ("<div class='cookie-banner-seen'><p>x</p></div>", "x\n"),
        ("<article><header>By A. B.</header><p>x</p></article>", "By A. B.\n\nx\n"),
        ("<header><a href='/'>Logo</a></header><p>x</p>", "x\n"),
        ("<article><p>x</p><footer><p>1 Since May.</p></footer></article>", "x\n\n1 Since May.\n"),
        ("<p>x</p><footer><ol id='footnotes'><li>Since May.</li></ol></footer>", "x\n\n1. Since May.\n"),
        ("<p>x</p><footer><p>Imprint</p></footer>", "x\n"),
        ("<p>x</p><footer><p>Never closed", "x\n"),
        ("<form role=search>Search this</form><search>Find</search><p>x</p>", "x\n"),
        ("<form>Name of the applicant</form><p>x</p>", "Name of the applicant\n\nx\n"),
        ("<div class='big cookie-banner'><div>We use</div> cookies</div><p>x</p>", "x\n"),
        ("<section id=cookies><p>Cookies are kept.</p></section>", "Cookies are kept.\n"),
    ],
)
def test_a_page_keeps_its_text_and_loses_its_furniture(html: str, markdown: str) -> None:
    found = read_html(f"<body>{html}".encode(), min_word_coverage=0.9)
    assert (found.markdown, found.structure) == (markdown, True)
