"""BENCHMARKS.md of this repository: real runs in two configurations, a real sweep, and the document that they fill.

The demo's documents are worked on three times with many requests in flight and three times with few, in turn, then
`configs/sweeps/demo_concurrency.yaml` is measured; everything is recorded, compared and reported by `hpc-qa` as a user
types it, in a clone of the last commit. Records are kept in benchmarks/records/, the sweep's results in
benchmarks/sweeps/. Takes about half an hour on two CPU cores, and is to be run on an otherwise idle machine.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figure import ROOT, Figure
from demo.__main__ import CONFIG, prepare, program

HOW = "python -m benchmarks document"
KEPT, SWEPT = ROOT / "benchmarks" / "records", ROOT / "benchmarks" / "sweeps"
DOCUMENT = "BENCHMARKS.md"
SWEEP = "configs/sweeps/demo_concurrency.yaml"
MANY, FEW, RUNS_EACH, SAMPLE_CHUNKS = 16, 2, 3, 24


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hqd", dir="/tmp") as name:
        project = Path(name) / "project"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
        prepare()
        (project / "cache").symlink_to(ROOT / "cache")
        if (ROOT / DOCUMENT).exists():
            shutil.copy(ROOT / DOCUMENT, project / DOCUMENT)  # with what people wrote in it
        return [*figures(project), kept(project)]


def written(project: Path, in_flight: int) -> str:
    """A config of the demo with so many requests in flight, over a sample of its chunks."""
    settings = yaml.safe_load((project / CONFIG).read_text())
    settings["name"] = f"demo_{in_flight}_in_flight"
    settings["client"]["concurrency_limit"] = in_flight
    settings["documents"]["sample_chunks"] = SAMPLE_CHUNKS
    place = f"configs/{settings['name']}.yaml"
    (project / place).write_text(yaml.safe_dump(settings, sort_keys=False))
    return place


def figures(project: Path) -> list[Figure]:
    """Run, record, compare, sweep, report."""
    arms: dict[str, list[str]] = {written(project, in_flight): [] for in_flight in (MANY, FEW)}
    proven = 0
    for config in [*arms] * RUNS_EACH:
        run_id = json.loads(hpc_qa(project, "submit", config, "--json"))["run"]
        proven += json.loads(hpc_qa(project, "verify", run_id, "--json"))["exit_code"] == 0
        hpc_qa(project, "ledger", "sync")
        arms[config].append(json.loads(hpc_qa(project, "bench", "record", run_id, "--json"))["id"])
    baseline, current = (",".join(ids) for ids in arms.values())
    checked = json.loads(
        hpc_qa(project, "bench", "check", baseline, current, "--allow", "configuration.concurrency_limit",
               "--json", may_end_with=(0, 4, 5))
    )  # fmt: skip
    compared = json.loads(hpc_qa(project, "bench", "compare", baseline, current, "--json"))
    swept = json.loads(hpc_qa(project, "bench", "sweep", SWEEP, "--json"))
    del swept["files"]
    done = [cell for cell in swept["cells"] if cell["runs"] and not cell["failures"]]
    count = sum(map(len, arms.values()))
    return [
        Figure("real runs in two configurations, recorded", f"at least 3, all proven; here {RUNS_EACH} each",
               f"{count} recorded, {proven} proven by verify", proven == count >= 3, HOW),
        Figure("and compared", "printed, not judged",
               f"{FEW} requests in flight beside {MANY}: {words_of(checked)}",
               bool(compared), HOW, {"check": checked}),
        Figure("a real sweep over concurrency", "all cells measured",
               f"{len(done)} of {len(swept['cells'])} cells, {sum(cell['runs'] for cell in done)} runs; "
               f"optimal: {swept['optimal']}",
               len(done) == len(swept["cells"]) > 0, HOW, {"sweep": swept}),
    ]  # fmt: skip


def words_of(checked: dict[str, Any]) -> str:
    """The verdict on each metric, with the interval of its effect."""
    parts = []
    for one in checked["metrics"]:
        shown = "" if one.get("effect") is None else f" {one['effect']:+.1%} ({one['low']:+.1%} to {one['high']:+.1%})"
        parts.append(f"{one['name']}{shown} {one['verdict']}")
    return ", ".join(parts)


def kept(project: Path) -> Figure:
    """Fill the document, and keep it with the records and the results of the sweep."""
    hpc_qa(project, "report", "--markdown", DOCUMENT)
    for folder in (KEPT, SWEPT):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project / "records", KEPT)
    SWEPT.mkdir()
    for path in (project / "sweeps").glob("*/benchmark_results_*.json"):
        shutil.copy(path, SWEPT / path.name)
    shutil.copy(project / DOCUMENT, ROOT / DOCUMENT)
    records = len(list(KEPT.glob("*.yaml")))
    return Figure(DOCUMENT, "filled from these records", f"from {records} records, in benchmarks/records/",
                  records > RUNS_EACH, HOW)  # fmt: skip


def hpc_qa(project: Path, *arguments: str, may_end_with: tuple[int, ...] = (0,)) -> str:
    """What a command prints."""
    command = program(["--project", str(project), *arguments])
    done = subprocess.run(command, cwd=project, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode not in may_end_with:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    return done.stdout
