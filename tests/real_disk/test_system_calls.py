"""Every system call of the commit path, of a flush and of `submit` is struck once: killed, refused, cut short, and done
although an error was reported. Afterwards the same work again completes, and nothing is lost or double.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hpc_qa.campaign.verify import verify
from hpc_qa.errors import ExitCode
from hpc_qa.ledger.samples import from_line
from hpc_qa.store.merge import merge_shard
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, attempt_name, list_runs
from hpc_qa.store.segments import SegmentWriter, read_segment
from tests import projects
from tests.made_runs import attempt, chunk, pair, planned_run, whole
from tests.real_disk.strikes import Bench, Call, Struck, in_memory

DOCUMENTS = ["a", "b", "c"]
ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE)
NAMES = {errno.EIO: "EIO", errno.ENOSPC: "ENOSPC", errno.EDQUOT: "EDQUOT", errno.ESTALE: "ESTALE"}


def prepared(project: Path) -> RunDirectory:
    """A run whose shard had three attempts: a part, the same again and more with a torn tail, and nothing."""
    run = planned_run(project, [DOCUMENTS])
    shard = run.shard(0)
    attempt(shard, [*whole("a"), whole("b")[0]])
    again = chunk("a", 0, [pair("a", 0, item, answer="again") for item in range(3)])
    second = attempt(shard, [again, whole("b")[1]], restart=1)
    os.truncate(second.segments()[0], second.segments()[0].stat().st_size - 7)
    shard.new_attempt(attempt_name("4471", 0, 2))
    return run


class Copies:
    """Copies of one run, so that every strike meets the same."""

    def __init__(self, run: RunDirectory, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self._made = 0

    def fresh(self) -> RunDirectory:
        self._made += 1
        path = self._folder / str(self._made) / "runs" / self._run.run_id
        shutil.copytree(self._run.path, path)
        return RunDirectory(path)


@pytest.fixture
def copies(memory_folder: Path) -> Copies:
    return Copies(prepared(memory_folder / "first"), memory_folder / "copies")


def outcome(run: RunDirectory) -> dict[str, Any]:
    """States, and how often each key is among the records that count."""
    keys: list[str] = []
    merged = merge_shard(run.shard(0), lambda batch: keys.extend(record["key"] for record in batch.records))
    assert len(keys) == len(set(keys))
    return {"states": merged.done, "keys": set(keys), "counts": merged.counts.to_json()["documents"]}


def finish(bench: Bench, run: RunDirectory, **fault: Any) -> Struck:
    return bench.run("finish", run.path, *DOCUMENTS, below=run.path, **fault)


def assert_recovers(bench: Bench, run: RunDirectory, undisturbed: dict[str, Any]) -> None:
    """What a strike left is never damage; the same work again completes it."""
    assert verify(run).exit_code in (ExitCode.DONE, ExitCode.INCOMPLETE)
    assert finish(bench, run).ended_well
    assert verify(run).exit_code == ExitCode.DONE
    assert outcome(run) == undisturbed


def undisturbed_finish(bench: Bench, copies: Copies) -> tuple[list[Call], dict[str, Any]]:
    """The calls of an undisturbed end of a worker, and what is there afterwards."""
    run = copies.fresh()
    struck = finish(bench, run)
    assert struck.ended_well, struck.said
    assert verify(run).exit_code == ExitCode.DONE
    return struck.calls, outcome(run)


def assert_struck_at(struck: Struck, call: Call) -> None:
    """It was this call, of all."""
    assert [(one.number, one.place) for one in struck.calls] == [(call.number, call.place)]


def is_harmless(call: Call, calls: Sequence[Call], there: Sequence[str] = ("shards", "0000")) -> bool:
    """A temporary file that stays harms nobody, nor does a folder that cannot be made because it is there."""
    earlier = any(one.path == call.path for one in calls[: call.number - 1])
    return call.name == "unlink" or (call.name == "mkdir" and (earlier or call.path.name in there))


def test_the_library_sees_the_calls_that_make_a_commit_durable(bench: Bench, copies: Copies) -> None:
    calls, _ = undisturbed_finish(bench, copies)
    places = [call.place for call in calls]
    assert [name for name, where in places if where == "seg-000.jsonl"] == ["open", "write", "fsync", "close"]
    at = places.index(("link", "COMMIT.json"))
    assert places[at - 4 : at] == [(name, "temporary file") for name in ("open", "write", "fsync", "close")]
    assert places[at + 1 : at + 4] == [("open", "0000"), ("fsync", "0000"), ("close", "0000")]


def test_a_worker_killed_at_any_call_of_the_commit_path_loses_and_doubles_nothing(bench: Bench, copies: Copies) -> None:
    calls, undisturbed = undisturbed_finish(bench, copies)
    for call in calls:
        for how in ("before", "after", "within") if call.name == "write" else ("before", "after"):
            run = copies.fresh()
            struck = finish(bench, run, how=how, nth=call.number)
            assert struck.status == -9
            assert_struck_at(struck, call)
            assert_recovers(bench, run, undisturbed)


@pytest.mark.parametrize("error", ERRORS, ids=NAMES.get)
def test_a_call_of_the_commit_path_that_fails_once_ends_the_attempt_and_loses_nothing(
    bench: Bench, copies: Copies, error: int
) -> None:
    calls, undisturbed = undisturbed_finish(bench, copies)
    for call in calls:
        run = copies.fresh()
        struck = finish(bench, run, how="fail", nth=call.number, error=error)
        assert_struck_at(struck, call)
        if is_harmless(call, calls):
            assert struck.ended_well
        else:
            assert struck.ended_with_a_storage_error, (call, struck.said)
            assert os.strerror(error) in struck.said
            assert str(run.path) in struck.said
        assert_recovers(bench, run, undisturbed)


def test_a_disk_that_is_lost_in_the_middle_of_the_commit_path_loses_nothing(bench: Bench, copies: Copies) -> None:
    calls, undisturbed = undisturbed_finish(bench, copies)
    for call in calls:
        run = copies.fresh()
        struck = finish(bench, run, how="fail", nth=call.number, error=errno.EIO, onwards=True)
        assert struck.calls[0].place == call.place
        assert struck.ended_with_a_storage_error or is_harmless(call, calls), (call, struck.said)
        assert_recovers(bench, run, undisturbed)


def test_a_call_that_was_done_although_an_error_was_reported_is_not_done_twice(bench: Bench, copies: Copies) -> None:
    calls, undisturbed = undisturbed_finish(bench, copies)
    for call in calls:
        run = copies.fresh()
        struck = finish(bench, run, how="replay", nth=call.number, error=errno.EIO)
        assert_struck_at(struck, call)
        if call.name == "link" or is_harmless(call, calls):  # the content says that it was done
            assert struck.ended_well, struck.said
        else:
            assert struck.ended_with_a_storage_error, (call, struck.said)
        assert_recovers(bench, run, undisturbed)


def test_a_short_write_is_completed_in_a_small_file_and_ends_the_attempt_in_a_segment(
    bench: Bench, copies: Copies
) -> None:
    calls, undisturbed = undisturbed_finish(bench, copies)
    writes = [call for call in calls if call.name == "write"]
    assert len(writes) == 3  # the attempt's marker, its records, the commit
    for call in writes:
        run = copies.fresh()
        struck = finish(bench, run, how="short", nth=call.number)
        assert_struck_at(struck, call)
        if call.path.name == "seg-000.jsonl":
            assert struck.ended_with_a_storage_error
            assert "bytes were written" in struck.said
        else:
            assert struck.ended_well
        assert_recovers(bench, run, undisturbed)


# -- renames


def test_a_damaged_commit_is_set_aside_once_whatever_happens_to_the_rename(bench: Bench, copies: Copies) -> None:
    _, undisturbed = undisturbed_finish(bench, copies)
    for how in ("before", "after", "fail", "replay"):
        run = copies.fresh()
        assert finish(bench, run).ended_well
        commit = run.shard(0).commit
        commit.write_bytes(commit.read_bytes().replace(b'"ok": 3', b'"ok": 2'))
        assert verify(run).damaged_shards == [0]
        struck = bench.run("reopen", run.path, below=run.path, calls="rename", nth=1, how=how, error=errno.ESTALE)
        assert [call.name for call in struck.calls] == ["rename"]
        assert struck.status == (-9 if how in ("before", "after") else 1)
        assert bench.run("reopen", run.path, below=run.path).ended_well
        assert [path.name for path in run.shard(0).path.glob("COMMIT*")] == ["COMMIT.damaged-1.json"]
        assert_recovers(bench, run, undisturbed)


@pytest.mark.long
@pytest.mark.covers("store", "campaign/collect.py")
@pytest.mark.timeout(300)
def test_a_publication_struck_at_its_renames_leaves_a_whole_dataset_or_none_and_works_again(
    bench: Bench, copies: Copies, memory_folder: Path
) -> None:
    run, out = copies.fresh(), memory_folder / "out" / "dataset"
    out.parent.mkdir()
    assert finish(bench, run).ended_well
    assert bench.run("publish", run.path, out, below=out.parent).ended_well
    whole_dataset = {path.name for path in out.rglob("*")}
    for nth, how in ((1, "after"), (1, "fail"), (2, "before"), (2, "fail"), (2, "replay")):
        where = {"below": out.parent, "calls": "rename", "nth": nth, "how": how, "error": errno.EIO}
        struck = bench.run("publish", run.path, out, **where)
        assert [call.name for call in struck.calls] == ["rename"]
        assert struck.status == -9 or struck.ended_with_a_storage_error
        assert not out.exists() or {path.name for path in out.rglob("*")} == whole_dataset
        assert bench.run("publish", run.path, out, below=out.parent).ended_well
        assert {path.name for path in out.rglob("*")} == whole_dataset


# -- flushes


def written(attempt_folder: Path) -> list[str]:
    """The keys of the whole batches that lie in these segments, and no damage beside a torn tail."""
    keys: list[str] = []
    next_batch = 0
    for path in AttemptDirectory(attempt_folder).segments():
        segment, records = read_segment(path, first_batch=next_batch)
        assert segment.damaged == []
        next_batch = segment.next_batch
        keys += [record["key"] for record in records]
    return keys


class Flushes:
    """The job that writes several segments, each time in a new attempt, with a history of what it acknowledged."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self._bench = bench
        self._folder = folder
        self._runs = 0
        self.acknowledged: list[str] = []
        self.attempt = folder

    def write(self, **fault: Any) -> Struck:
        self._runs += 1
        self.attempt = self._folder / "below" / f"4471_0_r{self._runs}_00c0ffee"
        self.attempt.mkdir(parents=True)
        history = self._folder / f"acknowledged-{self._runs}"  # another folder: no strike reaches it
        struck = self._bench.run("write", self.attempt, history, *DOCUMENTS, below=self._folder / "below", **fault)
        self.acknowledged = history.read_text().split() if history.exists() else []
        return struck


