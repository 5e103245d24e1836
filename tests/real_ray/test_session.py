"""Ray itself, with the echo server behind it: one session for most tests, it takes some seconds to start."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psutil
import pytest

from hpc_qa import processes
from hpc_qa.client.dispatcher import Dispatcher
from hpc_qa.client.request import Endpoint, Request
from hpc_qa.client.session import MAX_FOLDER_BYTES, RaySession
from hpc_qa.errors import ClientError
from tests.echo_server import KEY, MODEL, EchoServer, answer_to
from tests.simulated_pool import Results


@pytest.fixture(scope="module")
def short_folder():
    folder = Path(tempfile.mkdtemp(prefix="hq-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def session(short_folder):
    os.environ["RAY_ADDRESS"] = "ray://somebody-elses-cluster:10001"
    os.environ["HF_TOKEN"] = "canary-token"
    with RaySession(short_folder / "r", num_cpus=2) as running:
        yield running
    del os.environ["RAY_ADDRESS"], os.environ["HF_TOKEN"]


@pytest.fixture
def echo(short_folder):
    with EchoServer(short_folder / "e.sock", delay_s=0.02) as server:
        yield server


@pytest.fixture
def pool(session, echo):
    opened = session.pool(Endpoint(echo.path, KEY, MODEL), actors=2, concurrency=8)
    yield opened
    opened.close()


def ask(name, text=None, **changes):
    values = {"deadline_s": 30.0, "max_tokens": 8} | changes
    message = {"role": "user", "content": text or f"question {name}"}
    return Request(name, "generate", "d", (message,), None, values["max_tokens"], 0.0, 0, values["deadline_s"])


def test_every_request_comes_from_the_actors_as_the_server_sees_them(pool, echo):
    results = Results()
    count = Dispatcher(pool, limit=8).run((ask(str(n)) for n in range(40)), results)
    assert count.ok == 40
    assert echo.peers.keys() == set(pool.pids())  # the kernel's word for who is at the other end of the socket
    assert len(echo.peers) == 2
    assert os.getpid() not in echo.peers
    assert {reply.actor_pid for (reply,) in results.outcomes.values()} == echo.peers.keys()


def test_an_answer_belongs_to_its_question(pool):
    replies = {}
    Dispatcher(pool, limit=8).run(
        (ask(str(n)) for n in range(30)), lambda asked, reply: replies.update({asked.id: (asked, reply)}) or ()
    )
    for asked, reply in replies.values():
        assert reply.text == answer_to({"messages": list(asked.messages)})


def test_requests_are_out_at_once_up_to_the_limit(pool, echo):
    Dispatcher(pool, limit=6).run((ask(str(n)) for n in range(40)), Results())
    assert 2 <= echo.most_at_once <= 6


def test_faults_of_the_server_are_retried_and_counted(pool, echo):
    texts = {"a": "[[busy 1]]", "b": "[[torn 1]]", "c": "[[drop 1]]", "d": "[[refuse]]", "e": "[[length]]", "f": "fine"}
    results = Results()
    count = Dispatcher(pool, limit=8).run((ask(name, text) for name, text in texts.items()), results)
    assert results.reasons() == {"a": "ok", "b": "ok", "c": "ok", "d": "refused", "e": "truncated", "f": "ok"}
    assert (count.ok, count.failed, count.retries) == (4, 2, 4)
    assert [body["max_tokens"] for body in echo.bodies if body["messages"][0]["content"] == "[[length]]"] == [8, 16]


def test_a_killed_actor_is_replaced_and_its_requests_are_answered(pool, echo):
    victim = pool.pids()[0]

    def source():
        for number in range(40):
            if number == 20:
                os.kill(victim, signal.SIGKILL)
            yield ask(str(number))

    count = Dispatcher(pool, limit=4).run(source(), Results())
    assert count.ok == 40
    assert pool.replaced == 1
    assert victim not in pool.pids()


def test_when_all_actors_are_killed_nothing_is_lost(pool, echo):
    def source():
        for number in range(30):
            if number == 10:
                for pid in pool.pids():
                    os.kill(pid, signal.SIGKILL)
            yield ask(str(number))

    assert Dispatcher(pool, limit=4).run(source(), Results()).ok == 30
    assert pool.replaced == 2


def test_the_session_sees_nothing_of_our_environment_that_it_does_not_need(session, pool):
    for pid in pool.pids():
        environment = psutil.Process(pid).environ()
        assert "canary-token" not in environment.values()
        assert "RAY_ADDRESS" not in environment
    assert os.environ["HF_TOKEN"] == "canary-token"  # ours is as it was


def test_neither_the_servers_key_nor_the_token_is_written_down_or_shown(session, pool, short_folder):
    Dispatcher(pool, limit=2).run(iter([ask("a")]), Results())
    token = (short_folder / "r" / "token").read_text()
    assert stat.S_IMODE((short_folder / "r" / "token").stat().st_mode) == 0o600
    for path in (short_folder / "r").rglob("*"):
        if path.is_file() and path.name != "token":
            content = path.read_bytes()
            assert KEY.encode() not in content, path
            assert token.encode() not in content, path
    for process in processes.descendants(os.getpid()):
        assert not any(KEY in word or token in word for word in process.cmdline())


def test_nobody_else_can_enter_the_sessions_folder(session, short_folder):
    assert stat.S_IMODE((short_folder / "r").stat().st_mode) == 0o700


def test_a_folder_that_is_too_long_for_sockets_is_refused_in_our_words(tmp_path):
    with (
        pytest.raises(ClientError, match="too long a path") as caught,
        RaySession(tmp_path / ("x" * MAX_FOLDER_BYTES), 1),
    ):
        pass
    assert "TMPDIR" in caught.value.hint


def test_a_folder_that_others_can_enter_is_refused(short_folder):
    folder = short_folder / "open"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ClientError, match="0700"), RaySession(folder, 1):
        pass


PROGRAM = """
    import sys, time
    from pathlib import Path
    from hpc_qa.client.request import Endpoint
    from hpc_qa.client.session import RaySession

    with RaySession(Path(sys.argv[1]), 1) as session:
        session.pool(Endpoint(Path("/nowhere"), "k", "m"), actors=1, concurrency=1)
        print("up", flush=True)
        {then}
    print("closed", flush=True)
"""


def start_program(folder, then):
    program = textwrap.dedent(PROGRAM).format(then=then)
    process = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, cwd=folder)
    assert process.stdout.readline() == b"up\n"
    return process, processes.descendants(process.pid)


@pytest.fixture
def empty_folder():
    folder = Path(tempfile.mkdtemp(prefix="hq-", dir="/tmp"))
    yield folder
    processes.kill(processes.marked("NONE=", folder))
    shutil.rmtree(folder)


def test_when_the_session_is_closed_no_process_is_left(empty_folder):
    process, started = start_program(empty_folder, "pass")
    assert len(started) >= 3
    assert process.stdout.readline() == b"closed\n"
    assert processes.alive(started) == []
    process.wait()
    process.stdout.close()


def test_when_we_are_killed_no_process_of_ray_is_left(empty_folder):
    process, started = start_program(empty_folder, "time.sleep(600)")
    process.kill()
    process.wait()
    process.stdout.close()
    assert processes.wait_gone(started, timeout_s=30) == []


def test_ray_does_not_take_the_signal_to_stop_away_from_us(empty_folder):
    then = "import os, signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.5)"
    program = textwrap.dedent(PROGRAM).format(then=then)
    answer = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))\n"
    command = [sys.executable, "-c", answer + program, str(empty_folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=empty_folder, check=True)
    assert done.stdout.splitlines() == ["up", "told", "closed"]
