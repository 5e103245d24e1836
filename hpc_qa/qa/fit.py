"""Whether a question asks for something that its evidence says.

Words are compared, meaning is not: a question about other things than its evidence shares few words with it, and "how
many" without a number, or "what is X" of a sentence that only names X, cannot be answered from it. The forms are
English; in other languages only the shared words count.
"""

import re

from hpc_qa.qa.facts import numbers
from hpc_qa.qa.words import content_words, has_spaces

MIN_SHARED_WORDS = 0.6
MIN_RUN = 3  # words


def shares_words(question: str, source: str) -> bool:
    """Most of the question's content words stand in the source."""
    about = content_words(question)
    if not about or not has_spaces(question):
        return True
    return len(about & content_words(source)) >= MIN_SHARED_WORDS * len(about)


def suits(question: str, source: str) -> bool:
    """The source holds the kind of thing that this English question asks for."""
    if _WRONG_GRAMMAR.search(question):
        return False
    spelled = f"{source} {' '.join(numbers(source))}"  # number words as digits behind it
    if any(asks.search(question) and not holds.search(spelled) for asks, holds in _FORMS):
        return False
    return _explains(question, source)


def _form(asks: str, holds: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A form of question, and the words (or a digit, written 0) of which its source holds one."""
    wanted = r"\d" if "0" in holds.split() else r"(?!)"
    alternatives = "|".join(word.replace("_", " ").replace("*", r"\w*") for word in holds.split() if word != "0")
    return re.compile(asks, re.IGNORECASE), re.compile(rf"{wanted}|\b(?:{alternatives})\b", re.IGNORECASE)


_FORMS = (
    _form(r"^how (?:many|much|old|far|tall|wide|big|large)\b", "0 no none all every each single both few many several"),
    _form(r"^how long\b", "0 long longer short until as_soon permanent* brief* length size forever always"),
    _form(
        r"^how often\b",
        "0 every each always never often usually sometimes daily weekly monthly yearly annual* regular* once twice per",
    ),
    _form(
        r"^(?:since |until )?when\b",
        "0 when whenever after before until till during while once if first last as_soon upon by_the_time initially"
        " originally always never now today currently on at since later earlier years? months? days? in",
    ),
    _form(r"^why\b", "because since so to for due order as therefore reason allow* thus owing if otherwise"),
    _form(
        r"^how (?:can|could|do|does|did|is|are|was|were|should|must|may|will|would|to)\b",
        "by with without via through using uses? used from to if when as like in_order so_that works? applie*"
        r" [a-z]{3,}ly",
    ),
    _form(
        r"\bdifferences?\b|\bdiffer\b",
        "differ* than whereas while unlike but distinct* instead only not or contrast",
    ),
    _form(
        r"\b(?:purpose|goal|aim) of\b",
        "to for so_that purpose goal aims? allows? used? provides? intended designed",
    ),
    _form(r"^what happens\b", "if when whenever after once will would then until causes? leads?"),
)
# "How does the pump is started": a question word and an auxiliary in front of a whole statement.
_WRONG_GRAMMAR = re.compile(
    r"^(?:how|why|when|where) (?:does|do|did) .{3,60}? (?:is|are|was|were|may|must|shall) ", re.IGNORECASE
)
_ASKS_WHAT_IT_IS = re.compile(
    r"^what(?:'s|’s| is| are| was| were) (?:an? |the )?((?:[^\W_][\w'’/.-]* ?){1,4})\?$", re.IGNORECASE
)
_SAYS_WHAT_IT_IS = (
    "(?:is|are|was|were|means?|refers? to|denotes?|describes?|defines?|provides?|contains?|consists? of|represents?)"
    r"\b(?! (?:\w+ed|not|also|always|often|only|usually)\b)"
)


def _explains(question: str, source: str) -> bool:
    """A question "What is X?" has a source that says what X is, not one that only names it."""
    match = _ASKS_WHAT_IT_IS.match(question)
    if not match:
        return True
    subject = re.escape(match.group(1).strip())
    subject_first = rf"\b{subject}\b[^.;]{{0,40}}?\b{_SAYS_WHAT_IT_IS}"
    subject_last = rf"\b(?:is|are|was|were|called|named|as) (?:an? |the )?{subject}\b"
    return bool(re.search(f"{subject_first}|{subject_last}", source, re.IGNORECASE))
