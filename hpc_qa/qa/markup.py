"""Plain text from one sentence of Markdown.

Takes off what is only typography: emphasis, code marks, links, list and heading marks, escapes, the number of a
footnote behind the last full stop. Nothing else changes, so that the words of a quotation stay the words of its source.
Not a Markdown parser: blocks are the chunker's affair.
"""

import re

_LINK = re.compile(r"!?\[([^\]\[]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_CODE = re.compile(r"(`+)(.+?)\1(?!`)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]+?)(?<=\S)\*(?![\w*])")
_UNDERLINE = re.compile(r"(?<![\w_])_(?=[^\s_])([^_]+?)(?<=\S)_(?![\w_])")
# In front of a number > is a comparator and - a sign: a sentence of a list item comes without its mark.
_NUMBER = r"\s*[$€£]?\.?\d"
_LEAD = re.compile(rf"^\s*(?:>(?!\s*=|{_NUMBER})\s*|#{{1,6}}\s+|-(?!{_NUMBER})\s+|[*+•]\s+|\(?\d{{1,3}}[.)]\s+)+")
# Behind a word or a sign; behind a number it may be a power.
_FOOTNOTE = re.compile(
    r"(?<=[a-z]{3}[.!?])(?:\d{1,3}|\[\d{1,3}\])$|(?:(?<=[^\W\d_]{3})|(?<=[.,;:!?)\]%”’\"]))[⁰¹²³⁴-⁹]+"
)
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~&\"'])")


def plain(markdown: str) -> str:
    """The sentence without its markup, on one line.

    >>> plain("- The **limit** is `--max=5`, see [the guide](a.html).")
    'The limit is --max=5, see the guide.'
    >>> plain("> 138% of FPL"), plain("> The fee"), plain("- 5 degrees")
    ('> 138% of FPL', 'The fee', '- 5 degrees')
    """
    text = _LEAD.sub("", " ".join(markdown.split()))
    text = _LINK.sub(r"\1", text)
    text = _CODE.sub(lambda match: match.group(2).strip(), text)
    for pattern, group in ((_STRONG, 2), (_EMPHASIS, 1), (_UNDERLINE, 1)):
        text = pattern.sub(lambda match, group=group: match.group(group), text)  # type: ignore[misc] # bound in the loop
    return _FOOTNOTE.sub("", " ".join(_ESCAPE.sub(r"\1", text).split()))


def markup_share(markdown: str) -> float:
    """Share of the characters that are neither letters, digits, spaces nor ordinary punctuation."""
    if not markdown:
        return 0.0
    odd = sum(1 for c in markdown if not (c.isalnum() or c.isspace() or c in ".,;:!?'\"()-%$€£§/–—’‘“”"))
    return odd / len(markdown)
