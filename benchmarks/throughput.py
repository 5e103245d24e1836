"""Throughput against what a user would pick instead: the same requests by vLLM's own `run_batch` and by our client.

Both get the same 300 generation requests about the demo's documents, the same server options and a cold prefix cache.
`run_batch` has one number: how much longer 300 requests take than 100, each counted from reading its input to writing
its output. Ours is counted from the first request to the last answer, through Ray actors over a UNIX socket, with every
answer parsed, checked and written to a segment; the judge is off. Pairs alternate, the ratio is that of the medians.

Takes about five minutes a pair. Run it on an otherwise idle machine.
"""

import itertools
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figure import ROOT, Figure
from hpc_qa import config_file
from hpc_qa.client.dispatcher import Dispatcher
from hpc_qa.client.request import Endpoint, Request, payload
from hpc_qa.client.session import RaySession
from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.convert import convert_all
from hpc_qa.manifest import Entry, read
from hpc_qa.qa import prompts
from hpc_qa.qa.control_tokens import control_tokens
from hpc_qa.serving.command import serve_command, server_environment
from hpc_qa.serving.server import VllmServer
from hpc_qa.store.segments import SegmentWriter
from hpc_qa.worker.pipeline import Pipeline
from hpc_qa.worker.records import RecordMaker

PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))
FEW, MANY = 100, 300
IN_FLIGHT = 48  # more than the server computes at once (max_num_seqs 32), so that it never waits for us
RUN_BATCH = "vllm.entrypoints.openai.run_batch"
NOT_OF_BATCH = {"--uds": 2, "--disable-uvicorn-access-log": 1}  # options of a server that run_batch has not, with words
HOW = "python -m benchmarks throughput"


def run() -> list[Figure]:
    """The figures of this benchmark."""
    config, entries = settings(), documents()
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="hqb", dir="/tmp") as folder:
        for number in range(PAIRS):
            place = Path(folder) / str(number)
            place.mkdir(mode=0o700)
            steps = [lambda at=place: theirs.append(batch_rate(config, entries, at)),
                     lambda at=place: ours.append(our_rate(config, entries, at))]  # fmt: skip
            for step in steps if number % 2 == 0 else reversed(steps):
                step()
            print(f"pair {number + 1}: run_batch {theirs[-1]}, ours {ours[-1]}", file=sys.stderr, flush=True)
    return [figure(ours, theirs)]


def figure(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> Figure:
    """The ratio of the medians, with the range of the ratios of the pairs."""
    ratios = [mine["rate"] / other["rate"] for mine, other in zip(ours, theirs, strict=True)]
    our_median, their_median = (statistics.median(one["rate"] for one in side) for side in (ours, theirs))
    ratio = our_median / their_median
    measured = (
        f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} alternating pairs; "
        f"{our_median:.2f} against {their_median:.2f} requests/s)"
    )
    asked = "at least 0.90 of vllm run_batch; below 0.80 is a fault"
    raw = {"ours": ours, "run_batch": theirs, "requests": MANY, "in_flight": IN_FLIGHT}
    return Figure("generation requests per second, judge off", asked, measured, ratio >= 0.90, HOW, raw)


def settings() -> Config:
    """The demo's settings without its sample and its judge."""
    demo = config_file.load(ROOT / "configs" / "demo_cpu.yaml", project=ROOT)
    changed = demo.model_dump()
    changed["documents"]["sample_chunks"] = None
    changed["qa"] |= {"judge": False, "max_pairs_per_document": None}
    return Config.model_validate(changed)


def documents() -> list[Entry]:
    """The demo's documents, converted."""
    subprocess.run([sys.executable, "-m", "demo", "prepare"], cwd=ROOT, check=True)
    config = settings()
    entries = read(ROOT / config.manifest, project=ROOT)
    converted = {one.doc_id for one in convert_all(entries, config, project=ROOT) if one.status == "ok"}
    return [entry for entry in entries if entry.doc_id in converted]


def pipeline(config: Config, entries: list[Entry], writer: SegmentWriter | None) -> Pipeline:
    """The worker's own pipeline over these documents."""
    cache = DocumentCache(ROOT / config.documents.cache, converter_key(config, ROOT))
    templates = prompts.load(control_tokens=control_tokens(ROOT / config.model))
    maker = RecordMaker(config.model, None, templates.sha256, {}, config.seed)
    return Pipeline(
        config, entries, chunks_of=lambda entry: cache.chunks(entry.sha256, entry.media_type), done_chunks={},
        prompts=templates, make=maker, write=writer.add if writer else _drop, request_timeout_s=600.0,
        clock=time.monotonic,
    )  # fmt: skip


def _drop(_records: object) -> None:
    """Where records go when only the requests are wanted."""


# -- run_batch


def batch_rate(config: Config, entries: list[Entry], place: Path) -> dict[str, float]:
    """Requests per second of `run_batch`: the slope between few and many requests."""
    requests = list(itertools.islice(pipeline(config, entries, None).requests(), MANY))
    few, many = (batch_seconds(config, requests[:count], place / f"batch-{count}") for count in (FEW, MANY))
    return {"few_s": round(few, 2), "many_s": round(many, 2), "rate": round((MANY - FEW) / (many - few), 3)}


