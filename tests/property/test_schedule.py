"""Cutting shards: nothing lost, nothing double, no shard too long, and more of them only for a reason."""

import math
import random

from hypothesis import assume, given
from hypothesis import strategies as st

from hpc_qa.campaign.schedule import Pace, Pile, Terms, balance, makespan, schedule, shard_counts, share_note, too_long

documents = st.lists(st.integers(1, 10**6), min_size=1, max_size=80).map(
    lambda costs: {f"d{number}": cost for number, cost in enumerate(costs)}
)
all_terms = st.builds(
    Terms,
    pace=st.builds(Pace, startup_s=st.integers(0, 1_500), tokens_per_s=st.integers(1, 5_000)),
    time_limit_s=st.one_of(st.integers(60, 100_000), st.just(math.inf)),
    parallelism=st.integers(1, 40),
    max_startup_share=st.floats(0.01, 1),
)


def seconds_of(piles: list[Pile], terms: Terms) -> list[float]:
    return [terms.pace.seconds(pile.tokens) for pile in piles]


@given(documents, all_terms)
def test_every_document_is_in_exactly_one_shard_and_no_shard_is_empty(tokens: dict[str, int], terms: Terms) -> None:
    assume(not too_long(tokens, terms))
    shards = schedule(tokens, terms)
    assert sorted(name for shard in shards for name in shard.documents) == sorted(tokens)
    assert all(shard.documents for shard in shards)
    assert all(shard.tokens == sum(tokens[name] for name in shard.documents) for shard in shards)


@given(documents, all_terms)
def test_no_shard_takes_more_than_its_part_of_the_time_limit(tokens: dict[str, int], terms: Terms) -> None:
    long = too_long(tokens, terms)
    fitting = {name: cost for name, cost in tokens.items() if name not in long}
    assert all(seconds <= terms.longest_s * (1 + 1e-9) for seconds in seconds_of(schedule(fitting, terms), terms))


@given(documents, all_terms)
def test_a_share_of_startup_that_is_not_kept_is_said(tokens: dict[str, int], terms: Terms) -> None:
    assume(not too_long(tokens, terms))
    shards = schedule(tokens, terms)
    share = terms.pace.startup_share(len(shards), sum(tokens.values()))
    assert (share_note(tokens, len(shards), terms) is None) == (share <= terms.max_startup_share * (1 + 1e-8))


@given(documents, all_terms)
def test_the_share_is_only_broken_by_what_no_smaller_number_could_hold(tokens: dict[str, int], terms: Terms) -> None:
    assume(not too_long(tokens, terms))
    shards = schedule(tokens, terms)
    if len(shards) > 1 and share_note(tokens, len(shards), terms):
        two_shortest = sum(shard.tokens for shard in shards[-2:])
        assert len(shards) == len(tokens) or two_shortest > 0.5 * terms.shard_tokens


@given(documents, all_terms, st.randoms())
def test_the_order_of_the_manifest_does_not_change_the_shards(
    tokens: dict[str, int], terms: Terms, rng: random.Random
) -> None:
    assume(not too_long(tokens, terms))
    mixed = list(tokens.items())
    rng.shuffle(mixed)
    assert schedule(dict(mixed), terms) == schedule(tokens, terms)
    assert balance(dict(mixed), terms.parallelism) == balance(tokens, terms.parallelism)


@given(documents, all_terms)
def test_shards_and_their_documents_stand_from_the_longest_to_the_shortest(
    tokens: dict[str, int], terms: Terms
) -> None:
    assume(not too_long(tokens, terms))
    shards = schedule(tokens, terms)
    seconds = seconds_of(shards, terms)
    assert seconds == sorted(seconds, reverse=True)
    for shard in shards:
        costs = [tokens[name] for name in shard.documents]
        assert costs == sorted(costs, reverse=True)


@given(documents, st.integers(1, 12))
def test_no_balanced_shard_exceeds_the_mean_by_more_than_one_document(tokens: dict[str, int], shards: int) -> None:
    piles = balance(tokens, shards)
    count = min(shards, len(tokens))
    assert len(piles) == count
    assert piles[0].tokens <= sum(tokens.values()) / count + (1 - 1 / count) * max(tokens.values()) + 1e-6


@given(st.lists(st.integers(0, 1_000), max_size=60), st.integers(1, 12))
def test_list_scheduling_is_between_its_bounds(seconds: list[float], parallelism: int) -> None:
    end = makespan(seconds, parallelism)
    longest = max(seconds, default=0)
    assert max(longest, sum(seconds) / parallelism) <= end + 1e-6
    assert end <= sum(seconds) / parallelism + longest + 1e-6


work = st.integers(1, 10**9)
largest = st.floats(1e-6, 1)  # of the work


def count(tokens: float, largest_share: float, terms: Terms) -> int:
    return shard_counts(tokens, tokens * largest_share, terms)[0]


@given(work, largest, all_terms, st.floats(1, 20))
def test_more_work_never_takes_fewer_shards(tokens: int, share: float, terms: Terms, factor: float) -> None:
    assume(terms.shard_tokens > 0)
    assert count(tokens * factor, share, terms) >= count(tokens, share, terms)


def changed(terms: Terms, **changes: float) -> Terms:
    values = {name: getattr(terms, name) for name in ("pace", "time_limit_s", "parallelism", "max_startup_share")}
    return Terms(**(values | changes))


@given(work, largest, all_terms, st.floats(1, 20))
def test_a_longer_time_limit_never_takes_more_shards(tokens: int, share: float, terms: Terms, factor: float) -> None:
    assume(terms.shard_tokens > 0)
    longer = changed(terms, time_limit_s=terms.time_limit_s * factor)
    assert count(tokens, share, longer) <= count(tokens, share, terms)


@given(work, largest, all_terms, st.floats(0.01, 1))
def test_a_larger_share_of_startup_never_takes_fewer_shards(
    tokens: int, share: float, terms: Terms, allowed: float
) -> None:
    assume(terms.shard_tokens > 0)
    larger = changed(terms, max_startup_share=max(allowed, terms.max_startup_share))
    assert count(tokens, share, larger) >= count(tokens, share, terms)


@given(work, largest, all_terms)
def test_work_that_fits_into_one_wave_never_takes_two(tokens: int, share: float, terms: Terms) -> None:
    assume(0 < tokens <= terms.parallelism * terms.shard_tokens)
    assert count(tokens, share, terms) <= terms.parallelism
