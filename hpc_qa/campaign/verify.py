"""Prove from the files of a run alone that it is complete and whole.

Every manifest document has exactly one terminal state, every record is as it was written, a commit agrees with its
segments, evidence stands verbatim in its chunk, nothing is double. No model, network or scheduler is asked, and nothing
is changed: `resume` repairs.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc_qa.campaign.chunk_funnel import plan_faults, planned_chunks, record_faults
from hpc_qa.documents.tokens import file_sha256
from hpc_qa.errors import ExitCode, StoreError
from hpc_qa.store.commits import Commit
from hpc_qa.store.files import read_json, read_jsonl
from hpc_qa.store.merge import Merged, merge_shard
from hpc_qa.store.records import TERMINAL_STATES
from hpc_qa.store.redaction import may_be, redactions
from hpc_qa.store.revocation import described, tombstones
from hpc_qa.store.run_directory import RunDirectory, ShardDirectory
from hpc_qa.store.segments import Batch, read_segment
from hpc_qa.units import plural

SHOWN = 20  # lines of one kind that people see; --json has them all


@dataclass(slots=True)
class Verification:
    """What was proven, and what stands against it."""

    run_id: str
    documents: Counter[str] = field(default_factory=Counter)  # by terminal state
    reasons: Counter[str] = field(default_factory=Counter)  # "failed: malformed"
    left: list[str] = field(default_factory=list)  # documents without a terminal state
    shards: int = 0
    committed: int = 0
    uncommitted: list[int] = field(default_factory=list)  # shards that only lack their commit
    records: int = 0
    pairs: int = 0
    accepted: int = 0
    recomputed: int = 0  # records that were computed again, or came after the commit: they do not count
    torn_bytes: int = 0
    damage: list[str] = field(default_factory=list)
    damaged_shards: list[int] = field(default_factory=list)  # `resume` sets their commits aside
    frozen_damage: bool = False  # of what was written once at the start, which `resume` cannot repair
    doubles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)  # documents that were revoked: who did that, when and why
    goes_on: bool = False  # said by who asks; the files do not tell

    @property
    def exit_code(self) -> ExitCode:
        if self.damage or self.doubles:
            return ExitCode.OUTSIDE
        return ExitCode.INCOMPLETE if self.left or self.committed < self.shards else ExitCode.DONE

    @property
    def status(self) -> str:
        """proven, incomplete or damaged."""
        return {ExitCode.DONE: "proven", ExitCode.INCOMPLETE: "incomplete"}.get(self.exit_code, "damaged")

    @property
    def remedy(self) -> str:
        """What helps against the damage: shards can be computed again, what was frozen at the start cannot."""
        again = f"hpc-qa resume {self.run_id} computes again what they touch"
        if not self.frozen_damage:
            return again
        restore = "restore run.json, plan.json, manifest.jsonl and prompts.json as they were, or submit a new run"
        return f"{restore}; then {again}" if self.damaged_shards else restore

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run_id,
            "status": self.status,
            "exit_code": int(self.exit_code),
            "documents": {state: self.documents[state] for state in TERMINAL_STATES} | {"left": len(self.left)},
            "reasons": dict(sorted(self.reasons.items())),
            "documents_left": self.left,
            "shards": self.shards,
            "shards_committed": self.committed,
            "shards_without_commit": self.uncommitted,
            "records": self.records,
            "pairs": self.pairs,
            "accepted": self.accepted,
            "recomputed": self.recomputed,
            "torn_bytes": self.torn_bytes,
            "damage": self.damage,
            "damaged_shards": self.damaged_shards,
            "doubles": self.doubles,
            "notes": self.notes,
            "revoked": self.revoked,
            "goes_on": self.goes_on,
        }

    def lines(self) -> list[str]:
        """The result for people."""
        states = ", ".join(f"{self.documents[state]} {state}" for state in TERMINAL_STATES)
        lines = [
            f"documents    {states}, {len(self.left)} left",
            *(f"             {count} {reason}" for reason, count in sorted(self.reasons.items())),
            f"shards       {self.committed} of {self.shards} committed",
            f"records      {self.records:,} whole; {plural(self.pairs, 'pair')}, {self.accepted:,} accepted",
            f"recomputed   {plural(self.recomputed, 'record')}; {self.torn_bytes:,} bytes of torn tails",
            *_shown("damaged", self.damage),
            *_shown("double", self.doubles),
            *_shown("note", self.notes),
            *_shown("revoked", self.revoked),
            *_shown("left", self.left),
        ]
        return [*lines, self._verdict()]

    def _verdict(self) -> str:
        if self.exit_code == ExitCode.OUTSIDE:
            faults = len(self.damage) + len(self.doubles)
            return f"damaged: {plural(faults, 'fault')}; {self.remedy}"
        if self.exit_code == ExitCode.INCOMPLETE and self.goes_on:
            left = plural(len(self.left), "document")
            return f"incomplete so far: {left} left, and the run goes on: hpc-qa status {self.run_id} --watch shows it"
        if self.left:
            return f"incomplete: {plural(len(self.left), 'document')} left; hpc-qa resume {self.run_id} continues"
        if self.exit_code == ExitCode.INCOMPLETE:
            return f"incomplete: every document is done, a commit is missing; hpc-qa resume {self.run_id} writes it"
        return "proven: every document is in one terminal state, every record is whole, nothing is double"


def verify(run: RunDirectory) -> Verification:
    """Check everything that the files of a run say about themselves and each other."""
    found = Verification(run.run_id)
    try:
        plan, chunks = _check_frozen(found, run)
        found.revoked = described(tombstones(run.path))
    except StoreError as exc:
        found.damage += exc.faults
        found.frozen_damage = True
        return found
    except (KeyError, TypeError, ValueError, AttributeError) as exc:  # another version wrote it
        found.damage.append(f"run.json, manifest.jsonl or plan.json: {exc} is missing or not what it should be")
        found.frozen_damage = True
        return found
    found.frozen_damage = bool(found.damage or found.doubles)
    for index, documents in plan.items():
        found.shards += 1
        faults = len(found.damage) + len(found.doubles)
        try:
            _check_shard(found, run.shard(index), documents, chunks)
        except StoreError as exc:
            found.damage += exc.faults
        except OSError as exc:
            found.damage.append(f"{_name(run.shard(index))}: {exc.filename}: {exc.strerror}")
        if len(found.damage) + len(found.doubles) > faults:
            found.damaged_shards.append(index)
    return found


def _check_frozen(found: Verification, run: RunDirectory) -> tuple[dict[int, list[str]], dict[str, int]]:
    """What was written once at the start is unchanged and gives every document and chunk one place.

    Gives the documents by shard, and how many chunks each has.
    """
    facts = run.facts()
    _check_sha256(found, run.manifest, facts.get("manifest_sha256"))
    _check_sha256(found, run.plan, facts.get("plan_sha256"))
    _check_sha256(found, run.prompts, facts["prompts"]["file_sha256"])
    plan = read_json(run.plan)
    shards = {int(planned["index"]): list(planned["documents"]) for planned in plan["shards"]}
    found.damage += plan_faults(plan)
    _check_places(found, _manifest_documents(found, run), shards, [settled["doc_id"] for settled in plan["settled"]])
    for settled in plan["settled"]:
        found.documents[settled["state"]] += 1
        found.reasons[f"{settled['state']}: {settled['reason']}"] += 1
    return shards, planned_chunks(plan)


def _shown(label: str, items: list[str]) -> Iterable[str]:
    yield from (f"{label:<12} {item}" for item in items[:SHOWN])
    if len(items) > SHOWN:
        yield f"{label:<12} and {len(items) - SHOWN} more: --json lists them"


def _check_sha256(found: Verification, path: Path, expected: object) -> None:
    try:
        actual = file_sha256(path)
    except OSError as exc:
        raise StoreError(f"{path}: cannot be read: {exc.strerror}") from exc
    if actual != expected:
        found.damage.append(f"{path.name}: is not the file that run.json names by its SHA-256")


def _manifest_documents(found: Verification, run: RunDirectory) -> set[str]:
    documents: set[str] = set()
    for entry in read_jsonl(run.manifest):
        if entry["doc_id"] in documents:
            found.doubles.append(f"manifest.jsonl: {entry['doc_id']} is there twice")
        documents.add(entry["doc_id"])
    return documents


def _check_places(
    found: Verification, documents: set[str], shards: Mapping[int, list[str]], settled: Iterable[str]
) -> None:
    """Every manifest document is in one shard, or was settled when the run was planned."""
    places = Counter(settled)
    for in_shard in shards.values():
        places.update(in_shard)
    found.doubles += [f"plan.json: {doc_id} has {count} places" for doc_id, count in places.items() if count > 1]
    found.damage += [f"plan.json: {doc_id} is not in the manifest" for doc_id in sorted(places.keys() - documents)]
    found.damage += [f"plan.json: {doc_id} has no place" for doc_id in sorted(documents - places.keys())]


def _check_shard(found: Verification, shard: ShardDirectory, documents: list[str], chunks: Mapping[str, int]) -> None:
    ours = frozenset(documents)
    merged = merge_shard(shard, lambda batch: _check_batch(found, shard, batch, ours), digest=True)
    found.recomputed += merged.recomputed
    found.doubles += merged.doubles
    _count(found, merged, documents)
    found.damage += [f"{_name(shard)}: {fault}" for fault in record_faults(chunks, merged)]
    left = [doc_id for doc_id in documents if doc_id not in merged.done]
    if merged.commit:
        found.committed += 1
        _check_commit(found, merged, merged.commit)
        _check_after_commit(found, shard, merged.commit)
        found.damage += [f"{_name(shard)}: committed without a terminal state of {doc_id}" for doc_id in left]
        return
    found.torn_bytes += sum(merged.torn.values())
    found.damage += merged.damaged
    found.doubles += [
        f"{_name(shard)}: {doc_id} is {' and '.join(states)}" for doc_id, states in merged.conflicts.items()
    ]
    found.notes += [f"{_name(shard)}: {doc_id} {why}" for doc_id, why in merged.unproven.items()]
    found.left += left
    if not left:
        found.uncommitted.append(shard.index)


def _count(found: Verification, merged: Merged, documents: list[str]) -> None:
    """Count what stands, as `status` does; of a revoked document nothing may."""
    tally = merged.tally(documents)
    found.documents.update(tally.documents)
    found.reasons.update(tally.reasons)
    found.pairs += tally.pairs
    found.accepted += tally.accepted
    found.damage += [
        f"{_name(merged.shard)}: {doc_id} was revoked and its text is still there; hpc-qa revoke {doc_id} removes it"
        for doc_id in sorted(merged.unredacted)
    ]


def _check_batch(found: Verification, shard: ShardDirectory, batch: Batch, documents: frozenset[str]) -> None:
    """Records that count: they belong to this shard and to each other, and quote what they claim to quote."""
    where = f"{_name(shard)}/{batch.path.parent.name}/{batch.path.name}:{batch.line}"
    chunks = {record["chunk_id"]: record for record in batch.records if record["kind"] == "chunk"}
    pairs = [record for record in batch.records if record["kind"] == "pair"]
    controls = [record for record in batch.records if record["kind"] == "control"]
    found.records += len(batch.records)
    for record in batch.records:
        if record["doc_id"] not in documents:
            found.damage.append(f"{where}: {record['doc_id']} is not a document of this shard")
    for chunk in chunks.values():
        there = sum(pair["chunk_id"] == chunk["chunk_id"] for pair in pairs)
        if chunk["parsed"] != there:
            found.damage.append(
                f"{where}: chunk {chunk['chunk_index']} says {chunk['parsed']} pairs, {there} are there"
            )
        there = sum(control["chunk_id"] == chunk["chunk_id"] for control in controls)
        if chunk.get("controls", 0) != there:
            found.damage.append(
                f"{where}: chunk {chunk['chunk_index']} says {chunk.get('controls', 0)} controls, {there} are there"
            )
    for control in controls:
        if control["doc_id"] != chunks[control["chunk_id"]]["doc_id"]:
            found.damage.append(f"{where}: control {control['key'][:12]} is of another document than its chunk")
    for pair in pairs:
        chunk = chunks[pair["chunk_id"]]
        if pair["doc_id"] != chunk["doc_id"]:
            found.damage.append(f"{where}: pair {pair['key'][:12]} is of another document than its chunk")
        if any(quotation not in chunk["context"] for quotation in pair["evidence"]):
            found.damage.append(f"{where}: evidence of pair {pair['key'][:12]} is not verbatim in its chunk")


def _check_commit(found: Verification, merged: Merged, committed: Commit) -> None:
    """The segments are those that were committed, and the counts follow from them."""
    name = _name(merged.shard)
    there = {info.path: info for info in merged.segments}
    edges = redactions(merged.shard)
    for info in committed.segments:
        if info.path in there and there[info.path].sha256 not in may_be(edges, info.path, info.sha256):
            found.damage.append(f"{name}/{info.path}: is not as it was committed (SHA-256)")
    known = frozenset(committed.known_damage)
    places = {line.partition(": ")[0] for line in known} if edges else set()  # a blanked line is damaged otherwise
    for line in merged.damaged:
        if line in known or line.partition(": ")[0] in places:
            found.notes.append(f"{line}; known and recomputed when the shard was committed")
        else:
            found.damage.append(line)
    for doc_id, states in merged.conflicts.items():
        if doc_id in committed.settled_conflicts:
            found.notes.append(f"{name}: {doc_id} was {' and '.join(states)}; the commit settled it")
        else:
            found.doubles.append(f"{name}: {doc_id} is {' and '.join(states)}")
    if committed.counts != merged.counts.to_json():
        found.damage.append(f"{name}/COMMIT.json: its counts are not those of its segments")


def _check_after_commit(found: Verification, shard: ShardDirectory, committed: Commit) -> None:
    """What stands behind the commit: the work of attempts that did not know of it, which does not count."""
    sizes = {info.path: info for info in committed.segments}
    for attempt in shard.attempts():
        next_batch = 0
        for path in attempt.segments():
            info = sizes.get(f"{attempt.name}/{path.name}")
            if info and os.path.getsize(path) == info.bytes:
                continue
            segment, _ = read_segment(path, first_batch=next_batch)
            next_batch = segment.next_batch
            found.torn_bytes += segment.torn_bytes
            found.recomputed += max(0, segment.records - (info.records if info else 0))
            if attempt.name == committed.attempt:  # it had closed its segments before it committed
                found.damage.append(f"{_name(shard)}/{attempt.name}/{path.name}: was changed after its own commit")


def _name(shard: ShardDirectory) -> str:
    return f"shards/{shard.path.name}"
