"""The life of a real server, and real answers through real actors."""

import json
import os
import socket as sockets
import stat
import struct
import threading
import time

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hpc_qa import processes
from hpc_qa.client.dispatcher import Dispatcher
from hpc_qa.client.request import Endpoint, Request
from hpc_qa.client.session import RaySession
from hpc_qa.errors import ServerError
from hpc_qa.serving.attached import AttachedServer
from hpc_qa.serving.metrics import scrape_text
from hpc_qa.serving.server import VllmServer
from hpc_qa.serving.watch import ServerWatch
from hpc_qa.store.exposition import labelled, parse, to_text
from tests.server_tree import still_there
from tests.simulated_pool import Results

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600), pytest.mark.covers("serving", "client", "processes.py")]

SCHEMA = {
    "type": "object",
    "properties": {
        "evidence": {"type": "integer", "minimum": 1, "maximum": 3},
        "question": {"type": "string", "minLength": 5, "maxLength": 60},
    },
    "required": ["evidence", "question"],
    "additionalProperties": False,
}
DOCUMENT = "1. The office opens at nine. 2. It closes at five. 3. On Sundays it stays closed. " * 12


def ask(name, *, max_tokens=96, schema=SCHEMA, document=DOCUMENT):
    message = {"role": "user", "content": f"{document}\nWrite one question about sentence {name}, as JSON."}
    return Request(name, "generate", "d", (message,), schema, max_tokens, 0.0, 1, 300.0)


def endpoint(server):
    return Endpoint(server.socket, server.key, server.served_model_name)


@pytest.fixture(scope="module")
def session(node_folder):
    with RaySession(node_folder / "r", num_cpus=2) as running:
        yield running


@pytest.fixture
def pool(session, warm_server):
    opened = session.pool(endpoint(warm_server), actors=2, concurrency=8)
    yield opened
    opened.close()


def test_a_start_passes_through_its_phases_in_order(warm_server):
    names = [phase.name for phase in warm_server.phases]
    assert names[0] == "process"
    assert names[-1] == "ready"
    assert {"weights", "kv_cache"} <= set(names)
    seconds = [phase.began_s for phase in warm_server.phases]
    assert seconds == sorted(seconds)
    assert warm_server.startup_s == seconds[-1]


def test_answers_follow_their_schema_and_the_metrics_agree(warm_server, pool):
    before = warm_server.metrics()
    results = Results()
    count = Dispatcher(pool, limit=4).run((ask(str(n % 3 + 1) + " " * n) for n in range(8)), results)
    assert count.ok == 8
    replies = [reply for (reply,) in results.outcomes.values()]
    for reply in replies:
        answer = json.loads(reply.text)
        assert answer["evidence"] in (1, 2, 3)
        assert " \n" not in reply.text
    spent = warm_server.metrics().since(before)
    assert spent.prompt_tokens == sum(reply.prompt_tokens for reply in replies)
    assert spent.generation_tokens == sum(reply.completion_tokens for reply in replies)
    assert spent.prefix_cache_hits == sum(reply.cached_tokens for reply in replies) > 0
    assert warm_server.metrics().kv_cache_tokens > 10_000


def test_everything_that_vllm_says_of_itself_is_read_as_prometheus_client_reads_it(warm_server):
    text = scrape_text(warm_server.socket, warm_server.key)
    theirs = {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("vllm:") and not sample.name.endswith("_created")
    }
    ours = to_text(labelled(parse(text), {"run": "r"}))
    assert len(theirs) > 100
    assert {
        (sample.name, frozenset(sample.labels.items()) - {("run", "r")}, sample.value)
        for family in text_string_to_metric_families(ours)
        for sample in family.samples
    } == theirs


def test_the_server_sees_requests_from_the_actors_only(warm_server, pool):
    """While requests are out, the kernel is asked who is at the other end of the server's socket."""
    seen = set()
    done = threading.Event()

    def look():
        while not done.wait(0.05):
            seen.update(pids_connected_to(warm_server.socket))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        Dispatcher(pool, limit=4).run((ask(f"1 {n}") for n in range(6)), Results())
    finally:
        done.set()
        looking.join()
    assert seen == set(pool.pids())


def test_a_prompt_that_does_not_fit_is_too_long_and_the_server_lives_on(warm_server, pool):
    results = Results()
    Dispatcher(pool, limit=2).run(iter([ask("1", document="rain " * 4000)]), results)
    assert results.reasons() == {"1": "too_long"}
    assert warm_server.alive()


def test_a_cut_off_answer_is_truncated_and_gets_one_more_try(pool):
    results = Results()
    count = Dispatcher(pool, limit=2).run(iter([ask("1", max_tokens=2, schema=None)]), results)
    assert results.reasons() == {"1": "truncated"}
    assert count.retries == 1


