from pathlib import Path

from hpc_qa.ledger.schema import ATTEMPT

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "ledger.md").read_text()


def test_every_column_of_the_ledger_is_explained():
    rows = "".join(line.partition(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `"))
    assert {name for name in ATTEMPT.names if f"`{name}`" not in rows} == set()
