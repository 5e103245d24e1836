"""Documents that a CPU-only job array converts on the cluster, and the run that waits for it."""

import json
from pathlib import Path

import pytest

from hpc_qa.campaign import convert
from hpc_qa.store.conversion_directory import ConversionDirectory
from hpc_qa.store.files import read_sealed
from hpc_qa.store.run_directory import RunDirectory
from tests.projects import build_manifest, call, document_named, keys, states
from tests.real_slurm.cluster import Cluster
from tests.real_slurm.runs import finish, job_of, status_of, submitted, wait_for_end, wait_until

ON_CPUS = "  convert: {cpus_per_task: 1, tasks: 2, mem: 1G}\n"
HELD = "  convert: {cpus_per_task: 1, tasks: 2, mem: 1G, additional_parameters: {begin: now+1hour}}\n"
MANY = 600

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def conversion_job(run: RunDirectory) -> str:
    """The job id of the last array that converts for this run."""
    return str(run.conversion.list_submissions()[-1]["job_id"])


def recorded(cluster: Cluster, job: str, field: str) -> list[str]:
    """What accounting says of the array tasks of a job."""
    return cluster.run("sacct", "-n", "-P", "-X", f"--jobs={job}", "-o", field).split()


def test_documents_are_converted_on_cpus_before_the_gpu_array_starts(project, cluster, capsys):
    folder = project(documents=6, slurm=ON_CPUS)
    (folder / "documents" / "broken.pdf").write_bytes(b"no PDF at all")
    build_manifest(folder)
    (folder / "documents" / "manual-005.md").unlink()
    config = str(folder / "config.yaml")
    assert call(folder, "submit", config, "--convert") == 2
    assert "--limit 20" in capsys.readouterr().err
    assert call(folder, "convert", config, "--limit", "2") == 0
    run = submitted(folder, "--convert")
    finish(folder, run, resumes=0)
    conversion = conversion_job(run)
    assert set(recorded(cluster, conversion, "State")) == {"COMPLETED"}
    took = [read_sealed(run.conversion.outcome(task))["took"] for task in range(2)]
    assert all(stage["cpu_percent"] is not None for one in took for stage in one["stages"])
    assert sum(one["documents"] for one in took) == 5
    assert not any("gpu" in text for text in recorded(cluster, conversion, "AllocTRES"))
    assert max(recorded(cluster, conversion, "End")) <= min(recorded(cluster, job_of(run), "Start"))
    assert states(run)[document_named(run, 5)] == ("failed", "not_found")  # not kept in the cache: it may come back
    plan = run.frozen_plan()
    assert [one["reason"] for one in plan["settled"]] == ["malformed"]  # the two that were converted before
    assert sum(state == "ok" for state, _ in states(run).values()) == 5
    assert set(keys(run).values()) == {1}


def why_it_waits(folder: Path, run: RunDirectory) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """State and reason of the shards, and of the tasks of the conversion."""
    said = status_of(folder, run)
    shards, tasks = said["shards"], said["conversion"]["tasks"]
    return {(one["state"], one["detail"]) for one in shards}, {(one["state"], one["detail"]) for one in tasks}


@pytest.mark.long
@pytest.mark.covers("worker", "documents", "store", "campaign", "slurm")
def test_when_the_conversion_ends_badly_slurm_cancels_the_run_and_resume_submits_both_again(project, cluster, capsys):
    folder = project(documents=6, slurm=HELD)
    assert call(folder, "convert", str(folder / "config.yaml"), "--limit", "1") == 0
    run = submitted(folder, "--convert")
    waiting = ({("queued", "Dependency")}, {("queued", "BeginTime")})
    wait_until(lambda: why_it_waits(folder, run) == waiting, "the reasons for waiting")
    assert status_of(folder, run)["state"] == "queued"
    assert call(folder, "resume", run.run_id) == 0  # nothing is missing
    first, run_job = conversion_job(run), job_of(run)
    cluster.run("scancel", first)
    said = wait_for_end(folder, run)
    assert said["state"] == "incomplete"
    assert {one["state"] for one in (*said["conversion"]["tasks"], *said["shards"])} == {"interrupted"}
    assert run.shard(0).attempts() == []
    assert call(folder, "resume", run.run_id) == 0
    second = conversion_job(run)
    assert second != first
    assert job_of(run) != run_job
    cluster.run("scontrol", "update", f"JobId={second}", "StartTime=now")
    finish(folder, run, resumes=0)
    assert set(keys(run).values()) == {1}
    capsys.readouterr()
    assert call(folder, "logs", run.run_id, "0", "--conversion") == 0
    assert "task 0: " in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.covers("worker", "documents", "store", "campaign", "slurm")
def test_cancel_ends_the_conversion_and_the_array_that_waits_for_it(project, cluster):
    folder = project(documents=6, slurm=HELD)
    assert call(folder, "convert", str(folder / "config.yaml"), "--limit", "1") == 0
    run = submitted(folder, "--convert")
    jobs = f"{conversion_job(run)},{job_of(run)}"
    assert call(folder, "cancel", run.run_id) == 0
    wait_until(
        lambda: not cluster.run("squeue", "-h", "--me", "-t", "PD,R", f"--jobs={jobs}").strip(), "an empty queue"
    )


@pytest.mark.long
@pytest.mark.covers("worker", "documents", "store", "campaign", "slurm")
@pytest.mark.parametrize("signal", ["USR2", "TERM"])
def test_a_conversion_that_is_interrupted_blames_no_document_and_converts_none_twice(
    project, cluster, signal, monkeypatch, capsys
):
    folder = project(documents=MANY, slurm=ON_CPUS)
    config = str(folder / "config.yaml")
    assert call(folder, "convert", config, "--executor", "slurm") == 0
    (path,) = (folder / "cache" / "conversions").iterdir()
    conversion = ConversionDirectory(path)
    job = str(conversion.list_submissions()[0]["job_id"])
    cache = folder / "cache" / "documents"
    wait_until(lambda: len(list(cache.glob("??/*/*/facts.json"))) > 20, "documents in the cache")
    cluster.run("scancel", f"--signal={signal}", f"{job}_0")
    wait_until(lambda: not cluster.run("squeue", "-h", "--me", f"--name={path.name}").strip(), "the end")
    assert conversion.outcome(0).exists() == (signal == "USR2")  # it requeues itself; after TERM others decide
    assert conversion.failures() == {}
    seen = {file: file.stat().st_mtime_ns for file in cache.glob("??/*/*/facts.json")}
    monkeypatch.setattr(convert, "ASK_SLURM_EVERY_S", 1.0)
    capsys.readouterr()
    assert call(folder, "convert", config, "--executor", "slurm", "--wait", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["status"] for row in rows} == {"ok"}
    assert len(rows) == MANY
    assert all(file.stat().st_mtime_ns == time for file, time in seen.items())


def test_when_the_gpu_array_is_refused_the_conversion_is_taken_back_and_no_run_is_left(project, cluster, capsys):
    folder = project(documents=6, slurm=HELD.replace("{cpus", "{partition: main, cpus") + "  partition: nowhere\n")
    assert call(folder, "convert", str(folder / "config.yaml"), "--limit", "1") == 0
    assert call(folder, "submit", str(folder / "config.yaml"), "--convert") == 1
    assert "invalid partition" in capsys.readouterr().err.lower()
    assert list((folder / "runs").iterdir()) == []
    wait_until(lambda: ".convert" not in cluster.run("squeue", "-h", "--me", "-o", "%j"), "an empty queue")
