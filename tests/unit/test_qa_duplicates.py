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
