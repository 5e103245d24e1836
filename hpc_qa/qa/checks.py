"""The deterministic checks of a draft: cheap, the same everywhere, and all of them must pass.

Each check is one named function of a draft and its chunk; the name of the first that fails becomes the reason in the
record. Taste is the judge's affair, near-duplicates are found over the whole run (`duplicates.py`).
"""

import re
from collections import Counter
from collections.abc import Collection

from hpc_qa.config import Qa
from hpc_qa.documents.chunks import Chunk
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.facts import modality, numbers
from hpc_qa.qa.language import is_language


def check(draft: Draft, chunk: Chunk, qa: Qa, *, examples: Collection[str] = ()) -> dict[str, bool]:
    """Every check by name, in the order in which a failure is reported.

    `examples` are questions of the prompt itself (`Prompts.examples`), which small models give back.
    """
    return {
        "evidence_exists": evidence_exists(draft, chunk),
        "length": length(draft, qa),
        "is_question": is_question(draft, chunk, examples, english=qa.language == "en"),
        "grounded": grounded(draft, chunk),
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
    enough = len(draft.question.split()) >= bounds.min_question_words or not _SPACED.search(draft.question)
    return (
        enough
        and len(draft.question) <= bounds.max_question_chars
        and bounds.min_answer_chars <= len(draft.answer) <= bounds.max_answer_chars
    )


# ---- grounded ----------------------------------------------------------------------------------------------------


def grounded(draft: Draft, chunk: Chunk) -> bool:
    """No number, date or code in the pair that its source lacks, and no shall, must, may or not that the evidence lacks.

    A number of the answer may stand in the question instead of the evidence; a number of the question must stand in
    the chunk, so nothing comes in that way either.
    """
    evidence = " \n".join(draft.evidence)
    question_numbers = numbers(draft.question).keys()
    if not question_numbers <= numbers(" ".join((*chunk.headings, chunk.text))).keys():
        return False
    if not numbers(draft.answer).keys() <= numbers(evidence).keys() | question_numbers:
        return False
    return modality(draft.answer) <= modality(evidence)


# ---- self_contained ----------------------------------------------------------------------------------------------

_NOUNS = (
    r"(?:text|passage|document|section|sentence|paragraph|chapter|page|table|figure|example|list|excerpt|context|chunk"
    r"|statement|above|article|snippet|description|heading)"
)
_POINTS_AT_THE_TEXT = re.compile(
    rf"\b(?:according to|based on|in|from|of|by|per) (?:the|this|that) (?:given |above |following |provided |previous )?{_NOUNS}\b"
    rf"|\b(?:the|this|that) {_NOUNS} (?:say|state|describe|mention|refer|talk|discuss|explain|mean|provide|suggest|indicate)s?\b"
    rf"|\b(?:the|this|that) (?:above|following|given|provided|previous|preceding)\b"
    r"|\b(?:as )?(?:mentioned|described|stated|discussed|listed|shown|noted) (?:above|below|here|earlier|previously)\b"
    r"|\b(?:mentioned|quoted)\b|\babove-mentioned\b|\bsentence \[?\d+|\[\d+\]|\b(?:above|below)\b(?=\W*$)",
    re.IGNORECASE,
)
_POINTS_AT_NOTHING = re.compile(r"\b(?:this|these|those)\b|\bthat (?:is|was|does|do|did|mean)\b|\bthe (?:former|latter)\b", re.IGNORECASE)
_PRONOUN_SUBJECT = re.compile(
    r"^(?:(?:what|who|whom|whose|how|why|when|where|which)\b(?:\W+\w+){0,2}?\W+)?"
    r"(?:is|are|was|were|does|do|did|can|could|should|must|may|shall|will|would|has|have|had)(?:n't)?\s+"
    r"(?:it|they|he|she|we|i|one)\b"
    r"(?!\s+(?:possible|necessary|required|allowed|permitted|important|recommended|safe|better|called|useful|sufficient))",
    re.IGNORECASE,
)
_STOP_WORDS = frozenset(
    "a an the and or but if of in on at to for from by with without about into over under as than then so is are was"
    " were be been being has have had do does did done can could may might must shall should will would not no yes"
    " what which who whom whose when where why how it its they them their he she his her we our us you your i me my"
    " this that these those there here one ones any some all each every other such same only also more most less least"
    " very just made used use using purpose main following way kind type sort thing name mean means called many much"
    " happens happen example difference between".split()
)


def self_contained(draft: Draft) -> bool:
    """The question makes sense to somebody who sees nothing else, and the answer does not point at the text."""
    question = draft.question
    if _POINTS_AT_THE_TEXT.search(question) or _POINTS_AT_NOTHING.search(question):
        return False
    if _PRONOUN_SUBJECT.search(question) or not content_words(question):
        return False
    return _is_quotation(draft) or not _POINTS_AT_THE_TEXT.search(draft.answer)


def content_words(text: str) -> set[str]:
    """What the text is about: its words without those of grammar, shortened to a stem of five letters."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return {word[:5] for word in words if word not in _STOP_WORDS and (len(word) > 1 or not word.isascii())}


# ---- is_question -------------------------------------------------------------------------------------------------

_OPENING = re.compile(
    r"(?:what|which|who|whom|whose|when|where|why|how|is|are|was|were|do|does|did|can|could|may|must|shall|should|will"
    r"|would|has|have|had)\b|(?:in|on|at|to|for|from|by|with|under|after|before|during|of|into|until|since|through"
    r"|within|about|against|besides|if|according|given)\b.*\b(?:what|which|who|whom|whose|when|where|why|how|is|are"
    r"|does|do|did|can|may|must|shall|should|will|would)\b",
    re.IGNORECASE,
)
_SPACED = re.compile(r"[A-Za-z]")  # scripts without spaces have no countable words


def is_question(draft: Draft, chunk: Chunk, examples: Collection[str], *, english: bool) -> bool:
    """One question, about what its evidence says, that is neither an example of the prompt nor the answer again."""
    question = draft.question
    if not question.endswith(("?", "？", "؟")) or question.count("?") > 1:
        return False
    if english and not _OPENING.match(question):
        return False
    if question.casefold() in examples or gives_itself_away(draft):
        return False
    about = content_words(" ".join(draft.evidence) or chunk.text) | content_words(" ".join(chunk.headings))
    return not _SPACED.search(question) or bool(content_words(question) & about)


def gives_itself_away(draft: Draft) -> bool:
    """The answer stands in the question: as a whole, or word for word over most of its length."""
    question, answer = _words(draft.question), _words(draft.answer)
    if not answer:
        return True
    if len(answer) >= 3 and " ".join(answer) in " ".join(question):
        return True
    new = Counter(answer) - Counter(question)
    return len(answer) >= 6 and sum(new.values()) <= 0.15 * len(answer)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


# ---- no_repetition -----------------------------------------------------------------------------------------------


def no_repetition(draft: Draft) -> bool:
    """No text that a model writes when it is stuck in a loop. A quotation is the source's own and is left alone."""
    return not repeats(draft.question) and (_is_quotation(draft) or not repeats(draft.answer))


def repeats(text: str) -> bool:
    """The same three words three times, the same word four times on end, or one character ten times on end."""
    if re.search(r"([^\s.\-_=*])\1{9,}", text) or re.search(r"\b(\w+)(?:\W+\1\b){3,}", text, re.IGNORECASE):
        return True
    words = _words(text)
    triples = Counter(zip(words, words[1:], words[2:], strict=False))
    return bool(triples) and max(triples.values()) >= 3


def _is_quotation(draft: Draft) -> bool:
    """The answer is its evidence, but for markup."""
    return _words(draft.answer) == _words(" ".join(draft.evidence))
