"""`submit` of a manifest of 1,000,000 lines as 1,000 shards: seconds and memory of everything beside sbatch's own time.

The documents do not exist: their tokens, log-normal with a seed, stand in the manifest, and a job array would convert
them first. What `hpc-qa submit --convert` calls runs in a process of its own, up to the moment at which it would call
sbatch. An earlier run of the same config is there, so that the manifests are compared. What one array task then reads
of such a run is measured as well.
"""

import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figure import ROOT, Figure
from hpc_qa.campaign.plan import plan_run
from hpc_qa.campaign.submit import check_startable, freeze, refuse_double
from hpc_qa.config_file import load
from hpc_qa.manifest import Entry, entry_json
from hpc_qa.store.files import write_once
from hpc_qa.store.run_directory import create, list_runs
from hpc_qa.units import size_class

DOCUMENTS = int(os.environ.get("BENCH_DOCUMENTS", "1000000"))
SHARDS = 1_000
HOW = "python -m benchmarks submit"
CONFIG = """
name: million
manifest: m.jsonl
executor: slurm
vllm: {{model: {model}, max_model_len: 8192}}
qa: {{chunk_size: 1500}}
slurm: {{gres: "gpu:a100:1", mem: 64G}}
plan: {{shards: {shards}}}
"""


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hqsubmit-") as name:
        project = Path(name)
        write_project(project)
        submitted = measured("submit", project)
        read = measured("read_shard", project)
    phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in submitted["phases"].items())
    return [
        Figure(
            f"submit of {DOCUMENTS:,} documents in {submitted['shards']:,} shards, beside sbatch",
            "under 20 s and 400 MB",
            f"{submitted['seconds']:.1f} s, {submitted['peak_mb']:.0f} MB ({phases})",
            submitted["seconds"] < 20 and submitted["peak_mb"] < 400,
            HOW,
            submitted,
        ),
        Figure(
            f"one array task of that run: its {read['documents']:,} documents out of manifest and plan",
            "printed, not judged",
            f"{read['seconds']:.1f} s, {read['peak_mb']:.0f} MB",
            True,
            HOW,
            read,
        ),
    ]


def measured(what: str, project: Path) -> dict[str, Any]:
    """What a process of its own says of itself, with its seconds from start to end."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.submit", what, str(project)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {"seconds": time.perf_counter() - began, **json.loads(done.stdout)}


def write_project(project: Path) -> None:
    """The config, the manifest, and an earlier run of the same config with another manifest."""
    model = ROOT / "cache/models/SmolLM2-135M-Instruct"
    (project / "config.yaml").write_text(CONFIG.format(model=model, shards=SHARDS))
    write_once(project / "m.jsonl", (f"{entry_json(entry)}\n".encode() for entry in entries()))
    config = load(project / "config.yaml", project=project)
    facts = {"config": config.model_dump(), "created_at": "2026-01-01T00:00:00.000Z", "manifest_sha256": "0" * 64}
    create(project, config.name, now=datetime.now(UTC)).freeze(facts)


def entries() -> Iterator[Entry]:
    """Documents that nobody has: 10,000 tokens in the middle, some a hundred times as long."""
    draw = random.Random(7)
    for number in range(DOCUMENTS):
        sha256, tokens = hashlib.sha256(str(number).encode()).hexdigest(), 1 + int(draw.lognormvariate(9.2, 1))
        yield Entry(
            doc_id=f"manual-{number:07}-{sha256[:8]}", path=f"part-{number % 1000:03}/manual-{number:07}.pdf",
            root="documents", sha256=sha256, bytes=50 * tokens, media_type="application/pdf", pages=None,
            size_class=size_class(50 * tokens), tokens=tokens,
        )  # fmt: skip


# -- in a process of its own


def submit(project: Path) -> dict[str, Any]:
    """What `hpc-qa submit` does before sbatch; seconds of each part of it."""
    phases: dict[str, float] = {}

    def timed(phase: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                phases[phase] = time.perf_counter() - began

        return timing

    config = load(project / "config.yaml", project=project)
    timed("checks", check_startable)(config, project)
    planned = timed("read and plan", plan_run)(config, project=project, convert_first=True)
    timed("double", refuse_double)(planned, project)
    timed("freeze", freeze)(planned, project=project)
    return {"phases": phases, "shards": len(planned.shards), "peak_mb": peak_mb(), "cpu_s": time.process_time()}


def read_shard(project: Path) -> dict[str, Any]:
    """What an array task reads before it asks for its first document."""
    from hpc_qa.worker.task import _entries

    made = list_runs(project)[-1]
    documents = made.frozen_plan()["shards"][-1]["documents"]
    return {"documents": len(_entries(made, documents)), "peak_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # ru_maxrss is in KiB


if __name__ == "__main__":
    print(json.dumps({"submit": submit, "read_shard": read_shard}[sys.argv[1]](Path(sys.argv[2]))))
