"""The round trip: a question is answered again, from its chunk alone, and both answers must say the same.

A question that its chunk does not answer, or that asks for something else than its answer gives, comes back with
another answer. What "the same" means is compared in words; the judge has the last one.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hpc_qa.qa.amounts import difference
from hpc_qa.qa.answers import Draft, tidy
from hpc_qa.qa.facts import in_digits, modality, numbers
from hpc_qa.qa.generation import Ask
from hpc_qa.qa.prompts import Message, Prompts
from hpc_qa.qa.words import has_spaces, is_grammar, words

MAX_TOKENS = 160
TEMPERATURE = 0.0
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "minLength": 1, "maxLength": 500}},
    "required": ["answer"],
    "additionalProperties": False,
}
_DUTIES = {"shall", "must"}


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back, and how it differs from the answer of the pair."""

    answer: str
    token_f1: float
    differs: str | None  # "numbers", "modality", what `amounts.difference` finds, or "words"; None: it agrees


def messages(prompts: Prompts, ask: Ask, draft: Draft) -> tuple[Message, ...]:
    """The chat: the beginning of the ask's own, then the question; nothing of the answer."""
    return prompts.messages(ask.document(prompts), prompts.fill("round_trip", question=draft.question))


def parse(text: str, draft: Draft, min_token_f1: float) -> Answered | None:
    """The answer in a reply, compared; None where there is none."""
    try:
        reply = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    answer = reply.get("answer") if isinstance(reply, dict) else None
    if not isinstance(answer, str) or not (answer := tidy(answer)):
        return None
    f1 = token_f1(draft.answer, answer, draft.question)
    return Answered(answer, round(f1, 4), _difference(draft, answer, f1, min_token_f1))


def _difference(draft: Draft, answer: str, f1: float, min_token_f1: float) -> str | None:
    asked, ours, theirs = (set(numbers(in_digits(text))) for text in (draft.question, draft.answer, answer))
    if ours - asked != theirs - asked:
        return "numbers"
    if contradict(draft.answer, answer, draft.question):
        return "modality"
    if found := difference(draft.answer, answer):
        return found
    return "words" if f1 < min_token_f1 else None


def contradict(ours: str, theirs: str, question: str) -> bool:
    """Whether one answer denies what the other says, or makes a permission of its duty.

    What the question already says an answer need not repeat: a `not` of the question may stand in one of them alone.
    A short answer without shall, must or may contradicts neither.

    >>> contradict("They must file it.", "They may file it.", "What about the form?")
    True
    """
    left, right, asked = modality(ours), modality(theirs), modality(question)
    if "not" not in asked and ("not" in left) != ("not" in right):
        return True
    return any(one & _DUTIES and "may" in other and "may" not in one and not other & _DUTIES
               for one, other in ((left, right), (right, left)))  # fmt: skip


def token_f1(ours: str, theirs: str, question: str = "") -> float:
    """Harmonic mean of the precision and recall of tokens, 0 to 1.

    As in SQuAD (P. Rajpurkar et al., EMNLP 2016) every token counts as often as it occurs, in lower case. Left out are
    words of grammar and what the question says already, so that a sentence which repeats its question is as good as the
    two words that answer it; where nothing would be left of an answer, both count as they are.

    >>> token_f1("The fee is 4 dollars.", "4 dollars", "What is the fee?")
    1.0
    """
    left, right = _tokens(ours), _tokens(theirs)
    asked = _said(_tokens(question))
    if (about := _said(left) - asked) and (there := _said(right) - asked):
        left, right = about, there
    common = (left & right).total()
    return 2 * common / (left.total() + right.total()) if common else 0.0


def _tokens(text: str) -> Counter[str]:
    found = words(in_digits(text))
    return Counter(found if has_spaces(text) else "".join(found))  # a script that does not part words: by characters


def _said(tokens: Counter[str]) -> Counter[str]:
    return Counter({token: count for token, count in tokens.items() if not is_grammar(token)})
