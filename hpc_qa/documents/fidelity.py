"""Measure what a conversion lost, against the raw text of the pages.

Exceptions do not show silent loss: a reader can drop a column or tear a table apart and report success. Two figures
show it. Coverage: the share of the page text's words that the Markdown holds. Association: the share of neighbouring
words of each raw line that are still neighbours in the Markdown. Running headers and footers are left out of both.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

LOW_ASSOCIATION = 0.85
EDGE_LINES = 4  # running headers and footers stand among so many lines from the top or the bottom
MIN_PAGES_TO_REPEAT = 3
MIN_RUNNING_WORDS = 4
LONG_LINE_WORDS, LONG_LINE_SHARE = 5, 0.2  # a long line on a fifth of the pages is the title of a chapter

_WORD = re.compile(r"[^\W_]+")
# It begins with a set of few characters: the regex engine then runs over a page ten times as fast.
_BROKEN_WORD = re.compile(r"[-\u00ad\ufffe\x02](?:(?<=[^\W\d_]-)|(?<!-))\r?\n(?=[^\W\d_])")
_WORD_OR_LINE_END = re.compile(r"[^\W_]+|\n")
_WORD_OR_BLOCK_END = re.compile(r"[^\W_]+|\n(?=[ \t]*[\n|#])")
_NUMBER = re.compile(r"(?<!\d)\d{1,6}(?!\d)", re.ASCII)
_ROMAN = re.compile(r"\b[ivxlc]+\b")
_MARKUP = re.compile(r"[*_`#>|\\]+")


def words(text: str) -> list[str]:
    """The words of a text in lower case, words that a line end broke put together."""
    return _WORD.findall(_BROKEN_WORD.sub("", text).lower())


def count_words(text: str) -> int:
    """How many words `words` would give, without holding them: of a book there are millions."""
    return _WORD.subn("", _BROKEN_WORD.sub("", text).lower())[1]


def normalised(line: str) -> str:
    """A line in lower case and without markup."""
    return " ".join(_MARKUP.sub(" ", line).lower().split())


def masked(line: str) -> str:
    """A line with its numbers hidden, so that "Page 7 of 9" equals "Page 8 of 9".

    >>> masked("**Page 7** of 9"), masked("GeoBase iv")
    ('page # of #', 'geobase #')
    """
    return _ROMAN.sub("#", re.sub(r"\d+", "#", normalised(line)))


@dataclass(frozen=True, slots=True)
class RunningLines:
    """The headers and footers of a document."""

    fixed: frozenset[str]  # as they are, on at least half of the pages
    numbered: Mapping[str, int]  # masked, with what has to be added to the page's place to give the number in it
    of_parts: Mapping[str, int]  # on fewer pages, and the first of them: there it stays, should it be content
    seen_often: frozenset[str] = frozenset()  # at the edges of several pages, also with a number that counts with them

    def holds(self, line: str, page: int, *, at_edge: bool = True) -> bool:
        """Whether a line of a page (from 1) is one of these. Table rows are not, headings only if they never change."""
        text = line.lstrip()
        if text.startswith("|") or not text:
            return False
        if not at_edge:
            return self._consists_of_fixed(text)
        line = normalised(text)
        if line in self.fixed or self.of_parts.get(line, page) != page or self._consists_of_fixed(text):
            return True
        if text.startswith("#"):
            return False
        if not _NUMBER.search(line):  # pages with Roman numbers in front
            return masked(line) in self.numbered
        return any(self.numbered.get(other) == number - page for other, number in _countings(text))

    def may_hold(self, line: str, page: int) -> bool:
        """Whether a line at the edge of a page may be one of these: several pages have it there, or count in it."""
        if self.holds(line, page) or normalised(line) in self.seen_often:
            return True
        return any(_counting(other, number - page) in self.seen_often for other, number in _countings(line))

    def _consists_of_fixed(self, text: str) -> bool:
        """Whether a long line is one or several of the fixed ones, put on one line."""
        several_words, beginnings = _several_words(self.fixed)
        lower = text.lower()
        if not any(word in lower for word in beginnings):  # nearly always
            return False
        rest = normalised(text)
        if rest.count(" ") + 1 < MIN_RUNNING_WORDS:
            return False
        for known in several_words:
            rest = rest.replace(known, "")
        return not rest.strip()


@lru_cache(1)
def _several_words(lines: frozenset[str]) -> tuple[list[str], set[str]]:
    """The lines of more than one word, the longest first, and their first words."""
    found = sorted((line for line in lines if " " in line), key=len, reverse=True)
    return found, {line.partition(" ")[0] for line in found}


def running_lines(pages: Sequence[str]) -> RunningLines:
    """What repeats at the edges of the raw pages: the same on half of them, or counting with them."""
    same: Counter[str] = Counter()
    counting: Counter[tuple[str, int]] = Counter()
    first: dict[str, int] = {}
    for place, page in enumerate(pages, start=1):
        edges = set(_edges(page))
        lines = {normalised(line) for line in edges}
        same.update(lines)
        for line in lines:
            first.setdefault(line, place)
        counting.update({(masked, number - place) for line in edges for masked, number in _countings(line)})
    half = max(MIN_PAGES_TO_REPEAT, 0.5 * len(pages))
    part = max(MIN_PAGES_TO_REPEAT, LONG_LINE_SHARE * len(pages))
    often = {line for line, count in same.items() if line and count >= MIN_PAGES_TO_REPEAT}
    return RunningLines(
        frozenset(line for line in often if same[line] >= half),
        {line: offset for (line, offset), count in counting.items() if count >= half},
        {line: first[line] for line in often if part <= same[line] < half and _is_long(line)},
        frozenset(often | {_counting(*one) for one, count in counting.items() if count >= MIN_PAGES_TO_REPEAT}),
    )


def _is_long(line: str) -> bool:
    return line.count(" ") + 1 >= LONG_LINE_WORDS


def _countings(line: str) -> Iterator[tuple[str, int]]:
    """Each number of a line, and the line in which it is the one that counts; the others do not change.

    >>> list(_countings("**Page 7** of 9"))
    [('page # of 9', 7), ('page 7 of #', 9)]
    """
    text = _ROMAN.sub("#", normalised(line))
    for match in _NUMBER.finditer(text):
        yield f"{text[: match.start()]}#{text[match.end() :]}", int(match.group())


def _counting(line: str, offset: int) -> str:
    """As one text; what it says is of no line."""
    return f"{line}\0{offset}"


def without_running_lines(page: str, place: int, running: RunningLines) -> str:
    """A page (the place-th, from 1) without its header and footer."""
    if not (running.fixed or running.numbered):
        return page
    lines = page.splitlines()
    full = [index for index, line in enumerate(lines) if line.strip()]
    edges = {*full[:EDGE_LINES], *full[-EDGE_LINES:]}
    looked_at = full if _several_words(running.fixed)[0] else edges
    gone = {index for index in looked_at if running.holds(lines[index], place, at_edge=index in edges)}
    return "\n".join(line for index, line in enumerate(lines) if index not in gone)


def coverage(raw_pages: Iterable[str], markdown: str) -> float:
    """Share of the raw words that are in the Markdown, each as often; 1 when there are none."""
    there = Counter(words(markdown))
    wanted: Counter[str] = Counter()
    for page in raw_pages:
        wanted.update(words(page))
    total = sum(wanted.values())
    return sum((wanted & there).values()) / total if total else 1.0


def association(raw_page: str, markdown_page: str) -> float:
    """Share of neighbouring words of the raw lines that are neighbours in a block of the Markdown; 1 without any."""
    return PageByPage().add(raw_page, markdown_page)


class PageByPage:
    """Coverage and association of a document, of which each page is cut into words once."""

    def __init__(self) -> None:
        self._wanted: Counter[str] = Counter()
        self._there: Counter[str] = Counter()
        self.lost_a_line = False  # the Markdown of the page that was added last lacks all words of a raw line

    def add(self, raw_page: str, markdown_page: str) -> float:
        """The association of this page, see `association`."""
        raw_lines = "\n".join(_BROKEN_WORD.sub("", raw_page).lower().splitlines())
        wanted = _WORD_OR_LINE_END.findall(raw_lines)
        there = _WORD_OR_BLOCK_END.findall(_BROKEN_WORD.sub("", markdown_page).lower())
        self._wanted.update(wanted)
        self._there.update(there)
        share, torn = _neighbours_kept(_spaced_lines(wanted), "\n".join(_spaced_lines(there)))
        missing = Counter(wanted) - Counter(there) if torn else Counter[str]()
        self.lost_a_line = any(missing.keys() >= _certain(line.split()) for line in torn)
        return share

    def coverage(self) -> float | None:
        """The coverage of all pages together, see `coverage`; None where they have no words."""
        wanted = {word: count for word, count in self._wanted.items() if word != "\n"}
        total = sum(wanted.values())
        return sum(min(count, self._there[word]) for word, count in wanted.items()) / total if total else None


def _certain(words: Sequence[str]) -> set[str]:
    """The words of a line; of a longer one without the first and the last, which a line end can have divided."""
    return set(words[1:-1] if len(words) > MIN_RUNNING_WORDS else words)


def _spaced_lines(tokens: Sequence[str]) -> list[str]:
    """The words of each line, every word between two spaces."""
    return [f" {line.strip()} " for line in " ".join(tokens).split("\n")]


def _neighbours_kept(lines: Sequence[str], text: str) -> tuple[float, list[str]]:
    """Share of the neighbours on these lines that are neighbours in the text, and the lines that are not there as such.

    Most lines are there as a whole.
    """
    total = kept = 0
    torn = []
    for line in lines:
        pairs = line.count(" ") - 2
        total += max(0, pairs)
        if line in text or pairs < 0:
            kept += max(0, pairs)
            continue
        torn.append(line)
        kept += sum(f" {first} {second} " in text for first, second in itertools.pairwise(line.split()))
    return kept / total if total else 1.0, torn


def _edges(page: str) -> list[str]:
    lines = [line for line in page.splitlines() if line.strip()]
    return lines[:EDGE_LINES] + lines[-EDGE_LINES:] if len(lines) > EDGE_LINES else lines
