"""What the login node does for a run of 1,000 array tasks: `status`, in seconds and in calls of Slurm's programs.

A real Slurm cluster on this machine (the one of the tests) holds 1,000 array tasks that wait; every tenth of them has
been cancelled, so that accounting is asked as well.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import ROOT, Figure
from hpc_qa.store.run_directory import list_runs
from tests.real_slurm import packages
from tests.real_slurm.cluster import Cluster, running_cluster

TASKS = 1_000
REPEATS = 5
HOW = "python -m benchmarks slurm"
CONFIG = """
name: many
manifest: m.jsonl
executor: slurm
qa: {{chunk_size: 96, max_tokens: 64}}
vllm: {{model: {model}, max_model_len: 2048}}
slurm:
  array_parallelism: 8
  gres: "gpu:a100:1"
  mem: 1G
  additional_parameters: {{hold: true}}
plan: {{shards: {tasks}}}
"""
SHIM = """#!/bin/sh
echo {name} >> {calls}
exec {program} "$@"
"""


def run() -> list[Figure]:
    """The figures of this benchmark."""
    packages.install()
    with tempfile.TemporaryDirectory(prefix="hqs-", dir="/tmp") as name, running_cluster() as cluster:
        folder = Path(name)
        environment = os.environ | cluster.environment
        write_project(folder)
        began = time.perf_counter()
        program(folder, environment, "submit", "config.yaml")
        submitted_s = time.perf_counter() - began
        cancel_some(folder, cluster)
        calls = folder / "calls"
        environment["PATH"] = f"{shims(folder, environment['PATH'], calls)}:{environment['PATH']}"
        seconds = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            said = json.loads(program(folder, environment, "status", "latest", "--json"))
            seconds.append(time.perf_counter() - began)
        made = calls.read_text().split()
    states = {state: sum(shard["state"] == state for shard in said["shards"]) for state in ("queued", "interrupted")}
    median = statistics.median(seconds)
    once = {name: made.count(name) / REPEATS for name in ("squeue", "sacct")}
    raw = {"seconds": seconds, "calls": once, "states": states, "submit_s": submitted_s}
    asked = "at most one squeue and one sacct, under 3 s"
    measured = f"{median:.2f} s ({max(seconds):.2f} at most), {once['squeue']:.0f} squeue and {once['sacct']:.0f} sacct"
    met = median < 3 and max(once.values()) <= 1 and sum(states.values()) == TASKS
    return [Figure(f"status of {TASKS:,} array tasks", asked, measured, met, HOW, raw)]


def write_project(folder: Path) -> None:
    """One small document for each array task, a manifest and the config."""
    documents = folder / "documents"
    documents.mkdir()
    for number in range(TASKS):
        (documents / f"rule-{number:04}.md").write_text(f"The office must answer letter {number} within 30 days.\n")
    model = ROOT / "cache/models/SmolLM2-135M-Instruct"
    (folder / "config.yaml").write_text(CONFIG.format(model=model, tasks=TASKS))
    program(folder, dict(os.environ), "manifest", "build", "documents", "-o", "m.jsonl")


def cancel_some(folder: Path, cluster: Cluster) -> None:
    """Cancel every tenth array task, and wait until the queue has dropped them."""
    job = list_runs(folder)[-1].list_submissions()[-1]["job_id"]
    cluster.run("scancel", *(f"{job}_{index}" for index in range(0, TASKS, 10)))
    time.sleep(5)


def shims(folder: Path, path: str, calls: Path) -> Path:
    """Programs in front of Slurm's own that note each call."""
    place = folder / "bin"
    place.mkdir()
    for name in ("squeue", "sacct"):
        found = next(Path(part) / name for part in path.split(":") if (Path(part) / name).is_file())
        (place / name).write_text(SHIM.format(name=name, calls=calls, program=found))
        (place / name).chmod(0o755)
    return place


def program(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """What one command of ours prints."""
    done = subprocess.run(
        [sys.executable, "-m", "hpc_qa", "--project", str(folder), *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"hpc-qa {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout
