"""What squeue and sacct print becomes what we know of array tasks."""

import pytest

from hpc_qa.campaign import status
from hpc_qa.campaign.cluster import ClusterView, remedies
from hpc_qa.errors import SlurmError
from hpc_qa.slurm import programs
from hpc_qa.slurm.accounting import EndedTask, recorded_tasks
from hpc_qa.slurm.queue import QueuedTask, queued_tasks, tasks_named
from tests.made_runs import finished_run

SQUEUE = """\
9|0|RUNNING|node1|None
9|1|PENDING||JobArrayTaskLimit
9|2|COMPLETED|node2|None
9|3|COMPLETING|node2|None
"""
SACCT = [
    ("9_0", "RUNNING", "0:0", "main", "node1"),
    ("9_2", "COMPLETED", "0:0", "main", "node2"),
    ("9_3", "FAILED", "0:125", "main", "node1"),
    ("9_4", "CANCELLED by 0", "0:0", "main", "node1"),
    ("9_5", "COMPLETED", "0:0", "", "None assigned"),
    ("9_[6-7]", "PENDING", "0:0", "main", "None assigned"),
]


def ask(text):
    return lambda _command: text


def refuse(_command):
    raise SlurmError("squeue: Unable to contact slurm controller (connect failure)")


def test_squeue_says_what_waits_and_what_runs_and_not_what_has_just_ended():
    found = queued_tasks(["9"], ask(SQUEUE))
    assert set(found) == {"9_0", "9_1", "9_3"}
    assert (found["9_1"].waits, found["9_1"].reason) == (True, "JobArrayTaskLimit")
    assert (found["9_0"].waits, found["9_0"].nodes) == (False, "node1")


def test_without_jobs_nobody_is_asked():
    assert queued_tasks([], refuse) == {}
    assert recorded_tasks([], refuse) == {}


def test_one_call_however_many_jobs():
    calls = []

    def run(command):
        calls.append(command)
        return ""

    queued_tasks([str(job) for job in range(500)], run)
    recorded_tasks([str(job) for job in range(500)], run)
    assert [command[0] for command in calls] == ["squeue", "sacct"]


def test_a_job_that_the_controller_has_forgotten_is_not_in_the_queue():
    def run(_command):
        raise SlurmError("squeue: slurm_load_jobs error: Invalid job id specified")

    assert queued_tasks(["9"], run) == {}


def test_a_controller_that_does_not_answer_is_an_error_and_no_empty_queue():
    with pytest.raises(SlurmError):
        queued_tasks(["9"], refuse)


def test_a_program_that_answers_late_is_waited_for_aloud(monkeypatch, caplog):
    monkeypatch.setattr(programs, "SAY_AFTER_S", 0.05)
    assert programs.run_program(["sleep", "0.5"]) == ""
    assert caplog.messages == ["waiting for the answer of sleep, for 60 s at most"]


def test_sacct_rows_that_are_no_ended_task_yet_are_left_out():
    found = recorded_tasks(["9"], ask("\n".join("\x1f".join(row) for row in SACCT)))
    assert set(found) == {"9_0", "9_2", "9_3", "9_4"}
    assert (found["9_4"].state, found["9_4"].detail) == ("CANCELLED", "CANCELLED by 0")


def test_a_job_whose_step_was_out_of_memory_is_not_only_failed():
    found = recorded_tasks(["9"], ask("\n".join("\x1f".join(row) for row in SACCT)))
    assert (found["9_3"].state, found["9_3"].detail) == ("OUT_OF_MEMORY", "OUT_OF_MEMORY")
    assert remedies("r", ["OUT_OF_MEMORY on node1", "FAILED on node1", None]) == [
        "an array task needs more memory than slurm.mem: hpc-qa resume r --mem SIZE"
    ]


def test_arrays_of_a_run_are_found_and_other_jobs_of_its_name_are_not(tmp_path):
    rows = [
        ("9", "0", tmp_path, "hpc_qa, first shard 1001"),
        ("9", "4", tmp_path, "hpc_qa, first shard 1001"),
        ("12", "0", tmp_path, "mine"),
        ("13", "N/A", tmp_path, "hpc_qa, first shard 0"),
        ("14", "0", tmp_path.parent, "hpc_qa, first shard 0"),
        ("15", "0", tmp_path, "hpc_qa, first shard 99999999999999999999"),
        ("16", "0", tmp_path, "a|b\n17|0|hpc_qa, first shard 0\n18\x1f0\x1f\x1fhpc_qa, first shard 0"),
    ]
    found = tasks_named("run", tmp_path, ask("".join("\x1f".join(map(str, row)) + "\n" for row in rows)))
    assert [(task.job_id, task.index, task.first_shard) for task in found] == [("9", 0, 1001), ("9", 4, 1001)]


RUNS = QueuedTask("9_0", "RUNNING", None, "node1")
WAITS = QueuedTask("9_0", "PENDING", "Resources", None)
ENDED = EndedTask("9_0", "TIMEOUT", "TIMEOUT", "node1")
STILL = EndedTask("9_0", "RUNNING", "RUNNING", "node1")


@pytest.mark.parametrize(
    ("queued", "recorded", "state"),
    [
        ({"9_0": RUNS}, {}, "running"),
        ({"9_0": WAITS}, {}, "queued"),
        ({"9_0": WAITS}, {"9_0": ENDED}, "queued"),  # requeued: accounting tells of the attempt before
        ({}, {"9_0": ENDED}, "interrupted"),
        ({}, {"9_0": STILL}, "interrupted"),  # accounting lags
        ({}, {}, "interrupted"),  # cancelled before it started: no row
        ({}, None, "interrupted"),
        (None, {"9_0": STILL}, "running"),
        (None, {"9_0": ENDED}, "interrupted"),
        (None, {}, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_the_queue_says_what_lives_and_accounting_how_it_ended(queued, recorded, state):
    assert ClusterView(queued, recorded).state_of("9_0")[0] == state


def test_the_list_of_runs_asks_slurm_once_for_all_of_them(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(status, "look", lambda jobs: asked.append(jobs) or ClusterView({}, {}))
    for job in ("9", "12"):
        run = finished_run(tmp_path, [["a"]], nonce=f"00{job:0>2}", executor="slurm")
        run.shard(0).commit.unlink()
        run.add_submission({"job_id": job, "tasks": [{"shard": 0, "job_id": f"{job}_0"}]})
    assert [row["state"] for row in status.list_statuses(tmp_path)] == ["incomplete", "incomplete"]
    assert asked == [["9", "12"]]
