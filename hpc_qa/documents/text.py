"""Bytes to clean text, for every format; plain text and Markdown end here.

Decoding: a byte order mark decides, else UTF-8, also with a few bytes that are none (replaced and counted), else
Windows-1252; which one it was is recorded. Bytes with NULs or many control characters are no text, nor is what begins
like another format. Clean text has line feeds only, no control characters, no invisible characters, and no table
padding; invisible ones that hide or reorder text are reported as suspicious. Joiners inside words of other scripts and
selectors behind ideographs are part of the spelling and stay.
"""

import itertools
import re
import unicodedata
from dataclasses import dataclass, replace

from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.hidden import outside_code, shown_markdown
from hpc_qa.documents.raised import in_line
from hpc_qa.documents.signatures import format_of
from hpc_qa.documents.struck import without_struck
from hpc_qa.documents.suspicion import MAX_PLACES, PLACE, place_of
from hpc_qa.errors import DocumentError

MAX_CONTROL_SHARE = 0.02
REPLACEMENT = "\ufffd"

_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# Zero-width and directional marks, a soft hyphen, fillers that look like nothing, selectors of a glyph's variant.
_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2060-\u2064\u206a-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a"
)
# With control characters and non-characters, and joiners beside ASCII, where they join nothing.
_INVISIBLE = re.compile(
    f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff{_UNSEEN}]"
    "|(?<=[\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\x7f])"
)
# Tag characters spell ASCII that nobody sees, and so can rows of unseen characters, selectors that select nothing and
# joiners inside plain words; bidirectional overrides show text in another order than it is read in.
_HIDING = re.compile(
    "[\U000e0000-\U000e007f\u202a-\u202e\u2066-\u2069]"
    f"|[{_UNSEEN}\u200c\u200d\U000e0100-\U000e01ef]{{4,}}"
    "|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
    "|(?<=[A-Za-z0-9])[\u200c\u200d]+(?=[A-Za-z0-9])"
)
# Text of these alone is clean already: no control or invisible character, no wide space, no ligature, no mark that
# combines with the letter before it. Most pages are, and this tells it a hundred times as fast as cleaning them.
_PLAIN = re.compile(
    "[\n\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff\u0391-\u03c9\u2010-\u2027\u2030-\u205e\u2070-\u208e\u2190-\u22ff\u2500-\u27bf]*+"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NOT_ASCII = re.compile("[^\x00-\x7f]")
_SURROGATE_BYTES = re.compile(b"\xed[\xa0-\xbf][\x80-\xbf]")
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_LIGATURES = {ord(c): unicodedata.normalize("NFKC", c) for c in "\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06"}
_SYMBOL_BULLETS = {0xF0B7: "\u2022", 0xF0A7: "\u2022", 0xF0D8: "\u2022", 0xF0FC: "\u2022"}  # fonts Symbol, Wingdings
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:.*\n){0,200}?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_CELL_PADDING = re.compile(r"(?<=\S) {2,}(?=\||\S)|(?<=\|) {2,}")
_ESCAPE = re.compile(r"(?<=[^\n\\ ])( *)\\([_*\[\]#<>~&`.()+!-])")
_SPACE_ON_EMPTY_LINE = re.compile(r"(?<![ \t])[ \t](?=\n)|(?<=\n)[ \t]+(?=\n)")
_SPACE_BEHIND_BREAK = re.compile(r"(?<=[^ \t\n])[ \t]{2,}\n(?=[^\n])")
_EMPTY_LINES = re.compile(r"\n{3,}")
_LONG_DASHES = re.compile(r"-{4,}")
_SPACE_AT_LINE_END = re.compile(r"(?<![ \t])[ \t]++(?=\n|\Z)")
_UNDERLINE = re.compile(r"""([=\-~^"'`#*+.:_])\1{2,}[ \t]*\Z""")


def read_text(data: bytes) -> Extracted:
    """A plain text file; underlined and overlined titles become headings."""
    decoded = decode(data)
    cleaned = clean(decoded.text)
    markdown = underlined_headings(fenced_literals(_SPACE_AT_LINE_END.sub("", cleaned[0])))
    return _finished(markdown, decoded, cleaned, "text")


