"""Slurm's own daemons fail: the controller, the database daemon, a node's slurmd. A run loses no record by it."""

import time

import pytest

from tests.projects import call
from tests.real_slurm.runs import (
    assert_same_as_quiet,
    finish,
    job_of,
    node_of,
    status_of,
    submitted,
    under_way,
    wait_for_end,
    wait_until,
)

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]
SIZE = {"documents": 6, "rules_each": 60}


@pytest.fixture
def echo_delay_s() -> float:
    return 0.3


def test_without_the_controller_submit_leaves_nothing_and_status_still_answers(project, cluster, capsys):
    folder = project(documents=2)
    finished = submitted(folder)
    finish(folder, finished)
    before = sorted((folder / "runs").iterdir())
    cluster.stop_daemon("slurmctld")
    try:
        began = time.monotonic()
        assert call(folder, "submit", str(folder / "config.yaml")) == 1
        assert time.monotonic() - began < 120
        assert "scontrol ping" in capsys.readouterr().err
        assert sorted((folder / "runs").iterdir()) == before
        assert status_of(folder, finished)["state"] == "complete"
    finally:
        cluster.start_controller()
        cluster.wait_idle()


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_a_run_goes_on_while_the_controller_is_away_and_nothing_is_started_twice(
    project, cluster, model_folder, capsys
):
    folder = project(**SIZE)
    run = under_way(folder)
    cluster.stop_daemon("slurmctld")
    try:
        said = status_of(folder, run)
        assert said["notes"]
        assert said["state"] in ("running", "unknown", "complete")
        assert call(folder, "resume", run.run_id) in (0, 1)  # 0 only when accounting knows that all of them run
        assert len(run.list_submissions()) == 1
        wait_until(lambda: all(run.shard(number).commit.exists() for number in range(3)), "three commits")
    finally:
        cluster.start_controller()
    finish(folder, run, resumes=1)
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_status_and_resume_work_without_accounting(project, cluster, model_folder):
    folder = project(**SIZE)
    run = under_way(folder)
    cluster.stop_daemon("slurmdbd")
    try:
        said = status_of(folder, run)
        assert said["state"] == "running"
        assert any("sacct" in note for note in said["notes"])
        cluster.run("scancel", f"{job_of(run)}_1")
        assert wait_for_end(folder, run)["shards"][1]["detail"] == "accounting does not answer"
        assert call(folder, "resume", run.run_id) == 0
        wait_until(run.shard(1).commit.exists, "the commit of shard 1")
    finally:
        cluster.start_accounting()
    finish(folder, run, resumes=0)
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_two_attempts_that_write_at_once_count_once(project, cluster, model_folder):
    size = {"documents": 6, "rules_each": 500}
    folder = project(**size)
    run = under_way(folder)
    node = node_of(cluster, run)
    cluster.stop_daemon(node, 9)  # its tasks live on, and Slurm starts them again elsewhere
    try:
        wait_until(lambda: any(len(run.shard(number).attempts()) == 2 for number in range(3)), "a second attempt")
        twice = [number for number in range(3) if len(run.shard(number).attempts()) == 2]
        finish(folder, run)
    finally:
        cluster.start_node(node)
        cluster.wait_idle()
    assert twice
    writers = [sum(bool(list(one.segments())) for one in run.shard(number).attempts()) for number in twice]
    assert max(writers) == 2
    assert_same_as_quiet(run, model_folder, **size)
