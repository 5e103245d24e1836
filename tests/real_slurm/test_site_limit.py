"""GPU minutes that Slurm itself holds for an account: array tasks wait for them, and people are told why."""

import json
from collections.abc import Iterator, Sequence

import psutil
import pytest

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.limits import site_limit
from hpc_qa.slurm.programs import run_program
from tests.projects import call
from tests.real_slurm.cluster import Cluster
from tests.real_slurm.runs import status_of, submitted, wait_for_end, wait_until

ACCOUNT = "limited"

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


@pytest.fixture
def limited(cluster: Cluster) -> Iterator[Cluster]:
    """An account that may use two GPU minutes."""
    cluster.run("sacctmgr", "-i", "add", "account", ACCOUNT, "Description=limited")
    cluster.run("sacctmgr", "-i", "add", "user", psutil.Process().username(), f"Account={ACCOUNT}")
    allow(cluster, 2)
    yield cluster
    cluster.run("scancel", f"--account={ACCOUNT}")
    allow(cluster, -1)


def allow(cluster: Cluster, minutes: int) -> None:
    cluster.run("sacctmgr", "-i", "modify", "account", ACCOUNT, "set", f"GrpTRESMins=gres/gpu={minutes}")


def without_scontrol(command: Sequence[str]) -> str:
    if command[:3] == ["scontrol", "show", "assoc_mgr"]:
        raise SlurmError("scontrol: Access/permission denied")
    return run_program(command)


def test_array_tasks_that_do_not_fit_wait_and_status_says_why_until_the_limit_is_raised(project, limited, capsys):
    limited.run(
        "sbatch", f"--account={ACCOUNT}", "--gres=gpu:a100:1", "--time=1", "-o", "/dev/null", "--wrap", "sleep 60"
    )
    folder = project(slurm=f"  account: {ACCOUNT}\n")
    run = submitted(folder)
    held = {"AssocGrpGRESMinutes"}
    wait_until(lambda: {shard["detail"] for shard in status_of(folder, run)["shards"]} == held, "the limit holds it")
    limit = wait_until(lambda: (found := site_limit(ACCOUNT)) and found.reserved_minutes and found, "a reservation")
    assert (limit.limit_minutes, limit.used_minutes, limit.reserved_minutes, limit.left_minutes) == (2, 0, 1, 1)
    assert (limit.account, limit.user, limit.waits, limit.half_life) == (ACCOUNT, None, True, None)
    by_sshare = site_limit(ACCOUNT, run=without_scontrol)
    assert by_sshare is not None
    assert (by_sshare.limit_minutes, by_sshare.used_minutes) == (2, 0)
    assert site_limit("lab") is None
    capsys.readouterr()
    assert call(folder, "status", run.run_id) == 0
    said = capsys.readouterr().err
    assert "AssocGrpGRESMinutes: GPU minutes times the time limit" in said
    assert f"account {ACCOUNT}: 0.00 of 0.03 GPU-hours used" in said
    assert "ask for an extension" in said
    assert call(folder, "status", run.run_id, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["explanations"]) == 3
    allow(limited, 6000)
    assert wait_for_end(folder, run)["state"] == "complete"
