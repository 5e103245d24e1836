"""Find the sentences of a block, as offsets.

Rules, no model: a full stop ends a sentence unless an abbreviation, an initial or a section number stands before it,
and what follows looks like a beginning. Headings, fences and the dashes of a table are no sentences; a table row is
one; sentences never run over the end of a list item.
"""

import re
from collections.abc import Iterator

from hpc_qa.documents.blocks import Kind, is_separator, lines_between, marker_length

Span = tuple[int, int]

# It begins with a set of few characters: the regex engine then runs over a text many times as fast.
_MARK = (
    r"""[.!?\u2026\u3002\uff01\uff1f\d](?:"""
    r"""(?<=[.!?\u2026])(?<![.!?\u2026].)[.!?\u2026]*+"""  # a row of dots is linear
    r"""(?:["'\u201d\u2019)\]*_`\u2070\u00b9\u00b2\u00b3\u2074-\u2079]|\[\d{1,3}\])*+(?=\s)"""
    r"""|(?<=[a-z]{3}[.?!])(?=[A-Z][a-z]*\s)"""  # a space was lost; decided by the word that follows
    r"""|(?<=[a-z]{3}[.!?]\d)\d{0,2}(?=\s+["'\u201c\u2018(]?[A-Z])"""  # of a footnote, which a PDF sets small and high
    r"""|(?<=[\u3002\uff01\uff1f])["\u201d\u300d\uff09]*)"""
)
_END = re.compile(_MARK)
_END_OR_BREAK = re.compile(_MARK + r"""|(?<=\S)(?:  |\\)\n""")  # a hard line break; few texts have one
_NEXT = re.compile(r"""\s*["'\u201c\u2018(\[*_`\u00a7]*(\w[\w'\u2019-]*)?""")
_WORD_BEFORE = re.compile(r"[\w.&-]+$")
_LOOK_BACK = 40
_LEADERS = re.compile(r"[._](?:(?<=\.) ?(?:\. ?){4,}|(?<=_)_{5,})")
_WORD = re.compile(r"[^\W\d_]{2}")
_RST_MARKUP = re.compile(r"\.\. |__ ")  # targets, directives and comments of reStructuredText


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never the end of a sentence.
_TITLES = _words("mr mrs ms dr prof hon rev gov sen rep gen col lt st mt e.g i.e cf vs viz approx ca resp")
# An abbreviation only in front of a number: "no. 5" is one, "the answer is no." is not.
_BEFORE_NUMBERS = _words(
    "no nos fig figs sec secs sect art arts ch chap vol vols p pp par para paras cl eq eqs ref refs pt pts app tab ed "
    "ext tel v ver jan feb mar apr jun jul aug sep sept oct nov dec stat reg regs fed pub rul cir subpt subch supp l "
    "tit ex rel"
)
# The end of a sentence only if a common first word follows: "the U.S. Government", "at 5 p.m. The office".
_EITHER = _words("inc ltd corp co jr sr al etc a.m p.m dept bros assn est seq cit")
_FIRST_WORDS = _words(
    "a after all although an any as at because before both but by due during each either every for from he her here "
    "his how however if in it its many most no note on once one only other our see several she should since so some "
    "such that the their then there therefore these they this those thus to under unless until upon we what when where "
    "whether which while who with you your"
)
_NUMBERED = re.compile(r"(?:(?:section|sec|article|art|part|chapter|appendix|table|figure|step|item|rule)\.?\s+)?"
                       r"(?:\d+(?:\.\d+)*|[ivxlc]+|[a-z])\.?", re.IGNORECASE)  # fmt: skip


def sentence_spans(kind: Kind, text: str, start: int, end: int) -> list[Span]:
    """The sentences of text[start:end], a block or a part of one, in order and without overlap."""
    if kind in ("heading", "fence", "rule"):
        return []
    if kind == "table":
        rows = (line for line in lines_between(text, start, end) if not is_separator(line.text))
        spans = (_trimmed(text, row.start, row.end) for row in rows)
    else:
        skip = marker_length(text[start:end]) if kind == "item" else 0
        spans = (_trimmed(text, low, high) for low, high in split_sentences(text, start + skip, end))
    return [(low, high) for low, high in spans if _says_something(kind, text[low:high])]


