"""From the chunks of a run's documents to those that were asked about: every other one was left out for a reason.

Counted from plan.json and the records alone. The sum is exact: chunks of the documents = asked about + left out. Of a
run that was made before chunks were accounted for, the chunks that have no record are not known.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpc_qa.documents.screening import LOW, RAW
from hpc_qa.store.merge import Merged
from hpc_qa.store.records import Record
from hpc_qa.units import plural

UNFINISHED, FAILED, IN_ANOTHER_RUN = "document_unfinished", "document_failed", "in_another_run"
REVOKED = "document_revoked"


@dataclass(slots=True)
class ChunkFunnel:
    """Counts over the documents of one run or several."""

    chunks: int = 0  # of all documents of which that is known
    asked: int = 0  # with a record
    left_out: Counter[str] = field(default_factory=Counter)
    unknown_documents: int = 0  # with chunks that nobody counted
    suspicious: Counter[str] = field(default_factory=Counter)  # chunks by flag
    suspicious_documents: int = 0
    page_fidelity: Counter[str] = field(default_factory=Counter)  # chunks of low and of raw pages
    sketches: dict[str, str] = field(default_factory=dict)  # of documents that have a record, by doc_id

    def add_settled(self, plan: Mapping[str, Any]) -> None:
        """Count the documents that were settled when the run was planned."""
        planned = _planned(plan)
        for settled in plan["settled"]:
            if (chosen := planned.get(settled["doc_id"])) is not None:
                self.chunks += chosen["chunks"]
                self.left_out.update(_counts(chosen))

    def add_shard(self, plan: Mapping[str, Any], documents: Iterable[str], merged: Merged) -> None:
        """Count the documents of one shard, as far as they have come."""
        planned = _planned(plan)
        recorded = Counter(chunk.doc_id for chunk in merged.chunks.values())
        for doc_id in documents:
            if doc_id in merged.revoked:  # what was asked about it is shown to nobody
                self._add(0, None, planned.get(doc_id), ended=REVOKED)
                continue
            self._add(recorded[doc_id], merged.documents.get(doc_id), planned.get(doc_id))

    def _add(
        self, asked: int, record: Record | None, chosen: Mapping[str, Any] | None, *, ended: str = UNFINISHED
    ) -> None:
        self.asked += asked
        left_out: Counter[str]
        if record is not None and "all_chunks" in record:
            total, left_out = int(record["all_chunks"]), Counter(record["left_out"])
            self._note(record)
        elif chosen is not None:
            total, left_out = chosen["chunks"], _counts(chosen)
        else:
            self.chunks += asked
            self.unknown_documents += 1
            return
        if record is not None:
            ended = FAILED
        left_out[ended] = 0  # an attempt after that of the record may have asked about more of it
        left_out[ended] = max(0, total - asked - left_out.total())
        self.chunks += total
        self.left_out.update(+left_out)

    def _note(self, record: Record) -> None:
        self.suspicious.update(record.get("suspicious", {}))
        self.suspicious_documents += bool(record.get("suspicious") or record.get("hidden_words"))
        self.page_fidelity.update(record.get("page_fidelity", {}))
        if record.get("sketch"):
            self.sketches[record["doc_id"]] = record["sketch"]

    def count_once(self, chunks: int) -> None:
        """So many chunks were asked about in all runs together; what several of them asked counts once."""
        self.left_out[IN_ANOTHER_RUN] += self.asked - chunks
        self.asked = chunks

    def to_json(self) -> dict[str, Any]:
        return {
            "chunks": self.chunks,
            "asked": self.asked,
            "left_out": dict(sorted((+self.left_out).items())),
            "documents_not_counted": self.unknown_documents,
            "suspicious": dict(sorted(self.suspicious.items())),
            "suspicious_documents": self.suspicious_documents,
            "page_fidelity": dict(sorted(self.page_fidelity.items())),
        }

    def words(self) -> str:
        """One sentence for people."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in (+self.left_out).most_common())
        text = f"{plural(self.chunks, 'chunk')} in the documents, {self.asked:,} asked about"
        text += f" (left out: {reasons})" if reasons else ""
        if self.unknown_documents:
            text += f"; of {plural(self.unknown_documents, 'document')} only the chunks that were asked about are known"
        return text

    def suspicion(self) -> str | None:
        """What looked as if it spoke to a model; None where nothing did."""
        if not self.suspicious_documents:
            return None
        flags = ", ".join(f"{plural(count, 'chunk')} with {flag}" for flag, count in self.suspicious.most_common())
        return f"{plural(self.suspicious_documents, 'document')} with suspicious text" + (f": {flags}" if flags else "")

    def fidelity(self) -> str | None:
        """What the gate of the conversion said of pages; None where nothing was wrong with any."""
        said = {LOW: "of pages whose lines did not stay together", RAW: "of raw text, without headings and tables"}
        found = [
            f"{self.page_fidelity[name]:,} chunks {what}" for name, what in said.items() if self.page_fidelity[name]
        ]
        return ", ".join(found) or None


def _planned(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    return plan.get("chunk_choice", {}).get("documents", {})  # type: ignore[no-any-return] # JSON that we wrote


def _counts(chosen: Mapping[str, Any]) -> Counter[str]:
    return Counter({reason: len(indices) for reason, indices in chosen["left_out"].items()})


def plan_faults(plan: Mapping[str, Any]) -> list[str]:
    """What is wrong with the choice of a plan: a chunk has two reasons, or none although it is not asked about."""
    asked = {doc_id: indices for shard in plan["shards"] for doc_id, indices in shard.get("chunks", {}).items()}
    in_shards = {doc_id for shard in plan["shards"] for doc_id in shard["documents"]}
    faults = []
    for doc_id, chosen in _planned(plan).items():
        places = [index for indices in chosen["left_out"].values() for index in indices]
        if doc_id in in_shards:
            places += asked.get(doc_id, range(chosen["chunks"]))
        if sorted(places) != list(range(chosen["chunks"])):
            faults.append(f"plan.json: {doc_id} has chunks that are asked about and left out, or neither")
    return faults


def planned_chunks(plan: Mapping[str, Any]) -> dict[str, int]:
    """How many chunks each document has, of a plan that knew them."""
    return {doc_id: chosen["chunks"] for doc_id, chosen in _planned(plan).items()}


def record_faults(planned: Mapping[str, int], merged: Merged) -> list[str]:
    """Documents that ended ok and do not account for all of their chunks; `planned` is how many each has."""
    faults = []
    for doc_id, record in merged.documents.items():
        if record["state"] != "ok" or "all_chunks" not in record:
            continue
        accounted = record["chunks"] + sum(record["left_out"].values())
        there = planned.get(doc_id, record["all_chunks"])
        if not accounted == record["all_chunks"] == there:
            faults.append(f"{doc_id} accounts for {accounted} chunks, and has {there}")
    return faults
