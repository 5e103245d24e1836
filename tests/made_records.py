"""Made benchmark records, arms of them, and a project with years of them."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpc_qa.bench.arm import Arm
from hpc_qa.bench.record import Record, completed
from hpc_qa.bench.record_file import keep

NUMBERS = itertools.count()  # no two arms have a run in common
LIKE = {
    "hardware": {"gpu_model": "A100", "gpu_count": 4},
    "model": {"name": "m"},
    "configuration": {"chunk_size": 1500},
}


def arm(
    *, throughput: Sequence[float] = (), quality: Sequence[float] = (), errors: Sequence[float] = (),
    documents: int | None = 50, runs: int | None = None, **sections: Any,
) -> Arm:  # fmt: skip
    """An arm with these values of its runs; a metric without values is null in all of them."""
    count = runs if runs is not None else max(len(throughput), len(quality), len(errors))
    records = [
        Record.model_validate(
            LIKE | {
                "id": f"r{next(NUMBERS)}", "dataset": {"pdfs_processed": documents},
                "results": {
                    "throughput_pdfs_per_hour": _at(throughput, number), "error_rate": _at(errors, number),
                },
                "quality": {"quality_score": _at(quality, number)},
            } | sections
        )
        for number in range(count)
    ]  # fmt: skip
    return Arm("made", tuple(records), ())


def _at(values: Sequence[float], number: int) -> float | None:
    return float(values[number]) if number < len(values) else None


def years_of_records(project: Path, runs: int, *, seed: int = 1) -> None:
    """Records of so many runs, one in seven of this machine, in records/ of a project."""
    draw = random.Random(seed)
    for number in range(runs):
        environment = "cluster" if number % 7 else "local"
        spent = {"model_load": draw.uniform(50, 300), "serving": 2000.0, "tail": draw.uniform(50, 300)}
        record = {
            "id": f"{environment}_batch_{number:04}", "environment": environment,
            "date": f"2026-{1 + number * 12 // runs:02}-{1 + number % 28:02}",
            "batch": draw.choice(["batch_50", "batch_200", "local_20"]),
            "hardware": {"gpu_count": 4, "gpu_model": "A100", "gpu_vram_gb": 80, "ram_gb_allocated": 256},
            "model": {"name": "m"}, "configuration": {"concurrency_limit": draw.choice([10, 20, 50, 100])},
            "dataset": {"pdfs_processed": 50},
            "results": {
                "total_time_minutes": draw.uniform(80, 200), "qa_pairs_generated": 250, "error_rate": 0.01,
                "gpu_hours": draw.uniform(5, 12), "max_cpu_memory_gb": draw.uniform(180, 250),
                "avg_gpu_utilization_percent": draw.uniform(15, 90),
            },
            "stages": [{"name": name, "of": "allocation", "duration_s": took} for name, took in spent.items()],
            "quality": {"quality_score": draw.uniform(0.65, 0.8)},
        }  # fmt: skip
        keep(completed(Record.model_validate(record)), project / "records")
