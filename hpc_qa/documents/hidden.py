"""Text that the source of a page holds and a browser does not show: taken out, counted, and its place remembered.

What hides is read off the elements themselves: `hidden`, a style that shows nothing (no display, no opacity, letters of
a pixel or less, off the page), white or transparent letters on no background. Rules of a style sheet are not read;
where there is one, white letters may stand on a colour, and are counted and left in. In Markdown the same elements are
found, but not inside of code. An element that is never closed hides nothing for sure: its text stays, and its place is
noted.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser

from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.fidelity import count_words
from hpc_qa.documents.splices import spliced
from hpc_qa.documents.suspicion import MAX_PLACES, flags_of, places_beside

VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
CLOSED_BY_THE_NEXT = frozenset("p li dt dd td th tr option".split())
NOTE_WORDS = 4  # a shorter comment in Markdown is for a program: <!-- toc -->

_HINT = re.compile(r"\shidden\b|[\s\"']style\s*=|\scolor\s*=", re.IGNORECASE)
_STYLE_SHEET = re.compile(r"<style\b|<link\b[^<>]{0,500}\bstylesheet\b", re.IGNORECASE)
_UNSEEN_STYLE = re.compile(
    r"(?<![\w-])(?:display:none|visibility:(?:hidden|collapse)|opacity:0*\.?0+(?![\d.])"
    r"|font-size:(?:0*\.?0+(?![\d.])|0*(?:1(?:\.0*)?|\.\d+)(?:px|pt)(?![\w]))"
    r"|(?:left|top|right|text-indent):-\d{4,}(?:px|em|pt)|color:(?:transparent|rgba\(\d+,\d+,\d+,0*\.?0+\)))"
)
_COLOUR = re.compile(r"(?<![\w-])color:([^;!]+)")
_BACKGROUND = re.compile(r"(?<![\w-])background(?:-color|-image)?:(?!none|transparent|white|#fff(?:fff)?\b)")
_WHITE = re.compile(
    r"white|#f[a-f0-9]f[a-f0-9]f[a-f0-9]|#fff|rgba?\((?:25\d,){2}25\d(?:,[\d.]+)?\)|hsl\(\d+,\d+%,100%\)"
)
_TAG = re.compile(r"<[^<>]*>")
_TICKS = re.compile("`+")
MAX_CODE_SPAN = 2_000  # characters
_NOT_LINE_END = re.compile(r"[^\n]")


@dataclass(slots=True)
class Shown:
    """A source without what is hidden in it."""

    text: str
    hidden_words: int = 0
    places: list[str] = field(default_factory=list)  # see `suspicion.places_beside`


def hides(attributes: Mapping[str, str | None]) -> bool:
    """Whether an element's own attributes keep its text from being seen, whatever it stands on."""
    return "hidden" in attributes or _UNSEEN_STYLE.search(_style(attributes)) is not None


def shown_html(source: str) -> Shown:
    """The source of a page without hidden elements; comments are looked at, and left to the reader of the page."""
    found = _without_elements(source, source, white_hides=_STYLE_SHEET.search(source) is None, is_html=True)
    notes = [span for span in _comments(source) if flags_of(source[slice(*span)])]
    found.hidden_words += sum(count_words(source[slice(*span)]) for span in notes)
    found.places += _places(source, notes, is_html=True)
    return found


def shown_markdown(source: str) -> Shown:
    """Markdown without comments and hidden elements; a comment that is never closed is text."""
    if "<" not in source:
        return Shown(source)
    masked = _without_code(source)
    comments = list(_comments(masked))
    notes = [span for span in comments if count_words(source[slice(*span)]) >= NOTE_WORDS]
    places = _places(source, notes, is_html=False)
    words = sum(count_words(source[slice(*span)]) for span in notes)
    found = _without_elements(_cut(source, comments), _cut(masked, comments), white_hides=True, is_html=False)
    return Shown(found.text, found.hidden_words + words, places + found.places)


def outside_code(markdown: str, rewrite: Callable[[str], str]) -> str:
    """The Markdown with what stands outside of its code rewritten."""
    pairs = zip(markdown, _without_code(markdown), strict=True)
    stretches = itertools.groupby(pairs, key=lambda pair: pair[0] == pair[1])
    texts = ((kept, "".join(char for char, _ in stretch)) for kept, stretch in stretches)
    return "".join(rewrite(text) if kept else text for kept, text in texts)


def without_comments(source: str) -> str:
    """Without `<!-- comments -->`; one that is never closed is text."""
    return _cut(source, _comments(source))


def _comments(source: str) -> Iterator[tuple[int, int]]:
    """Where comments begin and end."""
    end = 0
    while (start := source.find("<!--", end)) >= 0 and (close := source.find("-->", start)) >= 0:
        end = close + len("-->")
        yield start, end


def _without_elements(source: str, parsed: str, *, white_hides: bool, is_html: bool) -> Shown:
    """The source without its hidden elements; `parsed` is the source as it is looked at, of the same length."""
    if not _HINT.search(parsed):
        return Shown(source)
    finder = _Finder(_without_traps(parsed), has_scripts=is_html)
    taken = finder.hidden + (finder.white if white_hides else [])
    noted = sorted({*finder.hidden, *finder.white, *finder.open})
    words = sum(count_words(_TAG.sub(" ", source[slice(*span)])) for span in {*finder.hidden, *finder.white})
    return Shown(_cut(source, sorted(taken)), words, _places(source, noted, is_html=is_html))


