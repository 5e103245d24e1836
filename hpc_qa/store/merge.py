"""The merged view of a shard: which records of all its attempts count.

An open shard is the union of the valid records of its attempts, in the order in which they started: of a chunk that
two of them asked about, the earlier one counts, with all its pairs, and the other is recomputed work. A committed shard
is what its commit names. Memory holds keys and counts, never texts. What the user is told about it is in
`campaign.verify`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from hpc_qa.errors import StoreError
from hpc_qa.store.commits import Commit, commit, read_commit
from hpc_qa.store.files import exists, run_id_of
from hpc_qa.store.records import TERMINAL_STATES, Record, fault_of
from hpc_qa.store.redaction import emptied
from hpc_qa.store.revocation import REASON, tombstones
from hpc_qa.store.run_directory import ShardDirectory
from hpc_qa.store.segments import Batch, Segment, SegmentInfo, read_batches
from hpc_qa.units import plural


class ChunkDone(NamedTuple):
    """What is kept of a chunk that counts."""

    doc_id: str
    outcome: str
    pairs: int
    accepted: int


@dataclass(slots=True)
class Counts:
    """The figures of the records that count."""

    documents: Counter[str] = field(default_factory=Counter)  # by state
    reasons: Counter[str] = field(default_factory=Counter)  # of documents that are not ok, "failed: malformed"
    chunks: int = 0
    asked: int = 0
    pairs: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # pairs, by reason
    prompt_tokens: int = 0
    cached_tokens: int | None = None  # None: the server said nothing
    completion_tokens: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one chunk or pair."""
        if record["kind"] == "chunk":
            self.chunks += 1
            self.asked += record["asked"]
            self.prompt_tokens += record["prompt_tokens"]
            self.completion_tokens += record["completion_tokens"]
            if record["cached_tokens"] is not None:
                self.cached_tokens = (self.cached_tokens or 0) + record["cached_tokens"]
            return
        self.pairs += 1
        if record["accepted"]:
            self.accepted += 1
        else:
            self.rejected[record["reject_reason"] or "unknown"] += 1

    def to_json(self) -> dict[str, Any]:
        """The figures, every state and reason in the order of its name."""
        return {
            "documents": {state: self.documents[state] for state in TERMINAL_STATES},
            "reasons": dict(sorted(self.reasons.items())),
            "chunks": self.chunks,
            "asked": self.asked,
            "pairs": self.pairs,
            "accepted": self.accepted,
            "rejected": dict(sorted(self.rejected.items())),
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
        }


class Tally(NamedTuple):
    """What stands of a shard now, as people are told."""

    documents: Counter[str]  # by terminal state
    reasons: Counter[str]  # of documents that are not ok, "failed: malformed"
    pairs: int
    accepted: int


@dataclass(slots=True)
class Merged:
    """What counts of a shard, and what was found on the way; complete once its batches have been read to the end."""

    shard: ShardDirectory
    commit: Commit | None
    documents: dict[str, Record] = field(default_factory=dict)  # the terminal record of each document
    unproven: dict[str, str] = field(default_factory=dict)  # `ok` documents whose chunks are not all there, and why
    conflicts: dict[str, list[str]] = field(default_factory=dict)  # documents with several terminal states
    chunks: dict[str, ChunkDone] = field(default_factory=dict)  # by work key
    counts: Counts = field(default_factory=Counts)
    recomputed: int = 0  # valid records that an earlier attempt had already written
    torn: dict[str, int] = field(default_factory=dict)  # bytes behind the last whole batch, by segment
    damaged: list[str] = field(default_factory=list)  # SEGMENT:LINE: what is wrong
    doubles: list[str] = field(default_factory=list)  # what one attempt wrote twice
    segments: list[SegmentInfo] = field(default_factory=list)  # sha256 only when asked for
    revoked: frozenset[str] = frozenset()  # documents of the run that were revoked; the counts are as recorded
    unredacted: set[str] = field(default_factory=set)  # those of them whose text is still there

    @property
    def done(self) -> dict[str, str]:
        """The documents that need no more work, and their states; a revoked one needs none and is skipped."""
        done = {doc_id: doc["state"] for doc_id, doc in self.documents.items() if doc_id not in self.unproven}
        return done | dict.fromkeys(self.revoked, "skipped")

    def reason_of(self, doc_id: str) -> str | None:
        """Why a document that is done did not end ok."""
        return REASON if doc_id in self.revoked else self.documents[doc_id]["reason"]

    def tally(self, documents: Collection[str]) -> Tally:
        """What stands of these documents, those of the shard: a revoked one is skipped, and its pairs are no more."""
        done = {doc_id: self.done[doc_id] for doc_id in self.done.keys() & documents}
        reasons = Counter(f"{state}: {self.reason_of(doc_id)}" for doc_id, state in done.items() if state != "ok")
        chunks = [chunk for chunk in self.chunks.values() if chunk.doc_id not in self.revoked]
        pairs, accepted = (sum(getattr(chunk, name) for chunk in chunks) for name in ("pairs", "accepted"))
        return Tally(Counter(done.values()), reasons, pairs, accepted)


