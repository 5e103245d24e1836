"""The pipeline: what is asked, what becomes of answers, and which records are written. Answers are made up here."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from hpc_qa.client.request import Reply, Request
from hpc_qa.documents.chunks import Chunk, Section
from hpc_qa.errors import DocumentError, RequestError
from hpc_qa.manifest import Entry
from hpc_qa.store.merge import ChunkDone
from hpc_qa.worker.pipeline import terminal_state
from hpc_qa.worker.progress import Progress
from hpc_qa.worker.records import RecordMaker
from tests.scripted_pipeline import GOOD_PAIR, TEXTS, answer_well, chunk, documents_of, entry, reply, run


def test_a_good_pair_is_judged_and_accepted_and_written_in_one_batch_with_its_chunk() -> None:
    batches, sent = run(answer_well)
    assert [request.kind for request in sent] == ["generate", "judge"]
    pair, written_chunk = batches[0]
    assert pair["accepted"]
    assert pair["quality_score"] == pytest.approx(11 / 12)
    assert pair["evidence"] == [TEXTS[0]]
    assert (written_chunk["asked"], written_chunk["parsed"], written_chunk["lost"]) == (2, 1, {"shortfall": 1})
    assert documents_of(batches)[0]["state"] == "ok"


def test_a_pair_has_the_headings_of_its_evidence_and_the_chunk_those_of_its_first_sentence() -> None:
    section = Section(len(TEXTS[0]) + 1, ("Eligibility", "Hearings"))
    later = GOOD_PAIR | {"evidence": [2], "question": "Who may request a fair hearing?", "answer": "A provider may."}
    batches, _ = run(
        lambda request: answer_well(request) if request.kind == "judge" else reply(request, {"items": [later]}),
        chunks_of=lambda _: [replace(chunk(0), sections=(section,))],
    )
    pair, written_chunk = batches[0]
    assert pair["headings"] == ["Eligibility", "Hearings"]
    assert written_chunk["headings"] == ["Eligibility"]


def test_the_tokens_of_the_judge_are_also_counted_apart() -> None:
    told: list[Progress] = []
    run(answer_well, chunks=3, progress=told)
    (count,) = told
    assert (count.prompt_tokens, count.cached_tokens, count.completion_tokens) == (600, 480, 120)
    judged = (count.judge_prompt_tokens, count.judge_cached_tokens, count.judge_completion_tokens)
    assert judged == (300, 240, 60)


def test_the_judge_sees_the_same_beginning_as_the_generation() -> None:
    _, (generate, judge) = run(answer_well)
    first, second = json.dumps(generate.messages), json.dumps(judge.messages)
    same = next(i for i, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    assert TEXTS[1] in first[:same]


def test_a_pair_that_fails_a_check_is_kept_with_its_reason_and_never_judged() -> None:
    wrong = GOOD_PAIR | {"answer": "It must do so within 30 days of the application."}
    batches, sent = run(lambda request: reply(request, {"items": [wrong]}))
    assert [request.kind for request in sent] == ["generate"]
    assert (batches[0][0]["accepted"], batches[0][0]["reject_reason"]) == (False, "grounded")


def test_a_judge_that_gives_no_verdict_gives_no_score() -> None:
    def answer(request: Request) -> Reply:
        return reply(request, "nonsense") if request.kind == "judge" else answer_well(request)

    pair = run(answer)[0][0][0]
    assert (pair["quality_score"], pair["clarity"], pair["reject_reason"]) == (None, None, "no_verdict")


def test_a_document_whose_chunks_all_fail_is_failed_with_their_reason() -> None:
    batches, _ = run(lambda _: RequestError("timeout"), chunks=2)
    assert [(d["state"], d["reason"]) for d in documents_of(batches)] == [("failed", "timeout")]


def test_one_failed_chunk_does_not_fail_its_document() -> None:
    def answer(request: Request) -> Reply | RequestError:
        return RequestError("timeout") if request.id.startswith("c0/") else answer_well(request)

    document = documents_of(run(answer, chunks=2)[0])[0]
    assert (document["state"], document["chunks"]) == ("ok", 2)


def test_a_document_that_killed_the_server_is_failed_poison_whatever_else_it_gave() -> None:
    def answer(request: Request) -> Reply | RequestError:
        return RequestError("poison") if request.id.startswith("c0/") else answer_well(request)

    document = documents_of(run(answer, chunks=2)[0])[0]
    assert (document["state"], document["reason"]) == ("failed", "poison")


def test_an_unreadable_document_fails_alone() -> None:
    def chunks_of(one: Entry) -> list[Chunk]:
        if one.doc_id == "bad":
            raise DocumentError("malformed")
        return [chunk(0)]

    documents = documents_of(run(answer_well, documents=("bad", "good"), chunks_of=chunks_of)[0])
    assert [(d["doc_id"], d["state"], d["reason"]) for d in documents] == [
        ("bad", "failed", "malformed"),
        ("good", "ok", None),
    ]


def test_a_fault_of_ours_in_one_document_fails_that_document_alone() -> None:
    def chunks_of(one: Entry) -> list[Chunk]:
        return [None] if one.doc_id == "odd" else [chunk(0)]  # type: ignore[list-item]

    documents = documents_of(run(answer_well, documents=("odd", "good"), chunks_of=chunks_of)[0])
    assert [(d["state"], d["reason"]) for d in documents] == [("failed", "internal_error"), ("ok", None)]


def test_a_chunk_of_an_earlier_attempt_is_not_asked_again_and_still_counts() -> None:
    maker = RecordMaker(model="m", revision=None, prompts_sha256="p", sampling={}, seed=0)
    done = {maker.chunk_key(entry(), chunk(0)): ChunkDone("doc", "ok", 2, 1)}
    batches, sent = run(answer_well, chunks=2, done=done)
    assert {request.id.split("/")[0] for request in sent} == {"c1"}
    document = documents_of(batches)[0]
    assert (document["chunks"], document["pairs"], document["accepted"]) == (2, 3, 2)


def test_a_document_without_a_sentence_to_ask_about_is_skipped() -> None:
    empty = Chunk("c0", 0, "", (), None, 0, 0, 0, ())
    document = documents_of(run(answer_well, chunks_of=lambda _: [empty])[0])[0]
    assert (document["state"], document["reason"]) == ("skipped", "nothing_to_ask")


def test_terminal_state_of_nothing_but_failures_is_the_most_frequent_one() -> None:
    assert terminal_state(Counter(timeout=1, bad_output=2)) == ("failed", "bad_output")
