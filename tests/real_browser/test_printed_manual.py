"""A manual that Chromium prints comes back with its headings and tables."""

from pathlib import Path

import pytest

from hpc_qa.documents.pdf import read_pdf
from tests.made_manual import manual
from tests.printed_manual import by_chromium
from tests.real_browser.chromium import install
from tests.recall import recall

pytestmark = pytest.mark.timeout(600)  # Chromium may have to be installed


def test_a_manual_of_chromium_keeps_its_headings_and_table_rows_and_no_running_line(tmp_path: Path) -> None:
    install()
    parts = manual()
    found = read_pdf(by_chromium(parts, tmp_path), max_pages=100, min_word_coverage=0.9)
    kept = recall(found.markdown, parts)
    assert found.engine == "liteparse"
    assert (kept.all_rows, kept.leaked) == (319, 0)
    assert kept.headings >= 0.95
    assert kept.rows >= 0.85
    assert min(kept.rows_by_style.values()) >= 0.85
