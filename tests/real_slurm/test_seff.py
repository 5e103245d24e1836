"""seff of Slurm's own sources beside our figures: where the two agree, and where they cannot."""

import shlex
import sys
from pathlib import Path

import pytest

from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.slurm.programs import run_program
from tests.made_runs import finished_run
from tests.projects import call
from tests.real_slurm.cluster import Cluster, wait_for
from tests.real_slurm.seff import install_seff

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

WORK = """
import sys, time
held = bytearray(int(sys.argv[1]) * 1_000_000)
until = time.process_time() + float(sys.argv[2])
while time.process_time() < until:
    pass
time.sleep(2)  # for accounting to look once a second
"""
OPTIONS = ("--parsable", "--output=/dev/null", "--cpus-per-task=2", "--mem=500M", "--time=5")


@pytest.fixture
def work(tmp_path: Path) -> str:
    """A command that takes so many MB and so many seconds of CPU time."""
    script = tmp_path / "work.py"
    script.write_text(WORK)
    return shlex.join([sys.executable, str(script)])


@pytest.fixture
def seff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    install_seff(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("PATH", f"{folder}:{cluster.environment['PATH']}")


def test_its_figures_stand_beside_ours_and_agree_but_for_what_it_cannot_know(tmp_path, cluster, work, seff, capsys):
    def sbatch(script: str, *options: str) -> str:
        return cluster.run("sbatch", *OPTIONS, *options, f"--wrap={script}").strip()

    jobs = {
        "one step": sbatch(f"{work} 200 3", "--gres=gpu:1"),
        "two steps": sbatch(f"srun {work} 60 1; srun {work} 120 2"),
        "two tasks": sbatch(f"srun --ntasks=2 {work} 60 1", "--ntasks=2", "--cpus-per-task=1"),
        "fails": sbatch(f"{work} 50 1; exit 7"),
        "dies": sbatch(f"{work} 50 1; kill -SEGV $$"),
        "twice": sbatch(f"{work} 50 1; [ $SLURM_RESTART_COUNT ] || sleep 120", "--requeue", "--open-mode=append"),
    }
    wait_for("the job to requeue", lambda: state_of(cluster, jobs["twice"]) == "RUNNING")
    wait_for("its first step", lambda: cluster.run("sstat", "-n", "-a", "-j", jobs["twice"], check=False).strip() != "")
    wait_for("a whole second of it", lambda: used_by(cluster, jobs["twice"]) not in ("", "0:00"))
    cluster.run("scontrol", "requeue", jobs["twice"])
    wait_for("the end of all jobs", lambda: not cluster.run("squeue", "-h", "-j", ",".join(jobs.values()), check=False))
    wait_for("accounting", lambda: {state_of(cluster, job) for job in jobs.values()} == {"COMPLETED", "FAILED"})
    ours = finished_run(tmp_path, [[name] for name in jobs], executor="slurm")
    tasks = [{"shard": index, "job_id": job} for index, job in enumerate(jobs.values())]
    ours.add_submission({"executor": "slurm", "job_id": jobs["fails"], "tasks": tasks})

    assert call(tmp_path, "ledger", "sync") == 0
    assert "seff" not in capsys.readouterr().err
    assert call(tmp_path, "ledger", "sync", "--json") == 0
    assert '"written": 0' in capsys.readouterr().out
    rows = {
        name: [row for row in as_rows(current(tmp_path).table) if row["job_id"] == job] for name, job in jobs.items()
    }
    last = {name: found[-1] for name, found in rows.items()}

    # CPU time: the same, but that seff counts whole seconds
    for row in last.values():
        core_seconds = row["cpus"] * row["elapsed_s"]
        assert row["seff_cpu_efficiency"] == pytest.approx(row["cpu_efficiency"], abs=0.501 / core_seconds + 1e-4)
    assert last["one step"]["cpu_s"] > 3
    # memory: the same where every step has one task, and the largest step counts
    for name in ("one step", "two steps", "fails", "dies"):
        assert last[name]["seff_memory_efficiency"] == pytest.approx(last[name]["memory_efficiency"], abs=2e-3)
    assert last["one step"]["memory_efficiency"] > 0.38
    # of two tasks seff 22.05 takes the larger twice, later ones their sum as we do
    assert last["two tasks"]["seff_memory_efficiency"] >= last["two tasks"]["memory_efficiency"] - 2e-3

    # what it cannot know: attempts before the last, the signal that ended one, GPUs
    assert [row["seff_asked_at"] is None for row in rows["twice"]] == [True, False]
    assert (rows["twice"][0]["state"], rows["twice"][0]["elapsed_s"] > 0) == ("REQUEUED", True)
    assert (last["fails"]["exit_code"], last["dies"]["exit_signal"]) == (7, 11)
    assert "(exit code 7)" in run_program(["seff", jobs["fails"]])
    assert "FAILED (exit code 0)" in run_program(["seff", jobs["dies"]])
    assert last["one step"]["gpu_count"] == 1
    assert "gpu" not in run_program(["seff", jobs["one step"]]).lower()


def used_by(cluster: Cluster, job: str) -> str:
    """The time that Slurm says it has run."""
    return cluster.run("squeue", "-h", f"--jobs={job}", "-o", "%M").strip()


def state_of(cluster: Cluster, job: str) -> str:
    """Of its last attempt, once accounting has all of it."""
    said = cluster.run("sacct", "-X", "-n", "-P", f"--jobs={job}", "-o", "State,Partition").strip()
    state, _, partition = said.partition("|")
    return state.split()[0] if partition else ""
