"""Made rows of the ledger's tables, and all that its files say together."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from hpc_qa.ledger.parts import read_parts, write_part
from hpc_qa.ledger.schema import ATTEMPT

WHAT = ("cluster", "attempt_id", "is_final", "observed_at", "state", "row_sha256")


def add_attempts(project: Path, *numbers: int, at: int = 0, state: str = "COMPLETED") -> Path:
    """One more part file, with a row for each of these attempts."""
    observed = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    rows = [
        {
            "attempt_id": f"{number}:100", "source": "sacct", "observed_at": observed, "state": state,
            "is_final": state != "RUNNING", "run_id": f"run-{number % 3}", "gpu_count": 2, "elapsed_s": 3600,
            "gpu_hours_allocated": 2.0, "stages_ms": [("setup", 600_000), ("serving", 3_000_000)],
            "data_quality": [], "raw": [f"row of {number}"], "row_sha256": f"{number}-{state}",
        }
        for number in numbers
    ]  # fmt: skip
    return write_part(project, "attempt", pa.Table.from_pylist(rows, schema=ATTEMPT))


def all_rows(project: Path) -> list[tuple[object, ...]]:
    """Every row that readers see, double ones as often as they see them."""
    table = read_parts(project, "attempt", WHAT).table
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True), key=repr)


def part_names(project: Path) -> list[str]:
    """The names of all files of the table, temporary ones too."""
    return sorted(path.name for path in (project / "ledger" / "attempt").iterdir())
