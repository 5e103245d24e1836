"""Two runs of one project on one cluster at once: each has its own files, sockets and Ray, and its own end."""

from pathlib import Path

import psutil
import pytest

from hpc_qa.campaign.attempts import attempts_of
from hpc_qa.processes import descendants
from hpc_qa.store.run_directory import RunDirectory
from tests.projects import call
from tests.real_slurm.runs import (
    accounted,
    assert_same_as_quiet,
    finish,
    job_of,
    status_of,
    submitted,
    wait_for_end,
    wait_for_records,
    wait_until,
)

SIZE = {"documents": 4, "rules_each": 400}
TWO_SHARDS = "plan:\n  shards: 2\n"

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]


@pytest.fixture
def echo_delay_s() -> float:
    return 0.3


def family(run: RunDirectory) -> list[psutil.Process]:
    """The workers of a run that live, and everything that they have started."""
    workers = [attempts_of(run.shard(number))[-1].process for number in range(2)]
    assert all(workers)
    return [one for worker in workers for one in (worker, *descendants(worker.pid))]


def sockets(processes: list[psutil.Process]) -> set[Path]:
    """The UNIX sockets with a path that these processes hold."""
    held = {Path(one.laddr) for process in processes for one in process.net_connections(kind="unix") if one.laddr}
    return {path for path in held if path.is_absolute()}


def open_below(folder: Path, processes: list[psutil.Process]) -> list[str]:
    """The files in this folder that these processes have open."""
    return [one.path for process in processes for one in process.open_files() if one.path.startswith(f"{folder}/")]


def contents(run: RunDirectory) -> dict[str, bytes]:
    """Every file of a run."""
    return {str(path): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_two_runs_at_once_share_nothing_and_cancelling_one_leaves_the_other(project, cluster, model_folder):
    folder = project(slurm=TWO_SHARDS, **SIZE)
    one, other = submitted(folder), submitted(folder, "--again")
    for run in (one, other):
        wait_for_records(run, 8)
    for run, stranger in ((one, other), (other, one)):
        assert {shard["job_id"] for shard in status_of(folder, run)["shards"]} == {f"{job_of(run)}_{n}" for n in (0, 1)}
        assert open_below(run.path, family(run))
        assert open_below(stranger.path, family(run)) == []
    ours, theirs = ({Path(*path.parts[:3]) for path in sockets(family(run))} for run in (one, other))
    assert len(ours) == len(theirs) == 2  # one private folder an array task
    assert not ours & theirs
    assert call(folder, "cancel", one.run_id) == 0
    assert wait_for_end(folder, one)["state"] == "incomplete"
    assert status_of(folder, other)["state"] == "running"
    before = contents(one)
    finish(folder, other, resumes=0)
    assert contents(one) == before
    wait_until(lambda: {state for _, state in accounted(cluster, other)} == {"COMPLETED"}, "the end of its tasks")
    before = contents(other)
    finish(folder, one)
    assert contents(other) == before
    for run in (one, other):
        assert_same_as_quiet(run, model_folder, **SIZE)
