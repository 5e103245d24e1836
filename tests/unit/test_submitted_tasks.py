"""Whose a row of accounting is: ids are used again, and then the time of submission and the user tell jobs apart."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hpc_qa.campaign.submitted_tasks import CLOCKS_DIFFER_S, SubmittedTasks
from hpc_qa.campaign.sync import sync_file, sync_runs
from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.store.run_directory import RunDirectory
from tests.made_runs import CREATED_AT, planned_run

CREATED = round(datetime.fromisoformat(CREATED_AT).timestamp())
HEADER = "JobIDRaw\x1fJobID\x1fState\x1fElapsedRaw\x1fSubmit\x1fStart\x1fEnd\x1fAllocTRES\x1fUser\n"


def row(submit: int, *, user: str = "me", raw: int = 16, hours: int = 1, job: str = "9_0") -> str:
    fields = (raw, job, "COMPLETED", 3600 * hours, submit, submit, submit + 3600 * hours, "gres/gpu=8", user)
    return "\x1f".join(map(str, fields)) + "\n"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return submitted(tmp_path, "0001")


def submitted(project: Path, nonce: str) -> RunDirectory:
    made = planned_run(project, [["a"]], executor="slurm", nonce=nonce)
    made.add_submission({"executor": "slurm", "job_id": "9", "tasks": [{"shard": 0, "job_id": "9_0"}], "user": "me"})
    return made


def owners(project: Path, *rows: str) -> list[str | None]:
    """The run of each row of a captured text, in the order of their submission."""
    (project / "sacct.txt").write_text(HEADER + "".join(rows))
    sync_file(project, project / "sacct.txt")
    return [one["run_id"] for one in as_rows(current(project).table)]


def test_a_job_that_had_the_id_before_the_run_was_created_is_not_the_runs(tmp_path, run):
    old, ours = row(CREATED - 90_000_000, raw=7, user="somebody", hours=10), row(CREATED + 5)
    assert owners(tmp_path, old, ours) == [None, run.run_id]


def test_a_job_of_somebody_else_with_the_same_id_is_not_the_runs(tmp_path, run):
    assert owners(tmp_path, row(CREATED + 5), row(CREATED + 90_000_000, user="somebody", raw=77)) == [run.run_id, None]


def test_clocks_that_differ_a_requeue_and_what_is_not_known_speak_against_nothing(tmp_path, run):
    rows = [row(CREATED - CLOCKS_DIFFER_S), row(CREATED + 5, user=""), row(CREATED + 500)]
    assert owners(tmp_path, *rows) == 3 * [run.run_id]
    without = "JobID|State|ElapsedRaw\n9_0|COMPLETED|9\n"
    (tmp_path / "sacct.txt").write_text(without)
    sync_file(tmp_path, tmp_path / "sacct.txt")
    assert {one["run_id"] for one in as_rows(current(tmp_path).table)} == {run.run_id}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which sacct says what it was asked, in `asked`, and prints `answer`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "answer").write_text(HEADER)
    columns = HEADER.strip().replace("\x1f", " ")
    (programs / "sacct").write_text(
        f'#!/bin/sh\n[ "$1" = --helpformat ] && echo {columns} && exit\n'
        f'echo "TZ=$TZ $*" >> "{tmp_path}/asked"\ncat "{tmp_path}/answer"\n'
    )
    (programs / "sacct").chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("TZ", "America/New_York")
    return tmp_path


def test_accounting_is_asked_in_utc_and_for_nothing_that_ended_before_the_oldest_run(asked, run):
    sync_runs(asked, [run, submitted(asked, "0002")])
    (said,) = (asked / "asked").read_text().splitlines()
    since = datetime.fromtimestamp(CREATED - CLOCKS_DIFFER_S, UTC)
    assert said.startswith("TZ=UTC ")
    assert said.endswith(f" -S {since:%Y-%m-%dT%H:%M:%S}")
    assert "-E" not in said.split()


def test_without_a_day_of_each_run_accounting_is_asked_without_a_bound(asked, run):
    path = run.path / "run.json"
    path.chmod(0o600)
    path.write_text("{")
    assert SubmittedTasks([run, submitted(asked, "0002")]).since_s is None
    sync_runs(asked, [run])
    assert "-S" not in (asked / "asked").read_text().split()


def test_a_strangers_row_in_the_answer_is_left_out_of_the_ledger_and_said(asked, run):
    old = row(CREATED - 90_000_000, user="somebody", raw=7) + row(CREATED - 90_000_000, raw=8, job="9_7")
    (asked / "answer").write_text(HEADER + old + row(CREATED + 5))
    done = sync_runs(asked, [run])
    assert (done.read, done.notes) == (1, ("other jobs that once had ids of ours, left out: 2",))
    (kept,) = as_rows(current(asked).table)
    assert (kept["run_id"], kept["gpu_hours_allocated"]) == (run.run_id, 8.0)
