"""When an array task is started again by itself, and when that has been tried often enough."""

import pytest

from hpc_qa.config import Slurm
from hpc_qa.errors import ServerError, SlurmError
from hpc_qa.store.run_directory import RunDirectory, ShardDirectory
from hpc_qa.store.segments import SegmentWriter
from hpc_qa.worker import again
from hpc_qa.worker.again import check_attempts, continue_later
from hpc_qa.worker.stopping import TIME_LIMIT, USR2, Stopping
from tests.made_runs import finished_run


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return finished_run(tmp_path, [["a"]])


@pytest.fixture
def shard(tmp_path) -> ShardDirectory:
    (tmp_path / "shards").mkdir()
    return ShardDirectory(tmp_path / "shards" / "0000")


@pytest.fixture
def in_job(monkeypatch):
    """Puts us into an array task of job 9 that was started again so often."""

    def put(restarts: int = 0) -> None:
        values = {"SLURM_JOB_ID": "11", "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "0"}
        for name, value in (values | {"SLURM_RESTART_COUNT": str(restarts)}).items():
            monkeypatch.setenv(name, value)

    return put


@pytest.fixture
def requeues(monkeypatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(again, "requeue", lambda: calls.append("requeue"))
    return calls


def stopped(reason: str) -> Stopping:
    stopping = Stopping()
    stopping.request(reason)
    return stopping


@pytest.mark.parametrize("reason", [USR2, TIME_LIMIT])
def test_a_stop_before_the_time_limit_is_followed_by_a_requeue(run, in_job, requeues, reason):
    in_job()
    continue_later(run, stopped(reason))
    assert requeues == ["requeue"]


@pytest.mark.parametrize("reason", ["SIGTERM", "SIGINT", "a later attempt at this shard has started"])
def test_what_others_stop_they_start_again_themselves(run, in_job, requeues, reason):
    in_job()
    continue_later(run, stopped(reason))
    assert requeues == []


def test_outside_slurm_nothing_is_requeued(run, requeues):
    continue_later(run, stopped(USR2))
    assert requeues == []


def test_the_number_of_requeues_is_limited(run, in_job, requeues):
    in_job(restarts=10)
    continue_later(run, stopped(USR2))
    assert requeues == []


def test_a_requeue_that_slurm_refuses_leaves_the_shard_to_resume(run, in_job, monkeypatch, caplog):
    def refuse() -> None:
        raise SlurmError("scontrol: Job violates accounting/QOS policy")

    in_job()
    monkeypatch.setattr(again, "requeue", refuse)
    continue_later(run, stopped(USR2))
    assert f"hpc-qa resume {run.run_id}" in caplog.text


def attempt_of(shard: ShardDirectory, number: int, *, job: str = "9", records: bool = False):
    attempt = shard.new_attempt(f"{job}_0_r{number}_{number:08x}")
    if records:
        writer = SegmentWriter(attempt.path)
        writer.add([{"kind": "probe", "key": str(number)}])
        writer.close()
    return attempt


def test_two_attempts_without_a_record_are_enough(shard, in_job):
    in_job(restarts=2)
    attempt_of(shard, 0)
    attempt_of(shard, 1)
    with pytest.raises(ServerError, match="without a record"):
        check_attempts(shard, attempt_of(shard, 2), Slurm())


def test_progress_of_either_lets_the_next_attempt_begin(shard, in_job):
    in_job(restarts=2)
    attempt_of(shard, 0, records=True)
    attempt_of(shard, 1)
    check_attempts(shard, attempt_of(shard, 2), Slurm())


def test_attempts_of_an_earlier_job_do_not_count(shard, in_job):
    in_job()
    attempt_of(shard, 0, job="7")
    attempt_of(shard, 1, job="7")
    check_attempts(shard, attempt_of(shard, 2), Slurm())


def test_more_requeues_than_allowed_end_the_task(shard, in_job):
    in_job(restarts=4)
    with pytest.raises(ServerError, match="max_requeues"):
        check_attempts(shard, attempt_of(shard, 4), Slurm(max_requeues=3))
