from itertools import pairwise
from pathlib import Path

import pytest

from hpc_qa.client.dispatcher import Dispatcher
from hpc_qa.errors import ClientError, ServerError, StoreError
from tests.simulated_pool import Results, World, request


def dispatch(world, names, on_done=None, *, tick=lambda: None, stop=lambda: False, source=None, **options):
    options = {"limit": 4, "check": world.check, "recover": world.recover, "clock": world.clock} | options
    dispatcher = Dispatcher(world, **options)
    results = on_done or Results()
    requests = source or (request(name) for name in names)
    return dispatcher.run(requests, results, tick=tick, stop=stop), results


def test_every_request_is_answered_once_and_counted():
    world = World()
    count, results = dispatch(world, "abcdefghij")
    assert (count.admitted, count.ok, count.failed, count.skipped) == (10, 10, 0, 0)
    assert all(len(outcomes) == 1 for outcomes in results.outcomes.values())


def test_never_more_requests_are_out_than_the_limit():
    world = World()
    dispatch(world, map(str, range(50)), limit=7)
    assert world.most_at_once == 7


def test_the_limit_can_be_changed_while_it_runs():
    world = World()
    dispatcher = Dispatcher(world, limit=1, clock=world.clock)

    def tick():
        if world.now > 5:
            dispatcher.limit = 3

    dispatcher.run((request(str(n)) for n in range(30)), Results(), tick=tick)
    assert world.most_at_once == 3


def test_the_source_is_asked_only_when_there_is_room():
    world = World()
    taken = []

    def source():
        for number in range(20):
            taken.append(number)
            assert len(taken) - len(results.outcomes) <= 4
            yield request(str(number))

    results = Results()
    dispatch(world, (), results, source=source())


def test_follow_ups_go_before_anything_new():
    world = World()

    def on_done(asked, outcome):
        return [request("judge-" + asked.id)] if not asked.id.startswith("judge") else []

    count, _ = dispatch(world, "abc", on_done, limit=1)
    assert [sent.id for _, sent in world.sent] == ["a", "judge-a", "b", "judge-b", "c", "judge-c"]
    assert count.admitted == count.ok == 6


@pytest.mark.parametrize("reason", ["busy", "server_error", "unreachable", "bad_reply", "timeout"])
def test_what_may_get_better_is_tried_again(reason):
    world = World({"a": [reason, "ok"]})
    count, results = dispatch(world, "a")
    assert (count.ok, count.retries) == (1, 1)
    assert results.outcomes["a"][0].attempts == 2


@pytest.mark.parametrize("reason", ["refused", "too_long"])
def test_what_cannot_get_better_is_not_tried_again(reason):
    world = World({"a": [reason]})
    count, results = dispatch(world, "ab")
    assert results.reasons() == {"a": reason, "b": "ok"}
    assert (count.failures, world.sends["a"]) == ({reason: 1}, 1)


@pytest.mark.parametrize(("reason", "sends"), [("server_error", 4), ("bad_reply", 4), ("timeout", 2), ("busy", 11)])
def test_tries_are_bounded(reason, sends):
    world = World({"a": [reason]})
    _, results = dispatch(world, "a", max_retries=3)
    assert results.reasons() == {"a": reason}
    assert world.sends["a"] == sends


def test_the_tries_of_all_reasons_together_are_bounded():
    world = World({"a": ["busy", "busy", "busy", "server_error", "bad_reply"] * 9})
    dispatch(world, "a", max_retries=20)
    assert world.sends["a"] == 15


def test_waits_grow_and_differ():
    world = World({name: ["busy"] for name in "ab"}, seconds=0.0)
    dispatch(world, "ab")
    times = [at for at, sent in world.sent if sent.id == "a"]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits[-1] > 10 * waits[0] > 0
    assert times != [at for at, sent in world.sent if sent.id == "b"]


def test_a_truncated_answer_gets_twice_the_tokens_once_and_the_caller_sees_his_own_request():
    world = World({"a": ["truncated"]})
    seen = []
    dispatch(world, "a", lambda asked, outcome: seen.append((asked.max_tokens, outcome.reason)) or ())
    assert [sent.max_tokens for _, sent in world.sent] == [100, 200]
    assert seen == [(100, "truncated")]


def test_after_stop_nothing_new_is_taken_and_what_is_under_way_ends():
    world = World(seconds=10.0)
    count, results = dispatch(world, map(str, range(100)), stop=lambda: world.now > 5)
    assert (count.admitted, count.ok, count.skipped) == (4, 4, 0)
    assert len(results.outcomes) == 4


def test_follow_ups_of_what_is_under_way_still_run_after_stop():
    world = World(seconds=10.0)
    count, _ = dispatch(
        world,
        map(str, range(100)),
        lambda asked, outcome: [] if asked.kind == "judge" else [request("j" + asked.id, kind="judge")],
        stop=lambda: world.now > 5,
    )
    assert (count.admitted, count.ok) == (8, 8)


