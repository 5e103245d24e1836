"""The chunks of a document that are asked about, and what its records say of the others.

Stands between the document cache and the pipeline: the pipeline gets the chunks that are left, and its records leave
with the counts by which every chunk of the document is accounted for. The choice is the plan's; where documents were
converted after it, it is made here, by what a chunk is by itself.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.facts import Facts, title_of
from hpc_qa.documents.screening import Screened, without_paragraphs
from hpc_qa.documents.suspicion import CONTROL_TOKENS, ordered
from hpc_qa.manifest import Entry
from hpc_qa.qa.control_tokens import has_token
from hpc_qa.qa.generation import capacity_of
from hpc_qa.store.records import Record
from hpc_qa.store.run_directory import BY_WORKER


@dataclass(frozen=True, slots=True)
class PlannedChoice:
    """What plan.json says of the documents of one shard."""

    by_worker: bool = False
    some_chunks: Mapping[str, Sequence[int]] = field(default_factory=dict)  # of documents of which not all are asked
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # chunks by doc_id and reason
    boilerplate: frozenset[str] = frozenset()

    @classmethod
    def of(cls, plan: Mapping[str, Any], shard: Mapping[str, Any]) -> "PlannedChoice":
        """From plan.json and its entry of the shard; a plan of before chunks were chosen has no choice."""
        made = plan.get("chunk_choice", {})
        documents = made.get("documents", {})
        return cls(
            by_worker=made.get("made") == BY_WORKER,
            some_chunks=shard["chunks"],
            left_out={
                doc_id: {reason: len(indices) for reason, indices in documents[doc_id]["left_out"].items()}
                for doc_id in shard["documents"] if doc_id in documents
            },
            boilerplate=frozenset(made.get("boilerplate", ())),
        )  # fmt: skip


@dataclass(slots=True)
class _Known:
    """One document on its way."""

    chunks: int
    left_out: Counter[str]
    flags: dict[int, list[str]] = field(default_factory=dict)  # by the index of the chunk
    page_fidelity: dict[int, str] = field(default_factory=dict)  # by the index of the chunk
    boilerplate_sentences: int = 0


class ChunkSource:
    """Gives the chunks of documents, and completes the records about them.

    `tokens` are the control tokens of the model: a chunk that quotes one is flagged, whatever its form.
    """

    def __init__(
        self, cache: DocumentCache, entries: Iterable[Entry], choice: PlannedChoice, config: Config,
        tokens: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._cache, self._choice, self._config, self.tokens = cache, choice, config, tokens
        self._entries = {entry.doc_id: entry for entry in entries}
        self._known: dict[str, _Known] = {}

    def chunks_of(self, entry: Entry) -> list[Chunk]:
        """The chunks that are asked about, without their boilerplate.

        Raises:
            StoreError: they are not in the cache.
        """
        title = title_of(entry.path, self._cache.facts(entry.sha256, entry.media_type))
        chunks = [replace(chunk, title=title) for chunk in self._cache.chunks(entry.sha256, entry.media_type)]
        screened = self._cache.screening(entry.sha256, entry.media_type) or []
        known = _Known(len(chunks), Counter(self._choice.left_out.get(entry.doc_id, {})))
        known.flags = {index: list(one.flags) for index, one in enumerate(screened) if one.flags}
        known.page_fidelity = {index: one.page_fidelity for index, one in enumerate(screened) if one.page_fidelity}
        self._known[entry.doc_id] = known
        if (wanted := self._choice.some_chunks.get(entry.doc_id)) is not None:
            chunks = [chunks[index] for index in wanted]
        if self._choice.by_worker and len(screened) == len(chunks):
            chunks = self._worthy(chunks, screened, known)
        return self._able(chunks, known)

    def _worthy(self, chunks: Sequence[Chunk], screened: Sequence[Screened], known: _Known) -> list[Chunk]:
        kept = []
        for chunk, one in zip(chunks, screened, strict=True):
            if reason := one.reason(self._config.documents, self._config.qa.language):
                known.left_out[reason] += 1
            else:
                kept.append(chunk)
        return kept

    def _able(self, chunks: Sequence[Chunk], known: _Known) -> list[Chunk]:
        """The chunks that a question can be asked about, with the sentences that are no boilerplate."""
        able = []
        for chunk in chunks:
            left = without_paragraphs(chunk, self._choice.boilerplate) if self._choice.boilerplate else chunk
            known.boilerplate_sentences += len(chunk.sentences) - len(left.sentences)
            if capacity_of(left, self._config.qa, seed=self._config.seed):
                able.append(left)
            else:
                known.left_out["nothing_to_ask"] += 1
        return able

    def complete(self, records: Sequence[Record]) -> list[Record]:
        """The records with what is known of their chunks and documents."""
        return [self._completed(record) for record in records]

    def _completed(self, record: Record) -> Record:
        if record["kind"] == "document":
            return record | self._document(record)
        known = self._known.get(record["doc_id"])
        if record["kind"] == "chunk" and known is not None:
            index = record["chunk_index"]
            flags = known.flags.get(index, [])
            if self.tokens and has_token(record["context"], self.tokens):
                flags = ordered([*flags, CONTROL_TOKENS])
            return record | {"flags": flags, "page_fidelity": known.page_fidelity.get(index)}
        return record

    def _document(self, record: Record) -> dict[str, Any]:
        """What accounts for every chunk of a document, and by what near-identical ones are found."""
        entry = self._entries[record["doc_id"]]
        facts = self._cache.facts(entry.sha256, entry.media_type)
        known = self._known.pop(entry.doc_id, None) or self._unfed(entry, facts)
        left_out = known.left_out.copy()
        if rest := known.chunks - left_out.total() - record["chunks"]:
            left_out[self._why(record)] += rest
        return {
            "all_chunks": known.chunks,
            "left_out": dict(sorted(left_out.items())),
            "boilerplate_sentences": known.boilerplate_sentences,
            "suspicious": facts.suspicious if facts else {},
            "hidden_words": facts.hidden_words if facts else 0,
            "page_fidelity": facts.page_fidelity if facts else {},
            "language": facts.language if facts else None,
            "sketch": facts.sketch if facts else None,
        }

    def _unfed(self, entry: Entry, facts: Facts | None) -> _Known:
        """A document whose chunks were not asked for."""
        chunks = facts.chunks if facts is not None and facts.status == "ok" else 0
        return _Known(chunks, Counter(self._choice.left_out.get(entry.doc_id, {})) if chunks else Counter())

    def _why(self, record: Record) -> str:
        """Why chunks that were left to ask about have no record."""
        if record["state"] == "failed":
            return "document_failed"
        if record["state"] == "skipped":
            return str(record["reason"])
        return "capped" if self._config.qa.max_pairs_per_document is not None else "nothing_to_ask"
