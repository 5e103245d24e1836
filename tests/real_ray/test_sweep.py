import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from hpc_qa.bench.record_file import read_records
from hpc_qa.store.run_directory import list_runs
from tests.projects import call, echo_process, make_project, put_faults, spawn, wait_for

SWEEP = """
name: small
config: config.yaml
grid:
  client.concurrency_limit: [2, 4]
  manifest:
    values: [m.jsonl, missing.jsonl]
    labels: [here, missing]
seed: 3
warm_up: 2
"""


@pytest.fixture
def project(tmp_path, model_folder):
    with echo_process(delay_s=0.05) as socket:
        folder = make_project(tmp_path / "p", model=model_folder, socket=socket, key="echo-key", documents=3)
        (folder / "sweep.yaml").write_text(SWEEP)
        yield folder


def cells(project):
    path = project / "sweeps" / "small" / "state.json"
    return {one["cell"]: one for one in json.loads(path.read_text())["cells"]} if path.is_file() else {}


def states(project):
    return sorted(one["state"] for one in cells(project).values())


@pytest.mark.long
@pytest.mark.covers("bench", "cli/sweep.py", "report/sweep_result.py")
@pytest.mark.timeout(900)
def test_a_sweep_goes_on_after_a_failing_cell_and_after_a_kill(project, capsys):
    sweep = ("bench", "sweep", str(project / "sweep.yaml"))
    assert call(project, *sweep, "--dry-run", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["cells"]
    assert {row["cell"]: row["failure"] for row in listed} == {
        "Benchmark_2_here": None, "Benchmark_2_missing": "wrong settings",
        "Benchmark_4_here": None, "Benchmark_4_missing": "wrong settings",
    }  # fmt: skip
    assert not list_runs(project)

    running = spawn(project, *sweep)
    wait_for(lambda: {"done", "running"} <= set(states(project)), 400)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    (first,) = [one for one in cells(project).values() if one["state"] == "done"]

    assert call(project, *sweep, "--json") == 3
    said = json.loads(capsys.readouterr().out)
    assert states(project) == ["done", "done", "failed", "failed"]
    assert cells(project)[first["cell"]] == first
    assert {one["prefix_cache"] for one in cells(project).values() if one["state"] == "done"} == {"reset"}
    assert said["left"] == 0
    assert [len(row["failures"]) for row in said["cells"]] == [0, 1, 0, 1]
    assert said["optimal"][0].startswith("Optimal Setting: ")

    records = read_records([project / "records"]).records
    assert {record.sweep for record in records} == {"small"}
    measured = [record for record in records if record.failure is None]
    assert {record.configuration.concurrency_limit for record in measured} == {2, 4}
    assert {record.configuration.document_set for record in measured} == {"here"}
    failed = sorted(record.failure.partition(":")[0] for record in records if record.failure)
    assert failed == ["interrupted", "wrong settings", "wrong settings"]
    exported, picture = said["files"]
    rows = json.loads(Path(exported).read_text())
    assert all(row.keys() >= {"model", "batch_size", "document_set", "duration_seconds", "metrics"} for row in rows)
    assert [row["duration_seconds"] is None for row in rows if row["state"] == "failed"] == [True, True]
    assert read_records([project / "sweeps" / "small" / Path(exported).name]).faults == []
    assert Path(picture).read_text().startswith("<?xml")

    shutil.copy(project / "m.jsonl", project / "missing.jsonl")
    runs = len(list_runs(project))
    assert call(project, *sweep) == 3
    assert len(list_runs(project)) == runs
    assert call(project, *sweep, "--retry-failed") == 0
    assert states(project) == ["done"] * 4
    assert len(list_runs(project)) == runs + 2


def swept(project, name, config, *, timeout="01:00:00"):
    """The file of a sweep of one cell on this config."""
    path = project / f"{name}.yaml"
    path.write_text(
        f"name: {name}\nconfig: {config}\ngrid:\n  client.concurrency_limit: [2]\nwarm_up: 0\n"
        f'cell_timeout: "{timeout}"\n'
    )
    return str(path)


def failures(project, name):
    return [record.failure for record in read_records([project / "records"]).records if record.sweep == name]


@pytest.mark.long
@pytest.mark.covers("bench", "cli/sweep.py", "report/sweep_result.py")
@pytest.mark.timeout(900)
def test_cells_that_take_too_long_are_cut_off_or_give_nothing_have_their_class_and_a_record(project, capsys):
    assert call(project, "bench", "sweep", swept(project, "slow", "config.yaml", timeout="00:00:02")) == 3
    (said,) = failures(project, "slow")
    assert said.startswith("timed out: ")
    assert "1 runs failed, 0 are left" in capsys.readouterr().err

    path = swept(project, "cut", "config.yaml")
    running = spawn(project, "bench", "sweep", path)
    wait_for((project / "sweeps" / "cut" / "state.json").is_file, 400)
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(60) == 3
    (said,) = failures(project, "cut")
    assert said.startswith("interrupted: ")
    assert call(project, "bench", "sweep", path, "--json") == 0  # without --retry-failed
    assert sorted(map(bool, failures(project, "cut"))) == [False, True]

    extractive = (project / "config.yaml").read_text().replace("abstractive", "extractive")
    (project / "config2.yaml").write_text(extractive)
    put_faults(project, dict.fromkeys(range(3), "refuse"))
    assert call(project, "bench", "sweep", swept(project, "none", "config2.yaml")) == 3
    (said,) = failures(project, "none")
    assert said.startswith("no document done: ")
    assert call(project, "report", "--markdown", str(project / "B.md")) == 0
    document = (project / "B.md").read_text()
    assert document.count("- failed: ") == 3
    assert "Runs of no batch" not in document  # no run of a cell is taken for one of its own


def test_a_changed_sweep_file_needs_another_name(project, capsys):
    folder = project / "sweeps" / "small"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text('{"sweep_sha256": "x", "cells": []}')
    assert call(project, "bench", "sweep", str(project / "sweep.yaml")) == 2
    assert "begun with another file" in capsys.readouterr().err
