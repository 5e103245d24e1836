import json

import pytest

from hpc_qa.config import Qa
from hpc_qa.errors import RequestError
from hpc_qa.qa.answers import parse
from hpc_qa.qa.generation import asks
from tests.made_chunks import made_chunk

CHUNK = made_chunk("The **backup** command does\nnot copy hidden files.", "Rates rose by 3 % in 2024.")
[ABSTRACTIVE] = asks(CHUNK, Qa(questions_per_chunk=2, temperature=0.7))
EXTRACTIVE = asks(CHUNK, Qa(answer_style="extractive", temperature=0.0))[0]


def reply(*items):
    return json.dumps({"items": list(items)})


def item(**changes):
    return {"evidence": [2], "question_type": "numeric", "question": "By how much?", "answer": "3 %."} | changes


def test_evidence_is_cut_out_of_the_chunk_as_written():
    [draft] = parse(ABSTRACTIVE, reply(item(evidence=[1, 2, 1])), "stop")
    assert draft.evidence_numbers == (1, 2)
    assert draft.evidence == ("The **backup** command does\nnot copy hidden files.", "Rates rose by 3 % in 2024.")
    assert all(text in CHUNK.text for text in draft.evidence)


def test_the_extractive_answer_is_the_sentence_without_its_markup():
    [draft] = parse(EXTRACTIVE, '{"question": "Which command does not copy hidden files?"}', "stop")
    assert draft.answer == "The backup command does not copy hidden files."
    assert draft.evidence == (CHUNK.sentence(1),)


def test_fewer_items_than_asked_for_is_an_answer():
    assert parse(ABSTRACTIVE, reply(), "stop") == []
    assert len(parse(ABSTRACTIVE, reply(item()), "stop")) == 1


def test_more_items_than_asked_for_are_cut():
    assert len(parse(ABSTRACTIVE, reply(item(), item(), item()), "stop")) == 2


def test_numbers_that_name_no_sentence_are_kept_for_the_checks_and_quote_nothing():
    [draft] = parse(ABSTRACTIVE, reply(item(evidence=[0, 9, True, "2"])), "stop")
    assert draft.evidence_numbers == (0, 9)
    assert draft.evidence == ()


def test_items_that_lack_a_part_are_left_out():
    drafts = parse(ABSTRACTIVE, reply(item(answer=None), item()), "stop")
    assert len(drafts) == 1
    assert parse(ABSTRACTIVE, '{"items": [3]}', "stop") == []


def test_an_unknown_question_type_becomes_factual():
    [draft] = parse(ABSTRACTIVE, reply(item(question_type=["x"])), "stop")
    assert draft.question_type == "factual"


def test_complete_items_of_a_cut_reply_are_taken():
    text = reply(item(), item())[:-30]
    assert len(parse(ABSTRACTIVE, text, "length")) == 1


@pytest.mark.parametrize("text", ["", '{"items": [', '{"items": [{"evidence": [1'])
def test_a_reply_cut_before_its_first_item_is_truncated(text):
    with pytest.raises(RequestError) as caught:
        parse(ABSTRACTIVE, text, "length")
    assert caught.value.reason == "truncated"
    assert caught.value.retryable


LARGE = 10_000_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "null",
        '{"items": 3}',
        "{" * 100_000,
        "[" * LARGE,
        "x" * LARGE,
        f'{{"items": "{"x" * LARGE}"}}',
    ],
    ids=lambda text: f"{text[:12]} {len(text)}",
)
def test_what_is_not_the_asked_json_is_bad_output(text):
    with pytest.raises(RequestError) as caught:
        parse(ABSTRACTIVE, text, "stop")
    assert caught.value.reason == "bad_output"


def test_without_temperature_a_second_try_is_not_worth_it():
    with pytest.raises(RequestError) as caught:
        parse(EXTRACTIVE, '{"question": 3}', "stop")
    assert not caught.value.retryable


def test_control_characters_and_half_surrogates_do_not_reach_a_record():
    text = '{"items": [{"evidence": [2], "question": "By\\u0000 how\\ud800\\n much?", "answer": "3\t%"}]}'
    [draft] = parse(ABSTRACTIVE, text, "stop")
    assert (draft.question, draft.answer) == ("By how much?", "3 %")
    draft.question.encode("utf-8")


def test_difficulty_is_what_the_model_says_of_the_levels_that_were_asked_for():
    [ask] = asks(CHUNK, Qa(questions_per_chunk=3, difficulty=["easy", "hard"]))
    given = [item(difficulty="hard"), item(difficulty="medium"), item()]
    assert [draft.difficulty for draft in parse(ask, reply(*given), "stop")] == ["hard", None, None]
    assert parse(ABSTRACTIVE, reply(item(difficulty="hard")), "stop")[0].difficulty is None


def test_a_type_that_was_not_asked_for_is_not_known_where_factual_was_not_either():
    [ask] = asks(CHUNK, Qa(question_types=["numeric", "scenario"]))
    assert [d.question_type for d in parse(ask, reply(item(), item(question_type="factual")), "stop")] == [
        "numeric",
        None,
    ]
