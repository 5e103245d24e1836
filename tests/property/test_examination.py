"""Whatever a model answers and whatever is switched on: no pair is lost or double, in whatever order it answers."""

import hashlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.client.request import Reply, Request
from hpc_qa.errors import RequestError
from tests.scripted_pipeline import GOOD_PAIR, VERDICT, config, records_of, reply, run

WRONG = GOOD_PAIR | {"answer": "It must do so within 30 days of the application."}
ANSWERS: dict[str, list[Any]] = {
    "generate": [
        [GOOD_PAIR, GOOD_PAIR, WRONG], [WRONG, WRONG], [GOOD_PAIR], [], "nonsense", RequestError("timeout"), None,
    ],
    "round_trip": ["Within 45 days.", "Within 30 days.", "Never.", RequestError("timeout"), None],
    "judge": [
        {}, {"clarity": 3}, {"clarity": 1}, {"grounded": False}, {"accuracy": "5"}, RequestError("bad_reply"), None,
    ],
}  # fmt: skip
QA = st.fixed_dictionaries({
    "questions_per_chunk": st.integers(1, 4),
    "judge": st.booleans(),
    "judge_repeats": st.sampled_from([1, 3, 5]),
    "round_trip": st.fixed_dictionaries({"enabled": st.booleans()}),
    "regenerate": st.fixed_dictionaries(
        {"attempts": st.integers(0, 3), "max_token_share": st.sampled_from([0.3, 1.0, 5.0])}
    ),
    "controls": st.fixed_dictionaries({"share": st.sampled_from([0.0, 0.2, 0.5])}),
    "accept": st.fixed_dictionaries({"unjudged": st.sampled_from(["accept", "reject"])}),
})  # fmt: skip


def drawn(seed: int) -> Any:
    """A model whose answer is a function of the seed and of the request."""

    def answer(request: Request) -> Reply | RequestError:
        number = hashlib.sha256(f"{seed}/{request.id}".encode()).digest()[0]
        said = ANSWERS[request.kind][number % len(ANSWERS[request.kind])]
        if isinstance(said, RequestError):
            return said
        if said is None:  # not even JSON
            return Reply(request.id, "{" * 50, "stop", 10, 0, 5, 0.1, 1, 1)
        content = {"generate": {"items": said}, "round_trip": {"answer": said}}.get(request.kind)
        return reply(request, content or VERDICT | said)

    return answer


@settings(max_examples=80, deadline=None)
@given(qa=QA, seed=st.integers(0, 10_000))
def test_every_pair_that_was_asked_for_is_there_or_counted_as_lost(qa: dict[str, Any], seed: int) -> None:
    batches, sent = run(drawn(seed), config(**qa), chunks=3)
    assert len({request.id for request in sent}) == len(sent)
    chunks, pairs = records_of(batches, "chunk"), records_of(batches, "pair")
    assert len(chunks) == 3
    for one in chunks:
        here = [pair for pair in pairs if pair["chunk_id"] == one["chunk_id"]]
        assert one["asked"] == len(here) + sum(one["lost"].values())
        assert one["asked"] - one["asked_again"] == qa["questions_per_chunk"]
        assert one["parsed"] == len(here)
    for pair in pairs:
        assert pair["accepted"] == (pair["reject_reason"] is None)
    keys = [record["key"] for batch in batches for record in batch]
    assert len(set(keys)) == len(keys)
    assert not records_of(batches, "control") or qa["judge"]


@settings(max_examples=40, deadline=None)
@given(qa=QA, seed=st.integers(0, 10_000))
def test_the_order_of_answers_changes_no_record(qa: dict[str, Any], seed: int) -> None:
    def made(backwards: bool) -> list[dict[str, Any]]:
        batches, _ = run(drawn(seed), config(**qa), chunks=2, backwards=backwards)
        return [record | {"created_at": None} for batch in batches for record in batch]

    assert made(backwards=False) == made(backwards=True)
