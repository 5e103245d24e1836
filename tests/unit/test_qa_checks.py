import dataclasses

import pytest

from hpc_qa.config import Qa
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.checks import check
from hpc_qa.qa.facts import modality, numbers
from hpc_qa.qa.language import is_language
from hpc_qa.qa.markup import plain
from tests.made_chunks import made_chunk

CHUNK = made_chunk(
    "A State must submit Form CMS-64 within 30 days of the end of each quarter.",
    "The report may not leave out any of the two managed care plans.",
    "In May 2024 the rate was 5.25 percent and the copayment $1,000.",
    headings=("Reporting", "Form CMS-64"),
)
GOOD = Draft(
    question="Within how many days of the end of a quarter must a State submit Form CMS-64?",
    answer="A State must submit it within 30 days.",
    evidence_numbers=(1,),
    evidence=(CHUNK.sentence(1),),
    question_type="requirement",
)
QA = Qa()


def failed(draft, qa=QA, **kwargs):
    return [name for name, passed in check(draft, CHUNK, qa, **kwargs).items() if not passed]


def changed(**fields):
    return dataclasses.replace(GOOD, **fields)


def about(number, **fields):
    return changed(evidence_numbers=(number,), evidence=(CHUNK.sentence(number),), **fields)


def test_a_good_pair_passes_every_check():
    assert failed(GOOD) == []


def test_evidence_must_be_there_and_verbatim():
    assert "evidence_exists" in failed(changed(evidence_numbers=(), evidence=()))
    assert "evidence_exists" in failed(changed(evidence_numbers=(1, 9)))
    assert "evidence_exists" in failed(changed(evidence=(GOOD.evidence[0].upper(),)))


@pytest.mark.parametrize(
    "answer",
    [
        "A State must submit it within 31 days.",
        "A State must submit it within thirty-one days.",
        "A State must submit Form CMS-65 within 30 days.",
        "A State may submit it within 30 days.",
        "A State shall submit it within 30 days.",
        "A State must not submit it within 30 days.",
        "A State must submit it within 30 days, by June.",
        "A State must submit it within 30% of days.",
        "One State must submit it within 30 days.",
    ],
)
def test_a_changed_number_date_code_or_duty_is_not_grounded(answer):
    assert "grounded" in failed(changed(answer=answer))


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, "It must submit it within thirty days."),
        (2, "It may not leave out any of the 2 plans."),
        (3, "5.25% in May 2024, and a copayment of $1000."),
        (3, "It was 5.25 per cent in May 2024."),
    ],
)
def test_another_spelling_of_the_same_fact_is_grounded(number, answer):
    assert "grounded" not in failed(about(number, question="What was the rate for a State?", answer=answer))


def test_the_month_of_may_permits_nothing():
    draft = about(3, question="What was the rate of the State in May 2024?", answer="It may be 5.25 percent in 2024.")
    assert "grounded" in failed(draft)


def test_a_number_in_the_question_must_stand_in_the_chunk():
    assert "grounded" in failed(changed(question="Must a State submit Form CMS-64 within 45 days of a quarter?"))


@pytest.mark.parametrize(
    "question",
    [
        "According to the text, when must a State submit Form CMS-64?",
        "What does this section say about Form CMS-64?",
        "What must a State submit in this quarter?",
        "When must a State submit the form mentioned above?",
        "When must it submit Form CMS-64?",
        "Who are they?",
        "What does sentence [1] require of a State?",
        "What does the document state about Form CMS-64?",
        "What is it that is?",
        "What does the table above show about Form CMS-64?",
        "As described in the manual, when must a State submit Form CMS-64?",
        "What does the author say about Form CMS-64?",
        "What does the guide say about Form CMS-64?",
        "Based on the information provided, when must a State submit Form CMS-64?",
        "When must a State submit the aforementioned Form CMS-64?",
        "Which date does Table 3 list for Form CMS-64?",
        "What does this waiver require of a State?",
    ],
)
def test_a_question_that_points_at_the_text_or_at_nothing_is_not_self_contained(question):
    assert "self_contained" in failed(changed(question=question))


def test_an_answer_that_points_at_the_text_is_not_self_contained():
    assert "self_contained" in failed(changed(answer="According to the table, within 30 days."))


@pytest.mark.parametrize(
    "question",
    [
        "A State must submit Form CMS-64 within 30 days",
        "Submit Form CMS-64 within 30 days?",
        "What is due? When must a State submit Form CMS-64?",
        "Which command does not copy hidden files?",
    ],
)
def test_what_is_not_one_question_of_its_own_is_refused(question):
    assert "is_question" in failed(changed(question=question), examples={"which command does not copy hidden files?"})


def test_a_question_that_holds_its_answer_is_refused():
    answer = GOOD.evidence[0]
    question = f"How must {answer[0].lower()}{answer[1:-1]}?"
    assert "is_question" in failed(changed(question=question, answer=answer))


@pytest.mark.parametrize(
    "question",
    [
        "How does a parser build the tree of nodes?",
        "Why must a State bake bread for a quarter?",
    ],
)
def test_a_question_about_something_else_does_not_fit_its_evidence(question):
    assert "fits_evidence" in failed(changed(question=question))