def read_markdown(data: bytes) -> Extracted:
    """A Markdown file, without front matter, comments and hidden elements."""
    decoded = decode(data)
    cleaned = clean(decoded.text)
    shown = shown_markdown(_FRONT_MATTER.sub("", cleaned[0]))
    text = outside_code(shown.text, _as_text) if "<" in shown.text else shown.text
    found = _finished(without_padding(text), decoded, cleaned, "markdown")
    return replace(found, hidden_words=shown.hidden_words, hidden_text_places=shown.places)


def _as_text(markdown: str) -> str:
    """Without what the HTML in it strikes through, and with raised text in a form of its own."""
    return in_line(without_struck(markdown))


def _finished(markdown: str, decoded: "Decoded", cleaned: tuple[str, int, list[str]], engine: str) -> Extracted:
    return Extracted(
        markdown=squeezed(markdown),
        engine=engine,
        encoding=decoded.encoding,
        undecodable=decoded.undecodable,
        removed_characters=cleaned[1],
        suspicious_unicode=bool(cleaned[2]),
        hidden_places=cleaned[2],
    )


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, the encoding that it was in, and how many places of it could not be decoded."""

    text: str
    encoding: str
    undecodable: int = 0


def decode(data: bytes) -> Decoded:
    """The text of a file.

    Raises:
        DocumentError: `empty`, or `not_text`.
    """
    if not data.strip():
        raise DocumentError("empty", f"{len(data)} bytes, none of them text")
    if other := format_of(data):
        raise DocumentError("not_text", f"the file is {other}, whatever its name says")
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _checked(Decoded(_decoded(data, encoding), encoding))
    if b"\0" in data:
        raise DocumentError("not_text", "the file holds NUL bytes" + _utf16_advice(data))
    return _checked(_without_mark(data))


def _without_mark(data: bytes) -> Decoded:
    """UTF-8 where that makes sense of more bytes than it leaves, else Windows-1252."""
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", errors="replace")
    bad = text.count(REPLACEMENT) - data.count(REPLACEMENT.encode())
    good = sum(1 for _ in _NOT_ASCII.finditer(text)) - text.count(REPLACEMENT)
    surrogates = 3 * len(_SURROGATE_BYTES.findall(data))  # UTF-8 of half a character: three bytes, each replaced
    if good >= bad or surrogates == bad:
        return Decoded(text, "utf-8", bad)
    # Windows-1252 leaves five bytes undefined; they are replaced.
    text = data.decode("cp1252", errors="replace")
    return Decoded(text, "cp1252", text.count(REPLACEMENT))


def _utf16_advice(data: bytes) -> str:
    start = data[:4096]
    zeros = max(start[0::2].count(0), start[1::2].count(0))
    return "; it looks like UTF-16 without a byte order mark: save it as UTF-8" if zeros > len(start) // 5 else ""


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise DocumentError("not_text", f"not {encoding}, though its first bytes say so: {exc.reason}") from exc


def _checked(decoded: Decoded) -> Decoded:
    control = sum(1 for _ in _CONTROL.finditer(decoded.text))
    if control > MAX_CONTROL_SHARE * len(decoded.text):
        raise DocumentError("not_text", f"{control} control characters")
    return decoded


def clean(text: str) -> tuple[str, int, list[str]]:
    """Clean text, how many characters were taken out, and in front of what some of them hid or reordered text."""
    if _PLAIN.fullmatch(text):
        return text, 0, []
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n")
    text = text.replace("\u2028", "\n").replace("\u2029", "\n\n").replace("\x85", "\n")
    before = len(text)
    text, places = _without_hiding(text)
    text = _INVISIBLE.sub("", text)
    removed = before - len(text)
    text = _SPACES.sub(" ", text).translate(_LIGATURES).translate(_SYMBOL_BULLETS)
    return unicodedata.normalize("NFC", text.expandtabs(4)), removed, places


def _without_hiding(text: str) -> tuple[str, list[str]]:
    """The text without characters that hide or reorder, and the places where they were, up to `MAX_PLACES`."""
    places: dict[str, None] = {}
    for match in itertools.islice(_HIDING.finditer(text), MAX_PLACES):
        following = _HIDING.sub("", text[match.end() : match.end() + 8 * PLACE])
        places.setdefault(place_of(unicodedata.normalize("NFC", following)))
    return _HIDING.sub("", text), list(places)


def squeezed(markdown: str) -> str:
    """Without space at line ends, hard line breaks aside, and without more than one empty line in a row."""
    if " \n" in markdown or "\t\n" in markdown:
        markdown = _SPACE_BEHIND_BREAK.sub("  \n", _SPACE_ON_EMPTY_LINE.sub("", markdown))
    if "\n\n\n" in markdown:
        markdown = _EMPTY_LINES.sub("\n\n", markdown)
    return markdown.strip("\n") + "\n"


def without_padding(markdown: str) -> str:
    """Tables without the spaces and dashes that only align their columns."""
    lines = markdown.split("\n")
    for index, line in enumerate(lines):
        if line.lstrip().startswith("|"):
            lines[index] = _LONG_DASHES.sub("---", _CELL_PADDING.sub(" ", line))
    return "\n".join(lines)


def without_escapes(markdown: str) -> str:
    r"""Without backslashes that no reader of the plain text needs; those at the start of a line are kept.

    >>> without_escapes(r"CL\_Type 0..\* of [1\]")
    'CL_Type 0..* of [1]'
    """
    return _ESCAPE.sub(r"\1\2", markdown) if "\\" in markdown else markdown


def fenced_literals(text: str) -> str:
    r"""Indented text behind a line that ends in "::" is an example, not prose; it gets a fence.

    >>> fenced_literals("Like this::\n\n    a = 1\n\nMore.")
    'Like this::\n\n```\n    a = 1\n```\n\nMore.'
    """
    result: list[str] = []
    fenced, armed, indent = False, False, 0
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip())
        if fenced and line and depth <= indent:
            while result[-1] == "":
                result.pop()
            result += ["```", ""]
            fenced = False
        if armed and line:
            armed, fenced = False, depth > indent
            result += ["```"] if fenced else []
        if not fenced and line.endswith("::") and not line.lstrip().startswith(".. "):
            armed, indent = True, depth
        result.append(line)
    return "\n".join([*result, "```"] if fenced else result)


def underlined_headings(text: str) -> str:
    r"""Titles underlined with a row of one character become `#` headings, as deep as the row's style is new.

    >>> underlined_headings("Title\n=====\n\nPart\n----\ntext\n")
    '# Title\n\n## Part\ntext\n'
    """
    lines = text.split("\n")
    styles: list[str] = []
    result: list[str] = []
    index = 0
    fenced = False
    while index < len(lines):
        fenced ^= lines[index] == "```"
        used, style = (1, "") if fenced else _title_at(lines, index)
        if style:
            if style not in styles:
                styles.append(style)
            result.append(f"{'#' * min(6, styles.index(style) + 1)} {lines[index + used - 2].strip()}")
        else:
            result += lines[index : index + 1]
        index += used
    return "\n".join(result)


def _title_at(lines: list[str], index: int) -> tuple[int, str]:
    """How many lines a title takes here, and its style; one line and no style where there is none."""
    if index and lines[index - 1].strip():
        return 1, ""
    if index + 2 < len(lines) and _is_title(lines[index + 1], lines[index + 2]) and lines[index] == lines[index + 2]:
        return 3, "over" + lines[index][0]
    if index + 1 < len(lines) and _is_title(lines[index], lines[index + 1]) and not lines[index].startswith(" "):
        return 2, lines[index + 1][0]
    return 1, ""


def _is_title(title: str, underline: str) -> bool:
    match = _UNDERLINE.match(underline)
    text = title.strip()
    return (
        match is not None
        and text != ""
        and any(character.isalnum() for character in text)
        and len(underline.rstrip()) >= min(len(text), 4)
        and len(text) <= 200
    )