def _cut(source: str, spans: Iterable[tuple[int, int]]) -> str:
    return spliced(source, ((start, end, "") for start, end in spans))


def _places(source: str, spans: Iterable[tuple[int, int]], *, is_html: bool) -> list[str]:
    found: dict[str, None] = {}
    for start, end in itertools.islice(spans, MAX_PLACES):
        before, behind = source[max(0, start - 500) : start], source[end : end + 500]
        if is_html:  # only the text next to it, up to a tag: what stands between two elements can be another list mark
            before = next((text for text in reversed(_texts(before)) if text), "")
            behind = next((text for text in _texts(behind) if text), "")
        found.update(dict.fromkeys(places_beside(before, behind)))
    return list(found)


def _texts(html: str) -> list[str]:
    return [unescape(text).strip() for text in _TAG.split(html)]


def _without_code(markdown: str) -> str:
    """The Markdown with spaces in place of its code, and of the same length."""
    parts, position = [], 0
    for block in parse_blocks(markdown):
        if block.kind == "fence":
            parts += [markdown[position : block.start], _blank(markdown[block.start : block.end])]
            position = block.end
    text = "".join([*parts, markdown[position:]])
    parts, position = [], 0
    for start, end in _code_spans(text):
        parts += [text[position:start], _blank(text[start:end])]
        position = end
    return "".join([*parts, text[position:]])


def _code_spans(text: str) -> Iterator[tuple[int, int]]:
    """What stands between two rows of as many backticks, within a paragraph."""
    rows = [match.span() for match in _TICKS.finditer(text)]
    following: dict[int, int] = {}  # by length, the next row of that length
    pairs = [-1] * len(rows)
    for index in range(len(rows) - 1, -1, -1):
        start, end = rows[index]
        pairs[index] = following.get(end - start, -1)
        following[end - start] = index
    index = 0
    while index < len(rows):
        start, other = rows[index][0], pairs[index]
        end = rows[other][1] if other >= 0 else start
        index += 1
        if start < end <= start + MAX_CODE_SPAN and "\n\n" not in text[start:end]:
            yield start, end
            index = other + 1


def _blank(text: str) -> str:
    return _NOT_LINE_END.sub(" ", text)


def _without_traps(source: str) -> str:
    """Without what `html.parser` needs quadratic time for, see `html`; of the same length."""
    plain = source.replace("<!", "  ").replace("<?", "  ")
    end = plain.rfind(">") + 1
    return plain[:end] + plain[end:].replace("<", " ")


def _style(attributes: Mapping[str, str | None]) -> str:
    return "".join((attributes.get("style") or "").lower().split())


def _is_white(attributes: Mapping[str, str | None]) -> bool:
    match = _COLOUR.search(_style(attributes))
    colour = match.group(1) if match else (attributes.get("color") or "").strip().lower()
    return _WHITE.fullmatch(colour) is not None


def _has_background(attributes: Mapping[str, str | None]) -> bool:
    return bool(attributes.get("bgcolor")) or _BACKGROUND.search(_style(attributes)) is not None


class _Finder(HTMLParser):
    """Where hidden elements begin and end in a source."""

    def __init__(self, source: str, *, has_scripts: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._has_scripts = has_scripts
        self.hidden: list[tuple[int, int]] = []
        self.white: list[tuple[int, int]] = []
        self.open: list[tuple[int, int]] = []  # the tag of one that is never closed
        self._source = source
        self._lines = [0, *(match.end() for match in re.finditer("\n", source))]
        self._elements: list[tuple[str, bool]] = []  # that are open, and whether they have a background
        self._open: Counter[str] = Counter()
        self._backgrounds = 0
        self._within = ""  # the hidden element, and how often it is nested in itself
        self._depth = self._start = 0
        self._spans = self.hidden
        self.feed(source)
        self.close()
        if self._within:
            self.open.append((self._start, self._source.index(">", self._start) + 1))

    def set_cdata_mode(self, elem: str, **options: bool) -> None:
        """Inside of a script there are no elements; in Markdown the word may stand for itself."""
        if self._has_scripts:
            super().set_cdata_mode(elem, **options)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._within and tag == self._within and self._depth == 1 and tag in CLOSED_BY_THE_NEXT:
            self._end(self._offset())
        if self._within:
            self._depth += tag == self._within
        elif tag not in VOID:
            self._begin(tag, dict(attrs))

    def _begin(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        background = _has_background(attributes)
        unseen, white = hides(attributes), _is_white(attributes) and not background and not self._backgrounds
        if unseen or white:
            self._within, self._depth, self._start = tag, 1, self._offset()
            self._spans = self.hidden if unseen else self.white
        else:
            self._elements.append((tag, background))
            self._open[tag] += 1
            self._backgrounds += background

    def handle_endtag(self, tag: str) -> None:
        if self._within:
            self._depth -= tag == self._within
            if not self._depth:
                self._end(self._source.index(">", self._offset()) + 1)
        elif self._open[tag]:
            for name, background in self._closed(tag):
                self._open[name] -= 1
                self._backgrounds -= background

    def _closed(self, tag: str) -> Iterator[tuple[str, bool]]:
        """The open elements up to the one that ends here."""
        while self._elements:
            element = self._elements.pop()
            yield element
            if element[0] == tag:
                return

    def _end(self, offset: int) -> None:
        self._spans.append((self._start, offset))
        self._within = ""

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column
