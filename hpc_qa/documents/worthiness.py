"""Chunks that no question should be asked about: contents, indexes, forms, histories of revisions, numbers and such.

Rules over the lines of a chunk, no model; the same chunk always gives the same answer. To lose a good chunk is worse
than to ask about a poor one, so every rule wants most of the chunk to be of its kind, and a chunk with running text in
it is worth asking about whatever else it holds. A table with words in it is worth asking about as well. A heading that
says what a chunk is counts when it stands above all of it.
"""

import itertools
import re
from collections.abc import Callable, Sequence

from hpc_qa.documents.chunks import Chunk

KINDS = (
    "numbers", "bibliography", "revisions", "contents", "index", "form", "navigation", "no_sentences", "little_text",
)  # fmt: skip
MIN_LINES = 8  # of a list that is called contents, an index or navigation
MOST = 0.7  # of the lines
RUNNING_TEXT = 0.3  # of the words: with as much in sentences, a chunk is worth asking about
MIN_SENTENCE_WORDS = 8
MIN_WORDS = 6
MIN_CHAPTERS = 3  # whose numbered titles make contents without pages
MIN_SEVERAL = 0.1  # of the entries of an index that is not called one have several pages
MOST_WORDS_OF_A_BOX = 2  # "yes", "not known"; with more a row of boxes is a list

_BULLETS = re.compile(r"[\s>]*(?:[-*+•‣▪]\s+)*")
_MARKUP = str.maketrans("*`|", "   ")
_ESCAPE = re.compile(r"\\(?=[\W_])")
_SAYS_SOMETHING = re.compile(r"[\w☐☑☒□▢❏❑○◯[]")
_NEW_SENTENCE = re.compile(r"\w[.;:] +[A-Z\"(]")
_SENTENCE_END = re.compile(r"""[.!?:;]["'”’)\]]*$""")
# This and the pattern of blanks begin with a set of few characters: the regex engine then runs over a line much faster.
_LEADERS = re.compile(r"[.…_](?:(?<=\.)[ \u2009]?(?:\.[ \u2009]?){3,}|(?<=…)…+|(?<=_)_{5,}(?=\s*\d))")
_LEADERS_TO_PAGE = re.compile(rf"(?:{_LEADERS.pattern})[\s.]*(?:\d|[ivxlcIVXLC]+\b)")
_PAGE_AT_END = re.compile(r"(?:^|[\s.…_])(?:(\d{1,4})|[ivxlcIVXLC]{1,6}|[A-Z]-\d{1,3})$")
_NUMBERED_HEADING = re.compile(
    r"(?:(?:chapter|appendix|part|section|annex)\s+)?([A-Z]|\d{1,2})(?:\.\d{1,3})+\.?\s+\S", re.I
)
_CHAPTER = re.compile(r"(?:chapter|appendix|part|section|annex)\s+[A-Z\d]{1,3}\b|\d{1,2}\.\s", re.IGNORECASE)
_INDEX_ENTRY = re.compile(
    r"\D.*?[,\s]\s*(?:see(?: also)? .+|[ivxlc\d]{1,6}(?:[-–]\d{1,4})?(?:,\s*[ivxlc\d]{1,6}(?:[-–]\d{1,4})?)*)$"
)
_SEVERAL_PAGES = re.compile(r"\d,\s*\d+(?:[-–,]|$)|\d[-–]\d+$|,\s*see\b", re.IGNORECASE)
_PRICE = re.compile(r"[$€£]\s?\d|\d\.\d\d\b")
_CONTENTS_TITLE = re.compile(r"\W*(?:table of )?contents\W*|\W*inhalt(?:sverzeichnis)?\W*", re.IGNORECASE)
_INDEX_TITLE = re.compile(r"\W*(?:(?:general|subject|alphabetical|concept|function) )?index\W*", re.IGNORECASE)
_SOURCES_TITLE = re.compile(
    r".*\b(?:references|bibliography|works cited|literature(?: cited)?|further reading)\W*", re.I
)
_CITATION = re.compile(
    r"\b(?:19|20)\d\d\b|\bISBN\b|\bdoi\b|https?://|\bvol\.|\bpp?\. ?\d|\bPress\b|\bet al\b", re.IGNORECASE
)
_REVISIONS_TITLE = re.compile(
    r"\W*(?:\d[\d.]*\s+)?(?:(?:document|manual) )?(?:(?:revision|version|change|amendment|release|update|document)s? "
    r"(?:history|log|record|control|summary)|(?:record|history|log|summary) of (?:changes|revisions|amendments)"
    r"|change ?log)\W*",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    r"\b(?:\d{4}-\d\d(?:-\d\d)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}"
    rf"|{_MONTH} (?:\d\d?, )?\d\d\d\d|\d\d? {_MONTH} \d\d\d\d)\b",
    re.IGNORECASE,
)
_VERSION_COLUMN = re.compile(r"\b(?:version|revision|rev|release|issue|edition|amendment)\b", re.IGNORECASE)
_THING_COLUMN = re.compile(
    r"\|\s*(?:forms?|policy|policies|titles?|names?|codes?|services?|programs?|manuals?)\b", re.I
)
_CHANGE_COLUMN = re.compile(r"\b(?:changes?|description|author|summary|reason|comments?|approved|prepared)\b", re.I)
_DUTY = re.compile(r"\b(?:must|shall|may|should|requires?|required)\b", re.IGNORECASE)
_BLANK = re.compile(
    r"[_.☐☑☒□▢❏❑○◯[(](?:(?<=_)_{2,}|(?<=\.)\.{11,}|(?<=[☐☑☒□▢❏❑○◯])|(?<=\[)(?<!\w.)[ xX]?\](?!\()|(?<=\()\s{1,3}\))"
)
_TO_FILL = re.compile(r"_{3,}|\.{12,}|\(\s{1,3}\)")
_NAVIGATION = re.compile(
    r"\W*(?:next|prev(?:ious)?|up|home|top|back(?: to top)?|contents|index|search|menu"
    r"|skip to (?:main )?content|log ?in|log ?out"
    r"|sign ?(?:in|up)|sitemap|site map|contact(?: us)?|about(?: us)?|help|print|share|page source|show source|cookies?"
    r"|privacy(?: policy)?|terms(?: of (?:use|service))?|modules|quick search|breadcrumbs?)\W*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{2,}")


