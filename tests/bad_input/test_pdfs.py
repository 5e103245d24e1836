"""PDFs that are broken, hostile or something else: one reason each, and nothing in them is run, opened or fetched."""

import re
from pathlib import Path

import pytest

from tests.bad_input.conftest import Converted, convert
from tests.data.bad.pdfs import PDFS


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> dict[str, Converted]:
    folder = Path(tmp_path_factory.mktemp("pdfs"))
    return convert(folder, tokenizer, {name: data for name, (data, _) in PDFS.items()})


@pytest.mark.parametrize("name", PDFS)
def test_every_pdf_ends_ok_or_with_one_reason(found: dict[str, Converted], name: str) -> None:
    assert found[name].outcome in PDFS[name][1].split(" or "), found[name].facts.detail
    if found[name].outcome == "ok":
        assert "decide within 45 days" in found[name].markdown or name in ("half.pdf", "end_missing.pdf")
    else:
        assert found[name].facts.detail


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("half.pdf", "pages may be missing"),
        ("no_content.pdf", "the file is cut off, and nothing of its text is left; get it again"),
        ("end_missing.pdf", "pages may be missing"),
        ("encrypted.pdf", "a password is needed"),
        ("no_pages.pdf", "no page"),
        ("pages_100000.pdf", "100000 pages, the limit is 10000"),
        ("scan.pdf", "recognise the text first, with ocrmypdf for example"),
        ("flate_bomb.pdf", "needs more than 0.5 GiB"),
        ("outline_loop.pdf", "saving it anew"),
        ("really_zip.pdf", "the file is a ZIP archive, as Word, Excel"),
        ("really_png.pdf", "the file is a picture, not PDF"),
        ("really_html.pdf", "the file is HTML, not PDF"),
        ("really_word.pdf", "the file is an old Word"),
    ],
)
def test_the_reason_says_what_it_is_and_what_to_do(found: dict[str, Converted], name: str, said: str) -> None:
    assert said in found[name].facts.detail


def test_a_pdf_that_is_cut_off_is_known_to_be_so(found: dict[str, Converted]) -> None:
    assert found["end_missing.pdf"].facts.truncated
    assert found["half.pdf"].facts.truncated
    assert not found["good.pdf"].facts.truncated


def test_no_reason_changes_from_one_time_to_the_next(found: dict[str, Converted]) -> None:
    assert not [name for name, one in found.items() if re.search(r"0x[0-9a-f]{6}", one.facts.detail)]


@pytest.mark.parametrize(
    ("name", "hidden"), [("attachment.pdf", "ATTACHED"), ("archive_behind.pdf", "ZIPPED"), ("launch.pdf", "127.0.0.1")]
)
def test_attachments_archives_and_actions_are_never_opened(found: dict[str, Converted], name: str, hidden: str) -> None:
    assert found[name].markdown == found["good.pdf"].markdown
    assert hidden not in found[name].markdown


def test_a_title_without_end_is_cut(found: dict[str, Converted]) -> None:
    assert len(found["long_title.pdf"].facts.title or "") <= 300
