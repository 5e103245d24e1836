"""What the checks say of placeholders, torn words and marks of footnotes, and that they leave good pairs alone."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hpc_qa.config import Qa
from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.chunks import Chunk, Sentence
from hpc_qa.documents.packing import chunk_blocks
from hpc_qa.documents.sentences import sentence_spans
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.checks import amounts_kept, check, no_footnote_marks, terms_exist, whole_words
from hpc_qa.qa.facts import numbers
from hpc_qa.qa.markup import plain
from hpc_qa.qa.openings import whole_question
from hpc_qa.qa.wording import has_footnote_mark
from tests import made_manual
from tests.made_chunks import made_chunk

CHUNK = made_chunk(
    "The agency must send the information on benefits to every member within 30 days.",
    r"The field CL\_Type and the option --force are set by the administrator.",
    "Coverage ends when the member is ineligible for benefits.",
    headings=("Notices",),
)
NEW = ("terms_exist", "whole_words", "no_footnote_marks")
QA = Qa()


def failed(number: int, question: str, answer: str, chunk: Chunk = CHUNK) -> list[str]:
    draft = Draft(question, answer, (number,), (chunk.sentence(number),), "factual")
    return [name for name, passed in check(draft, chunk, QA).items() if not passed and name in NEW]


@pytest.mark.parametrize(
    "answer",
    [
        "Within 30 days of date_time.",
        "The agency sends it to [member name] within 30 days.",
        "The agency sends it to {member} within 30 days.",
        "The agency sends it to <member> within 30 days.",
        "Within 30 days of ____.",
        "Within 30 days of the memberId.",
        "Within 30 days, to XXX.",
    ],
)
def test_a_term_that_the_document_does_not_have_is_refused(answer: str) -> None:
    assert failed(1, "When must the agency send the information on benefits?", answer) == ["terms_exist"]


@pytest.mark.parametrize(
    "answer",
    [
        "CL_Type and --force are set by the administrator.",
        "The field cl_type is set by the administrator.",
        "The administrator (a person) sets the *field* and the _option_.",
        "[The administrator] sets the field.",
    ],
)
def test_a_term_that_the_document_has_is_kept(answer: str) -> None:
    assert failed(2, "Who sets the field CL_Type and the option --force?", answer) == []


@pytest.mark.parametrize(
    "answer",
    ["mation on benefits to every member", "ormation", "ncy must send the information", "the information on bene"],
)
def test_an_answer_that_begins_or_ends_within_a_word_is_refused(answer: str) -> None:
    assert failed(1, "What must the agency send to every member?", answer) == ["whole_words"]


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, "information on benefits"),
        (1, "on benefits"),
        (1, "send the information on benefit"),
        (1, "No."),
        (1, "The information about what it pays for."),
        (3, "eligible for benefits"),
    ],
)
def test_an_answer_of_whole_words_is_kept_also_in_other_words_than_the_document(number: int, answer: str) -> None:
    assert failed(number, "What must the agency send to every member?", answer) == []


def test_a_word_that_is_torn_is_told_where_words_are_not_made_of_others_alone() -> None:
    chunk = made_chunk("Wer einen Bauantrag stellen muss, zahlt 25 Euro.")
    draft = Draft("Was muss man stellen?", "antrag stellen muss", (1,), (chunk.sentence(1),), "factual")
    assert check(draft, chunk, Qa(language="de"))["whole_words"]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("The information is free.", 7, 24),
        ("The infor-\n\nmation is free.", 12, 27),
        ("The infor-\n\nmation is free.", 0, 10),
        ("The information is free.", 0, 9),
    ],
)
def test_evidence_that_begins_or_ends_within_a_word_is_refused(text: str, start: int, end: int) -> None:
    chunk = Chunk("c", 0, text, (), None, 0, len(text), 9, (Sentence(1, start, end),))
    assert failed(1, "What is free for every member?", "Every part of it.", chunk) == ["whole_words"]


def test_evidence_between_marks_and_in_scripts_without_spaces_is_kept() -> None:
    for text, start, end in [
        ("**The fee** is due.", 2, 19),
        ("第一条规定费用。第二条规定期限", 8, 15),
        ("费用规定期限", 2, 4),
    ]:
        chunk = Chunk("c", 0, text, (), None, 0, len(text), 9, (Sentence(1, start, end),))
        assert failed(1, "What is due?", "It is due.", chunk) == []


@pytest.mark.parametrize(
    "answer",
    [
        "It applies the rule.3",
        "It applies the rule.3 The fee is due.",
        "It pays the fees;12 The rest is free.",
        "The rate⁵ is due.",
    ],
)
def test_the_mark_of_a_footnote_is_refused(answer: str) -> None:
    chunk = made_chunk("The agency applies the rule.3", "It pays the fees;12 the rest is free.", "The rate⁵ is due.")
    assert "no_footnote_marks" in failed(1, "What does the agency apply?", answer, chunk)


@pytest.mark.parametrize(
    "answer",
    ["It applies rule 3.", "It takes 2.5 hours.", "The room is 25 m² large.", "See libc.6 for it.", "On page 3."],
)
def test_a_number_that_is_no_footnote_is_kept(answer: str) -> None:
    chunk = made_chunk(f"The agency says this: {answer}")
    assert failed(1, "What does the agency say?", answer, chunk) == []


def test_a_sentence_ends_behind_the_mark_of_its_footnote_and_its_answer_has_none() -> None:
    text = "The agency must apply the rule.3 The member pays 25 dollars.12 It holds from 2019.4 to 2020. See sec.7 The."
    sentences = [text[start:end] for start, end in sentence_spans("paragraph", text, 0, len(text))]
    assert sentences[:2] == ["The agency must apply the rule.3", "The member pays 25 dollars.12"]
    assert [plain(one) for one in sentences[:2]] == ["The agency must apply the rule.", "The member pays 25 dollars."]
    assert numbers(sentences[0]) == {}
    assert numbers(sentences[1]) == {"25": 1}
    assert numbers("It is in rule.3b and in 42.5") == {"rule.3b": 1, "42.5": 1}


def good_pairs() -> Iterator[tuple[Draft, Chunk]]:
    """Pairs of manuals that are good: a question made of a sentence's words, answered by it, or by parts of it."""
    for seed in range(2):
        parts = made_manual.manual(seed)
        text = "\n\n".join(p.text for p in parts if isinstance(p, made_manual.Paragraph))
        for chunk in chunk_blocks(
            text, parse_blocks(text), document_sha256="0" * 64, page_starts=None, chunk_size=300,
            count=lambda texts: [len(one.split()) for one in texts],
        ):  # fmt: skip
            for sentence in chunk.sentences:
                source = chunk.sentence(sentence.number)
                question = whole_question(plain(source)) or f"What does the manual's rule on {plain(source)[:20]} say?"
                words = plain(source).rstrip(".").split()
                whole = Draft(question, plain(source), (sentence.number,), (source,), "factual")
                for answer in (
                    whole.answer,
                    " ".join(words[2:]),
                    " ".join(words[:6]),
                    words[-1],
                    f"It says: {whole.answer}",
                ):
                    yield replace(whole, answer=answer), chunk


def test_good_pairs_of_manuals_are_not_lost_to_these_checks() -> None:
    pairs = list(good_pairs())
    assert len(pairs) > 1_000
    assert [draft for draft, chunk in pairs if not terms_exist(draft, chunk)] == []
    assert [draft for draft, chunk in pairs if not whole_words(draft, chunk, english=True)] == []
    assert [draft for draft, _ in pairs if not no_footnote_marks(draft)] == []
    assert [draft for draft, _ in pairs if not amounts_kept(draft, english=True)] == []


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("within 30¹ days", True), ("the Medicaid² agency", True), ("all areas¹ by law", True), ("$5.00²", True),
        ("(see the rule)3 applies", True), ("(see the rule)³ applies", True), ("95%² of them", True),
        ("10⁶ cells", False), ("2⁸ values", False), ("12 km² of land", False), ("at 10⁻³", False), ("5 m³", False),
        ("python3 and node1", False), ("the file utf8.txt", False),
    ],
)  # fmt: skip
def test_the_raised_number_of_a_footnote_is_told_from_a_power(text, marked):
    assert has_footnote_mark(text) is marked
