import pytest

from hpc_qa.qa.duplicates import near_duplicates

THRESHOLD = 0.8


def test_case_and_punctuation_make_no_new_question():
    items = [("b", "what is the income limit for a child"), ("a", "What is the income limit for a child?")]
    assert near_duplicates(items, THRESHOLD) == {"b": "a"}


def test_a_changed_word_is_near_and_another_question_is_not():
    items = [
        ("1", "Which documents must a provider keep for the yearly audit of the state plan?"),
        ("2", "Which documents must the provider keep for the yearly audit of the state plan?"),
        ("3", "Who pays for the transport of a member to a hospital?"),
    ]
    assert near_duplicates(items, THRESHOLD) == {"2": "1"}


def test_questions_with_different_numbers_or_codes_are_never_merged():
    items = [
        ("1", "What is the income limit for a child of age 19 in the state plan?"),
        ("2", "What is the income limit for a child of age 21 in the state plan?"),
        ("3", "What is the income limit for a child of age twenty in the state plan?"),
        ("4", "Which lines of form CMS-64 hold the income limit for a child in the state plan?"),
        ("5", "Which lines of form CMS-37 hold the income limit for a child in the state plan?"),
    ]
    assert near_duplicates(items, 0.5) == {}


def test_a_number_word_is_its_number():
    items = [
        ("1", "Who must sign the 2 forms of the yearly plan?"),
        ("2", "Who must sign the two forms of the yearly plan?"),
    ]
    assert near_duplicates(items, 0.5) == {"2": "1"}


def test_nothing_and_empty_questions_are_no_fault():
    assert near_duplicates([], THRESHOLD) == {}
    assert near_duplicates([("a", ""), ("b", "?")], THRESHOLD) == {"b": "a"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which form does a provider in Ohio have to file?", "Which form does a provider in Iowa have to file?"),
        ("which form does a provider in ohio have to file?", "which form does a provider in iowa have to file?"),
        ("Which plan of north carolina covers dental care?", "Which plan of south carolina covers dental care?"),
        ("Who pays for transport to a clinic in Georgia?", "Who pays for transport to a clinic in Germany?"),
        ("When does Medicare pay for the care at home?", "When does Medicaid pay for the care at home?"),
        ("Which services of the plan are covered at home?", "Which services of the plan are not covered at home?"),
        ("What must a provider do before the yearly audit?", "What may a provider do before the yearly audit?"),
        ("When is an income of < $5 reported to the state?", "When is an income of > $5 reported to the state?"),
        ("Which share of 5% of the income does a plan take?", "Which share of 5 of the income does a plan take?"),
    ],
)
def test_questions_with_another_name_duty_or_sign_are_never_merged(one, other):
    assert near_duplicates([("1", one), ("2", other)], 0.3) == {}


def test_names_in_another_case_are_the_same_names():
    items = [("1", "Which form does Ohio ask a provider for?"), ("2", "which form does OHIO ask a provider for")]
    assert near_duplicates(items, THRESHOLD) == {"2": "1"}


def test_politeness_in_front_makes_no_new_question():
    asked = "what is the income limit for a child?"
    items = [("1", asked), ("2", f"Can you tell me {asked}"), ("3", f"Please explain: {asked}")]
    assert near_duplicates(items, 0.99) == {"2": "1", "3": "1"}


def test_a_copy_of_a_dropped_question_goes_to_the_one_that_stays():
    near = "Which documents must the provider keep for the yearly audit of the state plan?"
    items = [("1", near.replace("the provider", "a provider")), ("2", near), ("3", near.upper())]
    assert near_duplicates(items, 0.7) == {"2": "1", "3": "1"}


@pytest.mark.parametrize("threshold", [0.01, 0.5, 0.99, 1.0])
def test_every_threshold_that_a_config_may_set_works(threshold):
    items = [("1", "What is the limit of the plan for a child?"), ("2", "what is the limit of the plan for a child")]
    assert near_duplicates(items, threshold) == {"2": "1"}


OPPOSITES = [
    ("What is the {} age for the program?", "minimum", "maximum"),
    ("Which rules hold for the payment of {} care in a hospital?", "inpatient", "outpatient"),
    ("How does the agency process {} reports of a provider?", "weekly", "monthly"),
    ("Which services are {} in the benefits of the state plan?", "included", "excluded"),
    ("What must the agency do {} the hearing of a member?", "before", "after"),
    ("How does a member {} in a plan of the agency?", "enroll", "disenroll"),
    ("Who is {} for transport to a hospital under the plan?", "eligible", "ineligible"),
    ("Within how many {} must the claim be filed with the agency?", "days", "hours"),
    ("What is the {} limit of the income of a household?", "upper", "lower"),
    ("Which forms must {} members file for the yearly renewal?", "unmarried", "married"),
    ("What must the {} report to the agency about the wages?", "employer", "employee"),
    ("What does the setting {} limit on a node of the cluster?", "max_array_size", "min_array_size"),
    ("What does the program `{}` print about the jobs of a user?", "sinfo", "squeue"),
    ("Which settings of the cluster are read from {} by the daemon?", "slurm.conf", "cgroup.conf"),
    ("Which setting does the field {} of the message configure?", "uplinkCarrier", "ulinkCarrier"),
]


@pytest.mark.parametrize(("question", "one", "other"), OPPOSITES)
def test_opposites_units_and_identifiers_make_another_question(question, one, other):
    items = [("1", question.format(one)), ("2", question.format(other)), ("3", question.format(one).upper())]
    assert near_duplicates(items, 0.5) == {"3": "1"}


def test_a_unit_in_another_form_is_the_same():
    items = [
        ("1", "What is due in the first month of the plan year?"),
        ("2", "What is due in the first months of the plan year?"),
    ]
    assert near_duplicates(items, 0.6) == {"2": "1"}
