"""When two answers to one question say the same."""

import pytest

from hpc_qa.qa.answers import Draft
from hpc_qa.qa.round_trip import contradict, parse, token_f1

QUESTION = "When must a State submit Form CMS-64?"
ANSWER = "A State must submit Form CMS-64 within 30 days of the end of each quarter."


def draft(answer: str = ANSWER, question: str = QUESTION) -> Draft:
    return Draft(question, answer, (1,), (answer,), "requirement")


def differs(reply: str, **changes: str) -> str | None:
    found = parse(f'{{"answer": "{reply}"}}', draft(**changes), 0.5)
    assert found is not None
    return found.differs


@pytest.mark.parametrize(
    "reply",
    [
        ANSWER,
        "Within 30 days of the end of each quarter.",
        "Within thirty days after each quarter has ended.",
        "It shall do so within 30 days of the end of a quarter.",
        "Form CMS-64 is due within 30 days of the end of each quarter.",
    ],
)
def test_the_same_in_other_words_agrees(reply: str) -> None:
    assert differs(reply) is None


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("Within 45 days of the end of each quarter.", "numbers"),
        ("At the end of each quarter.", "numbers"),
        ("It may submit it within 30 days of the end of each quarter.", "modality"),
        ("It need not be submitted within 30 days of the end of each quarter.", "modality"),
        ("Providers keep receipts for 30 mornings of a quarter under lock in their cellar.", "words"),
        ("not stated", "numbers"),
    ],
)
def test_another_number_another_duty_or_other_words_differ(reply: str, why: str) -> None:
    assert differs(reply) == why


def test_a_not_of_the_question_need_not_be_said_again() -> None:
    question = "Which command does not copy hidden files?"
    assert not contradict("The backup command does not copy hidden files.", "The backup command.", question)
    assert contradict("The backup command does not copy hidden files.", "It copies them.", "What does it copy?")


@pytest.mark.parametrize("text", ["", "[]", "5", '{"answer": 5}', '{"answer": "  "}', '{"answer": "cut', "[" * 100_000])
def test_what_is_no_answer_is_none(text: str) -> None:
    assert parse(text, draft(), 0.5) is None


def test_an_answer_that_says_no_more_than_its_question_is_compared_as_it_is() -> None:
    assert token_f1("A State.", "A State.", "Is it a State?") == 1.0
    assert token_f1("Yes.", "No.", "Is it?") == 0.0


def test_a_script_without_spaces_is_compared_by_characters() -> None:
    assert token_f1("四十五日以内に決定する", "四十五日以内") > 0.6
    assert token_f1("四十五日以内に決定する", "書類を提出") < 0.3