def unworthy(chunk: Chunk) -> str | None:
    """Why nothing should be asked about a chunk, one of `KINDS`; None when it is worth asking about."""
    header = f"{chunk.table_header}\n" if chunk.table_header else ""
    lines, headings = _lines(header + chunk.text), _above_all(chunk)
    words = _WORD.findall(header + chunk.text)
    if _is_numbers(chunk.text, words):
        return "numbers"
    if _is_bibliography(lines, headings):  # full of what look like sentences
        return "bibliography"
    if _is_revisions(lines, headings):  # likewise
        return "revisions"
    if not _is_running_text(lines):
        for name, rule in _RULES:
            if rule(lines, headings):
                return name
    if not chunk.sentences:
        return "no_sentences"
    if len(words) < MIN_WORDS and not any(_is_sentence(line, least=4) for line in lines) and "|" not in chunk.text:
        return "little_text"
    return None


def _above_all(chunk: Chunk) -> tuple[str, ...]:
    """The headings that all sections of a chunk stand under."""
    paths = [chunk.headings, *(section.headings for section in chunk.sections)]
    levels = itertools.takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))
    return tuple(level[0] for level in levels)


def _lines(text: str) -> list[str]:
    """The lines that say something, without headings, bullets and the dashes of tables; rows begin with |."""
    found = []
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith("#") or not _SAYS_SOMETHING.search(stripped):
            continue
        plain = " ".join(_without_markup(stripped).split())
        found.append(f"| {plain}" if stripped.startswith("|") else plain)
    return found


def _without_markup(line: str) -> str:
    """A line without bullets, emphasis, borders of cells and escaping backslashes, of which space may be left."""
    match = _BULLETS.match(line)
    rest = line[match.end() :] if match else line
    if "*" in rest or "`" in rest or "|" in rest:
        rest = rest.translate(_MARKUP)
    return _ESCAPE.sub(" ", rest) if "\\" in rest else rest


def _is_sentence(line: str, least: int = MIN_SENTENCE_WORDS) -> bool:
    return bool(_SENTENCE_END.search(line)) and not _LEADERS.search(line) and len(_WORD.findall(line)) >= least


def _is_running_text(lines: Sequence[str]) -> bool:
    """Whether enough of the words stand in lines that are sentences, or parts of a paragraph of them."""
    running = total = 0
    for line in lines:
        words = len(_WORD.findall(line))
        total += words
        if words >= MIN_SENTENCE_WORDS and not _LEADERS.search(line) and not _BLANK.search(line):
            running += words if _SENTENCE_END.search(line) or _NEW_SENTENCE.search(line) else words // 2
    return running > RUNNING_TEXT * max(1, total)


def _share(lines: Sequence[str], holds: Callable[[str], object]) -> float:
    return sum(1 for line in lines if holds(line)) / max(1, len(lines))


def _titled(headings: Sequence[str], title: re.Pattern[str]) -> bool:
    return any(title.fullmatch(heading) for heading in headings[-2:])