@pytest.fixture
def flushes(bench: Bench, memory_folder: Path) -> Flushes:
    return Flushes(bench, memory_folder)


def test_what_was_acknowledged_is_there_after_a_kill_at_any_call_of_a_flush(flushes: Flushes) -> None:
    undisturbed = flushes.write()
    everything = flushes.acknowledged
    assert undisturbed.ended_well
    assert written(flushes.attempt) == everything
    assert len(AttemptDirectory(flushes.attempt).segments()) == 3
    counts = set()
    for call in undisturbed.calls:
        for how in ("before", "after", "within") if call.name == "write" else ("before", "after"):
            struck = flushes.write(how=how, nth=call.number)
            assert struck.status == -9
            assert_struck_at(struck, call)
            there = written(flushes.attempt)
            assert there[: len(flushes.acknowledged)] == flushes.acknowledged
            assert there == everything[: len(there)]
            counts.add(len(flushes.acknowledged))
    assert len(counts) > 3  # the kills came between the flushes, and not all at one end


@pytest.mark.parametrize("error", ERRORS, ids=NAMES.get)
def test_a_flush_that_fails_once_is_never_acknowledged_although_the_next_would_succeed(
    flushes: Flushes, error: int
) -> None:
    undisturbed = flushes.write()
    everything = flushes.acknowledged
    for call in undisturbed.calls:
        before = sum(one.name == "fsync" and one.path.suffix == ".jsonl" for one in undisturbed.calls[: call.number])
        struck = flushes.write(how="fail", nth=call.number, error=error)
        assert_struck_at(struck, call)
        assert struck.ended_with_a_storage_error, (call, struck.said)
        assert os.strerror(error) in struck.said
        assert "nothing more can be written" in struck.said  # what the job was told when it tried again
        there = written(flushes.attempt)
        assert there[: len(flushes.acknowledged)] == flushes.acknowledged
        assert there == everything[: len(there)]
        if call.name == "fsync" and call.path.suffix == ".jsonl":
            later = sum(len(batch) for batch in _flushed(before))
            assert len(flushes.acknowledged) <= later


