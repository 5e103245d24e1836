"""A run is deleted when its documents are done elsewhere, or somebody insists; what it was stays known."""

import json
import os
import shutil

import pytest

from hpc_qa.campaign import delete as deletion
from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.sync import sync_runs
from hpc_qa.errors import StoreError
from hpc_qa.ledger.attempts import current
from hpc_qa.store.run_directory import list_runs
from tests.made_runs import attempt, finished_run, leave_traces, planned_run, submission
from tests.projects import call


@pytest.fixture
def run(tmp_path):
    made = finished_run(tmp_path, [["a", "b"]], nonce="0001")
    leave_traces(made.shard(0).attempts()[0])
    made.add_submission(submission([0]))
    return made


def test_what_is_done_nowhere_else_is_only_deleted_by_force_and_the_ledger_keeps_its_rows(tmp_path, run, capsys):
    assert call(tmp_path, "runs", "delete", run.run_id, "--yes") == 2
    said = capsys.readouterr().err
    assert "2 documents are done in no other run" in said
    assert "hpc-qa collect" in said
    assert list_runs(tmp_path) == [run]
    assert call(tmp_path, "runs", "delete", run.run_id, "--yes", "--force", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["run"], said["documents_ok"], said["only_here"]) == (run.run_id, 2, ["a", "b"])
    assert list_runs(tmp_path) == []
    assert os.listdir(tmp_path / "runs") == []
    assert set(current(tmp_path, ("run_id",)).table.column("run_id").to_pylist()) == {run.run_id}


@pytest.mark.parametrize("elsewhere", ["run", "dataset"])
def test_what_is_done_elsewhere_is_deleted_after_a_question(tmp_path, run, capsys, elsewhere):
    if elsewhere == "run":
        finished_run(tmp_path, [["b"], ["a"]], nonce="0002")
    else:
        collect([run], out=tmp_path / "published")
    assert call(tmp_path, "runs", "delete", run.run_id) == 2
    assert "nobody is there to ask" in capsys.readouterr().err
    assert run in list_runs(tmp_path)
    assert call(tmp_path, "runs", "delete", run.run_id, "--yes") == 0
    assert run not in list_runs(tmp_path)
    assert (tmp_path / "published").is_dir() is (elsewhere == "dataset")


def test_its_own_dataset_is_not_elsewhere(tmp_path, run):
    collect([run])
    assert deletion.doomed(run, tmp_path).only_here == ("a", "b")


def test_a_run_that_goes_on_is_refused(tmp_path, capsys):
    going = planned_run(tmp_path, [["a"]])
    made = attempt(going.shard(0), [])
    leave_traces(made)
    here = {"shard": 0, "job_id": "1", "pid": os.getpid(), "process_start_s": deletion_start_s()}
    going.add_submission(submission([0]) | {"host": os.uname().nodename, "tasks": [here]})
    assert call(tmp_path, "runs", "delete", going.run_id, "--yes", "--force") == 2
    assert "goes on" in capsys.readouterr().err
    assert list_runs(tmp_path) == [going]


def deletion_start_s() -> float:
    import psutil

    return psutil.Process().create_time()


def test_a_deletion_that_is_cut_off_leaves_no_run_and_the_next_call_completes_it(tmp_path, run, monkeypatch):
    def cut_off(path):
        os.remove(path / "plan.json")
        raise PermissionError(13, "denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", cut_off)
    with pytest.raises(StoreError, match="cannot be removed"):
        deletion.delete(deletion.doomed(run, tmp_path), tmp_path, force=True)
    assert list_runs(tmp_path) == []
    monkeypatch.undo()
    assert call(tmp_path, "status") == 0
    assert deletion.remove_left_over(tmp_path / "runs") == 1
    assert os.listdir(tmp_path / "runs") == []
    sync_runs(tmp_path, list_runs(tmp_path))
