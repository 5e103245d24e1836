from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.client.dispatcher import Dispatcher
from tests.simulated_pool import RETRYABLE, Results, World, request

WORDS = sorted(RETRYABLE | {"refused", "too_long", "kills_server", "kills_actor", "stuck", "ok"})
scripts = st.dictionaries(
    st.integers(0, 11).map(str), st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), max_size=6
)


def run(world, *, limit, follow_ups=0, stop_at=float("inf"), requests=12):
    results = Results()

    def on_done(asked, outcome):
        results(asked, outcome)
        depth = asked.id.count("+")
        return [request(f"{asked.id}+")] if depth < follow_ups else []

    dispatcher = Dispatcher(
        world,
        limit=limit,
        check=world.check,
        recover=world.recover,
        clock=world.clock,
        drain_s=100.0,
        max_actor_deaths=1_000,
    )
    count = dispatcher.run((request(str(n)) for n in range(requests)), on_done, stop=lambda: world.now >= stop_at)
    return count, results


@given(scripts, st.integers(1, 8), st.integers(0, 2), st.floats(0, 200))
@settings(max_examples=150, deadline=None)
def test_whatever_happens_every_request_ends_in_exactly_one_way(scripts, limit, follow_ups, stop_at):
    world = World(scripts)
    count, results = run(world, limit=limit, follow_ups=follow_ups, stop_at=stop_at)
    assert count.admitted == count.ok + count.failed + count.skipped
    assert all(len(outcomes) == 1 for outcomes in results.outcomes.values())
    assert len(results.outcomes) == count.ok + count.failed
    assert world.most_at_once <= limit


@given(scripts, st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_without_a_stop_nothing_is_skipped_and_only_the_guilty_are_poison(scripts, limit):
    count, results = run(World(scripts), limit=limit)
    assert (count.admitted, count.skipped) == (12, 0)
    deadly = {"kills_server", "kills_actor", "stuck"}
    for name, reason in results.reasons().items():
        if reason == "poison":
            assert len([word for word in scripts.get(name, []) if word in deadly]) > 0
        if name not in scripts:
            assert reason == "ok"


@given(st.sets(st.integers(0, 11).map(str), max_size=3), st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_poison_costs_two_deaths_each_and_nobody_else(poisonous, limit):
    world = World({name: ["kills_server"] for name in poisonous})
    _, results = run(world, limit=limit)
    assert {name for name, reason in results.reasons().items() if reason == "poison"} == poisonous
    assert world.server_deaths <= 2 * len(poisonous)
