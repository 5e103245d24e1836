"""The numbers that Word gives paragraphs by itself: 4.1.2 of a heading, (b) or (iv) of an item.

The part `word/numbering.xml` says how each level of a list is counted and written; the document names list and level of
a paragraph only. The mark becomes text of the paragraph, but for bullets and for items 1., 2., 3. in a row, which
stay items of a list.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from hpc_qa.documents.list_marks import letters, roman

_PLACE = re.compile(r"%([1-9])")
_PLAIN = re.compile(r"%[1-9]\.?")
MAX_TEXT = 100  # characters of the pattern of a mark
MAX_STYLES = 20  # that are based on each other


@dataclass(frozen=True, slots=True)
class Level:
    """How one level of a list is counted and written."""

    start: int = 1
    kind: str = "decimal"  # Word's `numFmt`
    text: str = ""  # "%1.%2" stands for the numbers of the first two levels
    is_legal: bool = False  # all numbers in digits
    style: str = ""  # whose paragraphs are of this level


@dataclass(slots=True)
class Numbering:
    """The lists of a document and the styles that number their paragraphs."""

    levels: dict[str, dict[int, Level]] = field(default_factory=dict)  # by list
    shared: dict[str, str] = field(default_factory=dict)  # by list, what it counts together with others
    restarts: dict[str, dict[int, int]] = field(default_factory=dict)  # by list, the first numbers of its levels
    styles: dict[str, tuple[str, int]] = field(default_factory=dict)  # by style, list and level


def read_lists(numbering: Numbering, root: Element, w: str) -> None:
    """Add the lists of `word/numbering.xml`; `w` is the namespace in braces.

    Which styles they number is taken out of it: mammoth would make list items of these, with numbers of its own.
    """
    abstract = {
        each.get(f"{w}abstractNumId", ""): {
            _int(level.get(f"{w}ilvl")): _level(level, w) for level in each.iter(f"{w}lvl")
        }
        for each in root.findall(f"{w}abstractNum")
    }
    for each in root.findall(f"{w}num"):
        key, base = each.get(f"{w}numId", ""), _value(each, "abstractNumId", w)
        numbering.levels[key] = dict(abstract.get(base, {}))
        numbering.shared[key] = base
        for override in each.findall(f"{w}lvlOverride"):
            level = _int(override.get(f"{w}ilvl"))
            if (own := override.find(f"{w}lvl")) is not None:
                numbering.levels[key][level] = _level(own, w)
            if override.find(f"{w}startOverride") is not None:
                first = _int(_value(override, "startOverride", w))
                numbering.restarts.setdefault(key, {})[level] = first
    for each in root.iter(f"{w}lvl"):
        if not _is_plain(_level(each, w)) and (style := each.find(f"{w}pStyle")) is not None:
            each.remove(style)


def read_styles(numbering: Numbering, root: Element, w: str) -> None:
    """Add the styles that number their paragraphs, by themselves or by the style that they are based on."""
    styles = {style.get(f"{w}styleId", ""): style for style in root.iter(f"{w}style")}
    for name in styles:
        found, level, based_on = "", None, name
        for _ in range(MAX_STYLES):
            style = styles.get(based_on)
            if style is None or found:
                break
            number = style.find(f"{w}pPr/{w}numPr")
            if number is not None:
                found = _value(number, "numId", w)
                written = _value(number, "ilvl", w)
                level = _int(written) if level is None and written else level
            based_on = _value(style, "basedOn", w)
        if found:
            numbering.styles[name] = (found, level or 0)


def write_marks(numbering: Numbering, root: Element, w: str) -> None:
    """Put the mark of each numbered paragraph in front of its text."""
    if not numbering.levels:
        return
    counts: dict[str, dict[int, int]] = {}
    seen: set[str] = set()
    in_list = False  # whether the paragraph before is an item that stays one
    for paragraph in root.iter(f"{w}p"):
        key, place = _list_of(paragraph, numbering, w)
        levels = numbering.levels.get(key, {})
        if place not in levels:
            in_list = False
            continue
        count = counts.setdefault(numbering.shared[key], {})
        if key not in seen:
            seen.add(key)
            count.update({level: first - 1 for level, first in numbering.restarts.get(key, {}).items()})
        _count(count, levels, place)
        is_heading = _is_heading(paragraph, w)
        in_list = (
            not is_heading
            and _is_plain(levels[place])
            and (in_list or levels[place].kind == "bullet" or count[place] == 1)
        )
        if not in_list and any(text.text for text in paragraph.iter(f"{w}t")):
            _write(paragraph, _mark(count, levels, place), w)


def _is_plain(level: Level) -> bool:
    """Whether Markdown has a list for it: bullets, or 1., 2., 3."""
    return level.kind == "bullet" or (level.kind == "decimal" and _PLAIN.fullmatch(level.text) is not None)


def _count(count: dict[int, int], levels: Mapping[int, Level], place: int) -> None:
    for deeper in [level for level in count if level > place]:
        del count[deeper]
    for level in range(place):
        if level in levels:
            count.setdefault(level, levels[level].start)
    count[place] = count.get(place, levels[place].start - 1) + 1


def _mark(count: Mapping[int, int], levels: Mapping[int, Level], place: int) -> str:
    """The mark as it is written; empty where there is none."""
    level = levels[place]
    if level.kind == "bullet":
        return ""

    def number(match: re.Match[str]) -> str:
        at = int(match.group(1)) - 1
        kind = "decimal" if level.is_legal or at not in levels else levels[at].kind
        return _written(count.get(at, 1), kind)

    return _PLACE.sub(number, level.text)


def _written(number: int, kind: str) -> str:
    match kind:
        case "lowerLetter":
            return letters(number)
        case "upperLetter":
            return letters(number).upper()
        case "lowerRoman":
            return roman(number)
        case "upperRoman":
            return roman(number).upper()
        case "decimalZero":
            return f"{number:02}"
        case "none":
            return ""
    return str(number)


def _write(paragraph: Element, mark: str, w: str) -> None:
    """The mark as a run before the others; the paragraph is none of a list then."""
    properties = paragraph.find(f"{w}pPr")
    own = None if properties is None else properties.find(f"{w}numPr")
    if properties is not None and own is not None:
        properties.remove(own)
    if not mark.strip():
        return
    run = ET.Element(f"{w}r")
    ET.SubElement(run, f"{w}t").text = f"{mark} "
    paragraph.insert(0 if properties is None else list(paragraph).index(properties) + 1, run)


def _list_of(paragraph: Element, numbering: Numbering, w: str) -> tuple[str, int]:
    """The list and level of a paragraph, by itself or by its style; list 0 is none."""
    element = paragraph.find(f"{w}pPr/{w}pStyle")
    style = "" if element is None else element.get(f"{w}val", "")
    key, place = numbering.styles.get(style, ("", 0))
    place = next((at for at, level in numbering.levels.get(key, {}).items() if style and level.style == style), place)
    own = paragraph.find(f"{w}pPr/{w}numPr")
    if own is None:
        return key, place
    level = _value(own, "ilvl", w)
    return _value(own, "numId", w) or key, _int(level) if level else place


def _is_heading(paragraph: Element, w: str) -> bool:
    style = paragraph.find(f"{w}pPr/{w}pStyle")
    return style is not None and style.get(f"{w}val", "").lower().startswith("heading")


def _level(level: Element, w: str) -> Level:
    return Level(
        start=_int(_value(level, "start", w)),
        kind=_value(level, "numFmt", w) or "decimal",
        text=_value(level, "lvlText", w)[:MAX_TEXT],
        is_legal=level.find(f"{w}isLgl") is not None,
        style=_value(level, "pStyle", w),
    )


def _value(element: Element, name: str, w: str) -> str:
    found = element.find(f"{w}{name}")
    return "" if found is None else found.get(f"{w}val", "")


def _int(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else 0
