"""Publish the dataset of one run or several.

Accepted pairs of documents that ended ok, without those of a benchmark and near-duplicates, split by groups of
documents (`split`); everything else goes to `rejected.parquet` with its reason. Two passes: the first keeps keys,
questions and places, the second reads one document at a time, so the passages of a run are never in memory together.
Between them the answers to questions that are asked twice are held against each other.
How files are written is in `store.dataset`.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hpc_qa.campaign.calibration import Calibrations
from hpc_qa.campaign.card import Card, Decontamination, Source
from hpc_qa.campaign.card_sections import render
from hpc_qa.campaign.collected import Collected
from hpc_qa.campaign.funnel import CLEAN, IN_OK_DOCUMENTS, PUBLISHED, Funnel
from hpc_qa.campaign.judge_scores import JudgeScores
from hpc_qa.campaign.licenses import UNKNOWN, SourceLicenses, license_of, read_source_licenses
from hpc_qa.campaign.publication import Options, Publication, note
from hpc_qa.campaign.run_part import SourceFile, read_part
from hpc_qa.campaign.split import choose_validation, groups_of
from hpc_qa.campaign.status import goes_on
from hpc_qa.campaign.verify import verify
from hpc_qa.errors import ConfigError, ExitCode, StoreError
from hpc_qa.qa.conflicts import answers_conflict, ask_otherwise
from hpc_qa.qa.control_tokens import longest_first
from hpc_qa.qa.decontamination import Benchmarks
from hpc_qa.qa.duplicates import near_duplicates
from hpc_qa.store.benchmark_questions import BenchmarkFile, read_benchmarks
from hpc_qa.store.croissant import croissant
from hpc_qa.store.dataset import REJECTED, TRAIN, VALIDATION, DatasetWriter, schema
from hpc_qa.store.exports import ChatExport, CsvExport, Export
from hpc_qa.store.merge import Merged, merge_shard
from hpc_qa.store.records import Record
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.store.segments import Batch, read_batch
from hpc_qa.store.trust import check_run

NOTHING_ASKED = Options()
REVOKED = "skipped: revoked"


class Place(NamedTuple):
    """Where a chunk with its pairs stands; places sort as the rows do."""

    doc_id: str
    chunk_index: int
    run: int  # position among the runs
    key: str
    path: Path
    offset: int
    size: int


def collect(
    run_directories: Sequence[RunDirectory], *, out: Path | None = None, partial: bool = False,
    options: Options = NOTHING_ASKED, keep_note: bool = True,
) -> Collected:  # fmt: skip
    """Publish these runs, together, at `out` (one run: its own `dataset` folder).

    With `keep_note` the runs keep where the dataset is, so that `revoke` finds it.

    Raises:
        ConfigError: several runs and no `out`, the run is not ours to write to, or a file that the options name cannot
            be used.
        StoreError: a run is damaged, or the dataset cannot be written.
    """
    runs = sorted({run.path: run for run in run_directories}.values(), key=lambda run: run.run_id)
    if out is None and len(runs) != 1:
        raise ConfigError("several runs are published together", hint="say where with -o DIR")
    if out is None:
        check_run(runs[0])
    options = replace(options, partial=partial or options.partial)
    benchmarks = read_benchmarks(options.decontaminate)
    licenses = read_source_licenses(options.source_licenses) if options.source_licenses else SourceLicenses()
    left, complete = _check(runs)
    ids = [run.run_id for run in runs]
    if not complete and not options.partial:
        rows = {TRAIN: 0, VALIDATION: 0, REJECTED: 0}
        going_on = [run.run_id for run in runs if goes_on(run)]
        return Collected(None, ids, rows, Funnel(), left, ExitCode.INCOMPLETE, going_on=going_on)
    collection = _Collection(runs, options, benchmarks, licenses)
    target = (out or runs[0].dataset).absolute()
    notes = _note(Publication(target, tuple(run.path for run in runs), options)) if keep_note else []
    rows = collection.publish(target, left)
    return Collected(target, ids, rows, collection.funnel, left, ExitCode.DONE, collection.calibration, notes)


def _note(publication: Publication) -> list[str]:
    try:
        note(publication)
    except StoreError as error:  # a run of somebody else, that we may only read
        return [f"revoke will not find this dataset: {error}"]
    return []


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

    def __init__(
        self, runs: Sequence[RunDirectory], options: Options, benchmarks: Sequence[BenchmarkFile],
        licenses: SourceLicenses,
    ) -> None:  # fmt: skip
        self._options = options
        self._benchmarks = benchmarks
        self._licenses = licenses
        self._places: dict[str, Place] = {}  # by key of the chunk: the same work in two runs counts once
        self._accepted: dict[str, list[tuple[str, str]]] = defaultdict(list)  # (key, question), documents that ended ok
        self._checks: dict[str, None] = {}  # names of the checks, in the order of the records
        self._parts = [read_part(run) for run in runs]
        self._scores = JudgeScores()
        self.calibration = Calibrations()
        self.funnel = Funnel(judge=any(part.facts.judge for part in self._parts), benchmarks=bool(benchmarks))
        for number, run in enumerate(runs):
            self._find(number, run)
        self.funnel.add_accounted(len(self._places))
        self._groups = self._split_groups()
        items = [item for accepted in self._accepted.values() for item in accepted]
        threshold = min(part.threshold for part in self._parts)
        self._contaminated = _found_in(benchmarks, items, threshold)  # name of the benchmark by key
        clean = [item for item in items if item[0] not in self._contaminated]
        self._repeated: dict[str, str] = {}  # keys of pairs that go, each with that of the pair which stays
        self._conflicting: set[str] = set()  # those of them whose answer says something else
        self._look_for_repeated(clean, threshold)

    def publish(self, out: Path, left: int) -> dict[str, int]:
        """Write the rows in their order, then the card; the rows per file."""
        validation = self._validation_documents()
        published: Counter[str] = Counter()
        checks = list(self._checks)
        with DatasetWriter(out, checks=checks, exports=self._exports(checks)) as writer:
            for row in self._rows():
                if row["reject_reason"] is not None:
                    writer.add(row, REJECTED)
                    continue
                published[row["doc_id"]] += 1
                writer.add(row, VALIDATION if row["doc_id"] in validation else TRAIN)
            states = self._documents()
            for doc_id, state in states.items():
                self.funnel.add_document(state, published[doc_id])
            card = self._card(writer.counts, states, published, left)
            writer.publish(
                render(card),
                self._facts(card),
                stats=self._stats(card),
                described=lambda files: croissant(
                    name=card.runs[0].name,
                    license=None if card.license == UNKNOWN else card.license,
                    schema=schema(checks),
                    files=files,
                ),
            )
            return dict(writer.counts)

    def _exports(self, checks: Sequence[str]) -> list[Export]:
        exports: list[Export] = []
        if self._options.csv:
            exports.append(CsvExport(schema(checks).names))
        if self._options.chat:
            tokens = {token for part in self._parts for token in part.control_tokens}
            exports.append(ChatExport(self._options.variants, longest_first(tokens)))
        return exports

    def _card(
        self, counts: Mapping[str, int], states: Mapping[str, str], published: Mapping[str, int], left: int
    ) -> Card:
        facts = [part.card_facts() for part in self._parts]
        found = Counter(self._contaminated.values())
        return Card(
            runs=facts,
            counts=dict(counts),
            chat=[split for split in (TRAIN, VALIDATION) if counts[split] and self._options.chat],
            variants=self._options.variants,
            has_csv=self._options.csv,
            funnel=self.funnel,
            scores=self._scores,
            calibration=self.calibration.words() if self.funnel.judge else None,
            sources=self._sources(states, published),
            license=license_of(self._options.license, {fact.license for fact in facts}),
            benchmarks=[
                Decontamination(one.name, one.sha256, len(one.questions), found[one.name]) for one in self._benchmarks
            ],
            revoked=sum(state == REVOKED for state in states.values()),
            left=left,
            command=self._options.command([fact.run_id for fact in facts]),
        )

    def _facts(self, card: Card) -> dict[str, Any]:
        """What manifest.json says beside the files."""
        return {
            "runs": [fact.run_id for fact in card.runs],
            "license": card.license,
            "decontaminated": [one.to_json() for one in card.benchmarks],
            "revoked_documents": card.revoked,
            "funnel": card.funnel.to_json(),
            "judge_calibration": self.calibration.to_json(),
        }

    def _stats(self, card: Card) -> dict[str, Any]:
        """What stats.json says: figures of the whole and of each document."""
        return {
            "rows": card.counts,
            "funnel": card.funnel.to_json(),
            "judge": card.scores.to_json(),
            "documents": [
                {"source_path": one.path, "source_sha256": one.sha256, "license": one.license, "pairs": one.pairs}
                for one in card.sources
            ],
        }

    def _find(self, number: int, run: RunDirectory) -> None:
        """First pass over one run: where its chunks stand, and the questions that may be published."""
        part = self._parts[number]
        plan = run.frozen_plan()
        self.funnel.accounted.add_settled(plan)
        for settled in plan["settled"]:
            part.states[settled["doc_id"]] = f"{settled['state']}: {settled['reason']}"
        for planned in plan["shards"]:
            found: list[tuple[Place, list[tuple[str, str]]]] = []
            merged = merge_shard(run.shard(planned["index"]), functools.partial(self._look, number, found))
            part.states.update(_states(merged))
            self.funnel.accounted.add_shard(plan, planned["documents"], merged)
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
            part = self._parts[place.run]
            judge = self.calibration.of(part.facts.model, part.facts.accepts, decides=part.a_score_decides)
            judge.add(chunk, records)
            before = self.funnel.published
            for pair in sorted(pairs, key=lambda pair: (pair["item"], pair["key"])):
                reason = self._reject_reason(place, pair)
                self._scores.add(pair, published=reason is None)
                if reason is None:
                    part.note_published(pair["key"])
                yield part.row(
                    chunk, pair, reject_reason=reason, split_group=self._groups[place.doc_id],
                    contaminated_with=self._contaminated.get(pair["key"]),
                    duplicate_of=self._repeated.get(pair["key"]),
                )  # fmt: skip
            if pairs and self.funnel.published == before:
                self.funnel.add_chunk_without_published()

    def _reject_reason(self, place: Place, pair: Record) -> str | None:
        """Why a pair is not published, None if it is; counts it on the way."""
        if not pair["accepted"]:
            self.funnel.add_rejected(pair)
            return str(pair["reject_reason"] or "unknown")
        if not self._is_ok(place):
            state = self._parts[place.run].states.get(place.doc_id, "unfinished").partition(":")[0]
            return self._lost(IN_OK_DOCUMENTS, f"document_{state}")
        if pair["key"] in self._contaminated:
            return self._lost(CLEAN, "contaminated")
        if pair["key"] in self._conflicting:
            return self._lost(PUBLISHED, "conflicting_answer")
        if pair["key"] in self._repeated:
            return self._lost(PUBLISHED, "near_duplicate")
        self.funnel.add_published(pair)
        return None

    def _look_for_repeated(self, items: Sequence[tuple[str, str]], threshold: float) -> None:
        """Find what is asked twice. Another word in the question, and another answer: that is another question.

        Those are held against each other once more, as what they were near to is none of them.
        """
        while items:
            found = near_duplicates(items, threshold)
            wanted = {*found, *found.values()}
            questions = {key: question for key, question in items if key in wanted}
            answers = self._answers(wanted)
            conflicting = {key for key, stays in found.items() if answers_conflict(answers[key], answers[stays])}
            others = {key for key in conflicting if ask_otherwise(questions[key], questions[found[key]])}
            self._conflicting |= conflicting - others
            self._repeated |= {key: stays for key, stays in found.items() if key not in others}
            items = [item for item in items if item[0] in others]

    def _answers(self, wanted: Set[str]) -> dict[str, str]:
        """The answers of the pairs with these keys."""
        documents = {doc_id for doc_id, items in self._accepted.items() if any(key in wanted for key, _ in items)}
        return {
            record["key"]: str(record["answer"])
            for place in self._places.values()
            if place.doc_id in documents
            for record in read_batch(place.path, place.offset, place.size)
            if record["kind"] == "pair" and record["key"] in wanted
        }

    def _lost(self, step: str, reason: str) -> str:
        self.funnel.of_pairs.lose(step, reason)
        return reason

    def _validation_documents(self) -> set[str]:
        """Chosen among the documents that have a pair to publish."""
        lost = self._repeated.keys() | self._contaminated.keys()
        return choose_validation(
            [doc_id for doc_id, items in self._accepted.items() if any(key not in lost for key, _ in items)],
            self._groups,
        )

    def _split_groups(self) -> dict[str, str]:
        """The group of each document of all runs that asked about some of it."""
        asked = {place.doc_id for place in self._places.values()}
        contents = {doc_id: one.sha256 for part in self._parts for doc_id, one in part.sources.items()}
        sketches = self.funnel.accounted.sketches
        return groups_of(
            {doc_id: contents[doc_id] for doc_id in asked},
            {doc_id: sketch for doc_id, sketch in sketches.items() if doc_id in asked},
            min(part.reissue_similarity for part in self._parts),
        )

    def _documents(self) -> dict[str, str]:
        """The state of every document, once, however many runs had it: `ok` in one of them is ok."""
        states: dict[str, str] = {}
        for part in self._parts:
            for doc_id in part.sources:
                if states.get(doc_id) != "ok":
                    states[doc_id] = part.states.get(doc_id, "unfinished")
        return states

    def _sources(self, states: Mapping[str, str], published: Mapping[str, int]) -> list[Source]:
        """The documents and what came of them; of one that was revoked nothing is said."""
        found: dict[str, SourceFile] = {}
        for part in self._parts:
            found |= part.sources
        return [
            Source(one.path, one.sha256, self._licenses.of(one.path, one.license), published[doc_id])
            for doc_id, one in sorted(found.items())
            if states[doc_id] != REVOKED
        ]


def _found_in(
    benchmarks: Sequence[BenchmarkFile], items: Sequence[tuple[str, str]], threshold: float
) -> dict[str, str]:
    """Of (key, question) pairs those that a benchmark has, or has nearly, with its name."""
    if not benchmarks:
        return {}
    known = Benchmarks()
    theirs: dict[str, tuple[str, str]] = {}  # (name of the benchmark, question) by a key that is before every pair's
    for one in benchmarks:
        known.add(one.name, one.questions)
        theirs |= {f"\0{len(theirs) + number:09}": (one.name, text) for number, text in enumerate(one.questions)}
    near = near_duplicates([*((key, text) for key, (_, text) in theirs.items()), *items], threshold)
    found = {key: theirs[stays][0] for key, stays in near.items() if stays in theirs and key not in theirs}
    return found | {key: name for key, question in items if (name := known.match(question)) is not None}


def _pairs_of(chunk: Record, records: Sequence[Record]) -> list[Record]:
    """The pairs of a chunk among the records of its batch, each once."""
    pairs = [record for record in records if record["kind"] == "pair" and record["chunk_id"] == chunk["chunk_id"]]
    return list({pair["key"]: pair for pair in reversed(pairs)}.values())


def _states(merged: Merged) -> dict[str, str]:
    """The documents of a shard that are done: "ok", or their state and why."""
    states = {}
    for doc_id, state in merged.done.items():
        states[doc_id] = state if state == "ok" else f"{state}: {merged.reason_of(doc_id)}"
    return states
