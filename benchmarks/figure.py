"""One figure: what was asked, what was measured, how; and the file that keeps it."""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpc_qa.campaign.provenance import hardware, versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One promise and what came of it."""

    name: str
    asked: str
    measured: str
    met: bool
    how: str  # the command, as a user would type it
    raw: Mapping[str, Any] = field(default_factory=dict)


def write(bench: str, figures: Sequence[Figure], commit: str | None) -> None:
    """Keep these figures in results/BENCH.json, with the commit that was measured, machine and versions."""
    RESULTS.mkdir(exist_ok=True)
    machine = {key: value for key, value in hardware().items() if key != "host"}
    document = {
        "bench": bench,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "hardware": machine,
        "versions": versions(),
        "figures": [asdict(figure) for figure in figures],
    }
    (RESULTS / f"{bench}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def read_all() -> list[dict[str, Any]]:
    """Everything that was measured so far."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def seconds_of(command: Sequence[str], *, runs: int, cwd: Path = ROOT) -> list[float]:
    """Wall seconds of a whole process, run after run, after one that does not count."""
    taken = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return taken[1:]


def under(name: str, limit_s: float, taken: Sequence[float], how: str) -> Figure:
    """A figure that asks for less than so many seconds; the median counts."""
    middle = statistics.median(taken)
    measured = f"{middle:.2f} s (median of {len(taken)}; {min(taken):.2f} to {max(taken):.2f})"
    return Figure(name, f"under {limit_s:g} s", measured, middle < limit_s, how, {"seconds": list(taken)})


Bench = Callable[[], list[Figure]]
