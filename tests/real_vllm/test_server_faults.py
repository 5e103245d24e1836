"""Servers that are struck while they start and while they serve; each test asserts where it struck."""

import json
import os
import shutil
import signal
import socket as sockets
import threading
import time
from functools import partial

import pytest

from hpc_qa import processes
from hpc_qa.client.dispatcher import Dispatcher
from hpc_qa.client.request import Endpoint, Request
from hpc_qa.client.session import RaySession
from hpc_qa.errors import ServerError
from hpc_qa.serving import phases
from hpc_qa.serving.probe import healthy
from hpc_qa.serving.server import VllmServer
from hpc_qa.serving.watch import ServerWatch
from tests.echo_server import EchoServer
from tests.server_tree import still_there, tree_below
from tests.simulated_pool import Results

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900), pytest.mark.covers("serving", "client", "processes.py")]

SCHEMA = {"type": "object", "properties": {"question": {"type": "string", "maxLength": 40}}, "required": ["question"]}


def ask(number):
    message = {"role": "user", "content": f"Write one question about number {number}, as JSON."}
    return Request(str(number), "generate", "d", (message,), SCHEMA, 64, 0.0, 1, 300.0)


def endpoint(server):
    return Endpoint(server.socket, server.key, server.served_model_name)


def a_server(settings, node_folder, name, **options):
    return VllmServer(
        settings,
        model_path=settings.model,
        folder=node_folder / name,
        log=node_folder / f"{name}.log",
        served_model_name="struck",
        grace_s=5.0,
        **options,
    )


@pytest.fixture(scope="module")
def session(node_folder):
    with RaySession(node_folder / "q", num_cpus=2) as running:
        yield running


class Answers:
    """Requests to a server that is struck on the way; `strikes` are done before the request of their number."""

    def __init__(self, server, session, *, stall_timeout_s=120.0):
        self.server = server
        self.session = session
        self.stall_timeout_s = stall_timeout_s
        self.reasons = []
        self.health = []
        self.shared = set()

    def run(self, count, strikes):
        def source():
            for number in range(count):
                if number in strikes:
                    self.shared |= processes.shared_memory(tree_below(self.server.pid).all)
                    strikes.pop(number)()
                yield ask(number)

        results = Results()
        pool = self.session.pool(endpoint(self.server), actors=2, concurrency=8)
        with ServerWatch(self.server, stall_timeout_s=self.stall_timeout_s) as watch:
            Dispatcher(pool, limit=4, check=watch.check, recover=self.recover).run(source(), results)
        pool.close()
        return results.reasons()

    def recover(self, reason):
        self.reasons.append(reason)
        self.health.append(healthy(self.server.socket))
        old = self.server.socket.parent
        self.server.restart(reason)
        assert not old.exists()
        assert processes.marked("NONE=", old) == []
        return endpoint(self.server)


def nothing_is_left(server, folder, shared):
    assert processes.marked("NONE=", folder) == []
    assert not server.socket.parent.exists()
    assert still_there(shared) == set()


# -- while it starts


def test_a_start_that_takes_too_long_names_its_phase_and_leaves_nothing(
    tiny_settings, node_folder, monkeypatch, caplog
):
    caplog.set_level("INFO")
    monkeypatch.setattr("hpc_qa.serving.server.PROGRESS_S", 1.0)
    stopped, shared = [], set()

    def strike(phase):
        if phase.name == phases.ENGINE:
            tree = tree_below(server.pid)
            shared.update(processes.shared_memory(tree.all))
            tree.engine.suspend()
            stopped.append(tree.engine)

    server = a_server(tiny_settings, node_folder, "slow", on_phase=strike)
    began = time.monotonic()
    with server:
        server.start()
        assert not server.wait_ready(stop=lambda: bool(stopped))
        with pytest.raises(ServerError, match=r"was not ready after \d+ s \(still (starting the engine|loading)") as e:
            server.wait_ready(timeout_s=time.monotonic() - began + 2)
        assert "vllm.startup_timeout" in e.value.hint
        assert e.value.log_tail
        assert stopped[0].status() == "stopped"
        assert server.restarts == 0  # another start would take as long
    assert "s since its start" in caplog.text
    assert processes.alive(stopped) == []
    nothing_is_left(server, node_folder / "slow", shared)


