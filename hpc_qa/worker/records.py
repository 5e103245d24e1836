"""The records of this worker: work keys, seeds, and the fields that every pair carries.

The key says what was asked of which text with which model; two attempts at the same work have the same key.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpc_qa.documents.chunks import Chunk
from hpc_qa.manifest import Entry
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.judge import Verdict, quality_score
from hpc_qa.store.records import work_key


@dataclass(frozen=True, slots=True)
class RecordMaker:
    """What is the same for all records of a run."""

    model: str
    revision: str | None
    prompts_sha256: str
    sampling: Mapping[str, Any]
    seed: int

    def seed_of(self, chunk_id: str, number: int) -> int:
        """The sampling seed of one request: 31 bits of a hash, the same in every attempt."""
        digest = hashlib.sha256(f"{self.seed}/{chunk_id}/{number}".encode()).digest()
        return int.from_bytes(digest[:4]) >> 1

    def _key(self, entry: Entry, chunk_id: str, kind: str, item: int) -> str:
        return work_key(
            doc_id=entry.doc_id, doc_sha256=entry.sha256, chunk_id=chunk_id, kind=kind, item=item,
            prompt_sha256=self.prompts_sha256, model=self.model, revision=self.revision, sampling=self.sampling,
            seed=self.seed,
        )  # fmt: skip

    def chunk_key(self, entry: Entry, chunk: Chunk) -> str:
        """The work key of a chunk's record."""
        return self._key(entry, chunk.chunk_id, "chunk", 0)

    def pair(
        self, entry: Entry, chunk: Chunk, item: int, draft: Draft, *, checks: Mapping[str, bool],
        verdict: Verdict | None, accepted: bool, reject_reason: str | None, created_at: str,
    ) -> dict[str, Any]:  # fmt: skip
        """One question and answer, accepted or not."""
        return {
            "kind": "pair",
            "key": self._key(entry, chunk.chunk_id, "pair", item),
            "doc_id": entry.doc_id,
            "chunk_id": chunk.chunk_id,
            "chunk_index": chunk.index,
            "item": item,
            "question": draft.question,
            "answer": draft.answer,
            "evidence": list(draft.evidence),
            "evidence_numbers": list(draft.evidence_numbers),
            "question_type": draft.question_type,
            "checks": dict(checks),
            "clarity": verdict.clarity if verdict else None,
            "accuracy": verdict.accuracy if verdict else None,
            "relevance": verdict.relevance if verdict else None,
            "quality_score": quality_score(verdict),
            "accepted": accepted,
            "reject_reason": reject_reason,
            "judge": {"reason": verdict.reason} if verdict else None,
            "created_at": created_at,
        }

    def chunk(  # noqa: PLR0913 - one argument per field of the record
        self, entry: Entry, chunk: Chunk, *, asked: int, parsed: int, checked: int, judged: int, accepted: int,
        outcome: str, lost: Mapping[str, int], tokens: Mapping[str, int],
    ) -> dict[str, Any]:  # fmt: skip
        """What came of one chunk, with the text that its pairs were asked about."""
        return {
            "kind": "chunk",
            "key": self.chunk_key(entry, chunk),
            "doc_id": entry.doc_id,
            "chunk_id": chunk.chunk_id,
            "chunk_index": chunk.index,
            "context": chunk.text,
            "headings": list(chunk.headings),
            "pages": list(chunk.pages) if chunk.pages is not None else None,
            "asked": asked,
            "parsed": parsed,
            "checked": checked,
            "judged": judged,
            "accepted": accepted,
            "outcome": outcome,
            "lost": dict(lost),
            "prompt_tokens": tokens.get("prompt", 0),
            "cached_tokens": tokens.get("cached", 0),
            "completion_tokens": tokens.get("completion", 0),
        }

    def document(
        self, entry: Entry, *, state: str, reason: str | None, chunks: int, pairs: int, accepted: int, seconds: float
    ) -> dict[str, Any]:
        """The terminal state of one document."""
        return {
            "kind": "document",
            "key": self._key(entry, "", "document", 0),
            "doc_id": entry.doc_id,
            "state": state,
            "reason": reason,
            "chunks": chunks,
            "pairs": pairs,
            "accepted": accepted,
            "seconds": round(seconds, 3),
        }
