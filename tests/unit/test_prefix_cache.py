import pytest

from hpc_qa.errors import ServerError
from hpc_qa.serving.prefix_cache import TRIES, reset, warm_up
from tests.echo_server import KEY, MODEL, EchoServer


@pytest.fixture
def echo(tmp_path):
    with EchoServer(tmp_path / "e.sock") as server:
        yield server


def test_a_busy_prefix_cache_is_asked_for_again(echo):
    echo.refused_resets = 2
    assert reset(echo.path, KEY, sleep=lambda _: None)
    assert echo.resets == 3


def test_a_prefix_cache_that_stays_full_is_an_error(echo):
    echo.refused_resets = TRIES
    with pytest.raises(ServerError, match="cannot be emptied"):
        reset(echo.path, KEY, sleep=lambda _: None)


def test_a_server_without_the_route_says_so(echo, monkeypatch):
    monkeypatch.setattr(echo, "_look", lambda path, head: (404, b"{}"))
    assert not reset(echo.path, KEY)


def test_warm_up_asks_so_many_requests_about_no_document(echo):
    warm_up(echo.path, KEY, MODEL, requests=5, at_once=2)
    assert echo.seen.total() == 5
    assert echo.most_at_once <= 2
    with pytest.raises(ServerError, match="answered with 404"):
        warm_up(echo.path, KEY, "another", requests=1, at_once=1)
