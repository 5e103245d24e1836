"""Folders that are removed, replaced by a link or made read-only while an attempt writes to them, and two attempts that
write at once. Nothing is written outside of the run, and what had been written is taken up again.
"""

import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpc_qa.errors import StoreError
from hpc_qa.store.files import HeldFolder
from hpc_qa.store.run_directory import RunDirectory, attempt_name, list_runs
from hpc_qa.store.segments import SegmentWriter
from tests.made_runs import planned_run, whole
from tests.projects import call, echo_process, make_project, proof, wait_for
from tests.real_disk.workers import attempts, frozen, has_records, small_disk, wait_until_serving, workers

pytestmark = pytest.mark.timeout(600)  # seconds only where the machine is busy
LONG = [pytest.mark.long, pytest.mark.covers("store", "worker")]
LEVELS: dict[str, Callable[[RunDirectory], Path]] = {
    "run": lambda run: run.path,
    "shards": lambda run: run.path / "shards",
    "shard": lambda run: run.shard(0).path,
    "attempt": lambda run: attempts(run)[0].path,
}


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """An echo that takes its time, so that a worker is found at work."""
    with echo_process(delay_s=0.15) as path:
        yield path


@pytest.fixture
def project(tmp_path: Path, model_folder: Path, socket: Path) -> Path:
    folder = tmp_path / "project"
    made = make_project(folder, model=model_folder, socket=socket, key="echo-key", documents=16)
    assert call(made, "convert", str(made / "config.yaml")) == 0
    return made


def replace_by_link(path: Path, outside: Path) -> None:
    """Move a folder away and put a link to an empty one in its place."""
    outside.mkdir()
    path.rename(outside.with_name("moved"))
    path.symlink_to(outside)


# -- the writer alone, at every level


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("what", ["removed", "replaced by a link"])
def test_a_writer_stops_when_a_folder_above_it_is_lost_and_writes_nowhere_else(
    tmp_path: Path, level: str, what: str
) -> None:
    run = planned_run(tmp_path, [["a"]])
    attempt = run.shard(0).new_attempt(attempt_name("7", 0, 0))
    told: list[object] = []
    held = HeldFolder(attempt.path)
    writer = SegmentWriter(attempt.path, max_records=1, max_bytes=1, on_ack=told.extend)
    writer.add(whole("a")[0])
    known, lost, outside = len(told), LEVELS[level](run), tmp_path / "outside"
    if what == "removed":
        shutil.rmtree(lost)
    else:
        replace_by_link(lost, outside)
        (outside / attempt.path.relative_to(lost)).mkdir(parents=True, exist_ok=True)  # even a place to write is there
    with pytest.raises(StoreError) as error:
        writer.add(whole("a")[1])
    assert run.run_id in str(error.value)
    assert error.value.hint
    with pytest.raises(StoreError):
        held.check()
    assert len(told) == known > 0
    assert not [path for path in outside.rglob("*") if path.is_file()]


def test_a_shard_that_is_a_link_gets_no_new_attempt(tmp_path: Path) -> None:
    run = planned_run(tmp_path, [["a"]])
    (tmp_path / "outside").mkdir()
    run.shard(0).path.symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="is a link"):
        run.shard(0).new_attempt(attempt_name("7", 0, 0))
    assert not any((tmp_path / "outside").iterdir())


# -- whole workers


@pytest.mark.parametrize(
    ("level", "what"),
    [
        pytest.param("run", "replaced by a link", marks=LONG),
        pytest.param("run", "removed", marks=LONG),
        pytest.param("shard", "replaced by a link", marks=LONG),
        pytest.param("attempt", "replaced by a link", marks=LONG),
        pytest.param("attempt", "removed", marks=LONG),
    ],
)
def test_a_worker_whose_folder_is_lost_ends_with_one_message_and_writes_nowhere_else(
    tmp_path: Path, project: Path, level: str, what: str
) -> None:
    run = frozen(project)
    outside = tmp_path / "outside"
    with workers(run, tmp_path / "log") as (worker,):
        wait_until_serving(run)
        lost = LEVELS[level](run)
        assert worker.process.poll() is None  # it was struck at work
        if what == "removed":
            shutil.rmtree(lost)
        else:
            replace_by_link(lost, outside)
        code, said = worker.ended()
    assert code == 1
    assert "Traceback" not in said
    assert str(run.path) in said
    assert "  try: " in said
    assert not outside.exists() or not any(outside.iterdir())
    if what == "removed":
        assert not lost.exists()
        return
    lost.unlink()
    outside.with_name("moved").rename(lost)  # the owner puts it back
    with workers(run, tmp_path / "log") as (worker,):
        assert worker.ended()[0] == 0
    assert proof(project, run)["status"] == "proven"


