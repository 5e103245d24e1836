"""`make demo` as a new user meets it: with nothing, with pip's cache, and again; and what its dataset holds.

Each case is a fresh clone of the last commit with an empty HOME. Takes about twenty minutes and needs the package
registry. Run it on an otherwise idle machine.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figure import ROOT, Figure

HOW = "git clone . CLONE; HOME=EMPTY make -C CLONE demo"


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        cold = clone(Path(folder) / "cold")
        figures = [within("make demo, empty HOME and pip cache", 12 * 60, demo_seconds(cold, home), HOW)]
        figures += yield_of(dataset(cold))
        again = demo_seconds(cold, home)
        figures.append(within("make demo a second time", 3 * 60, again, "make demo; make demo"))
        warm = clone(Path(folder) / "warm")
        how = HOW + " (pip's cache from the first)"
        figures.append(within("make demo, warm pip cache", 6 * 60, demo_seconds(warm, home), how))
    return figures


def clone(target: Path) -> Path:
    """A fresh clone of the last commit."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    return target


def demo_seconds(checkout: Path, home: Path) -> float:
    """Wall seconds of `make demo`."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or name.startswith("PIP_")}
    began = time.perf_counter()
    with (checkout / "demo.log").open("ab") as log:
        subprocess.run(
            ["make", "demo"], cwd=checkout, env=kept | {"HOME": str(home)}, stdout=log, stderr=log, check=True
        )
    return time.perf_counter() - began


def within(name: str, limit_s: float, seconds: float, how: str) -> Figure:
    """One run against its limit."""
    measured = f"{seconds / 60:.1f} min (one run)"
    return Figure(name, f"under {limit_s / 60:g} min", measured, seconds < limit_s, how, {"seconds": seconds})


def dataset(checkout: Path) -> list[dict[str, Any]]:
    """The accepted pairs of the newest run."""
    path = max((checkout / "runs").glob("*/dataset/qa.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


def yield_of(pairs: list[dict[str, Any]]) -> list[Figure]:
    """How many pairs of how many documents, and whether every piece of evidence stands in its chunk."""
    documents = len({pair["doc_id"] for pair in pairs})
    quoted = [text in pair["context"] for pair in pairs for text in pair["evidence"]]
    raw = {"pairs": len(pairs), "documents": documents, "evidence": len(quoted), "verbatim": sum(quoted)}
    how = "make demo; the rows of runs/RUN/dataset/qa.jsonl"
    return [
        Figure("accepted pairs of the demo", "at least 30 from at least 8 documents", f"{len(pairs)} from {documents}",
               len(pairs) >= 30 and documents >= 8, how, raw),
        Figure("verbatim evidence of the demo", "all of it", f"{sum(quoted)} of {len(quoted)}",
               bool(quoted) and all(quoted) and all(pair["evidence"] for pair in pairs), how, raw),
    ]  # fmt: skip
