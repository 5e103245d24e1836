"""SECURITY.md claims nothing that no test shows."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line][1:]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
}


def test_the_table_is_found():
    assert len(ROWS) > 20
    assert all(len(cells) in (3, 4) for cells in ROWS), [cells for cells in ROWS if len(cells) not in (3, 4)]


@pytest.mark.parametrize("cells", ROWS, ids=lambda cells: cells[0])
def test_every_row_names_tests_that_exist(cells):
    named = set(re.findall(r"`(test_\w+)`", cells[-1]))
    assert named
    assert named - TESTS == set()


def test_every_test_of_another_user_is_named():
    ours = (ROOT / "tests" / "security" / "test_another_user.py").read_text()
    claims = set(re.findall(r"^def (test_\w+)\(", ours, re.MULTILINE)) - {
        "test_the_outsider_is_somebody_else_and_can_work"
    }
    assert {name for name in claims if f"`{name}`" not in PAGE} == set()
