import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc_qa import processes
from hpc_qa.serving import keeper
from tests.projects import wait_for

# starts a child in a session of its own that has left its parent, as an engine does, then does as it is told
SERVER = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import subprocess, sys; subprocess.Popen(['sleep', '600'])"],
    start_new_session=True).wait()
print("up", flush=True)
{then}
"""


@pytest.fixture
def keep(tmp_path):
    started = []

    def start(then, grace="5"):
        command = [sys.executable, "-P", keeper.__file__, grace, sys.executable, "-c", SERVER.format(then=then)]
        process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    processes.kill(processes.marked("NONE=", tmp_path))
    for process in started:
        process.wait()
        process.stdin.close()
        process.stdout.close()


def left_in(folder: Path):
    return processes.marked("NONE=", folder)


def test_the_tree_has_an_orphan_to_begin_with(keep, tmp_path):
    keep("time.sleep(600)")
    assert any(process.name() == "sleep" for process in left_in(tmp_path))


def test_when_we_are_gone_everything_ends(keep, tmp_path):
    process = keep("time.sleep(600)")
    process.stdin.close()  # as the kernel does when we are killed
    process.wait(20)
    assert left_in(tmp_path) == []


def test_when_the_server_is_killed_its_orphans_end_and_the_status_tells(keep, tmp_path):
    process = keep("os.kill(os.getpid(), 9)")
    assert process.wait(20) == 128 + signal.SIGKILL
    assert left_in(tmp_path) == []


def test_the_servers_own_status_is_passed_on(keep, tmp_path):
    assert keep("sys.exit(7)").wait(20) == 7
    assert left_in(tmp_path) == []


def test_on_request_the_server_may_end_by_itself(keep, tmp_path):
    process = keep("import signal; signal.signal(15, lambda *a: sys.exit(3)); time.sleep(600)")
    process.terminate()
    assert process.wait(20) == 3
    assert left_in(tmp_path) == []


def test_a_server_that_ignores_the_request_is_killed_after_the_grace(keep, tmp_path):
    process = keep("import signal; signal.signal(15, signal.SIG_IGN); time.sleep(600)", grace="0.5")
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGKILL
    assert left_in(tmp_path) == []


def test_a_stopped_server_is_ended_too(keep, tmp_path):
    process = keep("os.kill(os.getpid(), 19)", grace="0.5")
    process.terminate()
    process.wait(20)
    assert left_in(tmp_path) == []


def test_when_the_keeper_is_killed_the_server_dies_and_a_sweep_finds_the_rest(keep, tmp_path):
    process = keep("time.sleep(600)")
    server = [child for child in processes.descendants(process.pid) if child.name() != "sleep"]
    process.kill()
    process.wait()
    assert processes.wait_gone(server, timeout_s=5) == []
    orphans = left_in(tmp_path)
    assert [orphan.name() for orphan in orphans] == ["sleep"]
    assert processes.kill(orphans) == []
    assert left_in(tmp_path) == []


# maps a segment as vLLM's workers do: nobody but the processes themselves knows its name
SHARING = """
import mmap, os
file = os.open("/dev/shm/{name}", os.O_RDWR | os.O_CREAT, 0o600)
os.truncate(file, 4096)
kept = mmap.mmap(file, 4096)
os.close(file)
"""


@pytest.mark.parametrize("end", ["asked", "owner_gone", "server_killed"])
def test_shared_memory_that_nobody_else_uses_is_removed(keep, end):
    name = f"hq-test-{os.getpid()}"
    segment = Path("/dev/shm", name)
    then = SHARING.format(name=name) + ("os.kill(os.getpid(), 9)" if end == "server_killed" else "time.sleep(600)")
    process = keep(then.replace("os.kill", "time.sleep(4); os.kill"))
    wait_for(segment.exists)
    if end == "asked":
        process.terminate()
    if end == "owner_gone":
        process.stdin.close()
    process.wait(30)
    assert not segment.exists()


def test_shared_memory_that_somebody_else_uses_stays(keep):
    segment = Path("/dev/shm", f"hq-test-{os.getpid()}")
    segment.write_bytes(bytes(4096))
    try:
        with segment.open("r+b") as file, mmap.mmap(file.fileno(), 4096):
            process = keep(SHARING.format(name=segment.name) + "time.sleep(600)")
            wait_for(lambda: processes.shared_memory(processes.descendants(process.pid)))
            process.terminate()
            process.wait(20)
            assert segment.exists()
    finally:
        segment.unlink()


def test_processes_are_found_by_mark_and_by_folder_and_not_otherwise(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "in_the_neighbourhood").mkdir()
    marked = subprocess.Popen(["sleep", "60"], env={"HPC_QA_TEST": str(tmp_path)})
    working = subprocess.Popen(["sleep", "60"], cwd=inside)
    other = subprocess.Popen(["sleep", "60"], cwd=tmp_path / "in_the_neighbourhood", env={"HPC_QA_TEST": "other"})
    try:
        time.sleep(0.1)
        found = {process.pid for process in processes.marked(f"HPC_QA_TEST={tmp_path}", inside)}
        assert found == {marked.pid, working.pid}
    finally:
        for process in (marked, working, other):
            process.kill()
            process.wait()