@pytest.mark.long
@pytest.mark.covers("store", "worker")
def test_a_disk_that_becomes_read_only_ends_the_attempt_with_one_message(
    tmp_path: Path, model_folder: Path, socket: Path
) -> None:
    with small_disk(tmp_path / "runs", 8_000_000) as disk:
        project = make_project(tmp_path, model=model_folder, socket=socket, key="echo-key", documents=16)
        assert call(project, "convert", str(project / "config.yaml")) == 0
        assert disk.hpc_qa(project, "submit", str(project / "config.yaml"), "--detach").returncode == 0
        (run,) = list_runs(disk.seen(project))
        wait_until_serving(run)
        disk.make_read_only()
        log = attempts(run)[0].worker_log  # it was open before, so it can still be written
        wait_for(lambda: "  try: " in log.read_text(), 240)
        assert "Read-only file system" in log.read_text()
        assert "Traceback" not in log.read_text()
        assert disk.hpc_qa(project, "verify", run.run_id).returncode == 3


# -- two attempts at once


@pytest.mark.long
@pytest.mark.covers("store", "worker")
def test_an_attempt_that_was_thought_dead_writes_on_after_the_commit_and_harms_nothing(
    tmp_path: Path, project: Path
) -> None:
    run = frozen(project)
    with workers(run, tmp_path / "first") as (first,):
        wait_until_serving(run)
        first.process.send_signal(signal.SIGSTOP)
        with workers(run, tmp_path / "second") as (second,):
            assert second.ended()[0] == 0
        committed = run.shard(0).commit.read_bytes()
        before = sizes(run)
        first.process.send_signal(signal.SIGCONT)
        code, said = first.ended()
    assert len(attempts(run)) == 2
    assert all(has_records(attempt) for attempt in attempts(run))
    assert code in (0, 3)
    assert "Traceback" not in said
    assert run.shard(0).commit.read_bytes() == committed
    assert sizes(run) != before  # it did write once more
    found = proof(project, run)
    assert (found["status"], found["documents"]["ok"], found["doubles"]) == ("proven", 16, [])
    assert found["recomputed"] > 0


def sizes(run: RunDirectory) -> dict[str, int]:
    return {str(path): path.stat().st_size for attempt in attempts(run) for path in attempt.segments()}


def test_two_attempts_that_start_at_once_give_one_commit_and_no_key_twice(
    tmp_path: Path, model_folder: Path, socket: Path
) -> None:
    (tmp_path / "disk").mkdir(mode=0o700)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "runs").symlink_to(tmp_path / "disk")  # runs on another disk, as people do
    project = make_project(folder, model=model_folder, socket=socket, key="echo-key", documents=4)
    assert call(project, "convert", str(project / "config.yaml")) == 0
    run = frozen(project)
    with workers(run, tmp_path / "both", count=2) as both:
        ends = [worker.ended() for worker in both]
    assert len(attempts(run)) == 2
    assert 0 in [code for code, _ in ends]
    assert {code for code, _ in ends} <= {0, 3}  # 3: it saw the other and left the work to it
    assert not any("Traceback" in said for _, said in ends)
    found = proof(project, run)
    assert (found["status"], found["documents"]["ok"], found["doubles"]) == ("proven", 4, [])
    assert Counter(path.name for path in run.shard(0).path.iterdir())["COMMIT.json"] == 1
    for command in (("status", "latest"), ("collect", "latest"), ("logs", "latest", "0")):
        assert call(project, *command) == 0
