"""What people are told about a run: why it stopped, what to do about it, how long it will take."""

import json
import platform
from pathlib import Path

import psutil
import pytest

from hpc_qa.campaign.control import fails_again, last_words, running_beside
from hpc_qa.campaign.status import status
from hpc_qa.errors import ClientError, ConfigError, HpcQaError, ServerError
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory
from hpc_qa.worker.task import _say_why
from tests.made_runs import attempt, planned_run


def living(run: RunDirectory, **progress: object) -> AttemptDirectory:
    """An attempt whose worker is this process."""
    made = attempt(run.shard(0), [])
    me = psutil.Process()
    identity = {"job_id": "4471", "pid": me.pid, "process_start_s": me.create_time(), "host": platform.node()}
    made.attempt_json.write_text(json.dumps(identity))
    (made.path / "progress.json").write_text(json.dumps(progress))
    return made


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ServerError("the model is torn", hint="copy it again", retryable=False), True),
        (ConfigError("vllm.attach: no socket"), True),
        (ServerError("vLLM died"), False),
        (ClientError("Ray's raylet has died", hint="hpc-qa resume RUN continues"), False),
    ],
)
def test_a_fault_that_would_come_again_is_told_from_one_that_may_pass(
    tmp_path: Path, error: HpcQaError, again: bool
) -> None:
    run = planned_run(tmp_path, [["a"]])
    made = living(run)
    _say_why(run, run.shard(0), error)
    assert fails_again(run, 0) is again
    said = json.loads((made.path / "failure.json").read_text())
    assert said["faults"] == list(error.faults)
    assert "RUN" not in said["hint"]


def test_an_attempt_that_broke_without_a_word_may_be_repeated(tmp_path: Path) -> None:
    run = planned_run(tmp_path, [["a"]])
    assert not fails_again(run, 0)
    living(run)
    assert not fails_again(run, 0)


def test_what_submitit_prints_about_itself_is_not_among_the_last_words(tmp_path: Path) -> None:
    run = planned_run(tmp_path, [["a"]])
    run.add_submission({"host": platform.node(), "tasks": [{"shard": 0, "job_id": "7", "pid": None}]})
    (run.submit / "7_0_log.out").write_text("ImportError: no\nsubmitit INFO (x) - Job completed successfully\n")
    assert last_words(run, 0) == ["ImportError: no"]


def test_another_run_whose_worker_lives_here_is_named(tmp_path: Path) -> None:
    run, other = planned_run(tmp_path, [["a"]]), planned_run(tmp_path, [["a"]], nonce="0002")
    assert running_beside(tmp_path, run) == []
    living(other)
    assert running_beside(tmp_path, run) == [other.run_id]
    assert running_beside(tmp_path, other) == []


def test_the_time_left_is_not_told_from_the_first_requests(tmp_path: Path) -> None:
    run = planned_run(tmp_path, [["a"]])
    pace = {"documents_todo": 100, "documents_fed": 5, "chunks_fed": 10, "chunks_done": 5}
    made = living(run, **pace, serving_s=20.0)
    assert status(run).shards[0].time_left_s is None
    (made.path / "progress.json").write_text(json.dumps(pace | {"serving_s": 90.0}))
    assert status(run).shards[0].time_left_s == pytest.approx(90.0 * (1 - 0.025) / 0.025)
