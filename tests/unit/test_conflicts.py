"""Two answers to one question: the same in other words, or another answer."""

import pytest

from hpc_qa.qa.conflicts import answers_conflict

OTHERWISE = [
    ("Within 30 days.", "Within 45 days."),
    ("It takes thirty days.", "It takes 60 days."),
    ("Ohio pays for it.", "Iowa pays for it."),
    ("Form CMS-64.", "Form CMS-37."),
    ("The service is covered.", "The service is not covered."),
    ("Yes, the plan covers it.", "No, the plan covers nothing of it."),
    ("The agency must send a notice.", "The agency may send a notice."),
    ("By 1 May 2024.", "By 1 June 2024."),
    ("The county office decides.", "The Medicaid agency."),
    ("Section 4(a).", "Section 4(b)."),
]
THE_SAME = [
    ("Within 30 days.", "It has thirty days."),
    ("30 days.", "30 days after the notice of 5 May."),
    ("The county office decides.", "It is decided by the office of the county."),
    ("The fee is $1,000.", "$1,000.00 is the fee."),
    ("", ""),
    ("CMS-64", "The form is CMS-64."),
]


@pytest.mark.parametrize(("one", "other"), OTHERWISE)
def test_answers_that_say_different_things_are_in_conflict_from_either_side(one: str, other: str) -> None:
    assert (answers_conflict(one, other), answers_conflict(other, one)) == (True, True)


@pytest.mark.parametrize(("one", "other"), THE_SAME)
def test_the_same_in_other_words_or_more_of_it_is_in_none(one: str, other: str) -> None:
    assert (answers_conflict(one, other), answers_conflict(other, one)) == (False, False)