def test_what_does_not_end_in_time_after_stop_is_skipped_and_counted():
    world = World({str(n): ["stuck"] for n in range(2)}, seconds=10.0)
    count, results = dispatch(world, map(str, range(100)), stop=lambda: world.now > 5, drain_s=30.0)
    assert (count.ok, count.skipped) == (2, 2)
    assert set(results.outcomes) == {"2", "3"}
    assert world.closed


def test_a_stop_from_the_start_takes_nothing():
    count, _ = dispatch(World(), "abc", stop=lambda: True)
    assert count.admitted == 0


def test_after_the_death_of_the_server_everything_that_was_out_is_sent_again():
    world = World({"b": ["kills_server", "ok"]})
    count, results = dispatch(world, "abcdefgh")
    assert set(results.reasons().values()) == {"ok"}
    assert (count.ok, world.server_deaths) == (8, 1)


def test_the_request_that_kills_the_server_twice_is_poison_and_the_others_are_not():
    world = World({"b": ["kills_server"]})
    count, results = dispatch(world, "abcdefgh")
    assert results.reasons() == {name: "poison" if name == "b" else "ok" for name in "abcdefgh"}
    assert world.server_deaths == 2
    assert count.failures == {"poison": 1}


def test_the_death_of_a_server_costs_no_retry():
    world = World({"a": ["kills_server", "ok"]})
    _, results = dispatch(world, "abcd", max_retries=0)
    assert set(results.reasons().values()) == {"ok"}


def test_suspects_are_sent_one_at_a_time():
    world = World({"a": ["kills_server", "ok"]})
    dispatch(world, "abcd")
    again = [at for at, sent in world.sent][4:]
    assert all(later - earlier >= world.seconds for earlier, later in pairwise(again))


def test_the_request_that_kills_its_actor_twice_is_poison_and_the_others_are_not():
    world = World({"b": ["kills_actor"]})
    _, results = dispatch(world, "abcdefgh")
    assert results.reasons() == {name: "poison" if name == "b" else "ok" for name in "abcdefgh"}
    assert world.replaced == 2


def test_when_all_actors_die_at_once_nothing_is_lost():
    world = World({name: ["kills_actor", "ok"] for name in "abcd"}, actors=2)
    count, _ = dispatch(world, "abcdefgh")
    assert count.ok == 8


def test_actors_that_keep_dying_end_the_run():
    world = World({str(n): ["kills_actor"] for n in range(100)})
    with pytest.raises(ClientError, match="actors died"):
        dispatch(world, map(str, range(100)), max_actor_deaths=5)
    assert world.closed


def test_a_request_that_never_comes_back_is_given_up_after_its_deadline():
    world = World({"a": ["stuck", "ok"]})
    _, results = dispatch(world, "abcd")
    assert set(results.reasons().values()) == {"ok"}
    assert world.replaced == 1


def test_a_server_that_cannot_be_brought_back_ends_the_run():
    def recover(reason):
        raise ServerError("died again", retryable=False)

    world = World({"a": ["kills_server"]})
    with pytest.raises(ServerError, match="died again"):
        dispatch(world, "abc", recover=recover)
    assert world.closed


def test_an_error_in_recover_that_is_not_ours_is_not_swallowed():
    def recover(reason):
        raise KeyError("bug")

    world = World({"a": ["kills_server"]})
    with pytest.raises(KeyError, match="bug"):
        dispatch(world, "abc", recover=recover)


@pytest.mark.parametrize("where", ["on_done", "tick", "source"])
def test_an_error_of_the_caller_ends_the_run_after_the_pool_is_closed(where):
    def broken(*args):
        raise StoreError("disk full")

    def source():
        yield request("a")
        if where == "source":
            broken()

    world = World()
    with pytest.raises(StoreError, match="disk full"):
        dispatch(
            world,
            (),
            broken if where == "on_done" else Results(),
            tick=broken if where == "tick" else lambda: None,
            source=source(),
        )
    assert world.closed


def test_a_loss_in_the_pool_is_noticed_and_not_reported_as_done():
    class Lossy(World):
        def collect(self, timeout_s):
            self._out.clear()
            return super().collect(timeout_s)

    world = Lossy()
    count, results = dispatch(world, "abc", stop=lambda: world.now > 300, drain_s=10.0)
    assert (count.ok, count.skipped) == (0, 3)
    assert results.outcomes == {}


def test_tick_is_called_at_least_twice_a_second_whatever_happens():
    world = World({"a": ["kills_server", "ok"], "b": ["busy"] * 5 + ["ok"]}, seconds=20.0)
    ticks = []
    dispatch(world, "abcdef", tick=lambda: ticks.append(world.now))
    assert max(later - earlier for earlier, later in pairwise(ticks)) <= 0.5


def test_the_endpoint_of_a_new_server_reaches_the_pool():
    used = []

    class Watching(World):
        def use(self, endpoint):
            used.append(endpoint.socket)
            super().use(endpoint)

    dispatch(Watching({"a": ["kills_server", "ok"]}), "ab")
    assert used == [Path("/s")]
