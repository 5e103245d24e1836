"""The page of benchmark records at size, and what recording a run costs.

The page is opened in Chromium from its file; counted is the time from the start of navigation to its load event, as the
browser itself measures it. A run is recorded from what the demo left, in a process of its own; what counts is the wall
time of `bench record` and of the live metrics of `python -m benchmarks live`, as a share of that of the run.
"""

import json
import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks import live
from benchmarks.figure import ROOT, Figure, seconds_of, under
from hpc_qa.bench.run_record import record_of
from hpc_qa.store.run_directory import list_runs
from tests.made_records import years_of_records
from tests.real_browser.chromium import Chromium, install

HOW = "python -m benchmarks report"
RUNS, OPENS_S, LARGEST_MB, RECORDING_SHARE = 500, 2.0, 3.0, 0.01
TIMES = 5
HPC_QA = str(ROOT / ".venv" / "bin" / "hpc-qa")
LOADED = "JSON.stringify(performance.getEntriesByType('navigation')[0].loadEventEnd)"


def run() -> list[Figure]:
    """The figures of this benchmark."""
    return [*the_page(), *recording()]


def the_page() -> list[Figure]:
    """`report --html` of 500 runs: its size, and how fast Chromium opens it."""
    with tempfile.TemporaryDirectory(prefix="hqr", dir="/tmp") as name:
        project = Path(name)
        years_of_records(project, RUNS)
        page = project / "report.html"
        subprocess.run([HPC_QA, "--project", name, "report", "--html", str(page), "--json"], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        megabytes = page.stat().st_size / 1e6
        install()
        taken = [_opened_s(page, project) for _ in range(TIMES)]
    return [
        Figure(f"the page of {RUNS} runs", f"under {LARGEST_MB:g} MB", f"{megabytes:.2f} MB",
               megabytes < LARGEST_MB, HOW, {"bytes": round(1e6 * megabytes)}),
        under(f"the page of {RUNS} runs opens in Chromium", OPENS_S, taken, HOW),
    ]  # fmt: skip


def _opened_s(page: Path, scratch: Path) -> float:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        browser = Chromium(Path(folder))
        try:
            browser.open(page.as_uri())
            return float(json.loads(browser.evaluate(LOADED))) / 1000
        finally:
            browser.close()


def recording() -> list[Figure]:
    """`bench record` of the newest run that is here, as a share of what that run took."""
    runs = [run for run in list_runs(ROOT) if record_of(run, ROOT).results.total_time_minutes is not None]
    name = "recording a run"
    if not runs:
        missing = "no run is here: make demo; hpc-qa ledger sync"
        return [Figure(name, f"under {RECORDING_SHARE:.0%} of its wall time", missing, False, HOW)]
    minutes = record_of(runs[-1], ROOT).results.total_time_minutes or 0.0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(prefix="hqr", dir="/tmp") as folder:
        taken = seconds_of([HPC_QA, "bench", "record", runs[-1].run_id, "-o", folder], runs=TIMES)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / (TIMES + 1)
    middle, recording_live = statistics.median(taken), live_share()
    share = middle / (60 * minutes) + recording_live
    measured = (
        f"{100 * share:.2f} %: bench record {middle:.2f} s of a run of {60 * minutes:.0f} s (median of {len(taken)}; "
        f"{min(taken):.2f} to {max(taken):.2f}; {cpu_s:.2f} s of CPU time; imports included), "
        f"and live metrics {recording_live:.2%}"
    )
    return [Figure(name, f"under {RECORDING_SHARE:.0%} of its wall time", measured, share < RECORDING_SHARE, HOW,
                   {"cpu_s": cpu_s, "seconds": taken, "run_s": 60 * minutes, "live": recording_live})]  # fmt: skip


def live_share() -> float:
    """What live metrics take of a run's time, as their own benchmark measures it."""
    with tempfile.TemporaryDirectory(prefix="hqr", dir="/tmp") as folder:
        spent = live.recording(Path(folder) / "live").raw
    return sum(spent.values()) / live.WALL_S
