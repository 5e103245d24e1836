"""The deterministic checks of a draft: cheap, the same everywhere, and all of them must pass.

Each check is one named function; the name of the first that fails becomes the reason in the record. Taste is the
judge's affair, near-duplicates are found over the whole run (`duplicates.py`).
"""

import re
from collections.abc import Collection

from hpc_qa.config import Qa
from hpc_qa.documents.chunks import Chunk
from hpc_qa.qa.amounts import difference
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.facts import modality, numbers, supported_numbers
from hpc_qa.qa.fit import MIN_RUN, shares_words, suits
from hpc_qa.qa.language import is_language
from hpc_qa.qa.markup import plain
from hpc_qa.qa.names import places, supported_places
from hpc_qa.qa.standalone import points_at_the_text, stands_alone
from hpc_qa.qa.wording import has_footnote_mark, invented_terms, is_torn, is_torn_off
from hpc_qa.qa.words import common_run, content_words, has_spaces, repeats, words


def check(draft: Draft, chunk: Chunk, qa: Qa, *, examples: Collection[str] = ()) -> dict[str, bool]:
    """Every check by name, in the order in which a failure is reported.

    `examples` are questions of the prompt itself (`Prompts.examples`), which small models give back.
    """
    english = qa.language == "en"
    return {
        "evidence_exists": evidence_exists(draft, chunk),
        "length": length(draft, qa),
        "is_question": is_question(draft, examples, english=english),
        "grounded": grounded(draft, chunk),
        "amounts_kept": amounts_kept(draft, english=english),
        "terms_exist": terms_exist(draft, chunk),
        "whole_words": whole_words(draft, chunk, english=english),
        "no_footnote_marks": no_footnote_marks(draft),
        "fits_evidence": fits_evidence(draft, chunk, english=english),
        "self_contained": self_contained(draft),
        "no_repetition": no_repetition(draft),
        "language": is_language(draft.question, qa.language) and is_language(draft.answer, qa.language),
    }


def evidence_exists(draft: Draft, chunk: Chunk) -> bool:
    """There is evidence, every number names a sentence, every quotation stands in the chunk as written."""
    if not draft.evidence_numbers or len(draft.evidence) != len(draft.evidence_numbers):
        return False
    return all(text.strip() and text in chunk.text for text in draft.evidence)


def length(draft: Draft, qa: Qa) -> bool:
    """Question and answer are within the bounds of the settings."""
    bounds = qa.checks
    enough = len(draft.question.split()) >= bounds.min_question_words or not has_spaces(draft.question)
    answer = len(draft.answer)
    return (
        enough
        and len(draft.question) <= bounds.max_question_chars
        and bounds.min_answer_chars <= answer <= bounds.max_answer_chars
    )


