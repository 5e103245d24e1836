"""The sample of a review: seeded, spread over documents and over accepted and rejected, one pair of a chunk."""

import dataclasses
import json
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.campaign.review_sample import Place, _chances, default_size, draw, kept_sample, records_of, sample_of
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import RunDirectory
from tests.made_runs import attempt, chunk, document, finished_run, pair, planned_run, rejected


def places(document: int, chunk: int, items: int, kind: str) -> list[Place]:
    name = f"d{document}"
    return [Place(f"{name}-{chunk}-{item}-{kind}", name, f"{name}-{chunk}", "s", 0, 1) for item in range(items)]


POPULATION = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)  # by chunk


@given(POPULATION, st.integers(1, 40), st.integers(0, 5))
def test_one_pair_of_a_chunk_as_many_as_asked_or_as_there_are_chunks(chunks, size, seed):
    accepted = [one for number, (good, _) in enumerate(chunks) for one in places(number % 7, number, good, "a")]
    refused = [one for number, (_, bad) in enumerate(chunks) for one in places(number % 7, number, bad, "r")]
    drawn = draw(accepted, refused, size, seed)
    assert len({one.chunk_id for one in drawn}) == len(drawn) == min(size, sum(a + r > 0 for a, r in chunks))
    assert set(drawn) <= {*accepted, *refused}
    assert drawn == draw(accepted[::-1], refused[::-1], size, seed)


@given(st.integers(0, 50), st.integers(1, 40), st.integers(1, 40), st.integers(2, 60))
def test_accepted_rejected_and_documents_have_their_shares_within_one(seed, good, bad, size):
    accepted = [one for number in range(good) for one in places(number, 0, 3, "a")]
    refused = [one for number in range(bad) for one in places(100 + number, 0, 3, "r")]
    size = min(size, good + bad)
    drawn = draw(accepted, refused, size, seed)
    share = sum(one in accepted for one in drawn) / size
    assert abs(share * size - size * good / (good + bad)) <= 1
    ten_each = [one for number in range(100) for one in places(number % 10, number, 1, "a")]
    assert set(Counter(one.doc_id for one in draw(ten_each, [], 20, seed)).values()) == {2}


def test_every_pair_is_drawn_equally_often():
    accepted = [one for number in range(4) for one in places(number, 0, number + 1, "a")]  # 1, 2, 3 and 4 of a chunk
    refused = [one for number in range(10) for one in places(10 + number, 0, 1, "r")]
    times = Counter(one.key for seed in range(4000) for one in draw(accepted, refused, 5, seed))
    assert len(times) == 20
    assert max(abs(count - 1000) for count in times.values()) < 150  # 5 of 20 in 4,000 tries: 1,000, 27 either way


@given(POPULATION, st.integers(1, 40), st.integers(0, 5))
def test_the_chances_of_all_pairs_add_up_to_the_sample_and_none_is_over_one(chunks, size, seed):
    sizes = [good + bad for good, bad in chunks if good + bad]
    chances = _chances(sizes, min(size, len(sizes)))
    assert sum(chances) == min(size, len(sizes))
    assert all(0 < chance <= 1 for chance in chances)


