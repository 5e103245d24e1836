"""Publish the dataset of one run or several.

Accepted pairs of documents that ended ok, without near-duplicates, split by groups of documents (`split`); everything
else goes to `rejected.parquet` with its reason. Two passes: the first keeps keys, questions and places, the second
reads one document at a time, so the passages of a run are never in memory together. How files are written is in
`store.dataset`.
"""

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hpc_qa.campaign.calibration import Calibration
from hpc_qa.campaign.card import RunFacts, Source, render
from hpc_qa.campaign.funnel import Funnel
from hpc_qa.campaign.review import review_of
from hpc_qa.campaign.split import choose_validation, groups_of
from hpc_qa.campaign.verify import verify
from hpc_qa.config import BINARIES, Documents
from hpc_qa.errors import ConfigError, ExitCode, StoreError
from hpc_qa.qa.duplicates import near_duplicates
from hpc_qa.store.dataset import REJECTED, TRAIN, VALIDATION, DatasetWriter
from hpc_qa.store.files import read_jsonl
from hpc_qa.store.merge import Merged, merge_shard
from hpc_qa.store.records import Record
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.store.segments import Batch, read_batch
from hpc_qa.store.trust import check_run


@dataclass(frozen=True, slots=True)
class Collected:
    """What was published, or why nothing was."""

    path: Path | None
    runs: list[str]
    rows: dict[str, int]
    funnel: Funnel
    documents_left: int
    exit_code: ExitCode
    calibration: Calibration = field(default_factory=Calibration)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path) if self.path else None,
            "runs": self.runs,
            "rows": self.rows,
            "funnel": self.funnel.to_json(),
            "judge_calibration": self.calibration.to_json(),
            "documents_left": self.documents_left,
            "exit_code": int(self.exit_code),
        }

    def lines(self) -> list[str]:
        """The result for people."""
        if self.path is None:
            run = self.runs[0] if len(self.runs) == 1 else "RUN"
            return [
                f"incomplete   {self.documents_left} documents are left; nothing was published",
                f"next         hpc-qa resume {run} continues, hpc-qa collect {run} --partial publishes what there is",
            ]
        here = Path.cwd()
        shown = self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
        lines = [f"dataset      {shown}"]
        lines += [f"{name:<12} {count} pairs" for name, count in self.rows.items()]
        lines.append(f"chunks       {self.funnel.of_documents.words()}")
        if suspicion := self.funnel.of_documents.suspicion():
            lines.append(f"suspicious   {suspicion}; they were asked about as text")
        for step in self.funnel.steps():
            lost = ", ".join(f"{count} {reason}" for reason, count in step.lost.items())
            lines.append(f"{step.left:>12} {step.name}" + (f" (lost: {lost})" if lost else ""))
        if not self.rows[TRAIN] + self.rows[VALIDATION]:
            lines.append("WARNING      no pair was accepted: the dataset is empty; rejected.parquet has every reason")
        if self.documents_left:
            lines.append(f"partial      {self.documents_left} documents were not finished")
        return lines


class Place(NamedTuple):
    """Where a chunk with its pairs stands; places sort as the rows do."""

    doc_id: str
    chunk_index: int
    run: int  # position among the runs
    key: str
    path: Path
    offset: int
    size: int


@dataclass(slots=True)
class RunPart:
    """One run: what its rows carry, and what the first pass found."""

    facts: RunFacts
    threshold: float
    reissue_similarity: float
    judge: bool
    sources: dict[str, tuple[str, str]]  # path and sha256 by doc_id
    states: dict[str, str] = field(default_factory=dict)  # "ok", "failed: poison"; absent: unfinished


