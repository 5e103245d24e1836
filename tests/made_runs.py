"""Records and runs as submit and the worker write them, for the tests of the store and of what reads it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpc_qa.config import Config
from hpc_qa.ledger.samples import Device, Sample, sum_up, to_line
from hpc_qa.store.files import write_json_once, write_once
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, ShardDirectory, attempt_name, create
from hpc_qa.store.segments import SegmentWriter

Record = dict[str, Any]
CREATED_AT = "2026-01-02T03:04:05.000Z"


def key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def pair(doc_id: str, index: int, item: int, **changes: Any) -> Record:
    """An accepted pair; its question says which one it is."""
    record = {
        "kind": "pair",
        "key": key("pair", doc_id, index, item),
        "doc_id": doc_id,
        "chunk_id": f"{doc_id}-{index}",
        "chunk_index": index,
        "item": item,
        "question": f"What does rule {key(doc_id, index, item)[:12]} of {doc_id} require?",
        "answer": f"Sentence {item} says so.",
        "evidence": [f"Sentence {item} of chunk {index}."],
        "evidence_numbers": [item + 1],
        "question_type": "factual",
        "checks": {"evidence_exists": True, "numbers_occur": True},
        "clarity": 5,
        "accuracy": 4,
        "relevance": 4,
        "quality_score": 0.83,
        "accepted": True,
        "reject_reason": None,
        "judge": {"reason": "fine"},
        "created_at": CREATED_AT,
    }
    return record | changes


def rejected(doc_id: str, index: int, item: int, reason: str = "numbers_occur", **changes: Any) -> Record:
    """A pair that failed a check and was therefore not judged."""
    unjudged = dict.fromkeys(("clarity", "accuracy", "relevance", "quality_score", "judge"))
    checks = {"evidence_exists": True, "numbers_occur": reason != "numbers_occur"}
    return pair(doc_id, index, item, accepted=False, reject_reason=reason, checks=checks, **unjudged) | changes


def chunk(doc_id: str, index: int, pairs: list[Record], **changes: Any) -> list[Record]:
    """A chunk with its pairs: one batch."""
    items = max(len(pairs), 3)
    record = {
        "kind": "chunk",
        "key": key("chunk", doc_id, index),
        "doc_id": doc_id,
        "chunk_id": f"{doc_id}-{index}",
        "chunk_index": index,
        "context": " ".join(f"Sentence {item} of chunk {index}." for item in range(items)),
        "headings": ["Part I", f"§ {index}"],
        "pages": [index + 1],
        "asked": 5,
        "parsed": len(pairs),
        "checked": sum(all(record["checks"].values()) for record in pairs),
        "judged": sum(record["clarity"] is not None for record in pairs),
        "accepted": sum(record["accepted"] for record in pairs),
        "outcome": "ok",
        "lost": {"shortfall": 5 - len(pairs)} if len(pairs) < 5 else {},
        "prompt_tokens": 100,
        "cached_tokens": 40,
        "completion_tokens": 50,
    }
    return [*pairs, record | changes]


def document(doc_id: str, chunks: Sequence[list[Record]] = (), state: str = "ok", **changes: Any) -> Record:
    """The terminal record of a document with these chunks."""
    pairs = [record for batch in chunks for record in batch if record["kind"] == "pair"]
    record = {
        "kind": "document",
        "key": key("document", doc_id),
        "doc_id": doc_id,
        "state": state,
        "reason": None if state == "ok" else "poison",
        "chunks": len(chunks),
        "pairs": len(pairs),
        "accepted": sum(record["accepted"] for record in pairs),
        "seconds": 1.5,
    }
    return record | changes


def whole(doc_id: str, chunks: int = 2, pairs: int = 2) -> list[list[Record]]:
    """The batches of a finished document."""
    batches = [chunk(doc_id, index, [pair(doc_id, index, item) for item in range(pairs)]) for index in range(chunks)]
    return [*batches, [document(doc_id, batches)]]


def planned_run(
    project: Path,
    shards: Sequence[Sequence[str]],
    *,
    settled: Sequence[Mapping[str, str]] = (),
    name: str = "made",
    nonce: str = "0001",
    converter: str = "c0ffee",
    executor: str = "local",
    gpus: int = 0,
    campaign: str | None = None,
    batch: str | None = None,
    hardware: Mapping[str, object] | None = None,
    targets: str | None = None,
    vllm: Mapping[str, object] | None = None,
) -> RunDirectory:
    """A run as `submit` leaves it: nothing of it has been worked on."""
    run = create(project, name, now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), nonce=nonce)
    documents = [doc_id for shard in shards for doc_id in shard] + [one["doc_id"] for one in settled]
    entries = [{"doc_id": doc_id, "path": f"in/{doc_id}.pdf", "sha256": key(doc_id)} for doc_id in documents]
    manifest = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    planned = [{"index": index, "documents": list(shard)} for index, shard in enumerate(shards)]
    counts = {"documents": len(documents), "converter_key": converter}
    plan = json.dumps(counts | {"shards": planned, "settled": list(settled)}).encode()
    config = Config.model_validate(
        {
            "name": name,
            "campaign": campaign,
            "batch": batch,
            "targets": targets,
            "seed": 7,
            "manifest": "m.jsonl",
            "vllm": {"model": "models/small"} | dict(vllm or {}),
            "qa": {"language": "en", "checks": {"near_duplicate": 0.8}},
        }
    )
    write_once(run.manifest, manifest)
    write_once(run.plan, plan)
    write_once(run.prompts, b"{}")
    facts = {
        "run": run.run_id,
        "created_at": CREATED_AT,
        "project": str(project),
        "executor": executor,
        "config": config.model_dump(),
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "model": {"name": "models/small", "revision": None},
        "prompts": {"sha256": key("prompts"), "file_sha256": hashlib.sha256(b"{}").hexdigest()},
        "gpus_per_server": gpus,
        "hardware": dict(hardware or {}),
    }
    run.freeze(facts)
    return run


def attempt(shard: ShardDirectory, batches: Sequence[list[Record]], restart: int = 0) -> AttemptDirectory:
    """An attempt that wrote these batches and closed its segment, without a commit."""
    made = shard.new_attempt(attempt_name("4471", shard.index, restart))
    writer = SegmentWriter(made.path)
    for batch in batches:
        writer.add(batch)
    writer.close()
    return made


def leave_traces(made: AttemptDirectory) -> None:
    """What an attempt writes beside its records: who it was, how far it got, what it took, its log."""
    identity = {"job_id": "4471", "pid": 999_999_999, "process_start_s": 1.5, "host": "node", "started_at": CREATED_AT}
    progress = dict.fromkeys(("documents_todo", "documents_fed", "chunks_fed", "chunks_done", "computed_tokens"), 3)
    write_json_once(made.attempt_json, identity)
    write_json_once(made.path / "progress.json", progress | {"at": CREATED_AT, "stage": "serving", "serving_s": 2.5})
    summary = {"model": "models/small", "gpus_per_server": 0, "startup_s": 1.5, "serving_s": 2.5}
    write_json_once(made.path / "summary.json", summary | {"predicted_tokens": 100})
    stage = {"stage": "serving", "start": CREATED_AT, "end": CREATED_AT, "duration_s": 2.5}
    write_once(made.stages, (json.dumps(stage) + "\n").encode())
    device = Device("GPU-a", 50, 7, 300.0, 9)
    samples = [to_line(Sample(at, "serving", at / 2, 1000, (device,))) for at in range(3)]
    write_once(made.gpu_samples, b"".join(samples))
    found = sum_up(samples)
    assert found is not None
    write_json_once(made.samples_json, found.to_json())
    write_once(made.worker_log, b"2026-01-02 03:04:05,000 INFO shard 0 committed\n")


def submission(shards: Sequence[int]) -> dict[str, Any]:
    """What was written down when these shards were started."""
    tasks = [{"shard": shard, "job_id": "4471", "pid": 999_999_999, "process_start_s": 1.5} for shard in shards]
    return {"at": CREATED_AT, "executor": "local", "host": "node", "tasks": tasks}


def finished_run(project: Path, shards: Sequence[Sequence[str]], **settings: Any) -> RunDirectory:
    """A run whose every document is ok and every shard committed."""
    run = planned_run(project, shards, **settings)
    for index, documents in enumerate(shards):
        made = attempt(run.shard(index), [batch for doc_id in documents for batch in whole(doc_id)])
        assert commit_shard(run.shard(index), made.name, documents)
    return run