def _flushed(count: int) -> list[list[Any]]:
    """At most what so many flushes take with them: a batch more than the limit of four records each."""
    return [[None] * 6] * count


def test_a_writer_whose_file_was_removed_acknowledges_nothing_more(tmp_path: Path) -> None:
    told: list[Any] = []
    writer = SegmentWriter(tmp_path, max_records=1, on_ack=told.extend)
    writer.add(whole("a")[0])
    known = len(told)
    writer.path.unlink()
    with pytest.raises(Exception, match="removed or replaced"):
        writer.add(whole("a")[1])
    assert len(told) == known > 0


# -- samples


@pytest.mark.parametrize("error", ERRORS, ids=NAMES.get)
def test_a_call_of_the_sampler_that_fails_costs_the_samples_of_one_block_and_nothing_else(
    bench: Bench, memory_folder: Path, error: int
) -> None:
    def sampled(name: str, **fault: Any) -> tuple[Struck, int]:
        """What came of it, and how many of the three samples can be read."""
        attempt = AttemptDirectory(memory_folder / name)
        attempt.path.mkdir()
        struck = bench.run("sample", attempt.path, below=attempt.path, **fault)
        lines = attempt.gpu_samples.read_bytes().splitlines() if attempt.gpu_samples.exists() else []
        return struck, sum(from_line(line) is not None for line in lines)

    undisturbed, whole_lines = sampled("undisturbed")
    assert whole_lines == 3
    assert {call.name for call in undisturbed.calls} == {"open", "write", "close", "rename"}
    for call in undisturbed.calls:
        for how in ("fail", "replay", "short") if call.name == "write" else ("fail", "replay"):
            struck, left = sampled(f"{how}-{call.number}", how=how, nth=call.number, error=error)
            assert_struck_at(struck, call)
            assert struck.ended_well, struck.said
            assert left >= 2
    _, left = sampled("onwards", how="fail", nth=1, error=error, onwards=True)
    assert left == 0


