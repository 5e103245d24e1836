"""What stands beside an amount: changed it is found, said in other words it is not."""

import pytest

from hpc_qa.qa.amounts import difference
from hpc_qa.qa.facts import in_digits

CHANGED = [
    ("at most 30 days", "at least 30 days", "comparator"),
    ("no more than $5", "a minimum of $5", "comparator"),
    ("5 or fewer visits", "5 or more visits", "comparator"),
    ("children under 19", "persons 19 and older", "comparator"),
    ("less than 138% of the level", "more than 138 percent of the level", "comparator"),
    ("no later than 10 days before", "no earlier than 10 days before", "comparator"),
    ("up to 12 visits", "at least twelve visits", "comparator"),
    ("must exceed $2,000", "must not exceed $2,000", "comparator"),
    ("over age 65", "under age 65", "comparator"),
    ("<= 4 nodes", "at least 4 nodes", "comparator"),
    ("within 30 months", "within 30 days", "unit"),
    ("a fee of €5", "a fee of $5", "unit"),
    ("5 euros", "5 dollars", "unit"),
    ("16 MB... 16 gigabyte", "16 megabyte", "unit"),
    ("covered if it was approved", "covered unless it was approved", "condition"),
    ("It is covered unless the member is 21.", "It is covered if the member is 21.", "condition"),
    ("The agency may deny the claim.", "The agency may not deny the claim.", "negation"),
    ("Members must not be billed.", "Members must be billed.", "negation"),
    ("A state can recover it.", "A state cannot recover it.", "negation"),
    ("$10 for children and $5 for adults", "The fee is $5 for children and $10 for adults.", "order"),
    ("Part A costs 20, Part B costs 10", "Part A costs 10, Part B costs 20", None),  # letters say nothing here
    ("30 days for hospitals, 60 for clinics", "Hospitals have 60 days, clinics have 30 days.", "order"),
]
ALIKE = [
    ("5 or more", "at least 5"), ("no fewer than 5", "a minimum of 5"), ("at least five", "5 or more visits"),
    ("within 30 days", "no later than 30 days"), ("not more than 30 days", "at most 30 days"),
    ("up to $1,000", "may not exceed $1,000.00"), ("a maximum of 4", "no more than four"),
    ("older than 64", "over 64 years"), ("19 years or younger", "19 and under"), ("30 days", "within 30 days"),
    ("30 days", "30 calendar days"), ("30-day period", "30 days"), ("5 percent", "5%"), ("$5", "5 dollars"),
    ("The agency may not deny it.", "The agency cannot deny it."), ("The fee is 5.", "The fee is at least 5."),
    ("A state may pay only if it asked.", "A state may not pay unless it asked."),
    ("It must be paid if it is not exempt.", "It must be paid unless it is exempt."),
    ("$5 for children and $10 for adults", "The fee is $5 for children and $10 for adults."),
    ("Adults pay $10; children, $5.", "The fee is $5 for children and $10 for adults."),
    ("Between 5 and 10 days", "at least 5 days and at most 10 days"), ("No, they may not.", "They may not file."),
    ("1,000 nodes", "one thousand nodes"), ("42 CFR 435.916", "under 42 CFR 435.916"), ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("said", "source", "found"), CHANGED)
def test_a_change_is_found(said, source, found):
    assert difference(said, source) == found


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_other_words_for_the_same_are_no_change(one, other):
    assert difference(one, other) is None
    assert difference(other, one) is None


def test_numbers_have_one_spelling():
    assert in_digits("Twenty-one of 1,000.00 or 12.50, 5 per cent") == "21 of 1000 or 12.50, 5%"