def split_sentences(text: str, start: int, end: int) -> Iterator[Span]:
    """Cut a stretch of prose at every sentence end; the parts cover the whole stretch."""
    begin = start
    has_breaks = text.find("  \n", start, end) >= 0 or text.find("\\\n", start, end) >= 0
    for match in (_END_OR_BREAK if has_breaks else _END).finditer(text, start, end):
        if _ends_sentence(text, begin, match, end):
            yield begin, match.end()
            begin = match.end()
    if begin < end:
        yield begin, end


def _ends_sentence(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    mark = match.group()
    if match.start() - begin <= _LOOK_BACK and not text[begin : match.start()].strip(" \n>"):
        return False  # nothing yet: the ".." of a directive
    if mark[0] in ".?!" and match.end() < end and text[match.end()].isupper():
        return _first_word(text, match.end(), end) in _FIRST_WORDS
    if mark[0].isdigit():
        return _word_before(text, begin, match.start() - 1).lower() not in _BEFORE_NUMBERS
    if mark[0] not in ".\u2026":
        return mark[0] in "\u3002\uff01\uff1f" or _begins(text, match.end(), end)
    if not _begins(text, match.end(), end):
        return False
    if mark.startswith("..") or mark[0] == "\u2026":
        return True
    so_far = text[begin : match.start()] if match.start() - begin <= _LOOK_BACK else ""
    if _NUMBERED.fullmatch(so_far.strip(" *_\n>")):
        return False  # "1. Scope", "Section 4. Benefits": the number belongs to what follows
    return not _abbreviates(text, begin, match, end)


def _first_word(text: str, position: int, end: int) -> str:
    match = _NEXT.match(text, position, end)
    return (match.group(1) or "").lower() if match else ""


def _begins(text: str, position: int, end: int) -> bool:
    """Whether what follows can be the beginning of a sentence: no lower-case word; symbols and nothing can."""
    match = _NEXT.match(text, position, end)
    word = match.group(1) if match else None
    return word is None or not word[0].islower()


def _word_before(text: str, begin: int, position: int) -> str:
    found = _WORD_BEFORE.search(text, max(begin, position - _LOOK_BACK), position)
    return found.group() if found else ""


def _abbreviates(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Whether the full stop belongs to an abbreviation rather than to the sentence."""
    word = _word_before(text, begin, match.start())
    lower = word.lower()
    following = _NEXT.match(text, match.end(), end)
    after = (following.group(1) or "") if following else ""
    if lower in _TITLES:
        return bool(after)
    if lower in _BEFORE_NUMBERS and (after[:1].isdigit() or (following and "\u00a7" in following.group())):
        return True
    initial = len(word) == 1 and word.isupper() and word != "I"
    acronym = re.fullmatch(r"(?:[a-z]\.)+[a-z]", lower) is not None
    if lower in _EITHER or initial or acronym:
        return bool(after) and after.lower() not in _FIRST_WORDS
    return False


def _trimmed(text: str, start: int, end: int) -> Span:
    """Without the space around it, and without the marks of a quotation in front."""
    while start < end and (text[start].isspace() or (text[start] == ">" and text[start : start + 2] in ("> ", ">\n"))):
        start += 1
    while end > start and (text[end - 1].isspace() or (text[end - 1] == "\\" and text[end : end + 1] == "\n")):
        end -= 1
    return start, end


def _says_something(kind: Kind, sentence: str) -> bool:
    """Not only marks, no lone number, not a line of a table of contents with its leader dots."""
    if kind == "table":
        return any(character.isalnum() for character in sentence)
    return bool(_WORD.search(sentence)) and not _LEADERS.search(sentence) and not _RST_MARKUP.match(sentence)
