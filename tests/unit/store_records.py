"""Records as the worker writes them, for the tests of the store."""

import hashlib
from typing import Any

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


def document(doc_id: str, chunks: list[list[Record]] = [], state: str = "ok", **changes: Any) -> Record:  # noqa: B006
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
