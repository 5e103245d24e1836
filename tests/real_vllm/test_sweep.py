"""A sweep whose servers are real ones: what they say when they break is the class of the cell's failure."""

import json
import signal
from pathlib import Path

import psutil
import pytest

from hpc_qa import processes
from hpc_qa.bench.record_file import read_records
from tests.projects import call, make_project, spawn, wait_for
from tests.real_vllm.test_run_faults import own_server

SWEEP = """
name: {name}
config: config.yaml
grid:
  {axis}
warm_up: 1
"""
pytestmark = [pytest.mark.vllm, pytest.mark.long, pytest.mark.timeout(1200)]
COVERS = ("bench", "serving", "cli/sweep.py")


@pytest.fixture
def project(tmp_path, model_folder, node):
    made = make_project(
        tmp_path, model=model_folder, socket=tmp_path / "none", key="none", documents=3, style="extractive"
    )
    own_server(made)
    return made


def sweep_of(project, name, axis):
    path = project / f"{name}.yaml"
    path.write_text(SWEEP.format(name=name, axis=axis))
    return str(path)


def outcomes(project, name):
    path = project / "sweeps" / name / "state.json"
    return [(one["state"], one["failure"]) for one in json.loads(path.read_text())["cells"]] if path.is_file() else []


def records_of(project, name):
    return [record for record in read_records([project / "records"]).records if record.sweep == name]


@pytest.mark.covers(*COVERS)
def test_servers_that_cannot_start_have_the_class_of_their_cause_and_the_others_are_measured(project):
    axis = 'vllm.env.VLLM_CPU_KVCACHE_SPACE: ["1", "900"]\n  vllm.startup_timeout: ["00:09:00", "00:00:03"]'
    assert call(project, "bench", "sweep", sweep_of(project, "starts", axis)) == 3
    assert sorted(outcomes(project, "starts"), key=str) == [
        ("done", None), ("failed", "out of memory"),
        ("failed", "server did not start"), ("failed", "server did not start"),
    ]  # fmt: skip
    said = [record.failure for record in records_of(project, "starts")]
    assert said.count(None) == 1
    (memory,) = [one for one in said if one and one.startswith("out of memory: ")]
    assert "KV cache" in memory
    broken = [one for one in said if one and one.startswith("server did not start: ")]
    assert all("was not ready after" in one for one in broken)


@pytest.mark.covers(*COVERS)
def test_a_server_that_is_killed_in_a_cell_has_died_and_the_next_cell_has_another(project, node):
    sweep = sweep_of(project, "killed", "client.concurrency_limit: [2, 4]")
    running = spawn(project, "bench", "sweep", sweep)
    wait_for(lambda: ("running", None) in outcomes(project, "killed"), 400)
    (engine,) = wait_for_engine(running.pid)
    engine.send_signal(signal.SIGKILL)
    assert running.wait(600) == 3
    assert sorted(outcomes(project, "killed"), key=str) == [("done", None), ("failed", "server died")]
    assert processes.alive([engine]) == []
    assert call(project, "bench", "sweep", sweep, "--retry-failed") == 0
    assert outcomes(project, "killed") == [("done", None)] * 2
    assert not list(Path(node).glob("hqs*"))


def wait_for_engine(sweep_pid):
    """The engine of the sweep's server."""

    def found():
        below = psutil.Process(sweep_pid).children(recursive=True)
        return [one for one in processes.alive(below) if "EngineCore" in f"{one.name()} {' '.join(one.cmdline())}"]

    wait_for(found, 60)
    return found()
