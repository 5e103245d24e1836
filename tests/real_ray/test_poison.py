"""Documents that kill: the server, again and again, or the whole task each time. Nothing may go on for ever."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from hpc_qa.campaign.attempts import read_view
from hpc_qa.store.run_directory import ShardDirectory, attempt_name
from hpc_qa.worker.intents import NAME, Intents, suspicion
from tests.projects import (
    call,
    document_named,
    echo_process,
    make_project,
    proof,
    put_faults,
    spawn,
    start_echo,
    states,
    submit,
    wait_for,
)


@pytest.mark.timeout(900)
def test_a_document_whose_request_ends_the_attached_server_fails_as_poison_and_nothing_else_does(
    tmp_path: Path, model_folder: Path
) -> None:
    socket = tmp_path / "e.sock"
    project = make_project(
        tmp_path / "p", model=model_folder, socket=socket, key="echo-key", documents=6, rules_each=6, style="extractive"
    )
    put_faults(project, {2: "exit"})
    deaths, code, run = 0, 3, None
    for _ in range(6):
        socket.unlink(missing_ok=True)
        server = start_echo(socket)
        try:
            wait_for(socket.is_socket, 30)
            if run is None:
                code, run = submit(project)
            else:
                code = call(project, "resume", run.run_id)
            deaths += server.poll() is not None
        finally:
            server.kill()
            server.wait()
        if code == 0:
            break
    assert run is not None
    poison = document_named(run, 2)
    assert states(run).pop(poison) == ("failed", "poison")
    assert {state for doc_id, state in states(run).items() if doc_id != poison} == {("ok", None)}
    assert deaths == 3  # in flight with others, last of all, and alone
    said = proof(project, run)
    assert said["exit_code"] == 0
    assert said["documents"] == {"ok": 5, "failed": 1, "skipped": 0, "left": 0}


@pytest.mark.long
@pytest.mark.covers("worker", "client", "campaign", "slurm", "processes.py")
@pytest.mark.timeout(900)
def test_a_document_that_takes_the_whole_task_with_it_is_given_up_after_three_attempts(
    tmp_path: Path, model_folder: Path
) -> None:
    with echo_process() as socket:
        project = make_project(
            tmp_path / "p", model=model_folder, socket=socket, key="echo-key", documents=5, rules_each=6,
            style="extractive",
        )  # fmt: skip
        put_faults(project, {1: "stall"})  # the test strikes while it is in flight, as running out of memory would
        killed = 0
        assert spawn(project, "submit", str(project / "config.yaml"), "--detach").wait(120) == 0
        (run,) = _runs(project)
        poison = document_named(run, 1)
        for _ in range(6):
            if not _kill_while_in_flight(run.shard(0), poison):
                break
            killed += 1
            assert spawn(project, "resume", run.run_id, "--detach").wait(120) == 0
        wait_for(run.shard(0).commit.exists, 240)
    assert killed == 3
    assert states(run)[poison] == ("failed", "poison")
    assert [state for doc_id, state in states(run).items() if doc_id != poison] == [("ok", None)] * 4
    assert proof(project, run)["exit_code"] == 0


def _runs(project: Path) -> list:
    from hpc_qa.store.run_directory import list_runs

    return list_runs(project)


def _kill_while_in_flight(shard: ShardDirectory, doc_id: str) -> bool:
    """Kill the worker once only this document is open; False when the shard is done before."""
    before = {one.name for one in shard.attempts() if "killed" in os.listdir(one.path)}

    def alone() -> bool:
        if shard.commit.exists():
            return True
        new = [one for one in shard.attempts() if one.name not in before]
        return bool(new) and _open_in(new[-1].path / NAME) == {doc_id}

    wait_for(alone, 240)
    if shard.commit.exists():
        return False
    attempt = shard.attempts()[-1]
    worker = psutil.Process(read_view(attempt.attempt_json)["pid"])
    worker.send_signal(signal.SIGKILL)
    (attempt.path / "killed").touch()
    wait_for(lambda: not _runs_still(worker), 10)
    time.sleep(1.0)  # its starter has to see it as well
    return True


def _open_in(path: Path) -> set[str]:
    found: set[str] = set()
    with suppress(OSError):
        for line in path.read_text().splitlines():
            mark, _, doc_id = line.partition(" ")
            found = found | {doc_id} if mark in "+?" else found - {doc_id}
    return found


def _runs_still(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


# -- what earlier attempts tell


def _attempt(shard: ShardDirectory, *lines: str) -> None:
    attempt = shard.new_attempt(attempt_name(str(len(shard.attempts()) + 1), 0, 0))
    (attempt.path / NAME).write_text("".join(f"{line}\n" for line in lines))


def test_a_document_is_under_suspicion_only_while_it_was_open_at_a_death(tmp_path: Path) -> None:
    shard = ShardDirectory(tmp_path / "0000")
    _attempt(shard, "+ a", "+ b", "- a")
    _attempt(shard, "+ b", "+ c", ".")  # that one ended in good order
    found = suspicion(shard)
    assert [name for name in "abc" if found.asked_last(name)] == ["b"]
    assert not found.asked_alone("b")
    assert found.guilty == frozenset()


def test_only_what_was_alone_at_a_death_is_guilty(tmp_path: Path) -> None:
    shard = ShardDirectory(tmp_path / "0000")
    _attempt(shard, "+ a", "+ b")
    _attempt(shard, "+ a", "+ b")
    assert suspicion(shard).guilty == frozenset()
    assert suspicion(shard).asked_alone("a")
    _attempt(shard, "? a", "- a", "? b")
    assert suspicion(shard).guilty == {"b"}


def test_a_torn_last_line_accuses_nobody(tmp_path: Path) -> None:
    shard = ShardDirectory(tmp_path / "0000")
    _attempt(shard, "+ a")
    (shard.attempts()[0].path / NAME).write_text("+ a\n+ b")
    assert suspicion(shard).deaths == {"a": 1}


def test_intents_are_on_disk_before_anything_is_sent(tmp_path: Path) -> None:
    intents = Intents(tmp_path / NAME)
    intents.begin("a")
    intents.begin("b", alone=True)
    intents.end("a")
    assert (tmp_path / NAME).read_text() == "+ a\n? b\n- a\n"