def test_a_left_over_socket_is_in_nobodys_way_and_a_foreign_server_is_never_used(tiny_settings, node_folder):
    settings = tiny_settings.model_copy(update={"max_restarts": 0})
    server = a_server(settings, node_folder, "stale")
    first = node_folder / "stale" / "s1"
    first.mkdir(parents=True)
    for folder in (first, first.parent):
        folder.chmod(0o700)
    with sockets.socket(sockets.AF_UNIX) as left_over:
        left_over.bind(str(first / "v.sock"))
    assert (first / "v.sock").is_socket()
    with server:
        server.start()
        assert server.socket == first / "v.sock"
        assert not server.socket.exists()
        for key, why in ((server.key, "answers as echo, not as struck-s1"), ("another", "refuses our key")):
            with EchoServer(server.socket, key=key) as foreign:
                with pytest.raises(ServerError, match=why):
                    server.wait_ready()
                assert foreign.bodies == []
    assert processes.marked("NONE=", node_folder / "stale") == []


def test_a_start_that_is_killed_is_repeated_a_slow_one_succeeds_and_a_hang_is_noticed_by_its_tokens(
    tiny_settings, node_folder, session
):
    struck = []

    def strike(phase):
        if phase.name == phases.ENGINE and not struck:
            engine = tree_below(server.pid).engine
            engine.kill()
            struck.append(("killed", phase.name, server.restarts))
        elif phase.name == phases.ENGINE and len(struck) == 1:
            engine = tree_below(server.pid).engine
            engine.suspend()
            struck.append(("stopped", phase.name, server.restarts))
            threading.Timer(5.0, engine.resume).start()

    server = a_server(tiny_settings, node_folder, "life", on_phase=strike)
    with server:
        server.start()
        server.wait_ready()
        assert struck == [("killed", "engine", 0), ("stopped", "engine", 1)]
        assert server.restarts == 1
        answers = Answers(server, session, stall_timeout_s=15.0)
        reasons = answers.run(12, {6: tree_below(server.pid).engine.suspend})
        assert set(reasons.values()) == {"ok"}
        assert len(reasons) == 12
        assert server.restarts == 2
        assert "it hangs: no token for" in answers.reasons[0]
        assert answers.health == [True]  # which is why nobody asks it
    nothing_is_left(server, node_folder / "life", answers.shared)


# -- models that cannot be served


def copy_of(model, folder, **config):
    shutil.copytree(model, folder)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | config))
    return folder


def refused(settings, node_folder, name, folder):
    settings = settings.model_copy(update={"model": str(folder)})
    with a_server(settings, node_folder, name) as server:
        server.start()
        with pytest.raises(ServerError) as caught:
            server.wait_ready()
        assert server.restarts == 0
    assert not caught.value.retryable
    assert processes.marked("NONE=", node_folder / name) == []
    return caught.value


def test_code_that_comes_with_a_model_never_runs(tiny_settings, node_folder, tmp_path):
    canary = tmp_path / "ran"
    names = {"AutoConfig": "modeling_x.XConfig", "AutoModelForCausalLM": "modeling_x.XForCausalLM"}
    folder = copy_of(tiny_settings.model, tmp_path / "m", model_type="x", architectures=["XModel"], auto_map=names)
    (folder / "modeling_x.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    error = refused(tiny_settings, node_folder, "code", folder)
    assert "code of its own" in error.faults[0]
    assert not canary.exists()


# -- two workers


@pytest.mark.long
def test_a_server_of_two_workers_comes_back_whichever_of_its_processes_is_killed(tiny_settings, node_folder, session):
    env = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": two_cpus()}
    settings = tiny_settings.model_copy(update={"tensor_parallel_size": 2, "env": env})
    struck = []

    def kill(place):
        tree = tree_below(server.pid)
        assert len(tree.workers) == 2
        target = {"worker": tree.workers[1], "api": tree.api, "keeper": tree.keeper}[place]
        target.send_signal(signal.SIGKILL)
        struck.append((place, [tree.engine, *tree.workers]))

    server = a_server(settings, node_folder, "two")
    with server:
        server.start()
        server.wait_ready()
        answers = Answers(server, session)
        for place in ("worker", "api", "keeper"):
            reasons = answers.run(8, {4: partial(kill, place)})
            assert set(reasons.values()) == {"ok"}
            assert len(reasons) == 8
        assert [place for place, _ in struck] == ["worker", "api", "keeper"]
        assert server.restarts == 3
        assert all(processes.alive(orphans) == [] for _, orphans in struck)
        last = tree_below(server.pid)
        answers.shared |= processes.shared_memory(last.all)
        last.workers[0].suspend()  # a stop must end it all the same
    assert any("cpushm" in path.name for path in answers.shared)
    assert processes.alive(last.workers) == []
    nothing_is_left(server, node_folder / "two", answers.shared)


def two_cpus():
    first, *others = sorted(os.sched_getaffinity(0))
    return f"{first}|{(others or [first])[0]}"
