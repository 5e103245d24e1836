"""The ledger's part files, and what they say together."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpc_qa.campaign.sync import Held, attempt_table, sync_file
from hpc_qa.cli.main import run
from hpc_qa.errors import SlurmError, StoreError
from hpc_qa.ledger import parts
from hpc_qa.ledger.attempts import add_new, as_rows, current
from hpc_qa.ledger.schema import ATTEMPT, VERSION_KEY
from hpc_qa.slurm.allocation import allocations
from hpc_qa.slurm.programs import run_program
from hpc_qa.slurm.sacct_text import read_rows
from tests.made_runs import finished_run

SACCT = Path(__file__).resolve().parent.parent / "data" / "sacct" / "attempts.psv"
HEADER = "JobIDRaw|State|ElapsedRaw|Submit|AllocTRES\n"
EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def table(*rows: str, at: datetime = EARLY) -> pa.Table:
    found = allocations(read_rows((HEADER + "\n".join(rows)).encode()))
    return attempt_table([Held(one, "sacct") for one in found], observed_at=at)


def states(project: Path) -> list[tuple[str, str]]:
    rows = as_rows(current(project, ("attempt_id", "state")).table)
    return sorted((row["attempt_id"], row["state"]) for row in rows)


def files(project: Path) -> list[Path]:
    return sorted((project / "ledger" / "attempt").iterdir())


def test_the_same_accounting_again_writes_no_file(tmp_path):
    first = sync_file(tmp_path, SACCT)
    assert (first.read, first.written) == (28, 28)
    again = sync_file(tmp_path, SACCT)
    assert (again.read, again.written, again.path) == (28, 0, None)
    assert files(tmp_path) == [first.path]


def test_of_an_attempt_the_newest_row_counts_and_a_final_one_before_any_other(tmp_path):
    add_new(tmp_path, table("7|RUNNING|10|100|gres/gpu=1", "8|RUNNING|10|100|gres/gpu=1"))
    add_new(tmp_path, table("7|COMPLETED|20|100|gres/gpu=1", "8|RUNNING|15|100|gres/gpu=1", at=LATE))
    assert states(tmp_path) == [("7:100", "COMPLETED"), ("8:100", "RUNNING")]
    add_new(tmp_path, table("7|RUNNING|12|100|gres/gpu=1", at=datetime(2026, 1, 3, tzinfo=UTC)))
    assert states(tmp_path) == [("7:100", "COMPLETED"), ("8:100", "RUNNING")]
    assert sorted(current(tmp_path, ("elapsed_s",)).table.column("elapsed_s").to_pylist()) == [15, 20]


def test_an_old_capture_that_is_read_again_writes_no_file_and_changes_nothing(tmp_path):
    early, late = table("7|RUNNING|10|100|gres/gpu=1"), table("7|COMPLETED|20|100|gres/gpu=1", at=LATE)
    assert [add_new(tmp_path, one)[1] for one in (early, late, early, late)] == [1, 1, 0, 0]
    assert states(tmp_path) == [("7:100", "COMPLETED")]


def test_files_that_are_not_whole_or_not_ours_are_left_out_and_named(tmp_path):
    whole = sync_file(tmp_path, SACCT).path
    assert whole is not None
    folder = whole.parent
    (folder / "part-attempt-torn.parquet").write_bytes(whole.read_bytes()[:-100])
    (folder / "part-attempt-empty.parquet").write_bytes(b"")
    pq.write_table(pa.table({"attempt_id": ["x"]}), folder / "part-attempt-foreign.parquet")
    (folder / ".tmp-left").write_bytes(b"PAR1")
    (folder / "notes.txt").write_text("mine")
    found = current(tmp_path, ("attempt_id",))
    assert found.table.num_rows == 28
    assert sorted(text.partition(":")[0] for text in found.skipped) == [
        "part-attempt-empty.parquet", "part-attempt-foreign.parquet", "part-attempt-torn.parquet",
    ]  # fmt: skip
    assert any("not written by hpc_qa" in text for text in found.skipped)
    assert sync_file(tmp_path, SACCT).written == 0


def test_two_that_write_at_once_do_no_harm(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: sync_file(tmp_path, SACCT), range(4)))
    assert all(one.read == 28 for one in done)
    assert current(tmp_path, ("attempt_id",)).table.num_rows == 28
    assert sync_file(tmp_path, SACCT).written == 0


def test_a_later_version_is_read_and_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "VERSION", 2)
    sync_file(tmp_path, SACCT)
    monkeypatch.undo()
    found = current(tmp_path, ("attempt_id", "state"))
    assert (found.table.num_rows, found.newest_version, found.is_newer) == (28, 2, True)
    with pytest.raises(StoreError, match="later version of hpc_qa"):
        add_new(tmp_path, table("7|COMPLETED|20|100|gres/gpu=1"))


def test_a_column_that_an_earlier_version_had_not_is_null(tmp_path):
    path = sync_file(tmp_path, SACCT).path
    assert path is not None
    older = pq.read_table(path).drop_columns(["billing"]).replace_schema_metadata({VERSION_KEY: b"1"})
    pq.write_table(older, path)
    assert current(tmp_path, ("billing",)).table.column("billing").null_count == 28


def test_the_files_are_read_by_pandas_as_they_lie(tmp_path):
    sync_file(tmp_path, SACCT)
    frame = pd.read_parquet(tmp_path / "ledger" / "attempt")
    assert list(frame.columns) == ATTEMPT.names
    ended = frame[frame["state"] != "RUNNING"]
    assert round(ended["gpu_hours_allocated"].sum() * 3600) == 360  # as sreport has it


def test_array_tasks_of_ours_carry_their_run_and_shard(tmp_path):
    ours = finished_run(tmp_path, [["a"], ["b"]], executor="slurm")
    ours.add_submission({"executor": "slurm", "job_id": "9", "tasks": [{"shard": 1, "job_id": "9_1"}]})
    sync_file(tmp_path, SACCT)
    rows = [row for row in as_rows(current(tmp_path).table) if row["run_id"]]
    assert [(row["job_id"], row["run_id"], row["shard"]) for row in rows] == [("9_1", ours.run_id, 1)]


@pytest.mark.parametrize("content", [b"", b"sacct: error: refused\n", b"JobID|State\n1|RUNNING\n"])
def test_what_is_no_accounting_leaves_the_ledger_as_it_was(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(SlurmError):
        sync_file(tmp_path, tmp_path / "f")
    assert not (tmp_path / "ledger").exists()


def test_a_ledger_that_cannot_be_written_is_said_and_nothing_is_left(tmp_path):
    (tmp_path / "ledger").write_text("a file")
    with pytest.raises(StoreError, match="cannot"):
        sync_file(tmp_path, SACCT)


def test_show_gives_what_scripts_rely_on(tmp_path, capsys):
    assert run(["--project", str(tmp_path), "ledger", "show", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    assert run(["--project", str(tmp_path), "ledger", "sync", "--sacct-file", str(SACCT), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["read"] == 28
    assert "job 8: its row cannot be cut into columns" in captured.err
    assert run(["--project", str(tmp_path), "ledger", "show", "--json"]) == 0
    rows = {row["attempt_id"]: row for row in json.loads(capsys.readouterr().out)}
    cancelled, pending = rows["13:1795319596"], rows["27:1795319751"]
    expected = {"job_id": "13", "job_id_raw": 13, "state": "CANCELLED", "state_detail": "by 0", "gpu_count": 1,
                "gpu_type": "a100", "elapsed_s": 5, "gpu_hours_allocated": 5 / 3600, "cpu_efficiency": None,
                "memory_efficiency": None, "mem_basis": None, "source": "sacct", "data_quality": []}  # fmt: skip
    assert {key: cancelled[key] for key in expected} == expected
    assert (pending["elapsed_s"], pending["gpu_hours_allocated"], pending["gpu_count"]) == (0, 0.0, None)
    assert run(["--project", str(tmp_path), "ledger", "show"]) == 0
    assert "OUT_OF_MEMORY" in capsys.readouterr().out


def test_sync_of_a_project_without_runs_asks_nobody(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(["--project", str(tmp_path), "ledger", "sync"]) == 0
    assert "0 attempts read" in capsys.readouterr().out


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A project with a run on Slurm, of which accounting is asked."""
    ours = finished_run(tmp_path, [["a"]], executor="slurm")
    ours.add_submission({"executor": "slurm", "job_id": "9", "tasks": [{"shard": 0, "job_id": "9_0"}]})
    return tmp_path


def test_without_sacct_the_error_says_so(asked, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(["--project", str(asked), "ledger", "sync"]) == 1
    assert "sacct is not on PATH" in capsys.readouterr().err
    assert not (asked / "ledger").exists()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo slurmdbd: error: refused >&2; exit 1", "sacct: refused"),
        ("echo not what was asked for", "needed are columns"),
        ("head -c 100000 /dev/urandom", "needed are columns"),
        ("exit 0", "needed are columns"),
        ("sleep 60", "did not answer within 1 s"),
    ],
)
def test_a_sacct_that_refuses_or_prints_garbage_or_nothing_or_is_slow_leaves_the_ledger_as_it_was(
    asked, capsys, monkeypatch, answer, said
):
    programs = asked / "programs"
    programs.mkdir()
    (programs / "sacct").write_text(f'#!/bin/sh\n[ "$1" = --helpformat ] && echo JobID State && exit\n{answer}\n')
    (programs / "sacct").chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setitem(run_program.__kwdefaults__, "timeout_s", 1.0)
    assert run(["--project", str(asked), "ledger", "sync"]) == 1
    assert said in capsys.readouterr().err
    assert not (asked / "ledger").exists()
