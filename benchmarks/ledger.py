"""The ledger at size: a collection of 100,000 captured rows, and `budget` over a million attempts.

The collection is made twice, and `budget` is called before and after compaction. Each command is a process of its own,
with its files in the page cache.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from benchmarks.figure import ROOT, Figure
from hpc_qa.budget.waterfall import STAGES
from hpc_qa.ledger.parts import write_part
from hpc_qa.ledger.schema import ATTEMPT

HOW = "python -m benchmarks ledger"
CAPTURED = ROOT / "tests" / "data" / "sacct" / "attempts.psv"
ROWS, PARTS, ATTEMPTS_EACH = 100_000, 1_000, 1_000
SYNC_S, SYNC_MB, BUDGET_S, COMPACT_S = 10.0, 500.0, 3.0, 2.0
TIMES = 7  # the least counts: what else the machine does only adds


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hql", dir="/tmp") as name:
        folder = Path(name)
        return [*collection(folder / "sync"), *over_a_million(folder / "budget")]


def collection(project: Path) -> list[Figure]:
    """`ledger sync` of captured rows, twice."""
    project.mkdir()
    text = project / "sacct.psv"
    header, *rows = [line for line in CAPTURED.read_text().splitlines() if "|odd" not in line]
    with text.open("w") as stream:
        stream.write(f"{header}\n")
        for number in range(ROWS):
            fields = rows[number % len(rows)].split("|")
            fields[1] = fields[2] = str(number + 1)
            stream.write("|".join(fields) + "\n")
    command = ["ledger", "sync", "--sacct-file", str(text), "--json"]
    (first_s, first_mb, _), (again_s, _, said) = called(project, command), called(project, command)
    written = json.loads(said)["written"]
    return [
        Figure(
            f"ledger sync of {ROWS:,} captured rows", f"under {SYNC_S:.0f} s and {SYNC_MB:.0f} MB",
            f"{first_s:.1f} s, {first_mb:.0f} MB", first_s < SYNC_S and first_mb < SYNC_MB, HOW,
        ),
        Figure(
            "the same again", "writes no file", f"{written} rows written, {again_s:.1f} s", written == 0, HOW,
        ),
    ]  # fmt: skip


def over_a_million(project: Path) -> list[Figure]:
    """`budget` over many part files, and over what `ledger compact` makes of them."""
    project.mkdir()
    for part in range(PARTS):
        write_part(project, "attempt", made(part))
    what = f"budget over {PARTS * ATTEMPTS_EACH:,} attempts"
    before = _budget(project, f"{what} in {PARTS:,} part files", BUDGET_S)
    called(project, ["ledger", "compact"])
    return [before, _budget(project, f"{what}, compacted", COMPACT_S)]


def _budget(project: Path, name: str, limit_s: float) -> Figure:
    called(project, ["budget", "--json"])
    taken = [called(project, ["budget", "--json"]) for _ in range(TIMES)]
    seconds, said = sorted(one[0] for one in taken), json.loads(taken[0][2])
    if said["used"]["attempts"] != PARTS * ATTEMPTS_EACH:
        raise RuntimeError(f"counted {said['used']['attempts']:,} attempts")
    measured = f"{seconds[0]:.2f} s (the least of {TIMES}, at most {seconds[-1]:.2f}), {taken[0][1]:.0f} MB"
    return Figure(name, f"under {limit_s:.0f} s", measured, seconds[0] < limit_s, HOW, {"seconds": seconds})


def made(part: int) -> pa.Table:
    """The attempts of one collection."""
    stages = [(stage, 1000) for stage in STAGES]
    numbers = range(part * ATTEMPTS_EACH, (part + 1) * ATTEMPTS_EACH)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    known = {
        "attempt_id": [f"{number}:1795319000" for number in numbers],
        "source": ["sacct"] * ATTEMPTS_EACH, "observed_at": [at] * ATTEMPTS_EACH, "is_final": [True] * ATTEMPTS_EACH,
        "run_id": [f"run-{part % 50}"] * ATTEMPTS_EACH, "job_id_raw": list(numbers), "submit": [at] * ATTEMPTS_EACH,
        "state": ["COMPLETED"] * ATTEMPTS_EACH, "elapsed_s": [9] * ATTEMPTS_EACH, "gpu_count": [4] * ATTEMPTS_EACH,
        "gpu_hours_allocated": [0.01] * ATTEMPTS_EACH, "stages_ms": [stages] * ATTEMPTS_EACH,
    }  # fmt: skip
    columns = [known.get(field.name, [None] * ATTEMPTS_EACH) for field in ATTEMPT]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, ATTEMPT, strict=True)], schema=ATTEMPT
    )


def called(project: Path, arguments: list[str]) -> tuple[float, float, str]:
    """(seconds, MB at most, what it printed) of one command."""
    # with the bytecode that an installed program has, also where this shell keeps Python from writing any
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.Popen(
        [sys.executable, "-m", "hpc_qa", "--project", str(project), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=environment,
    )  # fmt: skip
    said = done.stdout.read() if done.stdout else ""
    _, status, used = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began, used.ru_maxrss / 1024, said