def collect(run_directories: Sequence[RunDirectory], *, out: Path | None = None, partial: bool = False) -> Collected:
    """Publish these runs, together, at `out` (one run: its own `dataset` folder).

    Raises:
        ConfigError: several runs and no `out`, or the run is not ours to write to.
        StoreError: a run is damaged, or the dataset cannot be written.
    """
    runs = sorted({run.path: run for run in run_directories}.values(), key=lambda run: run.run_id)
    if out is None and len(runs) != 1:
        raise ConfigError("several runs are published together", hint="say where with -o DIR")
    if out is None:
        check_run(runs[0])
    left, complete = _check(runs)
    ids = [run.run_id for run in runs]
    if not complete and not partial:
        rows = {TRAIN: 0, VALIDATION: 0, REJECTED: 0}
        return Collected(None, ids, rows, Funnel(), left, ExitCode.INCOMPLETE)
    collection = _Collection(runs)
    target = (out or runs[0].dataset).absolute()
    rows = collection.publish(target, left)
    return Collected(target, ids, rows, collection.funnel, left, ExitCode.DONE, collection.calibration)


def _check(runs: Sequence[RunDirectory]) -> tuple[int, bool]:
    """Documents left, and whether every run is complete; what is damaged is not published."""
    left, complete = 0, True
    for run in runs:
        proof = verify(run)
        if proof.exit_code == ExitCode.OUTSIDE:
            faults = [f"{run.run_id}: {fault}" for fault in (*proof.damage, *proof.doubles)]
            raise StoreError(*faults[:5], hint=f"hpc-qa verify {run.run_id} lists all {len(faults)}; {proof.remedy}")
        left += len(proof.left)
        complete = complete and proof.exit_code == ExitCode.DONE
    return left, complete