def batch_seconds(config: Config, requests: list[Request], place: Path) -> float:
    """Seconds from reading the input to the output being there."""
    place.mkdir(mode=0o700)
    source, target = place / "in.jsonl", place / "out.jsonl"
    lines = (
        {"custom_id": one.id, "method": "POST", "url": "/v1/chat/completions", "body": payload(one, "bench")}
        for one in requests
    )
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [sys.executable, "-m", RUN_BATCH, "-i", str(source), "-o", str(target), *engine_options(config, place)]
    environment = server_home(config, place)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log)
        began = moment(place / "log", b"Reading batch from", process)
        ended = appearance(target, process)
        process.wait()
    answered = sum(line["response"]["status_code"] == 200 for line in map(json.loads, target.open()))
    if answered != len(requests):
        raise RuntimeError(f"run_batch answered {answered} of {len(requests)} requests; see {place}/log")
    return ended - began


def engine_options(config: Config, place: Path) -> list[str]:
    """The words that our own server is started with, without those that only a server has."""
    command = serve_command(config.vllm, model_path=ROOT / config.model, socket=place, served_model_name="bench")
    words = command[3:]
    for name, count in NOT_OF_BATCH.items():
        if name in words:
            at = words.index(name)
            del words[at : at + count]
    return words


def server_home(config: Config, place: Path) -> dict[str, str]:
    """The environment that our own server has, and its folders."""
    for name in ("tmp", "cache"):
        (place / name).mkdir(mode=0o700, exist_ok=True)
    return server_environment(
        config.vllm, key="bench", folder=place, cache=ROOT / "cache" / "vllm", mark="BENCH=1", model_is_folder=True
    )


def moment(log: Path, words: bytes, process: subprocess.Popen[bytes]) -> float:
    """When the words appeared in the log."""
    while words not in log.read_bytes():
        if process.poll() is not None:
            raise RuntimeError(f"run_batch ended with status {process.returncode}: {log.read_text()[-2000:]}")
        time.sleep(0.02)
    return time.perf_counter()


def appearance(target: Path, process: subprocess.Popen[bytes]) -> float:
    """When the output was there."""
    while not target.exists():
        if process.poll() not in (None, 0):
            raise RuntimeError(f"run_batch ended with status {process.returncode}")
        time.sleep(0.02)
    return time.perf_counter()


# -- ours


def our_rate(config: Config, entries: list[Entry], place: Path) -> dict[str, float]:
    """Requests per second of our client, and the CPU seconds of its parts meanwhile."""
    logging.getLogger("hpc_qa").setLevel(logging.WARNING)
    server = VllmServer(
        config.vllm, model_path=ROOT / config.model, folder=place / "v", cache=ROOT / "cache" / "vllm",
        log=place / "server.log", served_model_name="bench",
    )  # fmt: skip
    records = place / "records"
    records.mkdir()
    with server, RaySession(place / "r", num_cpus=len(os.sched_getaffinity(0))) as session:
        server.start()
        server.wait_ready()
        endpoint = Endpoint(server.socket, server.key, server.served_model_name)
        pool = session.pool(endpoint, actors=config.client.actors, concurrency=IN_FLIGHT)
        writer = SegmentWriter(records)
        work = pipeline(config, entries, writer)
        before, began = cpu_seconds(pool.pids(), server), time.perf_counter()
        # no retries: run_batch has none, and both are to answer the same requests
        count = Dispatcher(pool, limit=IN_FLIGHT, max_retries=0).run(
            itertools.islice(work.requests(), MANY), work.on_done, tick=writer.flush_if_due
        )
        seconds = time.perf_counter() - began
        after = cpu_seconds(pool.pids(), server)
        writer.close()
    # run_batch counts an answer that was cut off at max_tokens as one, and so it is here
    if count.ok + count.failures.get("truncated", 0) != MANY:
        raise RuntimeError(f"{count.ok} of {MANY} requests were answered: {count.failures}")
    spent = {f"cpu_{name}_s": round(after[name] - before[name], 2) for name in after}
    return {"seconds": round(seconds, 2), "rate": round(MANY / seconds, 3)} | spent


def cpu_seconds(actors: list[int], server: VllmServer) -> dict[str, float]:
    """CPU time so far: of this process, the actors, the rest of Ray, vLLM's front and its engine."""
    parts: dict[str, float] = dict.fromkeys(("client", "actors", "ray", "server", "engine"), 0.0)
    below = {child.pid for child in psutil.Process(server.pid).children(recursive=True)}
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        times = process.cpu_times()
        parts[part_of(process, actors, below, server)] += times.user + times.system
    return parts


def part_of(process: psutil.Process, actors: list[int], below: set[int], server: VllmServer) -> str:
    """Which part of the whole a process belongs to."""
    if process.pid == os.getpid():
        return "client"
    if process.pid in actors:
        return "actors"
    if process.pid in below or process.pid == server.pid:
        return "engine" if "Worker" in process.name() or "Engine" in process.name() else "server"
    return "ray"