def test_nobody_else_can_come_in_and_the_key_is_nowhere_to_be_seen(warm_server):
    assert stat.S_IMODE(warm_server.socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(warm_server.socket.parent.parent.stat().st_mode) == 0o700
    for process in processes.marked("NONE=", warm_server.socket.parent):
        assert not any(warm_server.key in word for word in process.cmdline())
    assert warm_server.key.encode() not in (warm_server.socket.parents[2] / "server.log").read_bytes()


def test_a_server_of_somebody_else_is_used_and_left_alone(warm_server, vllm_settings, session, node_folder):
    key_file = node_folder / "key"
    key_file.touch(mode=0o600)
    key_file.write_text(warm_server.key)
    with AttachedServer(vllm_settings, socket=warm_server.socket, key_file=key_file) as server:
        server.wait_ready()
        assert server.served_model_name == warm_server.served_model_name
        pool = session.pool(endpoint(server), actors=1, concurrency=2)
        assert Dispatcher(pool, limit=2).run(iter([ask("1"), ask("2")]), Results()).ok == 2
        pool.close()
    assert warm_server.alive()


def test_a_killed_engine_is_restarted_and_every_request_is_answered(warm_server, pool):
    old_folder, old_name = warm_server.socket.parent, warm_server.served_model_name
    killed = []

    def source():
        for number in range(10):
            if number == 6:
                killed.append(kill_engine(warm_server))
            yield ask(f"{number}")

    def recover(reason):
        warm_server.restart(reason)
        return endpoint(warm_server)

    results = Results()
    with ServerWatch(warm_server, stall_timeout_s=120.0) as watch:
        count = Dispatcher(pool, limit=4, check=watch.check, recover=recover).run(source(), results)
    assert killed
    assert warm_server.restarts == 1
    assert set(results.reasons().values()) == {"ok"}
    assert (count.admitted, count.ok) == (10, 10)
    assert warm_server.served_model_name != old_name
    assert processes.marked("NONE=", old_folder) == []
    assert not old_folder.exists()


def test_a_stop_in_the_middle_of_a_start_leaves_nothing(vllm_settings, node_folder):
    folder, shared = node_folder / "w", set()
    server = another(vllm_settings, node_folder, folder)
    server.start()

    def stop():
        shared.update(processes.shared_memory(psutil.Process(server.pid).children(recursive=True)))
        server.stop()

    stopper = threading.Timer(8.0, stop)
    stopper.start()
    with pytest.raises(ServerError, match="was stopped"):
        server.wait_ready()
    stopper.join()
    assert processes.marked("NONE=", folder) == []
    assert not server.socket.parent.exists()
    assert still_there(shared) == set()
    with pytest.raises(ServerError, match="was stopped"):
        server.start()


def test_a_server_that_dies_early_says_why_and_what_to_do(vllm_settings, node_folder):
    settings = vllm_settings.model_copy(update={"extra_args": {"no_such_option": 1}})
    with another(settings, node_folder, node_folder / "x") as server:
        server.start()
        with pytest.raises(ServerError, match="does not know one of its options") as caught:
            server.wait_ready()
    assert not caught.value.retryable
    assert "vllm.extra_args" in caught.value.hint
    assert any("--no-such-option" in line for line in caught.value.log_tail)


def test_a_context_longer_than_the_models_is_refused_before_the_start(vllm_settings, node_folder):
    settings = vllm_settings.model_copy(update={"max_model_len": 1_000_000})
    with another(settings, node_folder, node_folder / "z") as server, pytest.raises(ServerError) as caught:
        server.start()
    assert "max_model_len" in caught.value.faults[0]
    assert not caught.value.retryable
    assert server.pid is None


def test_a_model_folder_that_is_not_there_is_one_clear_error_at_once(vllm_settings, node_folder):
    folder = node_folder / "no-such-model"
    server = another(vllm_settings, node_folder, node_folder / "y", model_path=folder)
    with pytest.raises(ServerError) as caught, server:
        server.start()
    assert caught.value.faults == (f"{folder}: there is no such folder",)
    assert not caught.value.retryable
    assert server.pid is None


def another(settings, node_folder, folder, model_path=None):
    return VllmServer(
        settings,
        model_path=model_path or settings.model,
        folder=folder,
        log=node_folder / f"{folder.name}.log",
        served_model_name="another",
    )


def kill_engine(server):
    """SIGKILL the engine as the kernel's memory killer would; it is below the API server, which is below the keeper."""
    (api,) = [child for child in psutil.Process(server.pid).children() if "api_server" in " ".join(child.cmdline())]
    engine = next(child for child in api.children() if "EngineCor" in child.name())
    engine.kill()
    return engine.pid


def pids_connected_to(path):
    """Processes with an open connection to a listening UNIX socket, by the credentials that `ss -xp` would show."""
    inodes = connected_inodes(path)
    found = set()
    for process in psutil.process_iter(["pid"]):
        try:
            links = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")]
        except OSError:
            continue
        if any(link in inodes for link in links):
            found.add(process.pid)
    return found


def connected_inodes(path):
    """Client ends of the connections to `path`, from the kernel's socket diagnosis (sock_diag(7))."""
    message = struct.pack("=IHHII", 16 + 24, 20, 0x301, 1, 0)  # SOCK_DIAG_BY_FAMILY, REQUEST | DUMP
    message += struct.pack("=BBHIIIII", sockets.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, 0x5, 0xFFFFFFFF, 0xFFFFFFFF)
    accepted_peers, deadline = set(), time.monotonic() + 5
    with sockets.socket(sockets.AF_NETLINK, sockets.SOCK_RAW, 4) as netlink:
        netlink.sendto(message, (0, 0))
        while time.monotonic() < deadline:
            data = netlink.recv(1 << 16)
            while len(data) >= 16:
                length, kind = struct.unpack_from("=IH", data)
                if kind == 3:  # the end of the dump
                    return {f"socket:[{inode}]" for inode in accepted_peers}
                attributes = attributes_of(data[16 + 16 : length])
                # the accepted end carries the name of the socket, and the inode of its peer
                if attributes.get(0, b"").rstrip(b"\0") == os.fsencode(path) and 2 in attributes:
                    accepted_peers.add(struct.unpack("=I", attributes[2])[0])
                data = data[(length + 3) & ~3 :]
    raise TimeoutError("the kernel's socket diagnosis did not end")


def attributes_of(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found