class _Collection:
    """The pairs of all runs: found in the first pass, published in the second."""

    def __init__(self, runs: Sequence[RunDirectory]) -> None:
        self._places: dict[str, Place] = {}  # by key of the chunk: the same work in two runs counts once
        self._accepted: dict[str, list[tuple[str, str]]] = defaultdict(list)  # (key, question), documents that ended ok
        self._checks: dict[str, None] = {}  # names of the checks, in the order of the records
        self._parts = [_read_part(run) for run in runs]
        self.funnel = Funnel(judge=any(part.judge for part in self._parts))
        self.calibration = Calibration()
        for number, run in enumerate(runs):
            self._find(number, run)
        self.funnel.of_documents.count_once(len(self._places))
        self._groups = self._split_groups()
        items = [item for accepted in self._accepted.values() for item in accepted]
        self._repeated = near_duplicates(items, min(part.threshold for part in self._parts)) if items else {}

    def publish(self, out: Path, left: int) -> dict[str, int]:
        """Write the rows in their order, then the card; the rows per file."""
        validation = self._validation_documents()
        published: Counter[str] = Counter()
        with DatasetWriter(out, checks=list(self._checks)) as writer:
            for row in self._rows():
                if row["reject_reason"] is not None:
                    writer.add(row, REJECTED)
                    continue
                published[row["doc_id"]] += 1
                writer.add(row, VALIDATION if row["doc_id"] in validation else TRAIN)
            self.funnel.documents.update(self._documents())
            facts = [part.facts for part in self._parts]
            sources = self._sources(published)
            card = render(
                runs=facts, counts=writer.counts, funnel=self.funnel, sources=sources, left=left,
                calibration=self.calibration.words() if self.funnel.judge else None,
            )  # fmt: skip
            found = {"funnel": self.funnel.to_json(), "judge_calibration": self.calibration.to_json()}
            writer.publish(card, {"runs": [fact.run_id for fact in facts], **found})
            return dict(writer.counts)

    def _find(self, number: int, run: RunDirectory) -> None:
        """First pass over one run: where its chunks stand, and the questions that may be published."""
        part = self._parts[number]
        plan = run.frozen_plan()
        self.funnel.of_documents.add_settled(plan)
        for settled in plan["settled"]:
            part.states[settled["doc_id"]] = f"{settled['state']}: {settled['reason']}"
        for planned in plan["shards"]:
            found: list[tuple[Place, list[tuple[str, str]]]] = []
            merged = merge_shard(run.shard(planned["index"]), functools.partial(self._look, number, found))
            part.states.update(_states(merged))
            self.funnel.of_documents.add_shard(plan, planned["documents"], merged)
            for place, accepted in found:
                self._admit(place, accepted)

    def _look(self, number: int, found: list[tuple[Place, list[tuple[str, str]]]], batch: Batch) -> None:
        for chunk in batch.records:
            if chunk["kind"] != "chunk":
                continue
            pairs = _pairs_of(chunk, batch.records)
            for pair in pairs:
                self._checks.update(dict.fromkeys(pair["checks"]))
            key = (chunk["doc_id"], chunk["chunk_index"], number, chunk["key"])
            accepted = [(pair["key"], pair["question"]) for pair in pairs if pair["accepted"]]
            found.append((Place(*key, batch.path, batch.offset, batch.size), accepted))

    def _admit(self, place: Place, accepted: list[tuple[str, str]]) -> None:
        """Take a chunk unless an earlier run has it already; a document that ended ok goes before one that did not."""
        earlier = self._places.get(place.key)
        if earlier and (self._is_ok(earlier) or not self._is_ok(place)):
            return
        self._places[place.key] = place
        if self._is_ok(place):
            self._accepted[place.doc_id] += accepted

    def _is_ok(self, place: Place) -> bool:
        return self._parts[place.run].states.get(place.doc_id) == "ok"

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Second pass: every pair as a row, in the order of documents, chunks and items."""
        for place in sorted(self._places.values()):
            records = read_batch(place.path, place.offset, place.size)
            chunk = next(record for record in records if record["key"] == place.key)
            pairs = _pairs_of(chunk, records)
            self.funnel.add_chunk(chunk, len(pairs))
            self.calibration.add(chunk, records)
            for pair in sorted(pairs, key=lambda pair: (pair["item"], pair["key"])):
                yield _row(self._parts[place.run], chunk, pair, self._reject_reason(place, pair)) | {
                    "split_group": self._groups[place.doc_id]
                }

    def _reject_reason(self, place: Place, pair: Record) -> str | None:
        """Why a pair is not published, None if it is; counts it on the way."""
        if not pair["accepted"]:
            self.funnel.add_rejected(pair)
            return str(pair["reject_reason"] or "unknown")
        if not self._is_ok(place):
            state = self._parts[place.run].states.get(place.doc_id, "unfinished").partition(":")[0]
            self.funnel.document_lost[f"document_{state}"] += 1
            return f"document_{state}"
        if pair["key"] in self._repeated:
            self.funnel.repeated["near_duplicate"] += 1
            return "near_duplicate"
        self.funnel.add_published(pair)
        return None

    def _validation_documents(self) -> set[str]:
        """Chosen among the documents that have a pair to publish."""
        return choose_validation(
            [doc_id for doc_id, items in self._accepted.items() if any(key not in self._repeated for key, _ in items)],
            self._groups,
        )

    def _split_groups(self) -> dict[str, str]:
        """The group of each document of all runs that asked about some of it."""
        asked = {place.doc_id for place in self._places.values()}
        contents = {doc_id: sha256 for part in self._parts for doc_id, (_, sha256) in part.sources.items()}
        return groups_of(
            {doc_id: contents[doc_id] for doc_id in asked},
            {doc_id: sketch for doc_id, sketch in self.funnel.of_documents.sketches.items() if doc_id in asked},
            min(part.reissue_similarity for part in self._parts),
        )

    def _documents(self) -> Collection[str]:
        """The state of every document, once, however many runs had it: `ok` in one of them is ok."""
        states: dict[str, str] = {}
        for part in self._parts:
            for doc_id in part.sources:
                if states.get(doc_id) != "ok":
                    states[doc_id] = part.states.get(doc_id, "unfinished")
        return states.values()

    def _sources(self, published: Mapping[str, int]) -> list[Source]:
        found: dict[str, tuple[str, str]] = {}
        for part in self._parts:
            found |= part.sources
        return [Source(path, sha256, published[doc_id]) for doc_id, (path, sha256) in sorted(found.items())]


def _pairs_of(chunk: Record, records: Sequence[Record]) -> list[Record]:
    """The pairs of a chunk among the records of its batch, each once."""
    pairs = [record for record in records if record["kind"] == "pair" and record["chunk_id"] == chunk["chunk_id"]]
    return list({pair["key"]: pair for pair in reversed(pairs)}.values())


def _states(merged: Merged) -> dict[str, str]:
    """The documents of a shard that are done: "ok", or their state and why."""
    states = {}
    for doc_id, state in merged.done.items():
        states[doc_id] = state if state == "ok" else f"{state}: {merged.documents[doc_id]['reason']}"
    return states


def _row(part: RunPart, chunk: Record, pair: Record, reject_reason: str | None) -> dict[str, Any]:
    """One row of the published dataset."""
    path, sha256 = part.sources[pair["doc_id"]]
    return {
        "id": pair["key"],
        "question": pair["question"],
        "answer": pair["answer"],
        "evidence": pair["evidence"],
        "context": chunk["context"],
        "doc_id": pair["doc_id"],
        "source_path": path,
        "source_sha256": sha256,
        "pages": chunk["pages"],
        "headings": chunk["headings"],
        "question_type": pair["question_type"],
        "difficulty": pair.get("difficulty"),
        "clarity": pair["clarity"],
        "accuracy": pair["accuracy"],
        "relevance": pair["relevance"],
        **{name: pair.get(name) for name in BINARIES},
        "quality_score": pair["quality_score"],
        "round_trip_answer": (pair.get("round_trip") or {}).get("answer"),
        "checks": pair["checks"],
        "reject_reason": reject_reason,
        "model": part.facts.model,
        "model_revision": part.facts.revision,
        "prompt_sha256": part.facts.prompt_sha256,
        "seed": part.facts.seed,
        "converter": part.facts.converter,
        "run_id": part.facts.run_id,
        "created_at": pair["created_at"],
    }


def _read_part(run: RunDirectory) -> RunPart:
    facts = run.facts()
    config = facts["config"]
    return RunPart(
        RunFacts(
            run_id=run.run_id,
            name=config["name"],
            model=facts["model"]["name"],
            revision=facts["model"]["revision"],
            prompt_sha256=facts["prompts"]["sha256"],
            seed=config["seed"],
            converter=run.frozen_plan()["converter_key"],
            language=config["qa"]["language"],
            cost=_cost(run, facts.get("gpus_per_server")),
            review=_review(run),
        ),
        threshold=config["qa"]["checks"]["near_duplicate"],
        reissue_similarity=config["documents"].get("reissue_similarity", Documents().reissue_similarity),
        judge=config["qa"]["judge"],
        sources={entry["doc_id"]: (entry["path"], entry["sha256"]) for entry in read_jsonl(run.manifest)},
    )


def _cost(run: RunDirectory, gpus: int | None) -> str:
    """What the attempts say that they took; the ledger has what the site accounted for."""
    hours = 0.0
    for stages in sorted(run.path.glob("shards/*/*/stages.jsonl")):
        hours += sum(stage["duration_s"] for stage in _stages(stages)) / 3600
    if not hours:
        return "not measured"
    if gpus is None:
        return f"{hours:.2f} hours of array tasks, GPUs unknown"
    return f"{hours * gpus:.2f} GPU-hours" if gpus else f"no GPU, {hours:.2f} hours of array tasks"


def _stages(path: Path) -> Iterator[dict[str, Any]]:
    """The stages that a worker noted; a line that a kill cut off is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError, RecursionError):
            stage = json.loads(line)
            if isinstance(stage, dict) and isinstance(stage.get("duration_s"), int | float):
                yield stage


def _review(run: RunDirectory) -> str | None:
    """What people said of a sample of its pairs, accepted and rejected ones; None where nobody rated any."""
    review = review_of(run)
    return review.words() if review is not None and review.scores else None
