import re

import pytest

from hpc_qa.config import Qa
from hpc_qa.qa import prompts
from hpc_qa.qa.generation import asks, choose_chunks
from hpc_qa.qa.openings import opening
from hpc_qa.qa.targets import question_type, stands_alone, targets
from tests.made_chunks import made_chunk

EXTRACTIVE = Qa(answer_style="extractive", questions_per_chunk=2)
FACTS = [f"The valve of pump {number} must be closed within {number} minutes." for number in range(1, 13)]


def test_an_abstractive_chunk_is_one_ask_for_all_its_pairs():
    [ask] = asks(made_chunk(*FACTS), Qa(questions_per_chunk=4))
    assert ask.count == 4
    items = ask.schema["properties"]["items"]
    assert (items["minItems"], items["maxItems"]) == (0, 4)
    assert list(items["items"]["properties"]) == ["evidence", "question_type", "question", "answer"]
    assert items["items"]["properties"]["evidence"]["items"] == {"type": "integer", "minimum": 1, "maximum": 12}


def test_question_types_and_difficulty_are_as_configured():
    qa = Qa(question_types=["numeric", "scenario"], difficulty=["easy", "hard"])
    [ask] = asks(made_chunk(*FACTS), qa)
    item = ask.schema["properties"]["items"]["items"]["properties"]
    assert list(item) == ["evidence", "question_type", "difficulty", "question", "answer"]
    assert item["question_type"]["enum"] == ["numeric", "scenario"]
    assert item["difficulty"]["enum"] == ["easy", "hard"]
    instruction = ask.messages(prompts.load())[-1]["content"]
    assert "one of: numeric, scenario." in instruction
    assert "one of: easy, hard." in instruction


def test_a_sentence_of_another_type_than_configured_is_not_asked_about():
    chunk = made_chunk("The gauge was replaced by the operator last spring.", *FACTS)
    [ask] = asks(chunk, EXTRACTIVE.model_copy(update={"question_types": ["factual"]}))
    assert ask.target == 1


def test_an_extractive_chunk_is_one_ask_per_sentence():
    made = asks(made_chunk(*FACTS), EXTRACTIVE)
    assert [ask.item for ask in made] == [0, 1]
    assert len({ask.target for ask in made}) == 2
    assert all(list(ask.schema["properties"]) == ["question"] for ask in made)


@pytest.mark.parametrize("qa", [Qa(questions_per_chunk=5), EXTRACTIVE])
def test_a_limit_caps_the_pairs_of_a_chunk(qa):
    assert sum(ask.count for ask in asks(made_chunk(*FACTS), qa, limit=1)) == 1
    assert asks(made_chunk(*FACTS), qa, limit=0) == []
    assert sum(ask.count for ask in asks(made_chunk(*FACTS), qa, limit=99)) == qa.questions_per_chunk


def test_no_schema_holds_what_xgrammar_cannot_keep_to():
    forbidden = re.compile(r"uniqueItems|contains|multipleOf|format|patternProperties")
    for qa in (Qa(), EXTRACTIVE):
        for ask in asks(made_chunk(*FACTS), qa):
            assert not forbidden.search(str(ask.schema))
            assert not re.search(r"\{\d", str(ask.schema["properties"].get("question", {}).get("pattern", "")))


