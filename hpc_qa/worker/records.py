"""The records of this worker: work keys, seeds, and what every record says.

The key says what was asked of which text with which model; two attempts at the same work have the same key.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hpc_qa.config import BINARIES, QUESTION_TYPES, Qa
from hpc_qa.documents.chunks import Chunk
from hpc_qa.manifest import Entry
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.examination import Pair
from hpc_qa.qa.judge import REPEAT_TEMPERATURE, SCORES, quality_score
from hpc_qa.store.records import work_key
from hpc_qa.worker.chunk_work import ChunkWork, ControlWork


def sampling_of(qa: Qa) -> dict[str, Any]:
    """The settings of generation that make a pair other work; those that were always the same are left out."""
    found: dict[str, Any] = {"temperature": qa.temperature, "max_tokens": qa.max_tokens}
    if set(qa.question_types) != set(QUESTION_TYPES):
        found["question_types"] = sorted(qa.question_types)
    if qa.difficulty:
        found["difficulty"] = sorted(qa.difficulty)
    return found


@dataclass(frozen=True, slots=True)
class RecordMaker:
    """What is the same for all records of a run."""

    model: str
    revision: str | None
    prompts_sha256: str
    sampling: Mapping[str, Any]
    seed: int

    def seed_of(self, chunk_id: str, number: int | str) -> int:
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

    def pair_key(self, entry: Entry, chunk: Chunk, item: int) -> str:
        """The work key of a pair's record."""
        return self._key(entry, chunk.chunk_id, "pair", item)

    def batch(self, entry: Entry, work: ChunkWork, *, created_at: str) -> list[dict[str, Any]]:
        """Everything about a chunk that is done: its pairs, its controls, and last the chunk itself."""
        pairs = [self._pair(entry, work, pair, created_at) for pair in sorted(work.pairs, key=lambda pair: pair.item)]
        controls = [self._control(entry, work, one, created_at) for one in work.controls]
        return [*pairs, *controls, self._chunk(entry, work, pairs)]

    def _place(self, entry: Entry, chunk: Chunk) -> dict[str, Any]:
        return {"doc_id": entry.doc_id, "chunk_id": chunk.chunk_id, "chunk_index": chunk.index}

    def _pair(self, entry: Entry, work: ChunkWork, pair: Pair, created_at: str) -> dict[str, Any]:
        """One question and answer, accepted or not."""
        accepted, reason = work.outcome_of(pair)
        return {
            "kind": "pair",
            "key": self.pair_key(entry, work.chunk, pair.item),
            **self._place(entry, work.chunk),
            "item": pair.item,
            "regeneration": pair.regeneration,
            **_content(pair.draft),
            "headings": list(work.chunk.headings_of(pair.draft.evidence_numbers)),
            "question_type": pair.draft.question_type,
            "difficulty": pair.draft.difficulty,
            "checks": dict(pair.checks),
            "round_trip": asdict(pair.answered) if pair.answered else None,
            **_judgement(pair),
            "accepted": accepted,
            "reject_reason": reason,
            "created_at": created_at,
        }

    def _control(self, entry: Entry, work: ChunkWork, one: ControlWork, created_at: str) -> dict[str, Any]:
        """What the judge said of a pair of which it is known whether it is good."""
        accepted, reason = work.outcome_of(one.pair)
        return {
            "kind": "control",
            "key": self._key(entry, work.chunk.chunk_id, "control", one.pair.item),
            **self._place(entry, work.chunk),
            "item": one.pair.item,
            "control": one.control.kind,
            "good": one.control.good,
            "shown_chunk_id": one.control.ask.chunk.chunk_id,
            **_content(one.pair.draft),
            **_judgement(one.pair),
            "accepted": accepted if one.pair.verdict else None,
            "reject_reason": reason,
            "created_at": created_at,
        }

    def _chunk(self, entry: Entry, work: ChunkWork, pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What came of one chunk, with the text that its pairs were asked about."""
        chunk = work.chunk
        return {
            "kind": "chunk",
            "key": self.chunk_key(entry, chunk),
            **self._place(entry, chunk),
            "context": chunk.text,
            "headings": list(chunk.headings),
            "table_header": chunk.table_header,
            "pages": list(chunk.pages) if chunk.pages is not None else None,
            "asked": work.asked,
            "asked_again": work.asked_again,
            "parsed": len(pairs),
            "checked": sum(all(pair["checks"].values()) for pair in pairs),
            "judged": sum(pair["clarity"] is not None for pair in pairs),
            "accepted": sum(pair["accepted"] for pair in pairs),
            "controls": len(work.controls),
            "outcome": work.outcome,
            "lost": dict(sorted(work.lost.items())),
            "prompt_tokens": work.tokens["prompt"],
            "cached_tokens": work.tokens["cached"],
            "completion_tokens": work.tokens["completion"],
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


def _content(draft: Draft) -> dict[str, Any]:
    return {
        "question": draft.question,
        "answer": draft.answer,
        "evidence": list(draft.evidence),
        "evidence_numbers": list(draft.evidence_numbers),
    }


def _judgement(pair: Pair) -> dict[str, Any]:
    """The verdict, and the single ones where there were several."""
    verdict = pair.verdict
    fields = {name: getattr(verdict, name) if verdict else None for name in (*SCORES, *BINARIES)}
    said: dict[str, Any] | None = {"reason": verdict.reason} if verdict else None
    if said is not None and len(pair.verdicts) > 1:
        said["verdicts"] = [asdict(one) | {"number": number} for number, one in sorted(pair.verdicts.items())]
        said["repeat_temperature"] = REPEAT_TEMPERATURE
    return {**fields, "quality_score": quality_score(verdict), "judge": said}
