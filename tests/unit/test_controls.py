"""Controls: what is done to a pair, that it is known to be wrong then, and who gets one."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.config import Controls, Qa
from hpc_qa.qa import checks, judge, prompts
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.controls import (
    EXTRACTIVE,
    SPOILERS,
    Neighbourhood,
    answer_swapped,
    comparator_changed,
    control_of,
    extractive,
    negation,
    number_changed,
    other_evidence,
)  # fmt: skip
from hpc_qa.qa.facts import modality, numbers
from hpc_qa.qa.generation import asks
from tests.made_chunks import made_chunk

SENTENCES = (
    "The state agency must determine eligibility within 45 days of the application.",
    "The backup command does not copy hidden files.",
    "A provider may request a fair hearing within 30 days of the notice.",
)
CHUNK = made_chunk(*SENTENCES)
OTHER = made_chunk("The library opens at nine.", "Visitors leave their coats at the door.", index=1)
[ASK] = asks(CHUNK, Qa())
DRAFT = Draft(
    "Within how many days must the state agency determine eligibility?",
    "It must do so within 45 days of the application.",
    (1,), (SENTENCES[0],), "numeric",
)  # fmt: skip
FILES = Draft("Which command does not copy hidden files?", "The backup command.", (2,), (SENTENCES[1],), "factual")
ALWAYS = Qa(controls=Controls(share=0.5))
NEAR = Neighbourhood(ALWAYS, [DRAFT, FILES], OTHER)


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=50)
def test_a_changed_number_stands_nowhere_in_the_chunk(drawn):
    ask, spoilt = number_changed(ASK, DRAFT, NEAR, drawn)
    assert ask is ASK
    [new] = numbers(spoilt.answer)
    assert new not in numbers(CHUNK.text)
    assert re.sub(r"\d+", "", spoilt.answer) == re.sub(r"\d+", "", DRAFT.answer)


def test_an_answer_without_a_number_has_none_to_change():
    assert number_changed(ASK, FILES, NEAR, 0.5) is None


def test_a_swapped_answer_is_that_of_a_pair_about_something_else():
    _, spoilt = answer_swapped(ASK, DRAFT, NEAR, 0.9)
    assert (spoilt.question, spoilt.answer, spoilt.evidence) == (DRAFT.question, FILES.answer, FILES.evidence)
    alike = Draft(FILES.question, DRAFT.answer, (3,), (SENTENCES[2],), "numeric")
    assert answer_swapped(ASK, DRAFT, NEAR._replace(pairs=[DRAFT, alike]), 0.0) is None


def test_a_pair_beside_another_chunk_is_only_made_where_that_chunk_does_not_prove_it():
    ask, same = other_evidence(ASK, DRAFT, NEAR, 0.0)
    assert (ask.chunk, same) == (OTHER, DRAFT)
    assert other_evidence(ASK, DRAFT, NEAR._replace(other=None), 0.0) is None
    assert other_evidence(ASK, DRAFT, NEAR._replace(other=made_chunk(SENTENCES[0], index=2)), 0.0) is None


def test_a_negation_is_put_in_or_left_out():
    for answer, spoilt in (
        ("It must do so.", "It must not do so."),
        ("It does not copy them.", "It does copy them."),
        ("They are covered.", "They are not covered."),
    ):
        _, made = negation(ASK, Draft("What?", answer, (1,), (answer,), None), NEAR, 0.0)
        assert made.answer == spoilt
        assert ("not" in modality(made.answer)) != ("not" in modality(answer))
    for answer in (
        "45 days.",
        "In May 2024.",
        "It must not do so without a form.",
        "No later than in May.",
        "Whether or not it pays.",
    ):
        assert negation(ASK, Draft("What?", answer, (1,), (answer,), None), NEAR, 0.0) is None


def test_a_bound_is_turned_round():
    for answer, spoilt in (
        ("It has at least 45 days.", "It has at most 45 days."),
        ("No more than 5 visits are paid.", "No less than 5 visits are paid."),
        ("Persons of 19 or older pay.", "Persons of 19 or younger pay."),
        ("Within 30 days of it.", "No earlier than 30 days of it."),
    ):
        _, made = comparator_changed(ASK, Draft("What?", answer, (1,), (answer,), None), NEAR, 0.0)
        assert made.answer == spoilt
        assert not checks.amounts_kept(made, english=True)
    for answer in ("45 days.", "It stays within the agency.", "It must do so."):
        assert comparator_changed(ASK, Draft("What?", answer, (1,), (answer,), None), NEAR, 0.0) is None


def test_a_good_control_passes_every_check_and_answers_with_its_source():
    for drawn in (0.0, 0.5, 0.99):
        ask, made = extractive(ASK, DRAFT, NEAR, drawn)
        assert made.answer in CHUNK.text
        assert all(checks.check(made, ask.chunk, ALWAYS).values())
    assert extractive(asks(OTHER, Qa())[0], DRAFT, NEAR, 0.0) is None


def test_which_pairs_give_a_control_follows_from_their_keys_and_the_seed():
    made = {str(n): control_of(ASK, DRAFT, NEAR, key=str(n), seed=1) for n in range(400)}
    assert made == {str(n): control_of(ASK, DRAFT, NEAR, key=str(n), seed=1) for n in range(400)}
    other = {str(n): control_of(ASK, DRAFT, NEAR, key=str(n), seed=2) for n in range(400)}
    assert made != other
    found = [one for one in made.values() if one]
    assert 160 < len(found) < 240
    assert 0.35 < sum(one.good for one in found) / len(found) < 0.65
    assert {one.kind for one in found} == {EXTRACTIVE, *SPOILERS}


def test_a_share_of_nothing_gives_no_control():
    none = NEAR._replace(qa=Qa(controls=Controls(share=0)))
    assert not any(control_of(ASK, DRAFT, none, key=str(n), seed=1) for n in range(100))


def test_the_judge_is_asked_about_a_control_as_about_a_pair():
    templates = prompts.load()
    for key in range(60):
        control = control_of(ASK, DRAFT, NEAR, key=str(key), seed=1)
        if control is None:
            continue
        ours = judge.messages(templates, control.ask, control.draft)
        theirs = judge.messages(templates, ASK, DRAFT)
        assert [turn["role"] for turn in ours] == [turn["role"] for turn in theirs]
        put = ours[-1]["content"].replace(control.draft.question, DRAFT.question)
        assert put.replace(control.draft.answer, DRAFT.answer) == theirs[-1]["content"]
