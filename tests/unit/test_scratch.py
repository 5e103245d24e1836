"""The private folder of an attempt: gone afterwards, whoever was killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from hpc_qa.errors import ServerError
from hpc_qa.worker.scratch import scratch

HOLD = (
    "import time; from hpc_qa.worker.scratch import scratch\nwith scratch() as f: print(f, flush=True); time.sleep(600)"
)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def holder() -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def wait_gone(folder: Path) -> None:
    until = time.monotonic() + 60
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not folder.exists()


def test_the_folder_is_gone_also_when_its_janitor_was_killed(short: Path) -> None:
    before = set(psutil.Process().children())
    with scratch() as folder:
        (janitor,) = set(psutil.Process().children()) - before  # not by its command: that is read empty during exec
        janitor.kill()
        (folder / "file").write_text("x")
    assert list(short.iterdir()) == []


def test_when_its_holder_is_killed_the_janitor_removes_it(short: Path) -> None:
    process, folder = holder()
    process.kill()
    process.wait()
    wait_gone(folder)


def test_what_was_killed_with_its_janitor_is_removed_by_the_next_and_the_living_keep_theirs(short: Path) -> None:
    dead, abandoned = holder()
    living, held = holder()
    (janitor,) = psutil.Process(dead.pid).children()
    os.kill(janitor.pid, signal.SIGSTOP)  # so that it does not see the other go
    os.kill(dead.pid, signal.SIGKILL)
    os.kill(janitor.pid, signal.SIGKILL)
    dead.wait()
    assert abandoned.exists()
    with scratch():
        assert not abandoned.exists()
        assert held.exists()
    living.kill()
    living.wait()
    wait_gone(held)


def test_a_long_temporary_folder_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(ServerError, match="too long a path") as caught, scratch():
        pass
    assert "TMPDIR" in str(caught.value.hint)
    assert list(long.iterdir()) == []
