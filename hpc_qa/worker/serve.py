"""Hold a server and ask it about documents: from the first process to the last.

The server loads its model while Ray starts. Then the pipeline is pulled through the dispatcher until it is exhausted, a
stop is asked for, or the server cannot be kept alive. Sockets, keys and caches live in a private folder on the node,
which is removed at the end.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpc_qa.client.dispatcher import Conservation, Dispatcher
from hpc_qa.client.request import Endpoint, Request
from hpc_qa.client.session import ActorPool, RaySession
from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.errors import ClientError, ServerError, StoreError
from hpc_qa.manifest import Entry
from hpc_qa.qa import prompts
from hpc_qa.qa.control_tokens import control_tokens
from hpc_qa.serving.attached import AttachedServer
from hpc_qa.serving.memory import concurrency
from hpc_qa.serving.metrics import ServerMetrics, scrape_text
from hpc_qa.serving.phases import Phase
from hpc_qa.serving.server import VllmServer
from hpc_qa.serving.watch import ServerWatch
from hpc_qa.store.files import read_json
from hpc_qa.store.merge import ChunkDone
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, ShardDirectory, superseded
from hpc_qa.store.segments import SegmentWriter
from hpc_qa.units import iso, parse_clock, utc_now
from hpc_qa.worker import nodes
from hpc_qa.worker.chunk_source import ChunkSource, PlannedChoice
from hpc_qa.worker.intents import NAME as INTENTS
from hpc_qa.worker.intents import Intents, Suspicion, suspicion
from hpc_qa.worker.live import LiveMetrics
from hpc_qa.worker.pipeline import Pipeline
from hpc_qa.worker.progress import ProgressFile
from hpc_qa.worker.prompt_size import tokens_per_request
from hpc_qa.worker.records import RecordMaker, sampling_of
from hpc_qa.worker.scratch import RAY, scratch
from hpc_qa.worker.settle import Settled
from hpc_qa.worker.stages import Stages
from hpc_qa.worker.stopping import Stopping

log = logging.getLogger("hpc_qa.worker")

FENCE_EVERY_S = 10.0
DRAIN_S = 30.0  # for what is in flight, once a stop was asked for
Server = VllmServer | AttachedServer


@dataclass(frozen=True, slots=True)
class Attempt:
    """Where this attempt writes, and what was frozen for it."""

    run: RunDirectory
    shard: ShardDirectory
    directory: AttemptDirectory
    config: Config
    project: Path
    facts: Mapping[str, Any]  # run.json
    converter_key: str
    documents: int  # of the shard
    predicted_tokens: int  # of the shard


def serve_documents(
    attempt: Attempt, todo: Sequence[Entry], settled: Sequence[Settled], done_chunks: Mapping[str, ChunkDone],
    choice: PlannedChoice, stages: Stages, stopping: Stopping,
) -> None:  # fmt: skip
    """Ask about these documents until they are done or a stop is asked for; records are on disk when this returns.

    `settled` are written down and not asked about; where nothing else is left, no server is started. `choice` says
    which chunks are asked about.

    Raises:
        ServerError: the server did not start or could not be kept alive.
        ClientError: Ray did not start, or its actors keep dying.
        StoreError: records could not be written.
    """
    writer = SegmentWriter(attempt.directory.path)
    suspects = suspicion(attempt.shard)
    intents = Intents(attempt.directory.path / INTENTS)
    cache = DocumentCache(attempt.project / attempt.config.documents.cache, attempt.converter_key)
    tokens = control_tokens(attempt.project / (attempt.config.vllm.tokenizer or attempt.config.model))
    source = ChunkSource(cache, [*todo, *(one.entry for one in settled)], choice, attempt.config, tokens)
    live = LiveMetrics(
        attempt.directory, run=attempt.run.run_id, shard=attempt.shard.index, documents=len(todo) + len(settled),
        stage=lambda: stages.current,
    )  # fmt: skip

    def write(records: list[dict[str, Any]]) -> None:
        whole = source.complete(records)
        writer.add(whole)
        live.take(whole)

    pipeline = _pipeline(attempt, todo, done_chunks, source, write, intents, suspects)
    serving = _Serving(attempt, pipeline, writer, live, stages, stopping)
    try:
        with live.kept(), scratch() as folder:
            pipeline.settle(settled)
            if todo:
                serving.hold(folder)
            else:
                stages.begin("teardown")
    except BaseException as error:  # saved, and raised again unless it only says that everything ends
        if not (isinstance(error, ClientError | ServerError) and stopping.everything_ends()):
            _save(writer, serving)
            if not isinstance(error, ServerError):  # else one of the documents that were in flight may be to blame
                intents.acquit()
            raise
        log.info("as everything was told to end: %s", error)
    writer.close()
    intents.acquit()
    serving.write_progress()


def _save(writer: SegmentWriter, serving: "_Serving") -> None:
    """What was finished before an error is worth keeping; if that fails as well, the first error is still the news."""
    try:
        writer.close()
        serving.write_progress()
    except StoreError as error:
        log.error("the last records may not be written: %s", error)


class _Serving:
    """One server, one Ray session, one pipeline; from start to teardown."""

    def __init__(
        self, attempt: Attempt, pipeline: Pipeline, writer: SegmentWriter, live: LiveMetrics, stages: Stages,
        stopping: Stopping,
    ) -> None:  # fmt: skip
        self._attempt = attempt
        self._pipeline = pipeline
        self._writer = writer
        self._live = live
        self._stages = stages
        self._stopping = stopping
        self._progress = ProgressFile(attempt.directory.path / "progress.json", clock=time.monotonic)
        self._phase: str | None = None
        self._serving_began: float | None = None
        self._fenced_at = float("-inf")
        self._first_metrics: ServerMetrics | None = None  # of the server that runs now
        self._earlier_metrics: ServerMetrics | None = None  # what servers before it have counted
        self._watch: ServerWatch | None = None

    def hold(self, folder: Path) -> None:
        """Bring server and Ray up, work, take both down."""
        self.write_progress()
        config = self._attempt.config
        joined = nodes.join(config, self._attempt.directory.path, folder, self._stopping.requested)
        with joined as span, self._server(folder, span) as server:
            server.start()
            self._live.server = lambda: scrape_text(server.socket, server.key)
            self._begin("model_load")
            cpus, ended = len(os.sched_getaffinity(0)), self._stopping.everything_ends
            with RaySession(folder / RAY, num_cpus=cpus, ended=ended) as session:
                if not server.wait_ready(stop=self._stopping.requested) or self._stopping.requested():
                    return
                self._begin("warm_up")
                limit = self._limit(server)
                pool = session.pool(endpoint_of(server), actors=config.client.actors, concurrency=limit)
                log.info("%d requests in flight at most, through actors %s", limit, pool.pids())
                self._first_metrics = metrics_of(server)
                self._work(server, pool, limit, session.check)
                self._writer.flush()  # what ends us from here on is no document's fault, and costs no record
                self._pipeline.intents.acquit()
                self._stages.begin("teardown")
                self._write_summary(server)
                self.write_progress()

    def _server(self, node_folder: Path, span: Mapping[str, str]) -> Server:
        config, attempt = self._attempt.config, self._attempt
        if config.vllm.attach is not None:
            key_file = config.vllm.attach_key_file
            return AttachedServer(
                config.vllm,
                socket=attempt.project / config.vllm.attach,
                key_file=attempt.project / key_file if key_file else None,
            )
        tokenizer = config.vllm.tokenizer
        return VllmServer(
            config.vllm,
            model_path=_folder_or_name(attempt.project, config.model),
            tokenizer_path=_folder_or_name(attempt.project, tokenizer) if tokenizer else None,
            folder=node_folder / "v",
            # what vLLM finds out about a model it keeps; on a cluster several tasks would share the folder
            cache=attempt.project / "cache" / "vllm" if config.executor == "local" else None,
            log=attempt.directory.server_log,
            served_model_name=f"{attempt.run.run_id}-{attempt.directory.name[-8:]}",
            span=span,
            on_phase=self._on_phase,
        )

    def _on_phase(self, phase: Phase) -> None:
        self._phase = phase.shown
        log.info("server: %s, %.1f s after its start", phase.shown, phase.began_s)
        self.write_progress()

    def _limit(self, server: Server) -> int:
        """Requests in flight: the configured number, and not more than the KV cache holds."""
        config = self._attempt.config
        folder = self._attempt.project / (config.vllm.tokenizer or config.model)
        per_request = tokens_per_request(self._pipeline.prompts, config.qa, folder)
        log.info("a request takes up to %d tokens", per_request)
        if config.vllm.max_model_len is not None:
            per_request = min(per_request, config.vllm.max_model_len)
        return concurrency(config.client.concurrency_limit, metrics_of(server).kv_cache_tokens, per_request)

    def _work(self, server: Server, pool: ActorPool, limit: int, check_ray: Callable[[], None]) -> None:
        config = self._attempt.config

        def recover(reason: str) -> Endpoint:
            self._keep_counters(watch.last)
            server.restart(reason)
            return endpoint_of(server)

        with ServerWatch(server, stall_timeout_s=parse_clock(config.vllm.stall_timeout)) as watch:
            self._watch = watch
            dispatcher = Dispatcher(
                pool, limit=limit, max_retries=config.client.max_retries, check=watch.check, recover=recover,
                seed=config.seed, drain_s=DRAIN_S,
            )  # fmt: skip
            self._stages.begin("serving")
            self._serving_began = time.monotonic()

            def tick() -> None:
                if self._stopping.everything_ends():
                    dispatcher.drain_s = 0.0
                    return
                check_ray()
                self._tick(idle_slots=dispatcher.limit - dispatcher.outstanding)

            def run(requests: Iterator[Request]) -> Conservation:
                return dispatcher.run(requests, self._pipeline.on_done, tick=tick, stop=self._stopping.requested)

            conservation = run(self._pipeline.requests())
            if not self._stopping.requested():
                dispatcher.limit = 1
                conservation = run(self._pipeline.trials())
        _log_conservation(conservation)

    def _keep_counters(self, last: ServerMetrics | None) -> None:
        """A server that is started again counts from zero; what the last reading of the dead one missed is lost."""
        if last is not None:
            self._earlier_metrics = self._since_first(last).plus(self._earlier_metrics)
        self._first_metrics = None

    def _since_first(self, now: ServerMetrics) -> ServerMetrics:
        return now.since(self._first_metrics) if self._first_metrics else now

    def _tick(self, idle_slots: int) -> None:
        self._writer.flush_if_due()
        if self._pipeline.exhausted and idle_slots > 0 and self._stages.current == "serving":
            self._stages.begin("tail")
        self._progress.write_if_due(self._view)
        if time.monotonic() - self._fenced_at >= FENCE_EVERY_S:
            self._fenced_at = time.monotonic()
            if superseded(self._attempt.shard, self._attempt.directory):
                self._stopping.request("a later attempt at this shard has started")

    def _begin(self, stage: str) -> None:
        self._stages.begin(stage)
        self.write_progress()

    def write_progress(self) -> None:
        """Let people see where we are."""
        self._progress.write(self._view())

    def _view(self) -> dict[str, Any]:
        progress = self._pipeline.progress
        seconds = None if self._serving_began is None else time.monotonic() - self._serving_began
        return asdict(progress) | {
            "at": iso(utc_now()),
            "stage": self._stages.current,
            "phase": self._phase,
            "serving_s": seconds,
            "documents_done": progress.documents,
            "computed_tokens": progress.computed_tokens,
        }

    def _write_summary(self, server: Server) -> None:
        """What this attempt took: the plan of the next run reads it."""
        attempt, stages = self._attempt, self._stages.seconds
        last = self._watch.last if self._watch else None
        spent = self._since_first(metrics_of(server, last)).plus(self._earlier_metrics)
        peak = self._watch.peak_kv_cache_usage if self._watch else None
        client = self._pipeline.progress
        done = client.documents
        startup = sum(stages.get(name, 0.0) for name in ("setup", "model_load", "warm_up"))
        ProgressFile(attempt.directory.path / "summary.json", clock=time.monotonic).write(
            {
                "model": attempt.config.model,
                "gpus_per_server": attempt.facts.get("gpus_per_server"),
                "startup_s": round(startup, 3),
                "serving_s": round(stages.get("serving", 0.0) + stages.get("tail", 0.0), 3),
                "stages": {name: round(seconds, 3) for name, seconds in stages.items()},
                "predicted_tokens": round(attempt.predicted_tokens * done / max(1, attempt.documents)),
                "server_restarts": server.restarts,
                "server": asdict(spent) | {"peak_kv_cache_usage": peak},
                "prefix_cache_hit_share": _share(spent.prefix_cache_hits, spent.prefix_cache_queries),
                "judge_cached_share": _share(client.judge_cached_tokens, client.judge_prompt_tokens),
                "client": asdict(client),
            }
        )


def endpoint_of(server: Server) -> Endpoint:
    """Where requests go now."""
    return Endpoint(socket=server.socket, key=server.key, served_model_name=server.served_model_name)


def metrics_of(server: Server, known: ServerMetrics | None = None) -> ServerMetrics:
    """What it says of itself now, or what was known when it does not answer: no attempt ends for want of a figure."""
    try:
        return server.metrics()
    except ServerError as error:
        log.warning("%s", error)
        return known or ServerMetrics()


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _log_conservation(result: Conservation) -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(result.failures.items()))
    log.info(
        "%d requests: %d ok, %d failed%s, %d skipped, %d retries",
        result.admitted, result.ok, result.failed, f" ({reasons})" if reasons else "", result.skipped, result.retries,
    )  # fmt: skip


def _pipeline(
    attempt: Attempt, todo: Sequence[Entry], done_chunks: Mapping[str, ChunkDone],
    source: ChunkSource, write: Callable[[list[dict[str, Any]]], None], intents: Intents, suspects: Suspicion,
) -> Pipeline:  # fmt: skip
    config = attempt.config
    frozen = attempt.run.prompts
    templates = prompts.of(read_json(frozen)["templates"], source=str(frozen), control_tokens=source.tokens)

    maker = RecordMaker(
        model=config.model,
        revision=config.vllm.revision,
        prompts_sha256=templates.sha256,
        sampling=sampling_of(config.qa),
        seed=config.seed,
    )
    return Pipeline(
        config, todo, chunks_of=source.chunks_of, done_chunks=done_chunks, prompts=templates, make=maker, write=write,
        request_timeout_s=parse_clock(config.client.request_timeout), clock=time.monotonic,
        intents=intents, suspicion=suspects,
    )  # fmt: skip


def _folder_or_name(project: Path, model: str) -> str:
    """A folder counts from the project; what is no folder there is a name of a hub."""
    folder = project / model
    return str(folder) if folder.is_dir() or model.startswith((".", "/")) else model
