"""Crashes at any moment, attempts beside each other, commits and merges, against a plain dict."""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hpc_qa.campaign.verify import verify
from hpc_qa.errors import ExitCode, StoreError
from hpc_qa.store.merge import commit_shard, merge_shard
from hpc_qa.store.run_directory import attempt_name
from hpc_qa.store.segments import SegmentWriter
from tests.made_runs import chunk, document, pair, planned_run

DOCUMENTS = ["a", "b"]
CHUNKS = 2


class Attempt:
    """A living attempt: its writer, and what it has not been acknowledged for."""

    def __init__(self, directory, number, acknowledged):
        self.directory = directory
        self.number = number
        self.known = {}  # key -> record, of what it resumed from or wrote
        self.writer = SegmentWriter(directory.path, max_records=4, max_bytes=5_000, on_ack=acknowledged)


class StoreMachine(RuleBasedStateMachine):
    """Attempts at one shard that write, flush, die and come back; several may live at once (split brain)."""

    @initialize()
    def start(self):
        self.project = Path(tempfile.mkdtemp())
        self.run = planned_run(self.project, [DOCUMENTS])
        self.shard = self.run.shard(0)
        self.living = []
        self.acknowledged = {}  # key -> the records that people were told of, in order
        self.committed = None
        self.started = 0

    def teardown(self):
        if hasattr(self, "project"):
            shutil.rmtree(self.project)

    def _acknowledge(self, records):
        for record in records:
            self.acknowledged.setdefault(record["key"], []).append(record)

    @rule()
    def new_attempt(self):
        if len(self.living) == 3:
            return
        directory = self.shard.new_attempt(attempt_name("7", 0, self.started, f"{self.started:08x}"))
        attempt = Attempt(directory, self.started, self._acknowledge)
        merge_shard(self.shard, lambda batch: attempt.known.update((r["key"], r) for r in batch.records))
        self.living.append(attempt)
        self.started += 1

    def _pick(self, data):
        while len(self.living) < 2:  # beside each other, and neither knows of the other
            self.new_attempt()
        return data.draw(st.sampled_from(self.living))

    @rule(data=st.data(), first=st.sampled_from(DOCUMENTS), pieces=st.integers(1, 8), pairs=st.integers(0, 3))
    def append(self, data, first, pieces, pairs):
        """Write the next pieces that this attempt does not know of, as a worker does."""
        self._work(self._pick(data), first, pieces, pairs)

    def _work(self, attempt, first, pieces, pairs):
        for doc_id in sorted(DOCUMENTS, key=lambda doc_id: doc_id != first):
            batches = [
                chunk(
                    doc_id, i, [pair(doc_id, i, item, answer=f"by attempt {attempt.number}") for item in range(pairs)]
                )
                for i in range(CHUNKS)
            ]
            for batch in [*batches, [document(doc_id, batches)]]:
                if batch[-1]["key"] not in attempt.known and pieces:
                    attempt.known.update((record["key"], record) for record in batch)
                    attempt.writer.add(batch)
                    pieces -= 1

    @rule(data=st.data())
    def flush(self, data):
        self._pick(data).writer.flush()

    @rule(data=st.data(), torn=st.booleans())
    def crash(self, data, torn):
        """The attempt is killed: what it buffered is gone, or was on its way and is cut anywhere; nobody was told."""
        attempt = self._pick(data)
        self.living.remove(attempt)
        if torn:
            told = {key: list(records) for key, records in self.acknowledged.items()}
            sizes = {path: path.stat().st_size for path in attempt.directory.segments()}
            attempt.writer.flush()
            self.acknowledged = told
            last = max(attempt.directory.segments(), default=None)
            if last is not None:
                os.truncate(last, data.draw(st.integers(sizes.get(last, 0), last.stat().st_size)))
        attempt.writer.abandon()

    @rule(data=st.data(), first=st.sampled_from(DOCUMENTS), pieces=st.sampled_from([0, 100]))
    def close_and_commit(self, data, first, pieces):
        attempt = self._pick(data)
        self._work(attempt, first, pieces, pairs=1)
        attempt.writer.close()
        self.living.remove(attempt)
        before = merge_shard(self.shard)
        try:
            won = commit_shard(self.shard, attempt.directory.name, DOCUMENTS)
        except StoreError:
            assert set(DOCUMENTS) - before.done.keys()
            return
        assert won == (self.committed is None)
        event("a commit was won" if won else "a commit came second")
        if won:
            self.committed = self._content()

    def _content(self):
        found = []
        merge_shard(self.shard, lambda batch: found.extend(batch.records))
        return found

    @invariant()
    def nothing_acknowledged_is_lost_and_nothing_is_double(self):
        if not hasattr(self, "project"):
            return
        content = self._content()
        keys = [record["key"] for record in content]
        assert len(keys) == len(set(keys))
        if self.committed is not None:
            assert content == self.committed
            return
        there = {(record["doc_id"], record.get("chunk_id")) for record in content}
        for told in self.acknowledged.values():
            assert all((record["doc_id"], record.get("chunk_id")) in there for record in told)

    @invariant()
    def a_chunk_is_of_one_attempt_with_all_its_pairs(self):
        if not hasattr(self, "project"):
            return
        content = self._content()
        for record in content:
            if record["kind"] == "chunk":
                pairs = [r for r in content if r["kind"] == "pair" and r["chunk_id"] == record["chunk_id"]]
                assert len(pairs) == record["parsed"]
                assert len({r["answer"] for r in pairs}) <= 1

    @invariant()
    def verify_finds_no_damage_and_says_complete_only_when_it_is(self):
        if not hasattr(self, "project"):
            return
        proof = verify(self.run)
        assert (proof.damage, proof.doubles) == ([], [])
        assert (proof.exit_code == ExitCode.DONE) == (self.committed is not None)


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
test_the_store_loses_and_doubles_nothing = StoreMachine.TestCase