def merge_shard(
    shard: ShardDirectory,
    visit: Callable[[Batch], None] | None = None,
    *,
    digest: bool = False,
) -> Merged:
    """The merged view of one shard, in one pass; `visit` sees every batch, reduced to the records that count.

    What came from a revoked document is counted as it is recorded, and shown to nobody.
    """
    merged = Merged(shard, read_commit(shard), revoked=frozenset(tombstones(shard.path.parent.parent)))
    for batch in merged_batches(merged, digest=digest):
        if visit:
            visit(batch)
    return merged


def merged_batches(merged: Merged, *, digest: bool = False) -> Iterator[Batch]:
    """The batches that count, reduced to the records that count; fills in `merged` on the way."""
    found: dict[str, list[Record]] = defaultdict(list)  # document records, of all attempts
    for name, names in _sources(merged).items():
        attempt = _Attempt(merged, found)
        for position, (segment_name, limit) in enumerate(names):
            segment = Segment(merged.shard.path / name / segment_name, next_batch=attempt.next_batch)
            if not exists(segment.path):
                merged.damaged.append(f"{_where(merged.shard, segment)}: is missing")
                continue
            for batch in read_batches(segment, limit=limit, digest=digest):
                if faults := [(n, why) for n, record in enumerate(batch.records) if (why := fault_of(record))]:
                    number, why = faults[0]
                    merged.damaged.append(f"{_where(merged.shard, segment)}:{batch.line + number}: {why}")
                elif counting := _shown(merged, batch, attempt.counting(batch)):
                    yield replace(batch, records=counting)
            attempt.next_batch = segment.next_batch
            _note(merged, segment, limit, last=position == len(names) - 1)
    _settle(merged, found)


def _shown(merged: Merged, batch: Batch, counting: list[Record]) -> list[Record]:
    """The records that count of documents that were not revoked."""
    if not merged.revoked:
        return counting
    ours = [record for record in batch.records if record["doc_id"] in merged.revoked]
    merged.unredacted |= {record["doc_id"] for record in ours if emptied(record) != record}
    return [record for record in counting if record["doc_id"] not in merged.revoked] if ours else counting


def tally_of(shard: ShardDirectory, documents: Collection[str]) -> Tally:
    """What stands of a shard with these documents: as its commit says, counted when there is none or one is revoked."""
    committed = read_commit(shard)
    if committed is None or not tombstones(shard.path.parent.parent).keys().isdisjoint(documents):
        return merge_shard(shard).tally(documents)
    counts = committed.counts
    return Tally(
        Counter(counts["documents"]), Counter(counts["reasons"]), int(counts["pairs"]), int(counts["accepted"])
    )


def commit_shard(shard: ShardDirectory, attempt: str, documents: Collection[str]) -> bool:
    """Close a shard, from what can be read back of it; False if another attempt was first.

    Raises:
        StoreError: a document of the shard is not in a terminal state, or the commit cannot be written.
    """
    if exists(shard.commit):
        return False
    merged = merge_shard(shard, digest=True)
    left = sorted(set(documents) - merged.done.keys())
    if left:
        raise StoreError(
            f"{shard.path}: {len(left)} of {plural(len(documents), 'document')} are not done, {left[0]} for example",
            hint=f"hpc-qa resume {run_id_of(shard.path)} continues",
        )
    settled = {doc_id: merged.documents[doc_id]["state"] for doc_id in merged.conflicts}
    counts = merged.counts.to_json()
    return commit(
        shard,
        attempt,
        merged.segments,
        counts,
        known_damage=merged.damaged,
        settled_conflicts=settled,
    )


def _sources(merged: Merged) -> dict[str, list[tuple[str, int | None]]]:
    """The segments to read, by attempt, each with the byte up to which it counts."""
    sources: dict[str, list[tuple[str, int | None]]] = {}
    if merged.commit is None:
        for attempt in merged.shard.attempts():
            sources[attempt.name] = [(path.name, None) for path in attempt.segments()]
        return sources
    for info in merged.commit.segments:
        attempt_name, _, segment = info.path.partition("/")
        sources.setdefault(attempt_name, []).append((segment, info.bytes))
    return sources


