"""Whole runs whose servers are struck: their own real ones, and attached ones that nobody here may restart."""

import json
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import psutil
import pytest

from hpc_qa import processes
from hpc_qa.store.run_directory import find
from tests.projects import (
    call,
    echo_process,
    keys,
    make_project,
    proof,
    records,
    spawn,
    start_echo,
    submit,
    wait_for,
)  # fmt: skip
from tests.server_tree import keeper_below, still_there, tree_below

COVERS = ("serving", "client", "worker", "processes.py")


def own_server(project: Path, **vllm: object) -> None:
    """Have the project's runs start a server of their own."""
    path = project / "config.yaml"
    lines = [line for line in path.read_text().splitlines() if not re.match(r"  attach(_key_file)?:", line)]
    settings = {"max_num_seqs": 16, "enforce_eager": True, "env": {"VLLM_CPU_KVCACHE_SPACE": "1"}} | vllm
    extra = [f"  {name}: {json.dumps(value)}" for name, value in settings.items()]
    at = lines.index("vllm:") + 1
    path.write_text("\n".join(lines[:at] + extra + lines[at:]) + "\n")


def stall_soon(project: Path) -> None:
    path = project / "config.yaml"
    path.write_text(path.read_text().replace("vllm:\n", 'vllm:\n  stall_timeout: "00:00:05"\n'))


@pytest.fixture
def own(tmp_path, model_folder, node):
    return make_project(
        tmp_path, model=model_folder, socket=tmp_path / "none", key="none", documents=4, style="extractive"
    )


@pytest.fixture
def watched():
    """Processes that must have ended and shared memory that must be gone when the test is over."""
    ended, shared = [], set()
    yield ended, shared
    assert processes.alive(ended) == []
    assert still_there(shared) == set()


def attempts(run):
    return sorted(run.path.glob("shards/0000/*/attempt.json"), key=lambda path: path.stat().st_mtime)


def worker_of(run, number):
    """The worker of the attempt of this number, once it is there."""
    wait_for(lambda: len(attempts(run)) > number)
    return json.loads(attempts(run)[number].read_text())["pid"]


def tree_of(worker, watched):
    """The server's processes, noted to be looked for afterwards."""
    ended, shared = watched
    tree = tree_below(keeper_below(worker))
    ended += tree.all
    shared |= processes.shared_memory(tree.all)
    return tree


def log_of(run, number):
    return (attempts(run)[number].parent / "worker.log").read_text()


def serving(run, number):
    """Whether this attempt is asking and has written something."""
    folder = attempts(run)[number].parent
    return any(path.stat().st_size for path in folder.glob("seg-*.jsonl"))


@pytest.mark.vllm
@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.covers(*COVERS)
def test_a_run_outlives_its_worker_and_keeper_its_api_server_and_a_hang(own, watched, node):
    own_server(own, stall_timeout="00:00:20", max_restarts=3)
    _, run = submit(own, "--detach")
    worker = worker_of(run, 0)
    wait_for(lambda: keeper_below(worker), 120)
    wait_for(lambda: has_engine(worker), 300)
    tree = tree_of(worker, watched)
    for process in (tree.keeper, psutil.Process(worker)):  # nobody is left who knows of the engine but the janitor
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: processes.alive(tree.all) == processes.alive([tree.engine, tree.api]) == [], 10)
    wait_for(lambda: list(node.glob("hq*")) == [], 10)
    assert not list(attempts(run)[0].parent.glob("seg-*"))  # it was struck while the server was loading

    resumed = spawn(own, "resume", run.run_id, stderr=subprocess.DEVNULL)
    worker = worker_of(run, 1)
    wait_for(lambda: serving(run, 1), 600)
    written = sum(keys(run).values())
    tree_of(worker, watched).api.kill()
    wait_for(lambda: "restart 1 of 3" in log_of(run, 1))
    wait_for(lambda: sum(keys(run).values()) > written, 600)
    assert "commit" not in {path.stem.lower() for path in run.path.glob("shards/0000/*.json")}
    tree_of(worker, watched).engine.suspend()
    wait_for(lambda: "it hangs: no token for" in log_of(run, 1), 300)
    assert resumed.wait(900) == 0
    assert len(attempts(run)) == 2
    summary = json.loads((attempts(run)[1].parent / "summary.json").read_text())
    assert summary["server_restarts"] == 2
    assert proof(own, run)["exit_code"] == 0
    assert set(keys(run).values()) == {1}


