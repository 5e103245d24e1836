"""Whole runs on a real server that are killed: twice attached to the warm one, and once with a server of their own."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hpc_qa import processes
from hpc_qa.campaign.attempts import read_view
from hpc_qa.serving.server import VllmServer
from hpc_qa.store.run_directory import RunDirectory, list_runs
from tests.kills import sockets_in
from tests.projects import keys, make_project, proof, spawn, states, wait_for
from tests.server_tree import keeper_below, tree_below

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def worker_of(run: RunDirectory) -> psutil.Process:
    attempt = run.shard(0).attempts()[-1]
    return psutil.Process(read_view(attempt.attempt_json)["pid"])


def new_segment(run: RunDirectory, known: set[Path]) -> bool:
    return any(path not in known for path in run.path.glob("shards/0000/*/seg-*.jsonl"))


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "serving")
def test_a_run_on_a_real_server_that_is_killed_twice_ends_with_the_keys_of_an_undisturbed_one(
    tmp_path: Path, warm_server: VllmServer, model_folder: Path, short_folder: Path
) -> None:
    project = make_project(
        tmp_path / "p", model=model_folder, socket=warm_server.socket, key=warm_server.key, documents=6, rules_each=12
    )
    environment = os.environ | {"TMPDIR": str(short_folder)}
    config = str(project / "config.yaml")
    assert spawn(project, "submit", config, env=environment).wait(240) == 0
    (undisturbed,) = list_runs(project)
    assert spawn(project, "submit", config, "--detach", env=environment).wait(60) == 0
    run = list_runs(project)[-1]
    segments: set[Path] = set()
    struck = 0
    for _ in range(2):
        wait_for(lambda known=segments: new_segment(run, known) or run.shard(0).commit.exists(), 240)
        struck += not run.shard(0).commit.exists()
        worker = worker_of(run)
        family = [worker, *worker.children(recursive=True)]
        worker.kill()
        wait_for(lambda family=family: not processes.alive(family) and not list(short_folder.iterdir()), 10)
        assert warm_server.alive()  # it is not ours to end
        segments = set(run.path.glob("shards/0000/*/seg-*.jsonl"))
        assert proof(project, run)["exit_code"] in (0, 3)
        written = set(keys(run))
        assert spawn(project, "resume", run.run_id, "--detach", env=environment).wait(60) == 0
    wait_for(run.shard(0).commit.exists, 240)
    assert struck >= 1
    said = proof(project, run)
    assert (said["exit_code"], said["doubles"]) == (0, [])
    assert written <= set(keys(run))
    assert states(run).keys() == states(undisturbed).keys()
    assert chunk_keys(run) == chunk_keys(undisturbed)


def chunk_keys(run: RunDirectory) -> set[str]:
    """What was asked of which chunk; how many pairs a model makes of it may differ with its batch."""
    found = set()
    for path in run.path.glob("shards/0000/*/seg-*.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line)["record"]
            if record["kind"] == "chunk":
                found.add(record["key"])
    return found


@pytest.mark.long
@pytest.mark.covers("worker", "client", "serving", "processes.py")
def test_killed_with_its_keeper_a_task_leaves_no_engine_behind_and_resume_starts_a_new_server(
    tmp_path: Path, model_folder: Path, short_folder: Path
) -> None:
    project = make_project(tmp_path / "p", model=model_folder, socket=tmp_path, key="k", documents=2, rules_each=6)
    config = project / "config.yaml"
    lines = [line for line in config.read_text().splitlines() if "attach" not in line]
    at = lines.index("client:")
    own = ["  enforce_eager: true", "  max_num_seqs: 16", "  env: {VLLM_CPU_KVCACHE_SPACE: '1'}"]
    config.write_text("\n".join([*lines[:at], *own, *lines[at:]]) + "\n")
    environment = os.environ | {"TMPDIR": str(short_folder)}
    assert spawn(project, "submit", str(config), "--detach", env=environment).wait(120) == 0
    (run,) = list_runs(project)
    wait_for(lambda: any(run.path.glob("shards/0000/*/seg-*.jsonl")) or run.shard(0).commit.exists(), 400)
    assert not run.shard(0).commit.exists()
    worker = worker_of(run)
    keeper = keeper_below(worker.pid)
    assert keeper is not None
    tree = tree_below(keeper)
    family = [worker, *worker.children(recursive=True)]
    shared = processes.shared_memory(tree.all)
    for pid in (worker.pid, keeper):
        os.kill(pid, signal.SIGSTOP)  # so that neither sees the other go
    for pid in (keeper, worker.pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not processes.alive([*family, *tree.all]), 10)
    wait_for(lambda: not list(short_folder.iterdir()), 10)
    assert sockets_in(short_folder) == set()
    assert not [path for path in shared if path.exists()]
    assert proof(project, run)["exit_code"] == 3
    assert spawn(project, "resume", run.run_id, env=environment).wait(400) == 0
    assert proof(project, run)["exit_code"] == 0
    assert not list(short_folder.iterdir())
