"""Attempts that run now, as a worker of this machine writes them, for tests of what looks at them."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

from hpc_qa.ledger.samples import Device, Sample, to_line
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, attempt_name
from hpc_qa.worker.live import LiveMetrics

SERVER = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="warm"} 3.0
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="warm"} 1500.0
# TYPE vllm:generation_tokens_created gauge
vllm:generation_tokens_created{engine="0",model_name="warm"} 1.7953237921255488e+09
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 1.0
"""


def document(state: str = "ok", seconds: float = 1.5) -> dict[str, Any]:
    return {"kind": "document", "state": state, "seconds": seconds}


def pair(quality_score: float | None = 0.8, *, accepted: bool = True) -> dict[str, Any]:
    return {"kind": "pair", "quality_score": quality_score, "accepted": accepted}


def chunk() -> dict[str, Any]:
    return {"kind": "chunk", "prompt_tokens": 100, "cached_tokens": 40, "completion_tokens": 50}


def identity(**changes: Any) -> dict[str, Any]:
    """Of an attempt whose worker is this process."""
    started = psutil.Process().create_time()
    return {"host": platform.node(), "pid": os.getpid(), "process_start_s": started} | changes


def live_attempt(
    run: RunDirectory, shard: int = 0, *, documents: int = 4, server: str | None = SERVER, gpus: tuple[int, ...] = (),
    resident_bytes: int | None = 8_000_000_000, who: Mapping[str, Any] | None = None,
    clock: Callable[[], float] | None = None,
) -> tuple[AttemptDirectory, LiveMetrics]:  # fmt: skip
    """An attempt that serves: its folder, and what writes its metrics."""
    directory = run.shard(shard).new_attempt(attempt_name("4471", shard, 0))
    directory.attempt_json.write_text(json.dumps(who or identity()))
    now = time.time()
    devices = tuple(Device(f"GPU-{n}", percent, 20_000_000_000, 300.0, 9) for n, percent in enumerate(gpus))
    lines = [to_line(Sample(now - 3 + at, "serving", 1.0 + at, resident_bytes, devices)) for at in range(3)]
    directory.gpu_samples.write_bytes(b"".join(lines))
    live = LiveMetrics(
        directory, run=run.run_id, shard=shard, documents=documents, stage=lambda: "serving",
        clock=clock or time.monotonic,
    )  # fmt: skip
    if server is not None:
        live.server = lambda: server
    return directory, live


def half_an_hour(run: RunDirectory, records: Sequence[Mapping[str, Any]], shard: int = 0, **settings: Any) -> None:
    """An attempt that wrote these records in its first half hour of serving."""
    now = [0.0]
    _, live = live_attempt(run, shard, clock=lambda: now[0], **settings)
    live.write()
    now[0] = 1799.0
    live.take(records)
    now[0] = 1800.0
    live.write_server()
    live.write()