# -- submit


@pytest.fixture(scope="module")
def project(model_folder: Path) -> Iterator[Path]:
    """A project whose documents are converted; nothing of it is started, so no server is there."""
    with in_memory() as folder:
        yield converted_project(folder, model_folder)


def converted_project(folder: Path, model_folder: Path) -> Path:
    """Two documents and their chunks."""
    made = projects.make_project(folder, model=model_folder, socket=folder / "no.sock", key="k", documents=2)
    assert projects.call(made, "convert", str(made / "config.yaml")) == 0
    return made


ANY_CALL = pytest.param("", marks=[pytest.mark.long, pytest.mark.covers("store", "campaign/submit.py")], id="any call")


@pytest.mark.parametrize("names", [pytest.param("mkdir link", id="mkdir and link"), ANY_CALL])
def test_a_submit_killed_at_any_call_leaves_nothing_that_the_next_one_trips_over(
    bench: Bench, project: Path, names: str
) -> None:
    runs = project / "runs"
    undisturbed = bench.run("freeze", project, below=runs)
    assert undisturbed.ended_well, undisturbed.said
    exists_from = next(call.number for call in undisturbed.calls if call.place == ("link", "run.json"))
    for call in (call for call in undisturbed.calls if not names or call.name in names):
        for how in ("before", "after"):
            shutil.rmtree(runs)
            struck = bench.run("freeze", project, below=runs, how=how, nth=call.number)
            assert struck.status == -9
            assert_struck_at(struck, call)
            begun = call.number > exists_from or (call.number == exists_from and how == "after")
            assert len(list_runs(project)) == int(begun)
            assert projects.call(project, "status") == 0
            assert projects.call(project, "verify", "latest") == (3 if begun else 2)
            assert bench.run("freeze", project, below=runs).ended_well
            assert len(list_runs(project)) == int(begun) + 1


@pytest.mark.parametrize("names", [pytest.param("write fsync link", id="write, fsync and link"), ANY_CALL])
def test_a_submit_whose_disk_fails_says_so_and_the_next_one_works(bench: Bench, project: Path, names: str) -> None:
    runs = project / "runs"
    undisturbed = bench.run("freeze", project, below=runs)
    for call in (call for call in undisturbed.calls if not names or call.name in names):
        shutil.rmtree(runs)
        error = ERRORS[call.number % len(ERRORS)]
        struck = bench.run("freeze", project, below=runs, how="fail", nth=call.number, error=error)
        assert_struck_at(struck, call)
        if is_harmless(call, undisturbed.calls, there=()):
            assert struck.ended_well
        else:
            assert struck.ended_with_a_storage_error, (call, struck.said)
            assert os.strerror(error) in struck.said
        assert bench.run("freeze", project, below=runs).ended_well
