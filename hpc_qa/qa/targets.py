"""Sentences of a chunk that make good answers by themselves.

The extractive style asks for one question per sentence, so the sentence must be declarative, complete, and clear to
somebody who reads nothing else. The choice depends on the chunk and a seed alone. The model is not asked.
"""

import hashlib
import re
from collections.abc import Collection

from hpc_qa.config import QUESTION_TYPES
from hpc_qa.documents.chunks import Chunk
from hpc_qa.qa.facts import modality, numbers
from hpc_qa.qa.markup import markup_share, plain
from hpc_qa.qa.openings import AUXILIARY, opening

MIN_WORDS, MAX_WORDS = 6, 60
MAX_MARKUP_SHARE = 0.08

_LEADING_REFERENCE = re.compile(
    r"""
    (?: this|that|these|those|it|its|they|their|them|he|she|his|her|we|our|i|you|your|such|here|there|both|either
      | neither|some|others|another|one|so|but|and|or|yet|however|therefore|thus|hence|also|moreover|furthermore
      | otherwise|instead|then|similarly|likewise|see|note|nb|example|examples|e\.g|i\.e
      | as\ (?:above|before|a\ result|mentioned) | for\ (?:example|instance|this|these|that|more)
      | in\ (?:this|these|that|addition|such|other\ words|fact) | to\ do\ (?:this|so)
      | the\ (?:following|above|former|latter|same|next|previous|second|third|other|first)
      | if\ (?:so|not|this|it) | when\ (?:this|it) | because\ (?:of\ )?(?:this|it)
      | (?:at|by|with)\ this | on\ the\ other\ hand
    )\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_POINTING = re.compile(
    r"""
    \b(?: the\ following|as\ follows|above|below|see\ also|table\ \d|figure\ \d
        | (?:this|next|previous)\ (?:section|chapter|page|table|figure|example|document|list|paragraph|step|option|case)
    )\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
# What is left of reStructuredText and HTML in text that was never rendered.
_REFERENCE_MARKUP = re.compile(r"`[^`]*`_|[\w\]]_(?=[\s.,;:\"'”’`)]|$)|::|\|[^|]+\||:\w+:`|https?://|<[^>]+>|\.\. ")
_FINITE = re.compile(rf"\b(?:{AUXILIARY})\b")
# Other finite verbs by their ending and what follows: "marks its content", "depended on".
_DETERMINER = "the|an?|its|their|his|her|all|any|no|every|each|only|both|not|several|two|three"
_VERB = re.compile(
    rf"(?<=\w )[a-z]{{2,}}(?:(?:s|ed) (?:{_DETERMINER})|s that|ed (?:to|as|by|into|from|for|on|up|[a-z]+ly|\d+))\b"
)
_DEFINITION = re.compile(r"^(?:An?|The)?\s*(?:[\w\-()]+\s){1,6}(?:is|are|means|refers to|denotes) (?:an?|the|any)\b")
_TALK = re.compile(r"\b(?:you|your|we|our|us|i|me|my|it|they|this|these)\b", re.IGNORECASE)


def targets(chunk: Chunk, count: int, *, seed: int, types: Collection[str] = QUESTION_TYPES) -> list[int]:
    """Numbers of up to `count` sentences that answer questions of these types, over the chunk, in reading order."""
    texts = {sentence.number: chunk.text[sentence.start : sentence.end] for sentence in chunk.sentences}
    candidates = [n for n, text in texts.items() if stands_alone(text) and question_type(text) in types]
    if len(candidates) <= count:
        return candidates
    bands = [candidates[len(candidates) * i // count : len(candidates) * (i + 1) // count] for i in range(count)]
    return [
        max(band, key=lambda number: (weight(chunk.sentence(number)), _draw(seed, chunk, number))) for band in bands
    ]


def stands_alone(sentence: str) -> bool:
    """Whether the sentence says something complete that needs no other sentence."""
    text = plain(sentence)
    words = text.split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or "|" in sentence or not _is_sentence(text):
        return False
    if _LEADING_REFERENCE.match(text) or _POINTING.search(text) or _REFERENCE_MARKUP.search(sentence):
        return False
    return (
        markup_share(text) <= MAX_MARKUP_SHARE and bool(_FINITE.search(text) or _VERB.search(text)) and _balanced(text)
    )


def _is_sentence(text: str) -> bool:
    """Begins with a capital (or a name in lower case that is followed by a finite verb), ends with a full stop."""
    if not text.endswith((".", '."', ".)", ".”")) or text.endswith("...") or text.count("?"):
        return False
    letters = sum(c.isalpha() for c in text)
    if letters < 0.6 * len(text) or text.isupper():
        return False
    return text[0].isupper() or text[0].isdigit()


def _balanced(text: str) -> bool:
    return text.count("(") == text.count(")") and text.count('"') % 2 == 0 and text.count("[") == text.count("]")


def weight(sentence: str) -> int:
    """How well a sentence can be asked about: its form first, then facts, duties, definitions; not too long."""
    text = plain(sentence)
    words = len(text.split())
    points = 2 * bool(numbers(text)) + bool(modality(text) & {"shall", "must", "may", "should"})
    points += 2 * bool(_DEFINITION.match(text)) + 2 * bool(_FINITE.search(text))
    points += (8 <= words <= 30) - 2 * bool(_TALK.search(text))
    return points + 6 * (opening(text.replace('"', "")) is not None)


def question_type(sentence: str) -> str:
    """The kind of question that this sentence answers, from its form."""
    text = plain(sentence)
    if modality(text) & {"shall", "must", "should"}:
        return "requirement"
    if _DEFINITION.match(text):
        return "definition"
    return "numeric" if numbers(text) else "factual"


def _draw(seed: int, chunk: Chunk, number: int) -> str:
    return hashlib.sha256(f"{seed}:{chunk.chunk_id}:{number}".encode()).hexdigest()
