"""Make headings of lines that only became bold.

On some pages the converter sets a heading as a bold paragraph. Which font and size is a heading of which level, the
other pages of the document say: a bold line that stands alone, in larger letters than its page, gets that level.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

LARGER = 1.1  # than most letters of the page
SEEN = 2  # headings of a font and size before it counts as one

Font = tuple[str, float]  # name and size
Large = Mapping[str, Font]  # squashed text of the lines of a page that are larger than most

_HEADING = re.compile(r"(#{1,6}) +(.+)")
_BOLD = re.compile(r"\*{2,3}(?! )([^*]+)\*{2,3}")
_NOT_TEXT = re.compile(r"[\W_]+")


def large_lines(items: Iterable[tuple[str, str, float]]) -> Large:
    """The lines of a page in letters larger than most; of each line its text, the name of its font and its size."""
    found = [(text, (font, round(size, 1))) for text, font, size in items]
    sizes: Counter[float] = Counter()
    for text, (_, size) in found:
        sizes[size] += len(text)
    usual = sizes.most_common(1)[0][0] if sizes else 0.0
    return {_squashed(text): font for text, font in found if font[1] > LARGER * usual}


def with_headings(pages: Sequence[str], larges: Sequence[Large]) -> list[str]:
    """The Markdown of each page, bold lines made headings where their font is that of headings elsewhere."""
    levels = _levels(pages, larges)
    return [_promoted(page, large, levels) if large and "**" in page else page
            for page, large in zip(pages, larges, strict=True)]  # fmt: skip


def _levels(pages: Sequence[str], larges: Sequence[Large]) -> dict[Font, int]:
    """The level of headings in each font that has some."""
    seen: dict[Font, Counter[int]] = defaultdict(Counter)
    for page, large in zip(pages, larges, strict=True):
        for line in page.splitlines() if large else ():
            match = _HEADING.fullmatch(line)
            font = large.get(_squashed(match.group(2))) if match else None
            if match and font:
                seen[font][len(match.group(1))] += 1
    return {font: counts.most_common(1)[0][0] for font, counts in seen.items() if counts.total() >= SEEN}


def _promoted(page: str, large: Large, levels: Mapping[Font, int]) -> str:
    lines = ["", *page.split("\n"), ""]
    for index in range(1, len(lines) - 1):
        match = _BOLD.fullmatch(lines[index].strip())
        if match is None or lines[index - 1].strip() or lines[index + 1].strip():
            continue
        font = large.get(_squashed(match.group(1)))
        if font is not None and font in levels:
            lines[index] = f"{'#' * levels[font]} {match.group(1).strip()}"
    return "\n".join(lines[1:-1])


def _squashed(text: str) -> str:
    return _NOT_TEXT.sub("", text).lower()
