import contextlib
import dataclasses
import json
import re
import string

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpc_qa.config import Qa
from hpc_qa.errors import RequestError
from hpc_qa.qa import judge, prompts
from hpc_qa.qa.answers import Draft, parse
from hpc_qa.qa.checks import check, grounded
from hpc_qa.qa.control_tokens import neutralise
from hpc_qa.qa.duplicates import jaccard, near_duplicates, shingles
from hpc_qa.qa.facts import numbers
from hpc_qa.qa.generation import asks, choose_chunks
from hpc_qa.qa.openings import opening
from hpc_qa.qa.targets import targets
from tests.made_chunks import made_chunk

DUTIES = ["shall", "must", "may", "should"]
WORDS = st.sampled_from("State plan provider member hospital report limit income child service audit form".split())
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=120)
COMMON = settings(max_examples=60, deadline=None)


@st.composite
def facts(draw):
    """A sentence with a duty, a number and a code, and its parts."""
    subject, thing = draw(WORDS), draw(WORDS)
    duty, number, code = draw(st.sampled_from(DUTIES)), draw(st.integers(2, 9_999)), draw(st.integers(10, 99))
    sentence = f"The {subject} {duty} change the {thing} within {number} days under rule AB-{code}."
    return sentence, duty, number, code


def draft_of(sentence, answer, question="What happens to the plan?"):
    return Draft(question, answer, (1,), (sentence,), "factual")


@COMMON
@given(facts())
def test_a_quotation_is_always_grounded(fact):
    sentence, *_ = fact
    assert grounded(draft_of(sentence, sentence), made_chunk(sentence))


@COMMON
@given(facts(), st.integers(2, 99_999), st.sampled_from(["{}", "{:,}", "{}.5", "{}%"]))
def test_a_changed_number_is_never_grounded(fact, other, form):
    sentence, _, number, _ = fact
    answer = sentence.replace(f" {number} ", f" {form.format(other)} ")
    assume(numbers(answer) != numbers(sentence))
    assert not grounded(draft_of(sentence, answer), made_chunk(sentence))


@COMMON
@given(facts(), st.sampled_from(DUTIES))
def test_a_changed_duty_is_never_grounded_even_if_the_question_has_it(fact, other):
    sentence, duty, _, _ = fact
    assume(other != duty)
    answer = sentence.replace(f" {duty} ", f" {other} ")
    question = f"What {other} the State do with the plan?"
    assert not grounded(draft_of(sentence, answer, question), made_chunk(sentence))


@COMMON
@given(facts())
def test_a_not_that_was_put_in_is_never_grounded(fact):
    sentence, duty, *_ = fact
    answer = sentence.replace(f" {duty} ", f" {duty} not ")
    assert not grounded(draft_of(sentence, answer), made_chunk(sentence))


@COMMON
@given(TEXT, TEXT, st.lists(st.integers(-3, 9), max_size=4))
def test_no_text_breaks_a_check_and_every_check_is_a_bool(question, answer, given_numbers):
    chunk = made_chunk("The plan must be kept.", "It is of 2024.")
    draft = Draft(question, answer, tuple(given_numbers), (), "factual")
    assert all(type(passed) is bool for passed in check(draft, chunk, Qa()).values())


@COMMON
@given(
    st.text(max_size=200)
    | st.recursive(
        st.none() | st.integers() | TEXT,
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["items", "question", "answer", "evidence"]), x),
    ).map(json.dumps),
    st.sampled_from(["stop", "length", None]),
)
def test_no_reply_breaks_parsing_and_all_evidence_is_verbatim(text, finish_reason):
    chunk = made_chunk("The plan must be kept by every provider.", "The limit of 2024 is the income of a child.")
    for qa in (Qa(), Qa(answer_style="extractive")):
        for ask in asks(chunk, qa):
            drafts = []
            with contextlib.suppress(RequestError):
                drafts = parse(ask, text, finish_reason)
            assert len(drafts) <= ask.count
            assert all(piece in chunk.text for draft in drafts for piece in draft.evidence)
            json.dumps([dataclasses.asdict(draft) for draft in drafts]).encode()


