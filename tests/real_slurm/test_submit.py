"""Submitting to a real cluster: once, twice, refused, killed, in parts; and what a run leaves behind there."""

import pytest

from hpc_qa.store.run_directory import list_runs
from tests.projects import call, keys, proof
from tests.real_slurm.cluster import Shape, running_cluster
from tests.real_slurm.runs import accounted, finish, job_of, submitted, wait_for_end

CANARY = "canary-5b1f0e"

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def test_a_run_is_one_job_array_that_ends_complete_and_holds_no_secret(project, cluster, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", CANARY)
    folder = project(documents=6)
    assert call(folder, "submit", str(folder / "config.yaml"), "--wait") == 0
    (run,) = list_runs(folder)
    said = proof(folder, run)
    assert said["exit_code"] == 0
    assert set(keys(run).values()) == {1}
    (job,) = [submission["job_id"] for submission in run.list_submissions()]
    assert {task for task, _ in accounted(cluster, run)} == {f"{job}_{shard}" for shard in range(3)}
    told = [cluster.run("scontrol", "show", "job", job), cluster.run("sacct", "-P", "-o", "ALL", "-j", job)]
    told += [path.read_bytes().decode(errors="replace") for path in run.path.rglob("*") if path.is_file()]
    assert not any(secret in text for text in told for secret in (CANARY, "echo-key"))


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_the_same_submitted_twice_is_noticed(project, cluster, capsys):
    folder = project(documents=6)
    run = submitted(folder)
    assert call(folder, "submit", str(folder / "config.yaml")) == 2
    assert run.run_id in capsys.readouterr().err
    again = submitted(folder, "--again")
    assert call(folder, "cancel", run.run_id) == 0
    finish(folder, again)
    finish(folder, run)


def test_what_sbatch_refuses_leaves_nothing_behind(project, cluster, capsys):
    folder = project(documents=2, slurm="  partition: nowhere\n")
    assert call(folder, "submit", str(folder / "config.yaml")) == 1
    said = capsys.readouterr().err
    assert "invalid partition" in said.lower()
    assert "sinfo -s" in said
    assert list((folder / "runs").iterdir()) == []


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_an_array_that_was_submitted_by_a_killed_submit_is_found_again(project, cluster):
    folder = project(documents=6)
    run = submitted(folder)
    job = job_of(run)
    (run.submissions / "001.json").unlink()  # what a kill right after sbatch leaves
    assert call(folder, "resume", run.run_id) == 0
    assert job_of(run) == job
    assert len(run.list_submissions()) == 1
    cluster.run("scancel", job)
    wait_for_end(folder, run)
    assert call(folder, "resume", run.run_id) == 0
    second = job_of(run)
    (run.submissions / "002.json").unlink()  # and a resume may be killed there as well
    assert call(folder, "resume", run.run_id) == 0
    assert job_of(run) == second != job
    finish(folder, run, resumes=0)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_an_array_above_the_limit_of_the_cluster_is_submitted_in_parts(project, monkeypatch):
    folder = project(documents=6)
    with running_cluster(Shape(name="small", nodes=1, prefix="small", max_array_size=2)) as small:
        for name, value in small.environment.items():
            monkeypatch.setenv(name, value)
        run = submitted(folder)
        parts = [(one["first_shard"], len(one["tasks"])) for one in run.list_submissions()]
        assert parts == [(0, 2), (2, 1)]
        finish(folder, run, resumes=0)
    assert set(keys(run).values()) == {1}
