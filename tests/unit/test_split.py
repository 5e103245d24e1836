"""Groups of near-identical documents, and the split that keeps them together."""

from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.campaign.split import choose_validation, groups_of
from hpc_qa.documents.reissues import sketch

SKETCHES = [sketch(" ".join(f"{seed}-{word}" for word in range(80))) or "" for seed in range(3)]


def test_equal_content_and_re_issues_are_one_group_named_by_its_smallest_document() -> None:
    contents = {"c": "1", "b": "2", "a": "1", "d": "3", "e": "4"}
    sketches = {"a": SKETCHES[0], "c": SKETCHES[0], "b": SKETCHES[0], "d": SKETCHES[1]}
    assert groups_of(contents, sketches, 0.7) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e"}


def test_short_documents_of_equal_content_are_together_without_a_sketch() -> None:
    assert groups_of({"a": "1", "b": "1"}, {}, 0.7) == {"a": "a", "b": "a"}


def test_one_group_alone_is_not_split_and_of_large_groups_the_smallest_validates() -> None:
    assert choose_validation("abcdef", dict.fromkeys("abcdef", "a")) == set()
    assert choose_validation("abcdef", dict.fromkeys("abcd", "a") | dict.fromkeys("ef", "e")) == {"e", "f"}


@given(st.dictionaries(st.text("abcdefghij", min_size=1), st.sampled_from("xyzuvw"), max_size=40))
def test_no_group_is_in_both_splits_and_about_a_tenth_validates(group_of) -> None:
    validation = choose_validation(group_of, group_of)
    groups = {group_of[name] for name in validation}
    assert validation == {name for name in group_of if group_of[name] in groups}
    if len(group_of) >= 5 and len(set(group_of.values())) > 1:
        assert validation
        assert len(validation) <= max(round(len(group_of) * 0.1), 1) or len(groups) == 1
