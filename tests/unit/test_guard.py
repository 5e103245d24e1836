"""What is drained when runs would cross the budget, with a queue of Slurm that a small script plays."""

import os
from pathlib import Path

import pytest

from hpc_qa.campaign.guard import guard
from hpc_qa.config import Budget
from hpc_qa.slurm.queue import FORMAT
from tests.made_campaign import GPUS, Campaign

HOURS = 4.0 * GPUS  # of an array task up to its time limit


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs: squeue prints `queue`, scancel writes down what it is told, sacct refuses."""
    folder = tmp_path / "programs"
    folder.mkdir()
    programs = {
        "squeue": f'#!/bin/sh\n[ "$8" = "{FORMAT}" ] && cat {folder}/queue; exit 0\n',
        "scancel": f"#!/bin/sh\necho $@ >> {folder}/cancelled\n",
        "sacct": "#!/bin/sh\necho sacct: error: no >&2; exit 1\n",
    }
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def campaign(tmp_path: Path, slurm: Path) -> Campaign:
    """A run of which one array task runs and three wait."""
    made = Campaign(tmp_path)
    names = made.names(0, 4)
    made.run([[name] for name in names])
    made.sync()
    lines = ["100|0|RUNNING|n1|None", *(f"100|{shard}|PENDING||JobArrayTaskLimit" for shard in (1, 2, 3))]
    (slurm / "queue").write_text("".join(f"{line}\n" for line in lines))
    return made


def test_what_fits_is_left_alone(campaign, slurm):
    found = guard(campaign.project, Budget(), 4 * HOURS)
    assert (found.expected, found.open_runs, found.drained) == (4 * HOURS, 1, ())
    assert not (slurm / "cancelled").exists()
    assert "accounting does not answer" in found.notes[0]


def test_the_last_array_tasks_that_wait_are_taken_back_until_the_rest_fits(campaign, slurm):
    found = guard(campaign.project, Budget(), 2.5 * HOURS)
    (drained,) = found.drained
    assert (drained.shards, drained.gpu_hours, drained.running) == ((2, 3), 2 * HOURS, False)
    assert (slurm / "cancelled").read_text() == "--state=PENDING 100_3 100_2\n"
    (run,) = (campaign.project / "runs").iterdir()
    assert len(list(run.glob("drained-*.json"))) == 1


def test_what_runs_is_told_to_stop_when_more_than_the_budget_is_used(campaign, slurm):
    campaign.rows.append(f"8|8|COMPLETED|36000|1|{campaign.now}|{campaign.now + 36000}|gres/gpu=1")
    campaign.sync()
    found = guard(campaign.project, Budget(), 9.0)
    assert found.used == 10.0
    assert [one.running for one in found.drained] == [True]
    assert (slurm / "cancelled").read_text() == "100\n"


def test_a_run_that_was_allowed_to_exceed_the_budget_is_left_alone(campaign, slurm):
    (run,) = (campaign.project / "runs").iterdir()
    (run / "over-budget-20260101T000000.000Z.json").write_text("{}")
    found = guard(campaign.project, Budget(), 1.0)
    assert found.drained == ()
    assert "was started with --over-budget" in found.notes[-1]