@pytest.mark.vllm
@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.covers(*COVERS)
def test_when_no_restart_is_left_the_attempt_ends_and_resume_continues_what_is_on_disk(own, watched):
    own_server(own, max_restarts=0)
    _, run = submit(own, "--detach")
    worker = worker_of(run, 0)
    wait_for(lambda: serving(run, 0), 600)
    tree_of(worker, watched).api.kill()
    wait_for(lambda: not psutil.pid_exists(worker), 60)
    assert "vLLM died, and no restart is left (vllm.max_restarts: 0)" in log_of(run, 0)
    written = Counter(keys(run))
    assert written
    assert proof(own, run)["exit_code"] == 3
    assert call(own, "resume", run.run_id) == 0
    assert proof(own, run)["exit_code"] == 0
    assert written.keys() <= keys(run).keys()
    assert set(keys(run).values()) == {1}


def has_engine(worker):
    try:
        return tree_below(keeper_below(worker))
    except (ValueError, AssertionError, psutil.Error):
        return False


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_an_architecture_that_vllm_does_not_know_ends_a_run_with_one_clear_error(tmp_path, tiny_model_folder, capfd):
    project = make_project(tmp_path, model=tiny_model_folder, socket=tmp_path / "none", key="none", documents=1)
    (tmp_path / "model").symlink_to(unknown(tiny_model_folder, tmp_path / "unknown"))
    own_server(project, model="model")
    path = project / "config.yaml"
    path.write_text(path.read_text().replace(f"  model: {tiny_model_folder}\n", ""))
    code, run = submit(project)
    assert code == 1
    said = capfd.readouterr().err
    assert "vLLM does not know this model's architecture" in said
    assert "another model, or a newer vLLM" in said
    assert "restart" not in log_of(run, 0)
    assert len(attempts(run)) == 1


def unknown(model, folder):
    folder.mkdir()
    for path in model.iterdir():
        if path.name != "config.json":
            (folder / path.name).symlink_to(path)
    config = json.loads((model / "config.json").read_text())
    changed = config | {"architectures": ["NoSuchForCausalLM"], "model_type": "no_such"}
    (folder / "config.json").write_text(json.dumps(changed))
    return folder


@pytest.fixture
def attached(tmp_path, model_folder):
    """A project that uses an echo server, the path of its socket, and the echo's process."""
    with echo_process(delay_s=0.3) as socket:
        project = make_project(tmp_path, model=model_folder, socket=socket, key="echo-key", documents=8)
        stall_soon(project)
        (echo,) = [one for one in psutil.Process().children() if str(socket) in " ".join(one.cmdline())]
        yield project, socket, echo


@pytest.mark.parametrize("fault", ["dies", "hangs"])
def test_an_attached_server_that_fails_ends_the_attempt_and_resume_goes_on_when_it_is_back(attached, fault, capfd):
    project, socket, echo = attached
    submitted = spawn(project, "submit", str(project / "config.yaml"), stderr=subprocess.PIPE)
    wait_for(lambda: list(project.glob("runs/*/shards/0000/*/attempt.json")))
    run = find(project, "latest")
    wait_for(lambda: serving(run, 0))
    echo.send_signal(signal.SIGKILL if fault == "dies" else signal.SIGSTOP)
    said = submitted.communicate(timeout=90)[1].decode()
    assert submitted.returncode == 3
    assert {"dies": "nobody listens on", "hangs": "it hangs: no token for"}[fault] in said
    assert "start it again, then `hpc-qa resume`" in said
    written = keys(run)
    assert written
    assert not list(run.path.glob("shards/0000/COMMIT.json"))  # it was struck before the end
    again = None
    if fault == "dies":
        socket.unlink(missing_ok=True)
        again = start_echo(socket)
        wait_for(socket.is_socket)
    else:
        echo.send_signal(signal.SIGCONT)
    try:
        assert call(project, "resume", run.run_id) == 0
    finally:
        if again is not None:
            again.kill()
            again.wait()
    assert proof(project, run)["exit_code"] == 0
    assert written.keys() <= keys(run).keys()
    assert records(run)
