"""The parts of a sentence that must not change: numbers, dates, codes, and the words that make a duty or a permission.

Text in, sets of normalised tokens out. What a sentence means is not known here; a changed token is.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from hpc_qa.qa.markup import plain
from hpc_qa.qa.references import BRACKET, brackets, joined, options, references

_MONTHS = "january february march april june july august september october november december"
_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_NAMED_DATES = frozenset(f"{_MONTHS} {_DAYS}".split())
_SHORT_MONTHS = {m[:3]: m for m in _MONTHS.split()} | {"sept": "september"}

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_CARDINALS = {word: n for n, word in enumerate(_UNITS + _TEENS)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_NUMBER_WORDS = (
    {word: str(n) for word, n in _CARDINALS.items()}
    | {word: str(n) for n, word in enumerate(_ORDINALS)}
    | {word: word for word in ("hundred", "thousand", "million", "billion", "dozen", "half", "quarter")}
    | {word: word for word in ("once", "twice", "thrice", "double", "triple")}
)

_NEGATIONS = frozenset("not no never none nor neither nothing nobody without cannot".split())
# May and can permit alike; will and would are mostly tense.
_MODALS = {word: word for word in ("shall", "must", "should")} | dict.fromkeys(("may", "might", "can", "could"), "may")

# A text without a digit has no number or date unless one of these words stands in it, and no duty without the others.
NUMBER_WORDS = frozenset(_NUMBER_WORDS) | _NAMED_DATES | frozenset(_SHORT_MONTHS)
_HALF = frozenset(("half", "1/2"))
DUTY_WORDS = frozenset(_MODALS) | _NEGATIONS | {"t"}  # the end of "don't"

# A run of letters and digits and the signs that join them; a code when it holds a digit: 42, -5, .5, 1,000.50, CMS-64,
# 5%, 435.916(a)(1). A minus is a sign where no word, bracket or number ends before it.
_CODE = re.compile(
    r"(?:(?<![^\W_])(?<![)\]%-])-(?=\.?\d))?(?:(?<![\w.])\.(?=\d))?"
    rf"[^\W_]+(?:[.,:/_\-]+(?=[^\W_])[^\W_]+)*%?(?:{BRACKET})*"
)
# "30-day" supports "30 days", "19-64" supports "19 to 64"; "AB-10" is a name and supports no 10.
_JOINED = re.compile(r"(\d[\d./]*)-(?:[^\W\d_]+|(\d[\d./]*))")
_ESCAPED = re.compile(r"\\(?=[()\[\].\-])")
_SIGNED_MONEY = re.compile(r"(?<![^\W_])(?<![)\]%])-([$€£])(?=\d)")
_MINUS_WORD = re.compile(r"\bminus\s+(?=[$€£]?\.?\d)", re.IGNORECASE)
_ALIKE = str.maketrans({"–": "-", "−": "-", "‐": "-", "‑": "-"} | dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)) | {
    char: " " + unicodedata.normalize("NFKC", char).replace("\N{FRACTION SLASH}", "/")
    for char in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
})  # fmt: skip
_RAISED = re.compile("([⁺⁻]?[⁰¹²³⁴-⁹]+)")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_PERCENT = re.compile(r"(?<=\d)\s*(?:percent|per\s+cent|%)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’]t)?")
_MONTH_MAY = re.compile(r"\bMay(?=,?\s+\d)|(?<=\d\s)May\b|(?<=\dst\s)May\b|(?<=\dth\s)May\b")
_FOOTNOTE = re.compile(r"(?<=[a-z]{3}[.!?])\d{1,3}(?=\s+[\"'“‘(]?[A-Z]|\s*$)", re.MULTILINE)  # "the rule.3 The fee"
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NO_CENTS = re.compile(r"(?<=\d)\.0+(?![\d.])")
_TENS_AND_ONE = re.compile(rf"\b({'|'.join(_TENS)})[- ]({'|'.join(_UNITS[1:10])})\b", re.IGNORECASE)
_CARDINAL = re.compile(rf"\b(?:{'|'.join(_CARDINALS)})\b", re.IGNORECASE)


def numbers(text: str) -> Counter[str]:
    """Numbers, codes, dates and options with how often each occurs; digits and number words count as the same.

    The number of a footnote behind a full stop is none.

    >>> sorted(numbers("Two forms (CMS-64) cost $1,000.00 by 5 May 2024."))
    ['1000.00', '2', '2024', '5', 'cms-64', 'may']
    >>> sorted(numbers("Part A, section 4(b), at -5 degrees for ¾ year: sbatch -n"))
    ['-5', '-n', '3/4', '4(b)', 'part a']
    """
    found = Counter(options(text))
    text = joined(_ESCAPED.sub("", _FOOTNOTE.sub("", _one_spelling(text))))
    if "May" in text and (months := len(_MONTH_MAY.findall(text))):
        found["may"] = months
    found.update(references(text))
    codes = [token for token in _CODE.findall(text) if not token.isalpha() and any(map(str.isdigit, token))]
    found.update(_code(token) for token in codes)
    for word in _WORD.findall(text):
        token = _word(word)
        if token:
            found[token] += 1
    return found


def in_digits(text: str) -> str:
    """The text with its numbers in one spelling.

    >>> in_digits("Seven of twenty-one, $1,000.00 and 5 percent")
    '7 of 21, $1000 and 5%'
    """
    text = _TENS_AND_ONE.sub(lambda match: str(_cardinal(match[1]) + _cardinal(match[2])), text)
    text = _CARDINAL.sub(lambda match: str(_cardinal(match[0])), text)
    return _PERCENT.sub("%", _NO_CENTS.sub("", _THOUSANDS.sub("", text)))


def _cardinal(word: str) -> int:
    return _CARDINALS[word.casefold()]


def _one_spelling(text: str) -> str:
    """One form of percent, minus, fractions, exponents; without the marks of footnotes that hang on a word."""
    if not text.isascii():
        text = _RAISED.sub(_exponent, text.translate(_ALIKE))
    text = _MINUS_WORD.sub("-", _PERCENT.sub("%", text))
    return _SIGNED_MONEY.sub(r"\1-", text) if "-" in text else text


def _exponent(match: re.Match[str]) -> str:
    """10⁶ as 10^6; behind a letter or a sign raised digits are no number."""
    return f"^{match[1].translate(_DIGITS)}" if match.string[match.start() - 1 : match.start()].isdecimal() else ""


def supported_numbers(source: str) -> set[str]:
    """What a text may repeat of its source: the source's numbers and codes, and their parts.

    "30-day" supports "30", 435.916(a)(1) supports 435.916(a) and paragraph (a), but no other paragraph.
    """
    found = set(numbers(source)) | set(numbers(plain(source))) | set(brackets(source))
    parts = (match.groups() for match in map(_JOINED.fullmatch, found) if match)
    found |= {part for pair in parts for part in pair if part}
    for code in [code for code in found if "(" in code]:
        places = [place for place, char in enumerate(code) if char == "("]
        found.update(code[:place] for place in places if place)
        found.update(mark.strip("()") if mark[1].isdigit() else mark for mark in brackets(code))
    return found | _HALF if found & _HALF else found


def _code(token: str) -> str:
    token, bracket, rest = token.partition("(")
    folded = _THOUSANDS.sub("", token.casefold())
    folded = folded.replace(".", "0.", 1) if folded.startswith((".", "-.")) else folded
    ordinal = re.fullmatch(r"(\d+)(?:st|nd|rd|th)", folded)
    return ordinal.group(1) if ordinal else folded + bracket + rest


@lru_cache(1 << 16)  # a million questions have few words
def _word(word: str) -> str | None:
    """A number word or the name of a month or day, else None."""
    folded = word.casefold()
    if folded in _NUMBER_WORDS:
        return _NUMBER_WORDS[folded]
    if folded in _NAMED_DATES:
        return folded
    return _SHORT_MONTHS.get(folded) if word[:1].isupper() else None


def modality(text: str) -> set[str]:
    """Which of shall, must, should, may (or can) and not occur; the month of May does not count.

    >>> sorted(modality("A State may not claim it in May 2024, and must appeal.")), modality("in May 2024")
    (['may', 'must', 'not'], set())
    """
    found = set()
    for word in _WORD.findall(_MONTH_MAY.sub(" ", text) if "May" in text else text):
        folded = word.casefold().replace("’", "'")
        if folded in _MODALS:
            found.add(_MODALS[folded])
        if folded in _NEGATIONS or folded.endswith("n't"):
            found.add("not")
        if folded in ("cannot", "can't"):
            found.add("may")
    return found