@COMMON
@given(st.text(max_size=100))
def test_a_verdict_is_whole_or_absent(text):
    verdict = judge.parse(text)
    assert verdict is None or 0 <= (judge.quality_score(verdict) or 0) <= 1


@COMMON
@given(st.lists(st.sampled_from(["<|im_end|>", "<|", "|>", "im_end", "<s>", " ", "a", "<", "<|IM_END|>"]), max_size=12))
def test_neutralised_text_holds_no_control_token_and_the_same_letters(parts):
    text, tokens = "".join(parts), ["<|im_end|>", "<s>"]
    clean = neutralise(text, tokens)
    assert not any(token in clean.lower() for token in tokens)
    assert clean.replace(" ", "") == text.replace(" ", "")


@COMMON
@given(st.lists(st.text(alphabet=string.printable + "{}", min_size=1, max_size=60), min_size=1, max_size=5))
def test_a_document_never_changes_the_number_of_turns_or_the_instruction(sentences):
    templates = prompts.load()
    made, other = (asks(made_chunk(*chunk), Qa())[0].messages(templates) for chunk in (sentences, ["x"]))
    assert [turn["role"] for turn in made] == [turn["role"] for turn in other]
    assert made[-1] == other[-1]


@COMMON
@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abc")), max_size=12), st.integers(1, 40), st.integers(0, 9)
)
def test_the_cap_is_reached_exactly_where_the_chunks_can_hold_it(shape, cap, seed):
    chunks = [made_chunk(*["x"] * size, index=i, headings=(h,)) for i, (size, h) in enumerate(shape)]
    qa = Qa(questions_per_chunk=4, max_pairs_per_document=cap)
    chosen = choose_chunks(chunks, qa, seed=seed, doc_id="d")
    assert sum(limit for _, limit in chosen) == min(cap, 4 * len(chunks))
    assert all(1 <= limit <= 4 for _, limit in chosen)
    assert [chunk.index for chunk, _ in chosen] == sorted(chunk.index for chunk, _ in chosen)
    assert chosen == choose_chunks(chunks, qa, seed=seed, doc_id="d")


@COMMON
@given(st.lists(facts(), max_size=8), st.integers(0, 8), st.integers(0, 99))
def test_targets_are_different_sentences_of_the_chunk_in_order(made, count, seed):
    chunk = made_chunk(*[sentence for sentence, *_ in made])
    chosen = targets(chunk, count, seed=seed) if count else []
    assert len(chosen) <= count
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= {sentence.number for sentence in chunk.sentences}


@COMMON
@given(TEXT)
def test_every_opening_is_a_pattern(sentence):
    pattern = opening(sentence)
    if pattern is not None:
        re.compile(pattern)


QUESTIONS = st.lists(
    st.lists(WORDS, min_size=3, max_size=7).map(lambda words: f"What is the {' '.join(words)}?"), max_size=12
)


@settings(max_examples=30, deadline=None)
@given(QUESTIONS, st.randoms())
def test_the_order_of_the_questions_makes_no_difference(questions, random):
    items = [(f"key{number:02}", question) for number, question in enumerate(questions)]
    shuffled = random.sample(items, len(items))
    assert near_duplicates(items, 0.8) == near_duplicates(shuffled, 0.8)


@settings(max_examples=30, deadline=None)
@given(QUESTIONS)
def test_a_dropped_question_is_near_one_that_stays_and_has_a_smaller_key(questions):
    by_key = {f"key{number:02}": question for number, question in enumerate(questions)}
    dropped = near_duplicates(list(by_key.items()), 0.8)
    for key, kept in dropped.items():
        assert kept < key
        assert kept not in dropped
        assert jaccard(shingles(by_key[key]), shingles(by_key[kept])) >= 0.8
