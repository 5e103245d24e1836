"""Whether two answers to the same question say different things: the same manual of two states, or of two years.

Numbers, dates, codes, places and duties tell, else what the answers are about. What they mean is not known here: two
wordings of one answer that share hardly a word count as different.
"""

from collections.abc import Set

from hpc_qa.qa.amounts import difference
from hpc_qa.qa.facts import in_digits, modality, numbers
from hpc_qa.qa.names import places
from hpc_qa.qa.words import content_words

MIN_SHARED = 0.2  # of the words of the answer that has fewer


def answers_conflict(one: str, other: str) -> bool:
    """Whether each says something that the other does not, or one denies.

    An answer that says less than the other is in no conflict with it.

    >>> answers_conflict("Within 30 days.", "Within 45 days."), answers_conflict("30 days.", "30 days after notice.")
    (True, False)
    """
    duties, others = modality(one), modality(other)
    if ("not" in duties) != ("not" in others) or _differ(duties - {"not"}, others - {"not"}):
        return True
    if difference(one, other) or difference(other, one):
        return True
    if _differ(_amounts(one), _amounts(other)) or _differ(places(one), places(other)):
        return True
    ours, theirs = content_words(one), content_words(other)
    fewer = min(len(ours), len(theirs))
    return fewer > 0 and len(ours & theirs) < MIN_SHARED * fewer


def ask_otherwise(one: str, other: str) -> bool:
    """Whether each of two questions has a word that the other has not: then they may ask about two things.

    >>> ask_otherwise("What does sinfo print?", "What does squeue print?"), ask_otherwise("The fee?", "A fee of it?")
    (True, False)
    """
    ours, theirs = content_words(one), content_words(other)
    return not (ours <= theirs or theirs <= ours)


def _amounts(text: str) -> set[str]:
    """Numbers, codes and dates in one spelling."""
    return set(numbers(in_digits(text)))


def _differ(ours: Set[str], theirs: Set[str]) -> bool:
    return not (ours <= theirs or theirs <= ours)
