import pytest

from hpc_qa.errors import ServerError
from hpc_qa.serving.metrics import ServerMetrics
from hpc_qa.serving.watch import ServerWatch


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Server:
    dead = None
    tokens = 0.0
    kv_cache_usage = None
    restarts = 0

    def death(self):
        return self.dead

    def metrics(self, *, timeout_s=5.0):
        if self.tokens < 0:
            raise ServerError("no answer")
        return ServerMetrics(iteration_tokens=self.tokens, kv_cache_usage=self.kv_cache_usage)


@pytest.fixture
def watched():
    server, clock = Server(), Clock()
    watch = ServerWatch(server, stall_timeout_s=120.0, clock=clock)

    def read(seconds, tokens):
        clock.now += seconds
        server.tokens = tokens
        watch.read()

    watch.read()
    return watch, server, clock, read


def test_a_server_whose_tokens_flow_is_alive(watched):
    watch, _, _, read = watched
    for step in range(1, 10):
        read(100, step)
        assert watch.check(outstanding=5) is None


def test_no_token_for_too_long_while_requests_are_out_is_a_hang(watched):
    watch, _, clock, read = watched
    read(60, 0)
    assert watch.check(outstanding=5) is None
    clock.now += 61
    assert "hangs" in watch.check(outstanding=5)


def test_an_idle_server_may_stand_still(watched):
    watch, _, clock, _ = watched
    clock.now += 10_000
    assert watch.check(outstanding=0) is None
    clock.now += 119
    assert watch.check(outstanding=1) is None


def test_metrics_that_cannot_be_read_for_too_long_are_a_hang(watched):
    watch, _, _, read = watched
    read(100, -1)
    assert watch.check(outstanding=1) is None
    read(100, -1)
    assert watch.check(outstanding=1) is not None


def test_an_ended_process_is_a_death_at_once(watched):
    watch, server, _, _ = watched
    server.dead = "vLLM ended with status 0"
    assert watch.check(outstanding=0) == "vLLM ended with status 0"


def test_after_a_restart_the_watch_begins_anew(watched):
    watch, server, clock, _ = watched
    clock.now += 1_000  # nobody could read the metrics meanwhile
    server.restarts = 1
    assert watch.check(outstanding=1) is None
    clock.now += 121
    assert "hangs" in watch.check(outstanding=1)


def test_the_largest_use_of_the_kv_cache_is_kept(watched):
    watch, server, _, _ = watched
    assert watch.peak_kv_cache_usage is None
    for server.kv_cache_usage in (0.2, 0.7, 0.1):
        watch.read()
    assert watch.peak_kv_cache_usage == 0.7


def test_readings_of_the_server_before_a_restart_are_forgotten(watched):
    watch, server, _, _ = watched
    assert watch.last is not None
    server.restarts = 1
    watch.check(outstanding=1)
    assert watch.last is None
