"""What the ledger says of a run that had everything happen to it, against Slurm's own reports of the same jobs."""

from datetime import UTC, datetime, timedelta

import psutil
import pytest

from hpc_qa.campaign.attempts import attempts_of
from hpc_qa.ledger.attempts import as_rows, current
from tests.projects import call
from tests.real_slurm.runs import accounted, finish, job_of, under_way, wait_for_end, wait_until

ACCOUNT = "ledger"
SIZE = {"documents": 6, "rules_each": 60}

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


@pytest.fixture
def echo_delay_s() -> float:
    return 0.3


def test_gpu_hours_of_a_requeue_a_failure_and_a_cancelled_task_are_those_of_sacct_and_sreport(project, cluster, capsys):
    cluster.run("sacctmgr", "-i", "add", "account", ACCOUNT)
    cluster.run("sacctmgr", "-i", "add", "user", psutil.Process().username(), f"Account={ACCOUNT}")
    folder = project(slurm=f"  account: {ACCOUNT}\n", **SIZE)
    run = under_way(folder)
    job = job_of(run)
    cluster.run("scontrol", "requeue", f"{job}_0")
    cluster.run("scancel", f"{job}_1")
    worker = wait_until(lambda: attempts_of(run.shard(2)) and attempts_of(run.shard(2))[-1].process, "a worker")
    worker.kill()
    wait_for_end(folder, run)
    finish(folder, run)
    jobs = ",".join(str(one["job_id"]) for one in run.list_submissions())
    wait_until(lambda: all(state != "RUNNING" for _, state in accounted(cluster, run)), "accounting has their ends")
    assert call(folder, "ledger", "sync") == 0
    assert call(folder, "ledger", "sync", "--json") == 0
    assert '"written": 0' in capsys.readouterr().out
    rows = as_rows(current(folder).table)
    assert {row["state"] for row in rows} >= {"REQUEUED", "CANCELLED", "FAILED", "COMPLETED"}
    assert {(row["run_id"], row["gpu_type"], tuple(row["data_quality"])) for row in rows} == {(run.run_id, "a100", ())}
    assert {row["shard"] for row in rows} == {0, 1, 2}
    # one row for each allocation that sacct has, with its seconds
    text = cluster.run("sacct", "-D", "-X", "-n", "-P", f"--jobs={jobs}", "-o", "JobID,State,ElapsedRaw,AllocTRES")
    theirs = sorted(line.split("|")[:1] + line.split("|")[2:3] for line in text.splitlines())
    assert sorted([row["job_id"], str(row["elapsed_s"])] for row in rows) == theirs
    # and Slurm's own sum
    used = sum(row["gpu_hours_allocated"] for row in rows) * 3600
    ((_, account, reported, *_),) = sreport(cluster, "job", "SizesByAccount", "FlatView", "grouping=1000")
    assert (account, int(reported)) == (ACCOUNT, pytest.approx(used))
    if 30 <= datetime.now(UTC).minute < 55:  # the rollup's report ends at the same full hour, in any zone
        assert wait_until(lambda: rolled_up(cluster), "a rollup") == pytest.approx(used)


def rolled_up(cluster) -> int:
    """GPU-seconds of the account in the rollup by which a site charges; 0 while it has none."""
    span = [f"{datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%dT%H:00:00}" for hours in (-24, 2)]
    cluster.run("sacctmgr", "-i", "roll", *span)  # beside slurmdbd's own rollup it may come to nothing
    user = psutil.Process().username()
    said = sreport(cluster, "cluster", "AccountUtilizationByUser")
    return sum(int(one[-1]) for one in said if one[1:3] == [ACCOUNT, user])


def sreport(cluster, *report: str) -> list[list[str]]:
    """Fields of each line of a report about the account, GPU-seconds of yesterday and today.

    A report ends at the full hour that is nearest to now, and would know nothing of what was done since. Half an hour
    after a full hour that is one to come, and in one of these two zones it is half an hour after one.
    """
    zone = "UTC" if datetime.now(UTC).minute >= 30 else "<+0030>-00:30"
    span = [
        f"start={datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:00:00}",
        f"end={datetime.now(UTC) + timedelta(hours=2):%Y-%m-%dT%H:00:00}",
    ]
    wanted = ["-n", "-P", "-t", "seconds", "--tres=gres/gpu", *report, *span, f"accounts={ACCOUNT}"]
    return [line.split("|") for line in cluster.run("env", f"TZ={zone}", "sreport", *wanted).splitlines()]