def test_how_many_wants_a_number():
    draft = about(2, question="How many managed care plans may the report leave out?", answer="Some plans.")
    assert "fits_evidence" not in failed(draft)  # the evidence says two
    bare = made_chunk("The report may leave out managed care plans.")
    draft = Draft(
        "How many managed care plans may the report leave out?", "Plans.", (1,), (bare.sentence(1),), "factual"
    )
    assert not check(draft, bare, QA)["fits_evidence"]


def test_what_is_x_wants_a_sentence_that_explains_x():
    chunk = made_chunk("The end-string must be preceded by a letter.", "An option spec is a mapping of names.")
    named = Draft("What is the end-string?", chunk.sentence(1), (1,), (chunk.sentence(1),), "definition")
    explained = Draft("What is an option spec?", chunk.sentence(2), (2,), (chunk.sentence(2),), "definition")
    assert not check(named, chunk, QA)["fits_evidence"]
    assert check(explained, chunk, QA)["fits_evidence"]


def test_length_is_bounded_by_the_settings():
    assert "length" in failed(changed(question="Which form?"))
    assert "length" in failed(changed(question="Which " + "very " * 80 + "long form?"))
    assert "length" in failed(changed(answer="x" * 1501))
    assert "length" in failed(changed(answer=""))


@pytest.mark.parametrize(
    "question",
    [
        "What is the form of the form of the form of the form of a State?",
        "What is due due due due by a State in a quarter?",
        "What is aaaaaaaaaaaaaaaaaa of a State?",
    ],
)
def test_a_looping_model_is_refused(question):
    assert "no_repetition" in failed(changed(question=question))


def test_a_table_row_that_repeats_itself_may_be_quoted():
    chunk = made_chunk("| Form | due now | due now | due now | due now |")
    row = chunk.sentence(1)
    draft = Draft("Which form is due now?", plain(row), (1,), (row,), "factual")
    assert check(draft, chunk, QA)["no_repetition"]


@pytest.mark.parametrize(
    "text",
    [
        "Bis wann muss das Formular beim zuständigen Amt eingereicht werden?",
        "Quand faut-il déposer le formulaire auprès de l'administration?",
        "Когда нужно подать форму в государственный орган?",
        "什么时候必须提交表格?",
    ],
)
def test_another_language_is_noticed(text):
    assert not is_language(text, "en")
    assert is_language(text, None)


@pytest.mark.parametrize(
    "text",
    ["What is docutils?", "When must a State submit Form CMS-64?", "sudo apt install", "42", "What does rst2html5 do?"],
)
def test_short_and_technical_english_is_not_lost_to_a_guess(text):
    assert is_language(text, "en")


def test_other_languages_are_checked_without_english_forms():
    chunk = made_chunk("Das Formular ist innerhalb von 30 Tagen beim Amt einzureichen.")
    draft = Draft(
        "Innerhalb wie vieler Tage ist das Formular beim Amt einzureichen?",
        chunk.sentence(1),
        (1,),
        (chunk.sentence(1),),
        "numeric",
    )
    assert all(check(draft, chunk, Qa(language="de")).values())


def test_reasons_are_reported_in_a_fixed_order():
    assert list(check(GOOD, CHUNK, QA)) == [
        "evidence_exists",
        "length",
        "is_question",
        "grounded",
        "amounts_kept",
        "terms_exist",
        "whole_words",
        "no_footnote_marks",
        "fits_evidence",
        "self_contained",
        "no_repetition",
        "language",
    ]


def test_numbers_words_and_codes_have_one_form():
    assert numbers("1,000 and 1000") == {"1000": 2}
    assert numbers("the 3rd of Sept. and the third") == {"3": 2, "september": 1}
    assert set(numbers("42 CFR 435.119, H-1B, 5 percent")) == {"42", "435.119", "h-1b", "5%"}


def test_negation_is_one_thing_however_it_is_said():
    assert modality("cannot") == modality("can not") == modality("can’t") == {"may", "not"}


def test_markup_is_taken_off_and_words_stay():
    assert plain("* See *the* [guide](a_(b).html), `x_y` and __all__ of 3\\*4.") == "See the guide, x_y and all of 3*4."
    assert plain("snake_case_name and 2 * 3 * 4") == "snake_case_name and 2 * 3 * 4"


@pytest.mark.parametrize(
    "text", ["> 138% of FPL", ">= 5 forms", "> $25 a month", "- 5 degrees", "- .5 points", "-5 degrees", "< 5 forms"]
)
def test_a_comparator_or_sign_in_front_of_a_number_is_no_mark(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("text", ["> The fee is 5.", "- The fee is 5.", "> - The fee is 5.", "- > The fee is 5."])
def test_a_quote_or_list_mark_in_front_of_words_goes(text: str) -> None:
    assert plain(text) == "The fee is 5."


def test_the_number_of_a_compound_is_supported_and_the_number_of_a_code_is_not():
    chunk = made_chunk("The 30-day limit of rule AB-10 holds for ages 19–64.")
    sentence = chunk.sentence(1)

    def grounded(answer):
        draft = Draft("What is the limit of the rule?", answer, (1,), (sentence,), "numeric")
        return check(draft, chunk, QA)["grounded"]

    assert grounded("30 days, from 19 to 64 years")
    assert not grounded("10 days")
