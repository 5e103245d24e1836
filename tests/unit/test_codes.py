"""Codes that are easily taken for one another: two questions, and no source of one another."""

import pytest

from hpc_qa.qa.answers import Draft
from hpc_qa.qa.checks import grounded
from hpc_qa.qa.duplicates import near_duplicates
from hpc_qa.qa.facts import numbers, supported_numbers
from hpc_qa.qa.markup import plain
from hpc_qa.qa.names import acronyms
from tests.made_chunks import made_chunk

OTHER_CODES = [
    ("What does section {} of the state plan ask of a provider?", "4(a)", "4(b)"),
    ("What does section {} of the state plan ask of a provider?", "4 (a)", "4 (b)"),
    ("Which households does 42 CFR {} say are eligible for coverage?", "435.916(a)", "435.916(b)"),
    ("Which households does 42 CFR {} say are eligible for coverage?", "435.916(a)(1)", "435.916(a)(2)"),
    ("Which households does 42 CFR {} say are eligible for coverage?", "435.916(a)-(b)", "435.916(a)-(c)"),
    ("What must a State do under paragraph {} of the rule?", "(i)", "(v)"),
    ("What must a State do under paragraph {} of the rule?", "(a)(1)(i)(A)", "(a)(1)(i)(a)"),
    ("What does the option {} of sbatch set for a job?", "-n", "-N"),
    ("What does squeue {} show to a user of the cluster?", "-a", "-A"),
    ("What does scancel {} do to the jobs of a user?", "--full", "--hurry"),
    ("What happens to the sample when it is stored at {} degrees?", "-5", "5"),
    ("What happens to the sample when it is stored at {} degrees?", "−5", "5"),
    ("Which share of {} percent does the county pay?", ".5", "5"),
    ("Which services does Medicare {} cover for a member at home?", "Part A", "Part I"),
    ("Which services does medicare {} cover for a member at home?", "part a", "part b"),
    ("Who needs a vaccine against {} before the first day of work?", "hepatitis b", "hepatitis c"),
    ("How many {} of a year may a member be away from home?", "½", "¾"),
    ("Which funds does Title {} of the Act give to a State?", "XIX", "XX"),
    ("What is kept in {} of the manual for the agencies of a State?", "Appendix A", "Appendix B"),
    ("What is kept in {} of the manual for the agencies of a State?", "appendices A and C", "appendices A and D"),
    ("What does the variable {} hold when a job begins?", "path", "PATH"),
]


@pytest.mark.parametrize(("question", "one", "other"), OTHER_CODES)
def test_questions_with_another_code_are_never_merged(question, one, other):
    assert near_duplicates([("1", question.format(one)), ("2", question.format(other))], 0.3) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does Section 4 (b) of the plan ask for?", "what does section 4(b) of the plan ask for"),
        ("Which services does Medicare Part A cover?", "which services does medicare part a cover?"),
        ("What is due after ½ year of coverage?", "What is due after 1/2 year of coverage?"),
        ("What happens at −5 degrees?", "What happens at -5 degrees?"),
        ("What does the form(s) of the plan ask for?", "What does the form of the plan ask for?"),
    ],
)
def test_another_spelling_of_the_same_code_makes_no_other_question(one, other):
    assert len(near_duplicates([("1", one), ("2", other)], 0.6)) == 1


OTHER_SOURCES = [
    ("Section 4(b) asks for the form.", "Section 4(a) asks for the form."),
    ("42 CFR 435.916(b) asks for the form.", "42 CFR 435.916(a)(1) asks for the form."),
    ("Paragraph (v) asks for the form.", "Paragraph (i) asks for the form."),
    ("It may be away for ¾ year.", "It may be away for ½ year."),
    ("The sample is kept at -5 degrees.", "The sample is kept at 5 degrees."),
    ("The sample is kept at 5 degrees.", "The sample is kept at -5 degrees."),
    ("Title XX gives the funds.", "Title XIX gives the funds."),
    ("Part B pays for the care.", "Part A pays for the care."),
    ("It is set with -N.", "It is set with -n."),
    ("It is set with --hurry.", "It is set with --full."),
    ("The rate of Iowa is paid.", "The rate of Ohio is paid."),
    ("The rate of Virginia is paid.", "The rate of West Virginia is paid."),
    ("The rate of Kansas is paid.", "The rate of Arkansas is paid."),
    ("The rate of Germany is paid.", "The rate of Georgia is paid."),
]


def is_grounded(answer, sentence, question="What holds for the form?", headings=()):
    chunk = made_chunk(sentence, headings=headings)
    return grounded(Draft(question, answer, (1,), (chunk.sentence(1),), "factual"), chunk)


@pytest.mark.parametrize(("answer", "sentence"), OTHER_SOURCES)
def test_another_code_or_place_than_that_of_the_evidence_is_not_grounded(answer, sentence):
    assert not is_grounded(answer, sentence)
    assert not is_grounded("It is so.", sentence, question=f"Is it so that {answer[0].lower()}{answer[1:-1]}?")
    assert is_grounded(sentence, sentence)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("Paragraph (a) of 435.916", "The rule is that of 42 CFR 435.916(a)(1)."),
        ("Under paragraph (a) the State pays.", "(a) The State pays for it."),
        ("435.916(a)", "The rule is that of 42 CFR 435.916 (a)."),
        ("After half of the year", "It ends after ½ of the year."),
        ("After 1/2 year", "It ends after a ½-year term."),
        ("At minus 5 degrees", "It is kept at −5 degrees."),
        ("Part D pays for it.", "Medicare Parts A and D pay for it."),
        ("Medicare Part A", "The Part A premium is paid."),
        ("-n and --ntasks", "Say it with `-n`, `--ntasks=4` or __-N__."),
        ("The part a member pays", "The share of a member is due."),
        ("In Ohio the fee is due.", "Ohioans pay the fee."),
        ("In Ohio the fee is due.", "Send the fee to Columbus, OH."),
        ("In the United States", "It holds in the U.S. alone."),
    ],
)
def test_another_spelling_or_a_part_of_the_code_of_the_evidence_is_grounded(answer, sentence):
    assert is_grounded(answer, sentence)


def test_a_place_of_the_headings_stands_for_the_state_of_a_sentence_that_names_none():
    assert is_grounded("Ohio pays for it.", "The State pays for it.", headings=("Ohio Medicaid Manual",))
    assert not is_grounded("Iowa pays for it.", "The State pays for it.", headings=("Ohio Medicaid Manual",))
    assert not is_grounded("Ohio pays for it.", "Iowa pays for it.", headings=("Ohio and Iowa",))


@pytest.mark.parametrize(
    "sentence",
    [
        "Section 4\\(b\\) and **435.916**(a) hold.",
        "- **-5** or `-n`, __-N__ and \\-7 are set.",
        "See [Part A](parts.md) (a) and [4](x.md)(b).",
        "| Title XIX | ½ | (v) | *--full* |",
    ],
)
def test_what_markup_stood_around_is_supported(sentence):
    assert set(numbers(plain(sentence))) <= supported_numbers(sentence)


def test_a_text_in_one_case_says_nothing_of_acronyms():
    assert acronyms("WHAT IS THE PATH?") == acronyms("what is the path?") == frozenset()