def test_target_sentences_are_spread_over_the_chunk_and_follow_the_seed():
    chunk = made_chunk(*FACTS)
    chosen = targets(chunk, 3, seed=1)
    assert chosen == targets(chunk, 3, seed=1)
    assert [(number - 1) // 4 for number in chosen] == [0, 1, 2]
    assert len({tuple(targets(chunk, 3, seed=seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize(
    "sentence",
    [
        "The backup command does not copy hidden files.",
        "A State must submit Form CMS-64 within 30 days of the end of each quarter.",
        "**Docutils** is a system for processing plaintext documentation.",
        "Each writer translates its document tree into a format such as HTML.",
    ],
)
def test_a_complete_statement_stands_alone(sentence):
    assert stands_alone(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "It must be submitted within 30 days of the quarter.",
        "This rule applies to all managed care plans of a State.",
        "The following services are covered by the state plan:",
        "| Age | Limit | Is this covered by the plan |",
        "Eligibility and enrollment requirements for children and adults.",
        "See the chapter about fees for what is to be paid.",
        "Is the service covered when the member is in a hospital?",
        "Use `role::` and ``.. raw::`` as is shown by `the guide`_.",
        "The limits are shown in the table above for every age group.",
        "Short is bad.",
        "The price (see http://example.org/a is given for each of the units.",
        "and is therefore not covered by any plan of the State.",
    ],
)
def test_what_needs_other_sentences_is_not_asked_about(sentence):
    assert not stands_alone(sentence)


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Providers must keep records.", "requirement"),
        ("A waiver is a permission to deviate.", "definition"),
        ("The rate rose by 3 %.", "numeric"),
        ("The office opens in spring.", "factual"),
    ],
)
def test_the_type_of_a_question_follows_the_form_of_its_sentence(sentence, kind):
    assert question_type(sentence) == kind


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("The backup command does not copy hidden files.", "Which command does not copy hidden files?"),
        ("Applicants must submit the form in May.", "Who must submit the form in May?"),
        ("If the valve is closed, the pump stops.", "What happens if the valve is closed?"),
        ("An option spec is a mapping of names to functions.", "What is an option spec?"),
        ("Money cannot do us much good here.", "What cannot do us much good here?"),
        ("The scheduler assigns every job to a node.", "What assigns every job to a node?"),
        ("The model must therefore contain two levels.", "Which model must contain two levels?"),
    ],
)
def test_an_opening_leads_to_a_question_about_the_sentence(sentence, question):
    pattern = opening(sentence)
    assert pattern is not None
    assert re.fullmatch(pattern, question)
    assert not re.fullmatch(pattern, question[:-1])


@pytest.mark.parametrize(
    "sentence",
    [
        "In 2020 the rule was changed by the State.",
        "Docutils versions 0.19 to 0.20.1 require Python.",
        "The portion associated the names of all lakes is part of it.",
        "If it fails, the test is repeated.",
        "The goal is to provide tools.",
        "The test will fail, of course.",
    ],
)
def test_a_sentence_without_a_plain_subject_has_no_opening(sentence):
    assert opening(sentence) is None


def test_openings_are_english():
    made = asks(made_chunk(*FACTS), EXTRACTIVE.model_copy(update={"language": "de"}))
    assert all("pattern" not in ask.schema["properties"]["question"] for ask in made)


def chunks_under(headings):
    return [made_chunk(*FACTS, index=i, headings=(heading,)) for i, heading in enumerate(headings)]


def test_without_a_cap_every_chunk_may_take_all_its_questions():
    chosen = choose_chunks(chunks_under("abc"), Qa(questions_per_chunk=5), seed=0, doc_id="d")
    assert [(chunk.index, limit) for chunk, limit in chosen] == [(0, 5), (1, 5), (2, 5)]


def test_a_cap_is_spread_over_headings_before_a_heading_gets_a_second_chunk():
    chunks = chunks_under("aaaaaabbbc")
    for seed in range(5):
        chosen = choose_chunks(chunks, Qa(max_pairs_per_document=3), seed=seed, doc_id="d")
        assert sorted(chunk.headings[0] for chunk, _ in chosen) == ["a", "b", "c"]
        assert [limit for _, limit in chosen] == [1, 1, 1]


def test_a_chunk_without_anything_to_ask_about_gets_no_share_of_the_cap():
    chunks = [made_chunk("Contents.", "1.", index=0), made_chunk(*FACTS, index=1)]
    qa = Qa(answer_style="extractive", max_pairs_per_document=4, questions_per_chunk=3)
    assert [(c.index, n) for c, n in choose_chunks(chunks, qa, seed=0, doc_id="d")] == [(1, 3)]
