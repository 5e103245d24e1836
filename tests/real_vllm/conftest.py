"""One real server for all tests of this folder: it takes half a minute to start."""

import shutil
import tempfile
from pathlib import Path

import pytest

from hpc_qa import processes
from hpc_qa.config import Vllm
from hpc_qa.serving.server import VllmServer
from tests.tiny_model import tiny_model


@pytest.fixture(scope="session")
def node_folder():
    """A short private folder, as a task has it on its node."""
    folder = Path(tempfile.mkdtemp(prefix="hq-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def node(monkeypatch):
    """The temporary folder of the runs of one test, empty in the end; short, because sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="hqt-", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)
        assert list(Path(folder).glob("hq*")) == []


@pytest.fixture(scope="session")
def vllm_settings(model_folder):
    return Vllm(
        model=str(model_folder),
        max_model_len=2048,
        max_num_seqs=16,
        enforce_eager=True,
        env={"VLLM_CPU_KVCACHE_SPACE": "1"},
        startup_timeout="00:09:00",
    )


@pytest.fixture(scope="session")
def warm_server(vllm_settings, node_folder):
    """A server that is ready; its teardown proves that nothing is left."""
    folder = node_folder / "v"
    server = VllmServer(
        vllm_settings,
        model_path=vllm_settings.model,
        folder=folder,
        log=node_folder / "server.log",
        served_model_name="test-run",
    )
    with server:
        server.start()
        server.wait_ready()
        yield server
    assert processes.marked("NONE=", folder) == []
    assert list(folder.rglob("*.sock")) == []


@pytest.fixture(scope="session")
def tiny_model_folder(model_folder):
    """A tiny random model with heads that two workers can share."""
    return tiny_model(model_folder, model_folder.parent / "tiny-random-llama")


@pytest.fixture(scope="session")
def tiny_settings(vllm_settings, tiny_model_folder):
    """For servers that are struck: nothing to load, several restarts."""
    return vllm_settings.model_copy(update={"model": str(tiny_model_folder), "max_restarts": 4})
