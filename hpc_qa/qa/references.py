"""Codes that need no digit: Part A, paragraph (i), Title XIX, and the options of a command.

Text in, tokens out. A letter is a code only behind the name of a part ("section", "appendix") or in brackets: by itself
it is an article, a pronoun or an initial.
"""

import re

# Behind these a small letter is a code as well; behind the others, which stand in front of articles too ("schedule a
# visit"), only a capital.
_PARTS = (
    "section subsection part subpart paragraph subparagraph title subtitle option appendix chapter subchapter article"
    " annex clause subclause rule"
).split()
_OTHER_PARTS = (
    "schedule exhibit attachment type class level tier phase step group category grade form table figure plan"
    " vitamin hepatitis line column row region unit item box zone"
).split()


def _with_plurals(parts: list[str]) -> dict[str, str]:
    """The singular of every form."""
    irregular = {"appendix": "appendices", "category": "categories"}
    plurals = {irregular.get(part, f"{part}es" if part.endswith(("x", "ss")) else f"{part}s"): part for part in parts}
    return plurals | {part: part for part in parts}


_SMALL_LETTERS = _with_plurals(_PARTS)
_CAPITALS_ONLY = _with_plurals(_OTHER_PARTS)
PART_NAMES = frozenset(_SMALL_LETTERS)

# What stands in brackets: (a), (aa), (iv), (12); "(s)" behind a word is its plural.
BRACKET = r"\((?:[A-Za-z]{1,2}|[ivxl]{1,6}|[IVXL]{1,6}|\d{1,3})\)"
_BRACKET = re.compile(rf"(?<![^\W\d_]){BRACKET}")
_SPACED = re.compile(rf"((?:\b(?i:{'|'.join(_PARTS)}|c\.?f\.?r|u\.?s\.?c)s?\.?|§)\s*\d[\w.\-]*|\))\s(?={BRACKET})")

_ROMAN = r"x{0,3}(?:ix|iv|v?i{1,3}|v)|x{1,3}"  # in small letters up to 39
_END = r"(?![^\W_]|[-.]\w|['’](?!s\b)\w)"
_CAPITAL = rf"(?:[A-Z]|[IVXLCDM]{{2,7}}){_END}"
_SMALL = rf"(?:[a-z]|{_ROMAN}){_END}"
_LINK = r"(?:\s*,\s*(?:(?:and|or)\s+)?|\s+(?:and|or|to|through)\s+|\s*[-–/]\s*)"
_ANY = rf"{BRACKET}|{_CAPITAL}|{_SMALL}"
_BEFORE_ITEM = re.compile(rf"(?<![^\W_])([A-Za-z]{{4,13}})(?:\s+|(?=\((?!e?s\))))(?={_ANY})")
_SMALL_LIST = re.compile(rf"(?:{_ANY})(?:{_LINK}(?:{BRACKET}|{_CAPITAL}|(?![ai]\b){_SMALL}))*")
_CAPITAL_LIST = re.compile(rf"{_CAPITAL}(?:{_LINK}{_CAPITAL})*")
# Behind it a letter is an article or a pronoun: "the part a member pays", "in part a result", "what part I pay".
_DETERMINER = re.compile(
    r"\b(?:the|an?|this|that|these|those|which|what|whose|any|no|each|every|some|one|in|his|her|their|its|your|my|our)"
    r"\s+\Z",
    re.IGNORECASE,
)
_ITEM = re.compile(rf"{BRACKET}|[A-Za-z]+")
_LINK_WORDS = frozenset(("and", "or", "to", "through"))

# -n, -A, --ntasks-per-node; the end of a word ("pre-tax") is none.
_OPTION = re.compile(r"(?<![^\W_])(?<![-)\]])--?[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*")


def references(text: str) -> list[str]:
    """Parts of a rule that a letter, a Roman number or a bracket names; those with a digit are numbers.

    The case of a letter in brackets is kept: (a) and (A) are different levels of a rule.

    >>> references("Medicare Part A, Titles XIX and XXI, paragraph (i), the part a member pays")
    ['part a', 'title xix', 'title xxi', '(i)']
    """
    found = []
    for match in _BEFORE_ITEM.finditer(text):
        name = match[1].casefold()
        part = _SMALL_LETTERS.get(name) or _CAPITALS_ONLY.get(name)
        listed = part and (_SMALL_LIST if name in _SMALL_LETTERS else _CAPITAL_LIST).match(text, match.end())
        if not listed:
            continue
        items = [item for item in _ITEM.findall(listed[0]) if item not in _LINK_WORDS]
        if items[0] in ("a", "i", "I") and match[1].islower() and _is_no_code(text, match.start()):
            del items[0]
        found += [
            item if item.startswith("(") else f"{part} {item.casefold()}" for item in items if not item[1:2].isdigit()
        ]
    return found


def _is_no_code(text: str, start: int) -> bool:
    """Whether a word stands in front of the part that makes the letter behind it an article or a pronoun."""
    return _DETERMINER.search(text, max(0, start - 10), start) is not None


def brackets(text: str) -> list[str]:
    """Every letter, Roman number or small number in brackets, whatever stands in front.

    >>> brackets("the form(s) of (a) and 4(b)(1)")
    ['(a)', '(b)', '(1)']
    """
    return _BRACKET.findall(text) if "(" in text else []


def joined(text: str) -> str:
    """The text without the space between a section and its brackets.

    >>> joined("section 4 (b) (1) of 42 CFR 435.916 (a), on 3 May 2024 (b)")
    'section 4(b)(1) of 42 CFR 435.916(a), on 3 May 2024 (b)'
    """
    return _SPACED.sub(r"\1", text) if " (" in text else text


def options(text: str) -> list[str]:
    """Options of a command, in their own case: -n and -N are two.

    >>> options("sbatch -N 2 --ntasks-per-node=4 for pre-tax income")
    ['-N', '--ntasks-per-node']
    """
    return _OPTION.findall(text) if "-" in text else []
