import os

import pytest

from hpc_qa.config import Vllm
from hpc_qa.errors import ConfigError, ServerError
from hpc_qa.serving.attached import AttachedServer, read_key
from hpc_qa.serving.metrics import ServerMetrics
from hpc_qa.worker.serve import metrics_of
from tests.echo_server import KEY, EchoServer


@pytest.fixture
def echo(tmp_path):
    with EchoServer(tmp_path / "e.sock") as server:
        yield server


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(KEY + "\n")
    return path


def attach(echo, key_file):
    return AttachedServer(Vllm(model="m"), socket=echo.path, key_file=key_file)


def test_an_attached_server_is_asked_for_its_name_and_never_stopped(echo, key_file):
    with attach(echo, key_file) as server:
        server.start()
        server.wait_ready()
        assert server.served_model_name == "echo"
        assert server.metrics().iteration_tokens == 0
    assert server.alive()


def test_its_death_is_an_error_and_not_a_restart(echo, key_file):
    server = attach(echo, key_file)
    echo.stop()
    assert "nobody listens" in server.death()
    with pytest.raises(ServerError, match="died: gone") as caught:
        server.restart("gone")
    assert caught.value.retryable  # once somebody has started it again


def test_a_refused_key_is_named(echo, key_file):
    key_file.write_text("wrong")
    with pytest.raises(ServerError, match="refuses our key"):
        attach(echo, key_file).wait_ready()


def test_a_socket_that_is_not_there_is_a_wrong_setting(tmp_path):
    with pytest.raises(ConfigError, match="not a socket"):
        AttachedServer(Vllm(model="m"), socket=tmp_path / "nothing")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused(key_file, mode):
    key_file.chmod(mode)
    with pytest.raises(ConfigError, match="others can read"):
        read_key(key_file)


def test_a_key_file_of_somebody_else_is_refused(key_file):
    if os.geteuid() == 0:
        os.chown(key_file, 12345, 12345)
        with pytest.raises(ConfigError, match="somebody else"):
            read_key(key_file)


def test_a_missing_or_empty_key_file_is_refused(tmp_path, key_file):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "nothing")
    key_file.write_text(" \n")
    with pytest.raises(ConfigError, match="empty"):
        read_key(key_file)


def test_an_attempt_does_not_end_because_a_figure_cannot_be_read(echo, key_file):
    server = attach(echo, key_file)
    assert metrics_of(server).iteration_tokens == 0
    echo.stop()
    assert metrics_of(server) == ServerMetrics()
    known = ServerMetrics(iteration_tokens=7.0)
    assert metrics_of(server, known) is known
