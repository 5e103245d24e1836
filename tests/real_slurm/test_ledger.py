"""What the ledger says of a run that had everything happen to it, against Slurm's own reports of the same jobs."""

from datetime import UTC, datetime, timedelta

import psutil
import pytest

from hpc_qa.campaign.attempts import attempts_of
from hpc_qa.ledger.attempts import as_rows, current
from tests.projects import call
from tests.real_slurm.runs import accounted, finish, job_of, under_way, wait_for_end, wait_until

SIZE = {"documents": 6, "rules_each": 60}

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


@pytest.fixture
def echo_delay_s() -> float:
    return 0.3


def everything_happens(project, cluster, capsys, account: str) -> tuple[float, str]:
    """GPU-seconds that the ledger has of a run with a requeue, a failure and a cancelled task, and its user.

    They are those of `sacct -D`, row by row.
    """
    user = psutil.Process().username()
    folder = project(slurm=f"  account: {account}\n", **SIZE)
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
    assert {row["account"] for row in rows} == {account}
    assert {row["state"] for row in rows} >= {"REQUEUED", "CANCELLED", "FAILED", "COMPLETED"}
    assert {(row["run_id"], row["gpu_type"], tuple(row["data_quality"])) for row in rows} == {(run.run_id, "a100", ())}
    assert {row["shard"] for row in rows} == {0, 1, 2}
    # one row for each allocation that sacct has, with its seconds
    text = cluster.run("sacct", "-D", "-X", "-n", "-P", f"--jobs={jobs}", "-o", "JobID,State,ElapsedRaw,AllocTRES")
    theirs = sorted(line.split("|")[:1] + line.split("|")[2:3] for line in text.splitlines())
    assert sorted([row["job_id"], str(row["elapsed_s"])] for row in rows) == theirs
    return sum(row["gpu_hours_allocated"] for row in rows) * 3600, user


def sreport(cluster, account: str, *report: str) -> list[list[str]]:
    """Fields of each line of a report about an account, GPU-seconds of yesterday and today."""
    span = [f"{name}={hour}" for name, hour in zip(("start", "end"), hours(), strict=True)]
    wanted = ["-n", "-P", "-t", "seconds", "--tres=gres/gpu", *report, *span, f"accounts={account}"]
    return [line.split("|") for line in cluster.run("sreport", *wanted).splitlines()]


def hours() -> list[str]:
    """From a day ago until the hour is over."""
    ends = (datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(hours=2))
    return [moment.strftime("%Y-%m-%dT%H:00:00") for moment in ends]


def test_gpu_hours_of_a_requeue_a_failure_and_a_cancelled_task_are_those_of_sacct_and_sreport(project, cluster, capsys):
    seconds, _ = everything_happens(project, cluster, capsys, "ledger")
    ((_, account, used, *_),) = sreport(cluster, "ledger", "job", "SizesByAccount", "FlatView", "grouping=1000")
    assert (account, int(used)) == ("ledger", pytest.approx(seconds))


@pytest.mark.long
@pytest.mark.covers("ledger", "slurm", "campaign")
def test_gpu_hours_are_those_of_the_rollup_by_which_a_site_charges(project, cluster, capsys):
    seconds, user = everything_happens(project, cluster, capsys, "rollup")

    def rolled_up() -> set[int]:
        cluster.run("sacctmgr", "-i", "roll", *hours())  # beside slurmdbd's own rollup it may come to nothing
        said = sreport(cluster, "rollup", "cluster", "AccountUtilizationByUser")
        return {int(one[-1]) for one in said if one[1:3] == ["rollup", user]}

    (used,) = wait_until(rolled_up, "a rollup")
    assert seconds == pytest.approx(used)
