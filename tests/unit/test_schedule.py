"""How many shards a job array has, and which documents go into which: one server starts for 300 s, 100 tokens/s."""

import math

import pytest

from hpc_qa.campaign.schedule import (
    Pace,
    Pile,
    Terms,
    balance,
    ideal_makespan,
    makespan,
    schedule,
    shard_counts,
    share_note,
    too_long,
)

HOUR = 3600


def terms(*, startup_s: float = 300, limit_h: float = 4, parallelism: int = 8, share: float = 0.05) -> Terms:
    return Terms(Pace(startup_s, 100), limit_h * HOUR, parallelism, share)


def equal(count: int, seconds: int = 400) -> dict[str, int]:
    """So many documents of so many seconds."""
    return {f"d{number:04}": 100 * seconds for number in range(count)}


def seconds_of(piles: list[Pile], on: Terms) -> list[float]:
    return [on.pace.seconds(pile.tokens) for pile in piles]


def test_work_for_one_wave_is_one_shard_for_each_place() -> None:
    tokens = equal(200)
    shards = schedule(tokens, terms())
    assert [len(shard.documents) for shard in shards] == [25] * 8


def test_work_beyond_the_time_limit_is_several_whole_waves() -> None:
    tokens = equal(600)  # 66 h, of which a shard holds 3.1
    shards = schedule(tokens, terms())
    assert len(shards) == 24
    assert makespan(seconds_of(shards, terms()), 8) == 240_000 / 8 + 3 * 300


def test_little_work_is_fewer_shards_than_places() -> None:
    assert len(schedule(equal(40), terms())) == 2  # 16,000 s of work may spend 842 s on start-up
    assert len(schedule(equal(40), terms(share=0.10))) == 5


def test_a_larger_share_of_startup_never_asks_for_more_shards_than_places() -> None:
    assert len(schedule(equal(40), terms(share=1))) == 8


def test_a_little_more_than_one_wave_takes_a_few_shards_more_and_ends_with_all_lanes_at_once() -> None:
    tokens = equal(9_033, 10)  # 8.05 shards as long as the limit allows
    shards = schedule(tokens, terms())
    seconds = seconds_of(shards, terms())
    assert 8 < len(shards) < 16
    assert max(seconds) <= 0.8 * 4 * HOUR
    assert makespan(seconds, 8) < 1.005 * sum(seconds) / 8 + 300


def test_shards_are_numbered_from_the_longest() -> None:
    tokens = equal(9_033, 10)
    seconds = seconds_of(schedule(tokens, terms()), terms())
    assert seconds == sorted(seconds, reverse=True)


def test_one_giant_document_is_alone_in_the_first_shard_and_no_server_starts_for_nothing() -> None:
    tokens = {"giant": 1_000_000} | equal(40)
    shards = schedule(tokens, terms())
    assert shards[0] == (["giant"], 1_000_000)
    assert len(shards) == 3  # the others take 8,000 s each; a fourth shard would end no sooner than the giant


def test_few_large_documents_get_the_shards_that_end_soonest() -> None:
    tokens = {"a": 1_000_000} | dict.fromkeys("bcdef", 700_000)
    assert [len(shard.documents) for shard in schedule(tokens, terms())] == [1] * 6


def test_documents_that_fill_a_shard_badly_get_as_many_shards_as_they_need() -> None:
    tokens = equal(30, 6_000)  # two do not fit into 11,220 s
    assert len(schedule(tokens, terms())) == 30


def test_on_one_place_the_shards_are_as_few_as_the_time_limit_allows() -> None:
    tokens = equal(600)
    assert len(schedule(tokens, terms(parallelism=1))) == math.ceil(240_000 / 28 / 400)  # 28 documents fit


def test_no_document_makes_no_shard() -> None:
    assert schedule({}, terms()) == []
    assert balance({}, 8) == []
    assert share_note({}, 0, terms()) is None


def test_a_document_beyond_the_time_limit_is_too_long_and_the_limit_that_would_do_is_known() -> None:
    tokens = {"fits": 1_122_000, "long": 1_122_001, "longer": 2_000_000}
    assert too_long(tokens, terms()) == ["longer", "long"]
    enough_s = terms().limit_for(tokens["longer"])
    assert enough_s == 25_380  # 20,300 s are 80 % of 7 h 02 min 55 s
    assert too_long(tokens, terms(limit_h=enough_s / HOUR)) == []


def test_nothing_fits_when_starting_takes_longer_than_a_shard_may() -> None:
    assert too_long({"a": 1}, terms(startup_s=1_000, limit_h=0.25)) == ["a"]


def test_without_a_time_limit_there_is_one_wave() -> None:
    assert len(schedule(equal(6_000), terms(limit_h=math.inf))) == 8


def test_a_server_that_is_there_already_costs_no_start() -> None:
    assert len(schedule(equal(16), terms(startup_s=0))) == 8
    assert share_note(equal(1), 1, terms(startup_s=0)) is None


def test_when_share_and_limit_contradict_each_other_the_note_names_a_limit_that_reaches_the_share() -> None:
    tokens, short = equal(600), terms(startup_s=1_200, limit_h=2)
    shards = schedule(tokens, short)
    assert max(seconds_of(shards, short)) <= 0.8 * 2 * HOUR
    note = share_note(tokens, len(shards), short)
    assert note == (
        "start-up takes 21.6 % of the GPU-hours, more than plan.max_startup_share (5.0 %): 55 shards are needed to "
        'keep each within 80 % of slurm.time, 10 would be allowed; slurm.time "08:45:00" would do'
    )
    enough = terms(startup_s=1_200, limit_h=8.75)
    assert share_note(tokens, len(schedule(tokens, enough)), enough) is None


def test_work_too_small_for_the_share_says_how_much_would_be_enough() -> None:
    note = share_note(equal(4), 1, terms())
    assert note == (
        "start-up takes 15.8 % of the GPU-hours, more than plan.max_startup_share (5.0 %): a server starts for "
        "5 min 00 s and works for 26 min 40 s; from 1 h 35 min of work on, one shard stays below"
    )
    assert share_note({"a": 95 * 60 * 100}, 1, terms()) is None


def test_a_limit_too_short_for_the_share_is_named_beside_the_work_that_is_missing() -> None:
    short = terms(limit_h=0.25)  # a shard holds 420 s of work
    note = share_note(equal(4), 4, short)
    assert note is not None
    assert note.endswith('from 1 h 35 min of work on, one shard stays below if slurm.time is at least "02:05:00"')


def test_array_tasks_start_in_the_order_of_their_indices() -> None:
    assert makespan([3, 2, 2], 2) == 4
    assert makespan([2, 2, 3], 2) == 5
    assert makespan([1, 2], 8) == 2
    assert makespan([], 8) == 0


@pytest.mark.parametrize("shards", [8, 16, 24])
def test_whole_waves_of_small_documents_end_when_the_ideal_does(shards: int) -> None:
    tokens, on = equal(40_000, 1), terms()
    found = makespan(seconds_of(balance(tokens, shards), on), 8)
    assert found == pytest.approx(ideal_makespan(4_000_000, 100, shards, on), rel=0.001)


def test_the_count_is_between_the_fewest_and_the_most() -> None:
    assert shard_counts(9_032_100, 1_000, terms()) == (14, 15)
    assert shard_counts(8_000_000, 1_000, terms()) == (8, 8)
