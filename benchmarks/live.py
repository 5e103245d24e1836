"""What live metrics cost: an attempt while it records, and a login node that looks at a hundred of them.

An attempt gets documents faster than any real one, and a server that says as much as a vLLM with everything on. What
counts is CPU time, whatever else the machine does: that of recording is held against the wall time of the run.
"""

import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.figure import ROOT, Figure, under
from hpc_qa.campaign.live_metrics import LiveTasks
from tests.made_live import chunk, document, live_attempt, pair
from tests.made_runs import planned_run

HOW = "python -m benchmarks live"
WALL_S, DOCUMENTS_PER_S, CHUNKS_EACH, PAIRS_EACH = 60.0, 2.0, 10, 5
MOST_SHARE = 0.01
TASKS, METRICS_S = 100, 2.0
HISTOGRAMS, BUCKETS = 30, 20


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hqv", dir="/tmp") as name:
        return [recording(Path(name) / "one"), looking(Path(name) / "many")]


def recording(project: Path) -> Figure:
    """CPU seconds of everything that records, over the wall seconds of an attempt."""
    project.mkdir()
    directory, live = live_attempt(planned_run(project, [["a"]]), server=server_text())
    spent = {"take": 0.0, "write": 0.0}
    keep = live._keep

    def measured(stop: threading.Event) -> None:
        began = time.thread_time()
        keep(stop)
        spent["write"] += time.thread_time() - began

    live._keep = measured  # type: ignore[method-assign]  # the thread's own clock is asked for in the thread
    began = time.monotonic()
    documents = 0
    with live.kept():
        while (now := time.monotonic() - began) < WALL_S:
            before = time.thread_time()
            for _ in range(CHUNKS_EACH):
                live.take([*(pair() for _ in range(PAIRS_EACH)), chunk()])
            live.take([document()])
            spent["take"] += time.thread_time() - before
            documents += 1
            time.sleep(max(0.0, documents / DOCUMENTS_PER_S - now))
    share = sum(spent.values()) / WALL_S
    what = f"{documents} documents in {WALL_S:.0f} s"
    kilobytes = (directory.metrics.stat().st_size + directory.server_metrics.stat().st_size) / 1000
    each = 1000 * spent["take"] / documents
    return Figure(
        "recording live metrics", f"under {100 * MOST_SHARE:.0f} % of the wall time of a run",
        f"{100 * share:.2f} % ({what}, {each:.2f} ms each, files of {kilobytes:.0f} kB)",
        share < MOST_SHARE, HOW, {name: round(seconds, 4) for name, seconds in spent.items()},
    )  # fmt: skip


def looking(project: Path) -> Figure:
    """`hpc-qa metrics` over tasks that all run, their servers included."""
    project.mkdir()
    made = planned_run(project, [[f"d{n}"] for n in range(TASKS)], executor="slurm")
    text = server_text()
    taken = []
    for _ in range(3):
        for shard in range(TASKS):
            if not made.shard(shard).attempts():
                _, live = live_attempt(made, shard, server=text)
                live.take([pair(), chunk(), document()])
                live.write_server()
                live.write()
        if len(LiveTasks(project).read().running) != TASKS:  # files are fresh for two minutes
            raise RuntimeError("not all of them count as running")
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        command = [sys.executable, "-m", "hpc_qa", "--project", str(project), "metrics"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        taken.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return under(f"CPU time of a look at {TASKS} running tasks and their servers", METRICS_S, taken, "hpc-qa metrics")


def server_text() -> str:
    """As many samples as a vLLM of one engine has."""
    lines = []
    for number in range(HISTOGRAMS):
        name, labels = f"vllm:made_{number}_seconds", 'engine="0",model_name="made"'
        lines += [f"# HELP {name} A histogram.", f"# TYPE {name} histogram"]
        lines += [f'{name}_bucket{{{labels},le="{bound + 1}.0"}} {bound}.0' for bound in range(BUCKETS)]
        lines += [
            f'{name}_bucket{{{labels},le="+Inf"}} 99.0',
            f"{name}_count{{{labels}}} 99.0",
            f"{name}_sum{{{labels}}} 1.5",
        ]
    return "\n".join(lines) + "\n"
