"""Cutting shards: nothing lost, nothing double, and balanced as the rule promises."""

from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.campaign.shards import Work, cut

costs = st.lists(st.integers(1, 10**6), min_size=1, max_size=80)


@given(costs, st.integers(1, 12))
def test_every_document_is_in_exactly_one_shard(tokens: list[int], shards: int) -> None:
    work = [Work(f"d{i}", None, cost) for i, cost in enumerate(tokens)]
    cut_work = [item.doc_id for shard in cut(work, shards) for item in shard.work]
    assert sorted(cut_work) == sorted(item.doc_id for item in work)


@given(costs, st.integers(1, 12))
def test_no_shard_exceeds_the_mean_by_more_than_one_document(tokens: list[int], shards: int) -> None:
    work = [Work(f"d{i}", None, cost) for i, cost in enumerate(tokens)]
    count = min(shards, len(tokens))
    heaviest = max(shard.predicted_tokens for shard in cut(work, shards))
    assert heaviest <= sum(tokens) / count + (1 - 1 / count) * max(tokens) + 1e-6


@given(costs, st.integers(1, 12), st.randoms())
def test_the_order_of_the_manifest_does_not_change_the_shards(tokens: list[int], shards: int, rng: object) -> None:
    work = [Work(f"d{i}", None, cost) for i, cost in enumerate(tokens)]
    mixed = list(work)
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    assert cut(work, shards) == cut(mixed, shards)
