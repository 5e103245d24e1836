"""A sweep on a real cluster: admitted as a whole and by cell, gone on with after a kill, its failures in classes."""

import json
import os
import signal

import pytest

from hpc_qa.bench.grid import load_sweep, schedule
from hpc_qa.bench.record_file import read_records
from hpc_qa.bench.sweep import Runner
from hpc_qa.bench.sweep_state import SweepState, held
from hpc_qa.budget.admission import Admission, Demanded
from hpc_qa.store.run_directory import find, list_runs
from tests.projects import call, spawn
from tests.real_slurm.runs import job_of, wait_for_end, wait_until

SWEEP = """
name: small
config: config.yaml
grid:
  client.concurrency_limit: [2, 4]
seed: 3
"""
HOUR = '  time: "01:00:00"\nplan:\n  shards: 1\n'

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]


@pytest.fixture
def echo_delay_s() -> float:
    return 0.3


@pytest.fixture
def folder(project):
    made = project(documents=2, rules_each=30, slurm=HOUR)
    (made / "sweep.yaml").write_text(SWEEP)
    return made


def budget(folder, gpu_hours):
    (folder / "project.yaml").write_text(f"budget: {{gpu_hours: {gpu_hours}, clusters: [lab]}}\n")


def outcomes(folder):
    path = folder / "sweeps" / "small" / "state.json"
    return {one["cell"]: one for one in json.loads(path.read_text())["cells"]} if path.is_file() else {}


@pytest.mark.long
@pytest.mark.covers("bench", "campaign/admission.py", "cli/sweep.py", "report/sweep_result.py")
def test_a_sweep_that_fits_is_submitted_outlives_a_kill_and_measures_anew_what_was_cancelled(folder, cluster, capsys):
    sweep = ("bench", "sweep", str(folder / "sweep.yaml"))
    budget(folder, 1.5)  # each cell may take an hour on one GPU
    assert call(folder, *sweep, "--json") == 4
    refused = json.loads(capsys.readouterr().out)
    assert (refused["admission"]["verdict"], refused["admission"]["counted"]) == ("refused", 2.0)
    assert list_runs(folder) == []
    assert outcomes(folder) == {}

    budget(folder, 10)
    running = spawn(folder, *sweep)
    wait_until(lambda: [one["state"] for one in outcomes(folder).values()] == ["running"] * 2, "two submitted cells")
    wait_until(lambda: all(find(folder, one["run"]).list_submissions() for one in outcomes(folder).values()), "jobs")
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    first, second = (find(folder, one["run"]) for one in outcomes(folder).values())
    assert second.facts()["admission"]["of"] == "sweep"
    assert [lien["run"] for lien in second.facts()["admission"]["liens"]] == [first.run_id]
    cluster.run("scancel", job_of(second))
    wait_for_end(folder, second)

    budget(folder, 2.5)  # room for what runs and for one more, not for two more: what runs is not asked for twice
    assert call(folder, *sweep, "--json") == 3
    said = json.loads(capsys.readouterr().out)
    assert said["left"] == 1
    cut = outcomes(folder)[second.facts()["config"]["name"]]
    assert (cut["state"], cut["run"], cut["failure"]) == ("failed", second.run_id, "interrupted")
    assert "CANCELLED" in cut["why"]

    call(folder, *sweep)  # without --retry-failed
    assert outcomes(folder)[cut["cell"]]["run"] != second.run_id
    budget(folder, 10)
    for _ in range(3):  # Ray gives up after 30 s to start, which a busy machine may take
        if call(folder, *sweep, "--retry-failed") == 0:
            break
    assert [one["state"] for one in outcomes(folder).values()] == ["done"] * 2
    records = read_records([folder / "records"]).records
    measured = [record for record in records if record.failure is None]
    assert len(measured) == 2
    assert len(records) == len(list_runs(folder)) >= 3
    for record in measured:
        assert (record.sweep, record.environment, bool(record.job_ids)) == ("small", "cluster", True)
        assert record.results.gpu_hours > 0
        assert record.results.chunks_asked > 0
    assert call(folder, "report", "--markdown", str(folder / "B.md")) == 0
    text = (folder / "B.md").read_text()
    assert "| Sweeps |" in text
    assert "- failed: concurrency\\_limit" in text or "- failed: concurrency_limit" in text
    assert "1 of 2 runs that a ranking needs" in text


@pytest.mark.long
@pytest.mark.covers("bench", "campaign/admission.py")
def test_a_cell_that_does_not_fit_any_more_is_not_submitted_although_the_sweep_was_let_in(folder, cluster):
    budget(folder, 1.5)
    sweep, cells = load_sweep(folder / "sweep.yaml", folder)
    state = SweepState(folder, sweep)
    let_in = Admission(10.0, 0.0, (), Demanded(None, None, 2.0))  # before others used 8.5 of the 10
    told: list[str] = []
    with held(folder, sweep):
        Runner(sweep, folder, state, say=told.append, show=lambda _: None).run(schedule(sweep, cells), let_in)
    first, second = state.outcomes.values()
    assert first.run is not None
    assert (second.run, second.state, second.failure) == (None, "failed", "over the budget")
    assert "it may take 1 GPU-hours (worst case), 0.5 are left" in second.why.replace(".00", "").replace("0.50", "0.5")
    assert len(list_runs(folder)) == 1
    assert any(line.startswith("[not submitted] ") for line in told)
    failed = [record for record in read_records([folder / "records"]).records if record.failure]
    assert "over the budget" in [record.failure.partition(":")[0] for record in failed]
    wait_until(lambda: not cluster.run("squeue", "-h").strip(), "an empty queue")