@pytest.mark.parametrize(("chunks", "size"), [(20, 20), (60, 50), (60, 20), (200, 50)])
def test_weighted_by_its_chances_a_sample_near_the_number_of_chunks_has_the_share_of_the_population(chunks, size):
    accepted = [one for number in range(chunks // 2) for one in places(number, 0, 5, "a")]
    refused = [one for number in range(chunks // 2) for one in places(500 + number, 0, 1, "r")]
    found = []
    for seed in range(40):
        drawn = draw(accepted, refused, size, seed)
        found.append(sum(1 / drawn[one] for one in drawn if one in accepted) / sum(1 / drawn[one] for one in drawn))
    assert sum(found) / len(found) == pytest.approx(5 / 6, abs=0.02)


def test_the_kept_chance_is_how_often_a_pair_is_drawn_in_chunks_of_both_kinds():
    accepted = [*places(0, 0, 4, "a"), *places(1, 1, 1, "a"), *places(2, 2, 2, "a")]
    refused = [*places(1, 1, 2, "r"), *places(2, 2, 1, "r"), *places(3, 3, 1, "r")]
    times: Counter[str] = Counter()
    chances = {}
    for seed in range(4000):
        drawn = draw(accepted, refused, 3, seed)
        times.update(one.key for one in drawn)
        chances |= {one.key: chance for one, chance in drawn.items()}
    assert len(times) == 11
    assert all(abs(times[key] / 4000 - chance) < 0.04 for key, chance in chances.items())


def test_a_sample_of_before_chances_were_kept_counts_every_pair_alike(run):
    ours = sample_of(run, size=5)
    assert ours.chances.keys() == {one.key for one in ours.pairs}
    bare = dataclasses.replace(ours, chances={})
    assert bare.equal_chances
    assert bare.weight(ours.pairs[0].key) == 1


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    """Six documents of five chunks, each with an accepted pair, a rejected one and one that failed a check."""
    documents = [f"d{number}" for number in range(6)]
    made = planned_run(tmp_path, [documents[:3], documents[3:]], batch="batch_50")
    for shard, names in enumerate((documents[:3], documents[3:])):
        batches = []
        for name in names:
            low = {"clarity": 2, "accepted": False, "reject_reason": "clarity_below_4"}
            chunks = [
                chunk(name, index, [pair(name, index, 0), pair(name, index, 1, **low), rejected(name, index, 2)])
                for index in range(5)
            ]
            batches += [*chunks, [document(name, chunks)]]
        assert commit_shard(made.shard(shard), attempt(made.shard(shard), batches).name, names)
    return made


def test_the_sample_is_of_pairs_that_passed_the_checks_whatever_the_judge_said(run):
    sample = sample_of(run)
    assert (sample.asked, sample.seed, sample.complete) == (20, 7, True)
    assert sample.population == {"pairs": 60, "chunks": 30, "documents": 6, "accepted": 30, "rejected": 30}
    found = [records_of(run, one) for one in sample.pairs]
    assert all(all(record["checks"].values()) for record, _ in found)
    assert Counter(record["accepted"] for record, _ in found) == {True: 10, False: 10}
    assert {chunk["chunk_id"] for _, chunk in found} == {one.chunk_id for one in sample.pairs}
    assert {one.doc_id for one in sample.pairs} == {f"d{number}" for number in range(6)}


def test_another_process_draws_the_same_sample(run, tmp_path):
    ours = sample_of(run)
    (run.review / "sample.json").unlink()
    script = (
        "import sys, json; from hpc_qa.store.run_directory import find; from pathlib import Path;"
        "from hpc_qa.campaign.review_sample import sample_of;"
        "print(json.dumps([one.key for one in sample_of(find(Path(sys.argv[1]), 'latest')).pairs]))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [one.key for one in ours.pairs]


def test_the_sample_is_kept_and_another_size_or_seed_does_not_replace_it(run):
    ours = sample_of(run, size=5, seed=3)
    assert sample_of(run) == kept_sample(run) == ours
    assert sample_of(run, size=5, seed=3) == ours
    for other in ({"size": 6}, {"seed": 4}):
        with pytest.raises(ConfigError, match="was drawn already: 5 pairs with seed 3"):
            sample_of(run, **other)
    text = (run.review / "sample.json").read_text()
    assert "accepted" not in text.partition('"pairs": [')[2]  # who rates cannot look it up here
    (run.review / "sample.json").write_text(text.replace('"seed": 3', '"seed": 4'))
    with pytest.raises(StoreError, match="not as it was written"):
        sample_of(run)


def test_too_few_pairs_are_all_there_are_and_none_is_an_error(tmp_path):
    few = finished_run(tmp_path, [["a"]])
    assert len(sample_of(few).pairs) == 2  # two chunks
    none = planned_run(tmp_path, [["a"]], nonce="0002")
    with pytest.raises(ConfigError, match="no pair that passed every check"):
        sample_of(none)
    assert not none.review.exists()


def test_an_incomplete_run_says_so(tmp_path):
    run = planned_run(tmp_path, [["a", "b"]])
    attempt(run.shard(0), [chunk("a", 0, [pair("a", 0, 0)])])
    assert not sample_of(run).complete


def test_production_has_the_large_sample_and_local_batches_the_small_one():
    assert [default_size(name) for name in ("local_20", "smoke", "batch_50", "batch_500", "batch_1000")] == [
        20, 20, 20, 50, 50,
    ]  # fmt: skip
