"""What clusters do to array tasks: requeue, preempt and end them, lose their nodes. Each costs minutes, no record.

The worker is the real one, with real Ray; the echo server answers, slowly enough to be interrupted.
"""

import pytest

from tests.projects import call, records
from tests.real_slurm.runs import (
    accounted,
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

SIZE = {"documents": 6, "rules_each": 60}

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


@pytest.fixture
def echo_delay_s() -> float:
    return 0.3


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_a_requeued_array_task_goes_on_where_it_was(project, cluster, model_folder):
    folder = project(**SIZE)
    run = under_way(folder)
    cluster.run("scontrol", "requeue", f"{job_of(run)}_0")
    finish(folder, run, resumes=0)
    assert (f"{job_of(run)}_0", "REQUEUED") in accounted(cluster, run)
    assert {attempt.name.split("_r")[1][0] for attempt in run.shard(0).attempts()} == {"0", "1"}
    assert_same_as_quiet(run, model_folder, **SIZE)


def test_usr2_lets_a_task_write_what_it_has_and_requeues_it(project, cluster, model_folder):
    folder = project(**SIZE)
    run = under_way(folder)
    for _ in range(3):  # again and again, as some sites do
        cluster.run("scancel", "--signal=USR2", f"{job_of(run)}_0")
    finish(folder, run, resumes=0)
    assert (f"{job_of(run)}_0", "REQUEUED") in accounted(cluster, run)
    first = run.shard(0).attempts()[0]
    assert "stopped (SIGUSR2)" in first.worker_log.read_text()
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_term_alone_drains_a_task_and_resume_goes_on(project, cluster, model_folder):
    folder = project(**SIZE)
    run = under_way(folder)
    cluster.run("scancel", "--signal=TERM", f"{job_of(run)}_0")
    said = wait_for_end(folder, run)
    assert said["state"] == "incomplete"
    assert "stopped (SIGTERM)" in run.shard(0).attempts()[0].worker_log.read_text()
    written = len(records(run))
    finish(folder, run)
    assert len(records(run)) > written
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_a_cancelled_array_task_is_the_only_one_that_is_submitted_again(project, cluster, model_folder):
    folder = project(**SIZE)
    run = under_way(folder)
    cluster.run("scancel", f"{job_of(run)}_1")
    wait_for_end(folder, run)
    shard = status_of(folder, run)["shards"][1]
    assert shard["state"] == "interrupted"
    assert shard["detail"].startswith("CANCELLED")
    first = job_of(run)
    assert call(folder, "resume", run.run_id) == 0
    assert job_of(run) != first
    assert [task["shard"] for task in run.list_submissions()[-1]["tasks"]] == [1]
    finish(folder, run, resumes=0)
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_when_a_node_dies_its_tasks_go_on_elsewhere(project, cluster, model_folder):
    folder = project(**SIZE)
    run = under_way(folder)
    node = node_of(cluster, run)
    cluster.kill_node(node)
    try:
        finish(folder, run)
    finally:
        cluster.start_node(node)
        cluster.wait_idle()
    assert "NODE_FAIL" in {state for _, state in accounted(cluster, run)}
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.fixture
def urgent(cluster):
    """A QOS whose jobs take the place of ordinary ones."""
    cluster.run("sacctmgr", "-i", "add", "qos", "urgent", check=False)
    cluster.run("sacctmgr", "-i", "modify", "qos", "urgent", "set", "Preempt=normal", "Priority=1000")
    cluster.run("sacctmgr", "-i", "modify", "user", "root", "set", "qos=normal,urgent")
    return "urgent"


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_a_preempted_task_goes_on_when_the_others_have_had_their_turn(project, cluster, model_folder, urgent):
    folder = project(**SIZE)
    run = under_way(folder)
    node = node_of(cluster, run)
    cluster.run("sbatch", f"--qos={urgent}", "--exclusive", "-w", node, "-o", "/dev/null", "--wrap", "sleep 5")
    finish(folder, run, resumes=0)
    assert "PREEMPTED" in {state for _, state in accounted(cluster, run)}
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_before_the_time_limit_a_task_stops_and_requeues_itself(project, cluster, model_folder):
    size = {"documents": 2, "rules_each": 600}
    folder = project(slurm='  time: "00:02:00"\nplan:\n  shards: 1\n', **size)
    run = submitted(folder)
    finish(folder, run)
    assert "TIMEOUT" not in {state for _, state in accounted(cluster, run)}
    assert "REQUEUED" in {state for _, state in accounted(cluster, run)}
    logs = "".join(attempt.worker_log.read_text() for attempt in run.shard(0).attempts())
    assert "the time limit is near" in logs or "SIGUSR2" in logs
    assert_same_as_quiet(run, model_folder, **size)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_eight_shards_run_three_at_a_time_and_no_more(project, cluster, model_folder):
    size = {"documents": 8, "rules_each": 60}
    folder = project(slurm="plan:\n  shards: 8\n", **size)
    run = submitted(folder)
    assert len(run.frozen_plan()["shards"]) == 8
    most = 0

    def watch() -> bool:
        nonlocal most
        most = max(most, len(cluster.run("squeue", "-h", "-r", "-t", "R", "-j", job_of(run)).splitlines()))
        return status_of(folder, run)["state"] == "complete"

    wait_until(watch, "the end")
    assert most == 3
    finish(folder, run, resumes=0)
    assert_same_as_quiet(run, model_folder, **size)
