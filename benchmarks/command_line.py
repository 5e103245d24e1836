"""How long the quick commands take: `--help`, and `status` of a finished run of 10,000 records."""

import hashlib
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure, seconds_of, under
from hpc_qa.store.files import write_once
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import RunDirectory, attempt_name, create
from hpc_qa.store.segments import SegmentWriter

PROGRAM = Path(sys.executable).with_name("hpc-qa")
DOCUMENTS, CHUNKS, PAIRS = 200, 7, 6  # 200 documents, 1,400 chunks, 8,400 pairs: 10,000 records


def run() -> list[Figure]:
    """The figures of this benchmark."""
    figures = [under("hpc-qa --help", 0.5, seconds_of([str(PROGRAM), "--help"], runs=7), "hpc-qa --help")]
    for committed in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            made = made_run(Path(folder), committed=committed)
            taken = seconds_of([str(PROGRAM), "--project", folder, "status", made.run_id], runs=5)
        what = "finished run" if committed else "run that was never committed"
        figures.append(under(f"status of a {what}, 10,000 records", 1.5, taken, "hpc-qa status RUN"))
    return figures


def made_run(project: Path, *, committed: bool) -> RunDirectory:
    """A run of 10,000 records in one shard, written through the store as a worker does."""
    run = create(project, "bench", now=datetime.now(UTC))
    names = [f"doc-{index:04}" for index in range(DOCUMENTS)]
    plan = {"documents": DOCUMENTS, "settled": [], "shards": [{"index": 0, "documents": names, "chunks": {}}]}
    text = (json.dumps(plan) + "\n").encode()
    write_once(run.plan, text)
    facts = {
        "created_at": "2026-01-01T00:00:00.000Z",
        "executor": "local",
        "model": {"name": "m"},
        "gpus_per_server": 0,
    }
    run.freeze(facts | {"gpus_per_server": 0, "plan_sha256": hashlib.sha256(text).hexdigest()})
    shard = run.shard(0)
    attempt = shard.new_attempt(attempt_name("1", 0, 0))
    writer = SegmentWriter(attempt.path)
    for name in names:
        for chunk in range(CHUNKS):
            writer.add(chunk_records(name, chunk))
        writer.add([{"kind": "document", "key": name, "doc_id": name, "state": "ok", "reason": None,
                     "chunks": CHUNKS, "pairs": CHUNKS * PAIRS, "accepted": CHUNKS * PAIRS,
                     "seconds": 1.0}])  # fmt: skip
    writer.close()
    if committed:
        commit_shard(shard, attempt.name, names)
    return run


def chunk_records(name: str, chunk: int) -> list[dict[str, Any]]:
    """One chunk of 1,500 tokens or so and its pairs."""
    context = "The agency must decide within 45 days of the application. " * 100
    base = {"doc_id": name, "chunk_id": f"{name}-{chunk}", "chunk_index": chunk}
    pairs = [
        base | {
            "kind": "pair", "key": f"{name}-{chunk}-{item}", "item": item, "question": "When must the agency decide?",
            "answer": "Within 45 days.", "evidence": [context[:58]], "evidence_numbers": [1],
            "question_type": None, "checks": {"grounded": True}, "clarity": 5, "accuracy": 5, "relevance": 5,
            "quality_score": 1.0,
            "accepted": True, "reject_reason": None, "judge": None, "created_at": "2026-01-01T00:00:00.000Z",
        }
        for item in range(PAIRS)
    ]  # fmt: skip
    record = base | {
        "kind": "chunk", "key": f"{name}-{chunk}", "context": context, "headings": [], "pages": None, "asked": PAIRS,
        "parsed": PAIRS, "checked": PAIRS, "judged": PAIRS, "accepted": PAIRS, "outcome": "ok", "lost": {},
        "prompt_tokens": 1, "cached_tokens": 1, "completion_tokens": 1,
    }  # fmt: skip
    return [*pairs, record]
