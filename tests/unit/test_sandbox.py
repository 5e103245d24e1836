"""What a child of the sandbox has, and what is left when its owner is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hpc_qa.documents.conversion import Job, Settings
from hpc_qa.documents.sandbox import ENVIRONMENT, Limits, Sandbox
from hpc_qa.errors import SandboxError
from tests.made_documents import write_tokenizer

SETTINGS = Settings(200, 100, 0.9, {}, {})
OWNER = """
import sys, time
from pathlib import Path
from hpc_qa.documents.conversion import Job
from hpc_qa.documents.sandbox import Limits, Sandbox
from tests.unit.test_sandbox import SETTINGS
folder = Path(sys.argv[1])
with Sandbox(SETTINGS, Limits(2**31, 100.0), folder / "tokenizer.json") as sandbox:
    sandbox.start(1, Job(folder / "source", folder / "out", "0" * 64, "text/plain"))
    time.sleep(100)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "source").write_text("Some text is here. " * 200_000)
    return tmp_path


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_for(condition: object, seconds: float = 30) -> bool:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


def test_nothing_runs_on_when_the_owner_is_killed(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], cwd=Path(__file__).parents[2]) as owner:
        assert wait_for(lambda: len(children(owner.pid)) == 2)
        family = children(owner.pid)
        owner.send_signal(signal.SIGKILL)
    assert wait_for(lambda: not any(process.is_running() and process.status() != "zombie" for process in family))


def test_a_child_has_no_environment_of_ours_and_its_own_group(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPC_QA_CANARY", "secret")
    before = {process.pid for process in psutil.Process().children()}  # of other tests, and they have children too
    with Sandbox(SETTINGS, Limits(2**31, 100.0), folder / "tokenizer.json") as sandbox:
        sandbox.start(1, Job(folder / "source", folder / "out", "0" * 64, "text/plain"))
        [server] = [each for each in psutil.Process().children() if each.pid not in before]
        assert wait_for(lambda: len(children(server.pid)) == 1)
        [child] = children(server.pid)
        environment = set(server.environ())
        assert environment <= {*ENVIRONMENT, "LC_CTYPE"}
        assert server.num_threads() == 1  # a process with threads must not be forked
        assert os.getpgid(child.pid) == child.pid
    assert not psutil.pid_exists(child.pid)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with (
        Sandbox(SETTINGS, Limits(2**31, 100.0), folder / "tokenizer.json") as sandbox,
        pytest.raises(SandboxError) as caught,
    ):
        sandbox.wait()
    assert "not a tokenizer" in "\n".join(caught.value.faults)


def test_a_child_has_nothing_to_import_and_the_code_of_a_site_runs_in_children_alone(
    folder: Path,
) -> None:
    program = """
import sys
from dataclasses import replace
from pathlib import Path
from hpc_qa.documents import sandbox_server
from hpc_qa.documents.conversion import Job, Settings, convert_document
from hpc_qa.documents.converters import SiteConverter
folder, settings = Path(sys.argv[1]), Settings(200, 100, 0.9, {}, {})
count = sandbox_server._preload(folder / "tokenizer.json")
before = set(sys.modules)
site = SiteConverter("text/markdown", "antigravity:convert", "somebody", "1")
sandbox_server._rehearse(replace(settings, converters={"text/markdown": site}), count)
assert "antigravity" not in sys.modules
rehearsed = set(sys.modules)
(folder / "source").write_bytes(sandbox_server.REHEARSED)
convert_document(Job(folder / "source", folder / "out", "0" * 64, "text/markdown"), settings, count)
print(sorted(set(sys.modules) - rehearsed), "pydantic" in before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[] False\n", done.stderr