class _Attempt:
    """Decides which records of one attempt count, given those before it."""

    def __init__(self, merged: Merged, found: dict[str, list[Record]]) -> None:
        self.next_batch = 0
        self._merged = merged
        self._found = found
        self._seen: set[str] = set()  # keys that this attempt has written

    def counting(self, batch: Batch) -> list[Record]:
        parts: dict[str, list[Record]] = defaultdict(list)  # pairs and controls
        for record in batch.records:
            if record["kind"] in ("pair", "control"):
                parts[record["chunk_id"]].append(record)
        counting: list[Record] = []
        for record in batch.records:
            if record["kind"] == "chunk":
                counting += self._chunk(batch, record, parts.pop(record["chunk_id"], []))
            elif record["kind"] == "document" and self._is_new(batch, record):
                counting += self._document(record)
        for chunk_id in parts:
            self._merged.doubles.append(f"{self._line(batch)}: pairs of chunk {chunk_id} without their chunk")
        return counting

    def _chunk(self, batch: Batch, chunk: Record, parts: list[Record]) -> list[Record]:
        if not self._is_new(batch, chunk):
            return []
        if chunk["key"] in self._merged.chunks:
            self._merged.recomputed += 1 + len(parts)
            return []
        unique = {part["key"]: part for part in reversed(parts)}
        if len(unique) != len(parts):
            self._merged.doubles.append(f"{self._line(batch)}: a pair stands twice in its batch")
            parts = list(reversed(unique.values()))
        pairs = [part for part in parts if part["kind"] == "pair"]
        accepted = sum(bool(pair["accepted"]) for pair in pairs)
        self._merged.chunks[chunk["key"]] = ChunkDone(chunk["doc_id"], chunk["outcome"], len(pairs), accepted)
        for record in (chunk, *pairs):
            self._merged.counts.add(record)
        return [*parts, chunk]

    def _document(self, document: Record) -> list[Record]:
        self._found[document["doc_id"]].append(document)
        return [document] if len(self._found[document["doc_id"]]) == 1 else []

    def _is_new(self, batch: Batch, record: Record) -> bool:
        if record["key"] in self._seen:
            self._merged.doubles.append(f"{self._line(batch)}: {record['kind']} {record['key'][:12]} is there twice")
            return False
        self._seen.add(record["key"])
        return True

    def _line(self, batch: Batch) -> str:
        return f"{_where(self._merged.shard, Segment(batch.path))}:{batch.line}"


def _where(shard: ShardDirectory, segment: Segment) -> str:
    return f"shards/{shard.path.name}/{segment.path.parent.name}/{segment.path.name}"


def _note(merged: Merged, segment: Segment, limit: int | None, *, last: bool) -> None:
    """Keep what reading a segment found."""
    where = _where(merged.shard, segment)
    merged.damaged += [f"{where}:{line}: {why}" for line, why in segment.damaged]
    if segment.torn_bytes:
        merged.torn[where] = segment.torn_bytes
        if not last:  # after a failed write an attempt never opens another segment
            merged.damaged.append(f"{where}: ends in the middle of a batch, and another segment follows")
    if limit is not None and segment.good_bytes < limit:
        merged.damaged.append(f"{where}: {segment.good_bytes} whole bytes, and {limit} were committed")
    if segment.good_bytes:
        name = f"{segment.path.parent.name}/{segment.path.name}"
        merged.segments.append(SegmentInfo(name, segment.good_bytes, segment.records, segment.sha256 or ""))


def _settle(merged: Merged, found: Mapping[str, Sequence[Record]]) -> None:
    """Choose the terminal record of each document: the first that its chunks bear out."""
    chunks = Counter(chunk.doc_id for chunk in merged.chunks.values())
    for doc_id, records in found.items():
        proven = [record for record in records if record["state"] != "ok" or record["chunks"] == chunks[doc_id]]
        winner = (proven or records)[0]
        merged.documents[doc_id] = winner
        merged.recomputed += len(records) - 1
        states = sorted({record["state"] for record in proven})
        if len(states) > 1:
            merged.conflicts[doc_id] = states
        if not proven:
            merged.unproven[doc_id] = f"says {winner['chunks']} chunks, and {chunks[doc_id]} are there"
            continue
        merged.counts.documents[winner["state"]] += 1
        if winner["state"] != "ok":
            merged.counts.reasons[f"{winner['state']}: {winner['reason']}"] += 1