_OPENING = re.compile(
    r"""
    (?: what|which|who|whom|whose|when|where|why|how|is|are|was|were|do|does|did|can|could|may|must|shall|should|will
      | would|has|have|had )\b
    | (?:in|on|at|to|for|from|by|with|under|after|before|during|of|into|until|since|through|within|about|against|besides
      | if|according|given)\b .*
      \b(?:what|which|who|whom|whose|when|where|why|how|is|are|does|do|did|can|may|must|shall|should|will|would)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_question(draft: Draft, examples: Collection[str], *, english: bool) -> bool:
    """One question, which is neither an example of the prompt nor the answer over again."""
    question = draft.question
    if not question.endswith(("?", "？", "؟")) or question.count("?") > 1:
        return False
    if english and not _OPENING.match(question):
        return False
    return question.casefold() not in examples and not gives_itself_away(draft)


def gives_itself_away(draft: Draft) -> bool:
    """The answer stands in the question as a whole, or adds no word to it that is about anything."""
    question, answer = words(draft.question), words(draft.answer)
    if not answer:
        return True
    if len(answer) >= 3 and f" {' '.join(answer)} " in f" {' '.join(question)} ":
        return True
    return len(answer) >= 6 and not _new_words(draft)


def _new_words(draft: Draft) -> set[str]:
    return content_words(draft.answer) - content_words(draft.question)


def grounded(draft: Draft, chunk: Chunk) -> bool:
    """No number, date, code or place without a source, and no shall, must, may or not that the evidence lacks.

    A number or place of the answer may stand in the question instead of the evidence; one of the question must stand
    in the chunk, so nothing comes in that way either.
    """
    evidence, source = " \n".join(draft.evidence), _all_of(chunk)
    asked = set(numbers(draft.question))
    if not asked <= supported_numbers(source):
        return False
    if not set(numbers(draft.answer)) <= supported_numbers(evidence) | asked:
        return False
    return _places_have_a_source(draft, evidence, source) and modality(draft.answer) <= modality(evidence)


def amounts_kept(draft: Draft, *, english: bool) -> bool:
    """No bound, unit, condition or duty of the evidence is turned round, and no two of its amounts change places."""
    return not english or difference(draft.answer, " ".join(draft.evidence)) is None


def _places_have_a_source(draft: Draft, evidence: str, source: str) -> bool:
    """States and countries are those of the evidence; where it names none ("the State"), those of the chunk."""
    asked = places(draft.question, any_case=False)
    answered = places(draft.answer, any_case=False) - asked
    if not asked and not answered:
        return True
    if not asked <= supported_places(source):
        return False
    return answered <= (supported_places(evidence) or supported_places(source))


def terms_exist(draft: Draft, chunk: Chunk) -> bool:
    """No name of a program and no gap to fill in that the chunk does not write the same way."""
    return not invented_terms(f"{draft.question} {draft.answer}", _all_of(chunk))


def whole_words(draft: Draft, chunk: Chunk, *, english: bool) -> bool:
    """Neither answer nor evidence begins or ends in the middle of a word.

    That of an answer is told by its words in the chunk; where words are made by joining others it cannot be told.
    """
    sentences = (
        chunk.sentences[number - 1] for number in draft.evidence_numbers if 1 <= number <= len(chunk.sentences)
    )
    if any(is_torn_off(chunk.text, sentence.start, sentence.end) for sentence in sentences):
        return False
    return not english or not is_torn(draft.answer, f"{_all_of(chunk)} {draft.question}")


def no_footnote_marks(draft: Draft) -> bool:
    """No number of a footnote hangs on a word of question or answer, as in "the rule.3"."""
    return not has_footnote_mark(draft.question) and not has_footnote_mark(draft.answer)


def _all_of(chunk: Chunk) -> str:
    """What the chunk says, with the name of its document, its headings and the head of its table."""
    return " \n".join((*chunk.around, chunk.text))


def fits_evidence(draft: Draft, chunk: Chunk, *, english: bool) -> bool:
    """The question is about what the evidence says, and asks for a kind of thing that the evidence holds.

    Where the answer is a quotation, the question also takes a few words of it as they stand: a small model's question
    in words of its own is nearly always about something else.
    """
    source = " ".join((*draft.evidence, draft.answer))
    above = (heading for number in draft.evidence_numbers for heading in chunk.headings_of([number]))
    if not shares_words(draft.question, " ".join((source, *above, chunk.table_header or ""))):
        return False
    if _is_quotation(draft) and common_run(draft.question, draft.answer) < MIN_RUN:
        return False
    return not english or suits(draft.question, source)


def self_contained(draft: Draft) -> bool:
    """The question makes sense to somebody who sees nothing else, and the answer does not point at the text."""
    return stands_alone(draft.question) and (_is_quotation(draft) or not points_at_the_text(draft.answer))


def no_repetition(draft: Draft) -> bool:
    """No text that a model writes when it is stuck in a loop. A quotation is the source's own and is left alone."""
    return not repeats(draft.question) and (_is_quotation(draft) or not repeats(draft.answer))


def _is_quotation(draft: Draft) -> bool:
    """The answer is its evidence, but for markup."""
    return words(draft.answer) in (words(" ".join(draft.evidence)), words(" ".join(map(plain, draft.evidence))))
