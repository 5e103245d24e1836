"""What people are told about a run: why it stopped, what to do about it, how long it will take."""

import json
import platform
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from hpc_qa.campaign import follow
from hpc_qa.campaign.control import fails_again, last_words, running_beside, with_memory
from hpc_qa.campaign.status import RunStatus, status
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.config import Config
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


def test_of_a_run_that_goes_on_nobody_is_told_to_resume_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = planned_run(tmp_path, [["a"]])
    for command in ("verify", "collect", "gate"):
        hpc_qa(["--project", str(tmp_path), command, "latest"])
        assert "hpc-qa resume" in capsys.readouterr().out
    living(run)
    for command in ("verify", "collect", "gate"):
        hpc_qa(["--project", str(tmp_path), command, "latest"])
        said = capsys.readouterr().out
        assert "resume" not in said
        assert "goes on" in said
        assert "--watch" in said


@pytest.mark.parametrize("command", ["status", "metrics", "ledger show"])
def test_in_an_empty_project_it_is_said_what_to_do_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert hpc_qa(["--project", str(tmp_path), *command.split()]) == 0
    assert "  try: hpc-qa " in capsys.readouterr().err
    assert hpc_qa(["--project", str(tmp_path), *command.split(), "--json"]) == 0
    assert capsys.readouterr().err == ""


def test_an_attempt_that_broke_without_a_word_may_be_repeated(tmp_path: Path) -> None:
    run = planned_run(tmp_path, [["a"]])
    assert not fails_again(run, 0)
    living(run)
    assert not fails_again(run, 0)


def test_what_the_kernel_killed_for_memory_explains_the_rest_and_more_memory_may_help(tmp_path: Path) -> None:
    run = planned_run(tmp_path, [["a"]])
    made = living(run)
    _say_why(run, run.shard(0), ServerError("vLLM died", retryable=False, of_node=True), killed=2)
    said = json.loads((made.path / "failure.json").read_text())
    assert said["faults"] == ["vLLM died", "the kernel killed 2 processes of this task for memory"]
    assert said["hint"] == "free memory on this machine"
    assert "bad_node" not in said
    assert not fails_again(run, 0)


def test_resume_can_give_array_tasks_more_memory_and_nothing_that_is_no_size() -> None:
    config = Config.model_validate({"name": "n", "manifest": "m", "vllm": {"model": "x"}, "slurm": {"mem": "1G"}})
    assert with_memory(config, None) is config
    assert with_memory(config, "120G").slurm == config.slurm.model_copy(update={"mem": "120G"})
    for wrong, mem in ((config, "lots"), (config, "9G\n"), (config.model_copy(update={"executor": "local"}), "9G")):
        with pytest.raises(ConfigError, match="--mem"):
            with_memory(wrong, mem)


def test_what_submitit_prints_about_itself_is_not_among_the_last_words(tmp_path: Path) -> None:
    run = planned_run(tmp_path, [["a"]])
    run.add_submission({"host": platform.node(), "tasks": [{"shard": 0, "job_id": "7", "pid": None}]})
    (run.submit / "7_0_log.out").write_text("ImportError: no\nsubmitit INFO (x) - Job completed successfully\n")
    assert last_words(run, 0) == ["ImportError: no"]


def test_who_waits_for_a_run_hears_how_its_tasks_ended_although_accounting_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned_run(tmp_path, [["a"]])
    looks = iter(["running", "interrupted", "interrupted"])
    details = iter([None, None, "OUT_OF_MEMORY on node1"])

    def look(_run: RunDirectory) -> RunStatus:
        shard = replace(status(run).shards[0], state=next(looks), detail=next(details))
        return replace(status(run), state="running" if shard.state == "running" else "incomplete", shards=(shard,))

    monkeypatch.setattr(follow, "status", look)
    slept: list[float] = []
    last = follow.wait(run, lambda _now: None, sleep=slept.append)
    assert [shard.detail for shard in last.shards] == ["OUT_OF_MEMORY on node1"]
    assert slept == [follow.ASK_SLURM_EVERY_S, follow.ACCOUNTING_LATE_S]


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
