"""Near-identical documents: sketches, their similarity, groups, and which issue is the newest."""

import random

import pytest

from hpc_qa.documents.editions import edition
from hpc_qa.documents.reissues import groups, similarity, sketch

WORDS = [f"word{number}" for number in range(4_000)]


def text(seed: int, words: int = 3_000) -> list[str]:
    draw = random.Random(seed)
    return [draw.choice(WORDS) for _ in range(words)]


def changed(words: list[str], share: float, seed: int = 0) -> list[str]:
    """The same text with some words replaced."""
    draw = random.Random(seed)
    return [draw.choice(WORDS) if draw.random() < share else word for word in words]


def shingles(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + 3]) for start in range(len(words) - 2)}


def sketched(words: list[str]) -> str:
    found = sketch(" ".join(words))
    assert found is not None
    return found


@pytest.mark.parametrize("share", [0.0, 0.01, 0.03, 0.1, 0.3, 1.0])
def test_the_similarity_of_two_sketches_is_that_of_their_shingles_within_four_standard_errors(share: float) -> None:
    before = text(1)
    after = changed(before, share)
    exact = len(shingles(before) & shingles(after)) / len(shingles(before) | shingles(after))
    assert similarity(sketched(before), sketched(after)) == pytest.approx(exact, abs=0.12)


def test_documents_that_differ_in_one_number_are_near() -> None:
    before = text(2)
    after = [*before[:1_500], "2025", *before[1_501:]]
    assert similarity(sketched(before), sketched(after)) > 0.97


def test_a_text_that_is_too_short_has_no_sketch() -> None:
    assert sketch("This page is left blank on purpose.") is None


def test_re_issues_are_grouped_and_other_documents_are_not() -> None:
    sketches = {}
    for manual in range(40):
        issue = text(manual)
        for year in (2023, 2024, 2025):
            sketches[f"manual{manual}-{year}"] = sketched(issue)
            issue = changed(issue, 0.03, seed=year)
    sketches |= {f"other{number}": sketched(text(1_000 + number)) for number in range(40)}
    found = groups(sketches, 0.7)
    assert len(found) == 40
    assert all({name.split("-")[0] for name in group} == {group[0].split("-")[0]} for group in found)
    assert all(len(group) == 3 for group in found)


def test_the_first_and_the_last_year_are_joined_by_the_years_between_them() -> None:
    issue, sketches = text(3), {}
    for year in range(2015, 2026):
        sketches[f"manual-{year}"] = sketched(issue)
        issue = changed(issue, 0.04, seed=year)
    assert similarity(sketches["manual-2015"], sketches["manual-2025"]) < 0.6
    assert groups(sketches, 0.7) == [list(sketches)]


def test_the_order_of_the_documents_does_not_change_who_is_together() -> None:
    sketches = {f"{seed}{letter}": sketched(changed(text(seed), 0.02 * n)) for seed in range(9)
                for n, letter in enumerate("ab")}  # fmt: skip
    forward = {frozenset(group) for group in groups(sketches, 0.7)}
    assert forward == {frozenset(group) for group in groups(dict(reversed(sketches.items())), 0.7)}


def test_what_is_no_sketch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        similarity("not base64!", sketched(text(1)))


def test_the_date_of_an_issue_comes_from_its_path_and_title_and_is_the_latest_of_them() -> None:
    assert edition("manuals/provider_2024-07-01.pdf", "Manual 2023") == (2024, 7, 1)
    assert edition("manuals/2024/provider-202503.pdf", None) == (2025, 3, 0)
    assert edition("form-120241.pdf", "Manual") == (0, 0, 0)


@pytest.mark.parametrize(
    ("path", "title", "date"),
    [
        ("rules.pdf", "Rules, December 2025", (2025, 12, 0)),
        ("rules.pdf", "Rules of Feb. 3rd, 2025", (2025, 2, 3)),
        ("rules-15-March-2024.pdf", None, (2024, 3, 15)),
        ("rules_2024may.pdf", None, (2024, 5, 0)),
        ("rules-12-31-2024.pdf", None, (2024, 12, 31)),
        ("rules.pdf", "As of 31.12.2024", (2024, 12, 31)),
        ("rules-07-2025.pdf", None, (2025, 7, 0)),
        ("rules_07012025.pdf", None, (2025, 7, 1)),
        ("rules-20250701.pdf", None, (2025, 7, 1)),
        ("Section 2082 notes 2019.pdf", None, (2019, 0, 0)),
        ("Section 2021 notes 2019.pdf", None, (2019, 0, 0)),
        ("form 1999.pdf", "Maybe 2082", (0, 0, 0)),
        ("archive/2026/rules-2023.pdf", None, (2023, 0, 0)),
        ("archive/2026/rules.pdf", "Rules of 2024", (2024, 0, 0)),
        ("2025/March 2026/rules.pdf", None, (2026, 3, 0)),
        ("2025/scans/rules.pdf", None, (2025, 0, 0)),
        ("rules-FY24.pdf", None, (2024, 0, 0)),
        ("rules_fy2025.pdf", None, (2025, 0, 0)),
        ("rules.pdf", "Rules, FY '25", (2025, 0, 0)),
        ("rules_rev0124.pdf", None, (2024, 1, 0)),
        ("rules.pdf", "Rules (Rev. 01/24)", (2024, 1, 0)),
        ("rules-01-15-24.pdf", None, (2024, 1, 15)),
        ("rules.pdf", "Effective 1/1/25", (2025, 1, 1)),
        ("rules-2023.pdf", "The Public Law of 2025", (2023, 0, 0)),
        ("rules.pdf", "Affordable Care Act of 2010", (0, 0, 0)),
        ("rules 1-2-3.pdf", "Version 1.2.34", (0, 0, 0)),
        ("refy24.pdf", "Review 0124", (0, 0, 0)),
        ("manual 1901.pdf", "Decemberist", (0, 0, 0)),
    ],
)
def test_a_date_is_read_as_people_write_it_and_other_numbers_are_none(
    path: str, title: str | None, date: tuple
) -> None:
    assert edition(path, title, latest=2027) == date


def test_no_year_beyond_the_next_one_is_a_date() -> None:
    assert edition("rules 2024, 2044.pdf", None) == (2024, 0, 0)


def text_of(words, count, seed):
    draw = random.Random(seed)
    return " ".join(draw.choice(words) for _ in range(count))


def test_a_chapter_is_of_the_group_of_its_manual_and_boilerplate_joins_nobody():
    words = [f"word{number}" for number in range(800)]
    chapters = [text_of(words, 700, seed) for seed in range(10)]
    notice = text_of(words, 120, 99)
    texts = {
        "manual": " ".join(chapters),
        "chapter": f"{notice} {chapters[3]}",
        "edited": " ".join([*chapters[5].split()[:500], *text_of(words, 150, 77).split()]),
        **{f"other{number}": f"{notice} {text_of(words, 600, 200 + number)}" for number in range(12)},
    }
    sketches = {name: sketch(text) for name, text in texts.items()}
    assert groups(sketches, 0.7) == []
    assert groups(sketches, 0.7, contained=0.5) == [["manual", "chapter", "edited"]]
