"""Asking again for what was rejected: which pairs, how many of them, and what the model is told.

The tokens that asking again may take are a share of what the chunk took before. Costs are expected from what the same
chunk's requests have taken so far; nothing is asked whose expected cost does not fit any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hpc_qa.qa.examination import Pair
from hpc_qa.qa.generation import Ask, Rejected
from hpc_qa.qa.judge import Verdict

_OF_CHECKS = {
    "evidence_exists": "The sentences that were named as its evidence do not exist.",
    "length": "Its question or its answer is too short or too long.",
    "is_question": "It is not one plain question, or the question gives the answer away.",
    "grounded": "It has a number, date, code, or a shall, must, may or not that its evidence does not have.",
    "amounts_kept": "It turns a bound, unit, condition or duty of its evidence round, or swaps two amounts.",
    "terms_exist": "It has a name of a program or a gap to fill in that the document does not have.",
    "whole_words": "Its answer or its evidence begins or ends in the middle of a word.",
    "no_footnote_marks": "It has the number of a footnote in it.",
    "fits_evidence": "The question asks for something that its evidence does not say.",
    "self_contained": "The question cannot be understood without the document.",
    "no_repetition": "It repeats itself.",
    "language": "It is in another language.",
    "round_trip": "Answered from the document alone, the question has another answer.",
    "not_grounded": "The document does not say all that the answer says.",
    "not_answerable": "The document does not answer the question.",
    "not_self_contained": "The question cannot be understood without the document.",
}
_OF_SCORES = {
    "clarity": "The question is not clear.",
    "accuracy": "The answer is not accurate.",
    "relevance": "It is of no relevance to a reader of the document.",
}
LONGEST_REASON = max((*_OF_CHECKS.values(), *_OF_SCORES.values()), key=len) + " word" * 50  # and what the judge adds


@dataclass(slots=True)
class Spent:
    """Tokens of a chunk's requests, prompt and completion, cache hits included: the same in every attempt."""

    generation: int = 0
    generations: int = 0  # requests
    examination: int = 0  # round trips and judgements
    examined: int = 0  # pairs

    @property
    def tokens(self) -> int:
        return self.generation + self.examination

    def expected(self, requests: int, pairs: int) -> float:
        """Tokens of so many requests for so many pairs, from what they took so far."""
        a_request = self.generation / self.generations if self.generations else 0.0
        a_pair = self.examination / self.examined if self.examined else 0.0
        return requests * a_request + pairs * a_pair


def can_mend(reason: str | None) -> bool:
    """Whether asking again may help: a request that failed says nothing about its pair."""
    return reason is not None and words_for(reason, None) is not None


def words_for(reason: str, verdict: Verdict | None) -> str | None:
    """What the model is told of a rejection; of a judge's also its own words. None where there is nothing to tell."""
    said = _OF_CHECKS.get(reason) or _OF_SCORES.get(reason.partition("_below_")[0])
    if said is None or verdict is None or not verdict.reason:
        return said
    return f"{said} {verdict.reason}"


def asks_again(failed: Sequence[tuple[Pair, str]], spent: Spent, left: float) -> list[tuple[Ask, list[Pair]]]:
    """The requests for what failed, each with the pairs that it replaces: as many as `left` tokens should do for.

    `failed` are pairs of one chunk, each with its reason. An abstractive chunk is asked once for all, an extractive one
    sentence by sentence.
    """
    together = bool(failed) and failed[0][0].ask.target is None
    count = len(failed)
    while count and spent.expected(1 if together else count, count) > left:
        count -= 1
    chosen = failed[:count]
    if not chosen:
        return []
    told = [Rejected(p.draft.question, p.draft.answer, words_for(why, p.verdict) or why) for p, why in chosen]
    if together:
        ask = replace(chosen[0][0].ask, count=count, rejected=tuple(told))
        return [(ask, [pair for pair, _ in chosen])]
    return [(replace(pair.ask, rejected=(one,)), [pair]) for (pair, _), one in zip(chosen, told, strict=True)]
