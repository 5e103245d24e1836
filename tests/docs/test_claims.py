"""The pages that name tests claim nothing that no test shows."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("SECURITY.md", "docs/reliability.md")
HEADINGS = ("asset", "fault", "input")  # first words of the tables' heads
ROWS = [
    (page, line.strip("| ").split(" | "))
    for page in PAGES
    for line in (ROOT / page).read_text().splitlines()
    if line.startswith("| ") and "---" not in line and not line.startswith(tuple(f"| {head} |" for head in HEADINGS))
]
SOURCES = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
TESTS = {name for text in SOURCES.values() for name in re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)}


def test_the_tables_are_found():
    assert sum(page == "SECURITY.md" for page, _ in ROWS) > 20
    assert sum(page == "docs/reliability.md" for page, _ in ROWS) > 40
    assert all(len(cells) in (3, 4) for _, cells in ROWS), [cells for _, cells in ROWS if len(cells) not in (3, 4)]


@pytest.mark.parametrize("cells", [cells for _, cells in ROWS], ids=[f"{page}: {cells[0]}" for page, cells in ROWS])
def test_every_row_names_tests_that_exist(cells):
    named = set(re.findall(r"`(test_\w+)`", cells[-1]))
    assert named
    assert named - TESTS == set()


def test_what_is_called_long_is_long():
    page = (ROOT / "docs" / "reliability.md").read_text()
    said = set(re.findall(r"`(test_\w+)` \(long\)", page))
    named = set(re.findall(r"`(test_\w+)`", page))
    long = {name for text in SOURCES.values() for name in long_tests(text)}
    assert said == named & long


def long_tests(text: str) -> set[str]:
    """Tests of a file that only the long lane runs."""
    if re.search(r"^pytestmark = .*mark\.long", text, re.MULTILINE):
        return set(re.findall(r"^def (test_\w+)\(", text, re.MULTILINE))
    return set(re.findall(r"@pytest\.mark\.long\n(?:@.*\n)*def (test_\w+)\(", text))


def test_every_test_of_another_user_is_named():
    ours = (ROOT / "tests" / "security" / "test_another_user.py").read_text()
    claims = set(re.findall(r"^def (test_\w+)\(", ours, re.MULTILINE)) - {
        "test_the_outsider_is_somebody_else_and_can_work"
    }
    page = (ROOT / "SECURITY.md").read_text()
    assert {name for name in claims if f"`{name}`" not in page} == set()