def _is_contents(lines: Sequence[str], headings: Sequence[str]) -> bool:
    """Titles with leaders and pages; titles with pages that only rise; or numbered titles of several levels alone."""
    leaders = sum(len(_LEADERS_TO_PAGE.findall(line)) for line in lines)
    words = sum(len(_WORD.findall(line)) for line in lines)
    titled = _titled(headings, _CONTENTS_TITLE)
    if words <= 15 * leaders and (leaders >= 5 or (titled and leaders >= len(lines))):
        return True
    if len(lines) < MIN_LINES or any(line.startswith("|") for line in lines):
        return False
    pages = [int(match[1]) for line in lines if (match := _PAGE_AT_END.search(line)) and match[1]]
    rising = sum(left <= right for left, right in itertools.pairwise(pages)) >= 0.9 * (len(pages) - 1)
    if rising and len(pages) >= MOST * len(lines) and (titled or _share(lines, _begins_numbered) >= 0.5):
        return True
    short = _share(lines, lambda line: len(line.split()) <= 12 and not _SENTENCE_END.search(line)) >= 0.9
    chapters = [match[1] for line in lines if (match := _NUMBERED_HEADING.match(line))]
    of_several = len(chapters) >= 5 and len(set(chapters)) >= MIN_CHAPTERS  # steps are of one
    return short and ((of_several and _share(lines, _begins_numbered) >= MOST) or (titled and words > len(lines)))


def _begins_numbered(line: str) -> bool:
    return bool(_NUMBERED_HEADING.match(line) or _CHAPTER.match(line))


def _is_index(lines: Sequence[str], headings: Sequence[str]) -> bool:
    """Terms in the order of the alphabet, each with the pages that it is on."""
    if len(lines) < MIN_LINES or any(line.startswith("|") for line in lines):
        return False
    entries = [line for line in lines if len(line.split()) <= 12 and _INDEX_ENTRY.match(line)]
    letters = [line[0].casefold() for line in entries if line[0].isalpha()]
    ordered = sum(left <= right for left, right in itertools.pairwise(letters))
    several = sum(1 for line in entries if _SEVERAL_PAGES.search(line))  # a price is one number
    listed = _titled(headings, _INDEX_TITLE) or (
        several >= MIN_SEVERAL * len(entries) and not _PRICE.search("".join(lines))
    )
    if (
        listed
        and len(entries) >= MOST * len(lines)
        and len(letters) >= MIN_LINES // 2
        and ordered >= 0.8 * (len(letters) - 1)
    ):
        return True
    short = _share(lines, lambda line: len(line.split()) <= 8 and not _SENTENCE_END.search(line))
    return _titled(headings, _INDEX_TITLE) and short >= 0.9


def _is_bibliography(lines: Sequence[str], headings: Sequence[str]) -> bool:
    """Lines that cite, under a title that says so, and hardly any that says what somebody has to do."""
    cited = _titled(headings, _SOURCES_TITLE) and len(lines) >= 3 and _share(lines, _CITATION.search) >= MOST
    return cited and _share(lines, _DUTY.search) <= 0.1


def _is_revisions(lines: Sequence[str], headings: Sequence[str]) -> bool:
    """Dated lines under a title that says so, or a table of versions with their dates and changes; no duties."""
    if len(lines) < 3 or _share(lines, lambda line: _DUTY.search(_DATE.sub("", line))) > 0.1:  # May is a month
        return False
    head = lines[0]
    is_table = (
        head.startswith("|")
        and not _THING_COLUMN.match(head)
        and all(one.search(head) for one in (_VERSION_COLUMN, _CHANGE_COLUMN))
    )
    entries = lines[1:] if head.startswith("|") and not _DATE.search(head) else lines
    return (is_table or _titled(headings, _REVISIONS_TITLE)) and _share(entries, _DATE.search) >= MOST


def _is_form(lines: Sequence[str], _headings: Sequence[str]) -> bool:
    """Blanks to fill in and boxes to tick on half of its lines."""
    blanks = sum(len(_BLANK.findall(line)) for line in lines)
    words = sum(len(_WORD.findall(line)) for line in lines)
    if not any(_TO_FILL.search(line) for line in lines) and words > MOST_WORDS_OF_A_BOX * blanks:
        return False  # a list of what somebody has to bring or to do
    return blanks >= 5 and _share(lines, _BLANK.search) >= 0.5 and words <= 12 * blanks


def _is_navigation(lines: Sequence[str], _headings: Sequence[str]) -> bool:
    """Short lines only, and among them what sites call the way to their other pages."""
    parts = [part for line in lines for part in re.split(r"\s*[|»›·]\s*", line.removeprefix("| ")) if part]
    named = {part.casefold() for part in parts if _NAVIGATION.fullmatch(part)}
    return len(parts) >= 5 and len(named) >= 3 and _share(parts, lambda part: len(part.split()) <= 5) >= 0.9


def _is_numbers(text: str, words: Sequence[str]) -> bool:
    """Digits without words that would say what they are; two words can be the head of a table."""
    few = 2 if "|" in text else 5
    if len({word.casefold() for word in words[:100]}) >= few:  # so they are in most chunks
        return False
    digits = sum(map(str.isdigit, text))
    return digits >= 20 and len({word.casefold() for word in words}) < few and digits > sum(map(len, words))


_RULES: tuple[tuple[str, Callable[[Sequence[str], Sequence[str]], bool]], ...] = (
    ("contents", _is_contents),
    ("index", _is_index),
    ("form", _is_form),
    ("navigation", _is_navigation),
)
