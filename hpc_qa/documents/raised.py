"""Superscripts and subscripts as text of one line, so that 10 to the power of 6 never reads 106.

Each character becomes its raised or lowered form where every one of them has such a form, else the text stands in
brackets behind `^` or `_`. Ordinals and trademarks are words in small letters, and a reference to a note is `[1]`.
Such characters must not go through NFKC: it makes digits of the line of them.
"""

import re

_RAISED = dict(zip("0123456789+-\N{MINUS SIGN}=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ", strict=True))
_LOWERED = dict(zip("0123456789+-\N{MINUS SIGN}=()ni", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₙᵢ", strict=True))
_AS_WORDS = {word: word for word in ("st", "nd", "rd", "th", "®", "™", "℠", "º", "ª", "°")} | {"tm": "™", "sm": "℠"}

_MAX_LENGTH = 200  # characters of source; of a longer element only the beginning is marked
_OPENING = r"<(su[pb])(?:\s[^<>]{0,300})?>"
_INNERMOST = re.compile(rf"{_OPENING}((?:(?!</?su[pb]\b).){{0,{_MAX_LENGTH}}})</\1\s*>", re.IGNORECASE | re.DOTALL)
_TO_A_NOTE = r"<a\s(?:[^<>]{0,300}[\s\"'])?href\s*=\s*[\"']?[^\"'<>\s]{0,200}#[^<>]{0,300}>"
_NOTE_INSIDE = re.compile(
    rf"<sup(?:\s[^<>]{{0,300}})?>\s{{0,20}}{_TO_A_NOTE}([^<>]{{1,40}})</a\s*>\s{{0,20}}</sup\s*>", re.IGNORECASE
)
_NOTE_AROUND = re.compile(
    rf"{_TO_A_NOTE}\s{{0,20}}<sup(?:\s[^<>]{{0,300}})?>([^<>]{{1,40}})</sup\s*>\s{{0,20}}</a\s*>", re.IGNORECASE
)
_LEFT = re.compile(r"<(/?)(su[pb])(?:\s[^<>]{0,300})?>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


def superscript(text: str) -> str:
    """Raised text behind what it stands at.

    >>> "10" + superscript("6"), "x" + superscript("ab"), "1" + superscript("st")
    ('10⁶', 'x^(ab)', '1st')
    """
    return _AS_WORDS.get(text.strip().casefold()) or _formed(text, _RAISED, "^")


def subscript(text: str) -> str:
    """Lowered text behind what it stands at.

    >>> "H" + subscript("2") + "O", "t" + subscript("max")
    ('H₂O', 't_(max)')
    """
    return _formed(text, _LOWERED, "_")


def note_mark(text: str) -> str:
    """The reference to a note, in brackets.

    >>> note_mark("1"), note_mark("[a]")
    ('[1]', '[a]')
    """
    return f"[{text.strip().strip('[]()').strip()}]"


def in_line(html: str) -> str:
    """The source of a page with text in the place of its `<sup>` and `<sub>`.

    >>> in_line('30<sup>1</sup>, H<sub>2</sub>O, fee<sup><a href="#fn2">2</a></sup>')
    '30¹, H₂O, fee[2]'
    """
    for pattern in (_NOTE_INSIDE, _NOTE_AROUND):
        html = pattern.sub(lambda match: note_mark(match.group(1)), html)
    found = 1
    while found:  # from the inside out: what stands in a superscript is text by then
        html, found = _INNERMOST.subn(_element, html)
    return _LEFT.sub(_sign, html)


def _element(match: re.Match[str]) -> str:
    text = _TAG.sub("", match.group(2))
    if re.fullmatch(r"\[[^\[\]]+\]", text):
        return text  # a note's mark has its brackets
    return superscript(text) if match.group(1).lower() == "sup" else subscript(text)


def _sign(match: re.Match[str]) -> str:
    """For an element that is too long or never closed: where it begins is known, so the text is not glued on."""
    if match.group(1):
        return ""
    return "^" if match.group(2).lower() == "sup" else "_"


def _formed(text: str, forms: dict[str, str], sign: str) -> str:
    """The text in these forms; space around it stays outside."""
    inner = text.strip()
    if not inner:
        return text
    formed = "".join(map(forms.__getitem__, inner)) if forms.keys() >= set(inner) else f"{sign}({inner})"
    return text.replace(inner, formed, 1)
