"""Letters that are set small and high, or low: set apart from what they hang on, so that 30 and a footnote is not 301.

What has a character of its own gets it (10⁶, days¹, H₂O), other letters stand in brackets behind `^` or `_`. A mark
that only leads to a footnote is written in square brackets. Ordinals (1st) and trade marks are part of their word.
"""

import re
from html import unescape

_PLAIN = "0123456789+-=()"
_UP = str.maketrans(_PLAIN + "ni−–", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ⁻⁻")
_DOWN = str.maketrans(_PLAIN + "−–", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎₋₋")
_HAS_UP = re.compile(r"[-0-9+=()ni−–,; ]*[0-9ni][-0-9+=()ni−–,; ]*")
_HAS_DOWN = re.compile(r"[-0-9+=()−–]*[0-9][-0-9+=()−–]*")
_MARKS = {"tm": "™", "sm": "℠", "(tm)": "™", "(sm)": "℠", "(r)": "®"}
_ORDINAL = ("st", "nd", "rd", "th")
MAX_ENDING = 2  # letters of an ordinal in other languages: 1er
_SIGN = re.compile("[™℠ºª]+")
MAX_NESTED = 3  # one in the other
MAX_LETTERS = 40  # more are small print, and no mark

_WITHIN = r"(?:[^<]|<(?!/?su[pb]\b)[^<>]{0,500}>){0,300}?"
_ELEMENT = re.compile(
    rf"(?P<link><a\s[^<>]{{0,500}}?href\s*=\s*[\"']?[^\"'\s<>]{{0,200}}#[^<>]{{0,500}}>\s{{0,20}})?"
    rf"<su(?P<kind>[pb])\b[^<>]{{0,500}}>(?P<inner>{_WITHIN})</su(?P=kind)\s{{0,20}}>",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>]{0,500}>")
_LINK = re.compile(r"<a\s[^<>]{0,500}?href\s*=\s*[\"']?[^\"'\s<>]{0,200}#", re.IGNORECASE)


def raised(letters: str, before: str = "") -> str:
    """Letters that are set small and high behind `before`.

    >>> raised("6"), raised("n-1"), raised("a"), raised("st", "the 1"), raised("TM"), raised("1, 2")
    ('⁶', 'ⁿ⁻¹', '^(a)', 'st', '™', '¹,²')
    """
    text = letters.strip()
    if text.lower() in _MARKS:
        return _MARKS[text.lower()]
    if text.lower() in _ORDINAL or not any(map(str.isalnum, text)):
        return text
    if _SIGN.fullmatch(text) or (text.isalpha() and len(text) <= MAX_ENDING and before[-1:].isdigit()):
        return text
    if len(text) > MAX_LETTERS:
        return f" {text} "
    return text.replace(" ", "").translate(_UP) if _HAS_UP.fullmatch(text) else f"^({text})"


def lowered(letters: str) -> str:
    """Letters that are set small and low.

    >>> lowered("2"), lowered("max")
    ('₂', '_(max)')
    """
    text = letters.strip()
    if not any(map(str.isalnum, text)):
        return text
    if len(text) > MAX_LETTERS:
        return f" {text} "
    return text.translate(_DOWN) if _HAS_DOWN.fullmatch(text) else f"_({text})"


def set_apart(html: str) -> str:
    """The source of a page, its `sup` and `sub` elements as text.

    >>> set_apart("10<sup>6</sup>, 30<sup><a href='#f1'>1</a></sup> days, CO<sub>2</sub>")
    '10⁶, 30[1] days, CO₂'
    """
    for _ in range(MAX_NESTED):  # the inner ones first
        if "<su" not in html.lower():
            break
        html = _ELEMENT.sub(_written, html)
    return html


def _written(match: re.Match[str]) -> str:
    text = " ".join(unescape(_TAG.sub("", match["inner"])).split())
    if match["kind"].lower() == "b":
        done = lowered(text)
    elif text and len(text) <= MAX_LETTERS and (match["link"] or _LINK.search(match["inner"])):
        done = text if text.startswith(("[", "(")) else f"[{text}]"
    else:
        done = raised(text, match.string[max(0, match.start() - 8) : match.start()])
    return (match["link"] or "") + done.replace("&", "&amp;").replace("<", "&lt;")
