"""Made benchmark records, and arms of them."""

from collections.abc import Sequence
from typing import Any

from hpc_qa.bench.arm import Arm
from hpc_qa.bench.record import Record

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
                "id": f"r{number}", "dataset": {"pdfs_processed": documents},
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
