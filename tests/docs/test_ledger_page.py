from pathlib import Path

import pytest

from hpc_qa.ledger.schema import TABLES

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "ledger.md").read_text()


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_the_ledger_is_explained(table):
    rows = "".join(line.partition(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `"))
    assert {name for name in TABLES[table].names if f"`{name}`" not in rows} == set()
