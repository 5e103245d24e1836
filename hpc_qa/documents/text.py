"""Bytes to clean text, for every format; plain text and Markdown end here.

Decoding: a byte order mark decides, else UTF-8, else Windows-1252, and which one it was is recorded. Bytes with NULs or
many control characters are no text. Clean text has line feeds only, no control characters, none of the invisible
characters that hide or reorder text, and no table padding.
"""

import re
import unicodedata

from hpc_qa.documents.extracted import Extracted
from hpc_qa.errors import DocumentError

MAX_CONTROL_SHARE = 0.02

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# Control characters; zero-width marks that are no part of a script; a soft hyphen; non-characters.
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060-\u2064\ufeff\ufffe\uffff]")
# Tag characters spell ASCII that nobody sees; bidirectional overrides show text in another order than it is read in.
_HIDING = re.compile("[\U000e0000-\U000e007f\u202a-\u202e\u2066-\u2069]")
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_LIGATURES = {ord(c): unicodedata.normalize("NFKC", c) for c in "\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06"}
_SYMBOL_BULLETS = {0xF0B7: "\u2022", 0xF0A7: "\u2022", 0xF0D8: "\u2022", 0xF0FC: "\u2022"}  # fonts Symbol, Wingdings
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:.*\n){0,200}?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_CELL_PADDING = re.compile(r"(?<=\S) {2,}(?=\||\S)|(?<=\|) {2,}")
_ESCAPE = re.compile(r"(?<=[^\n\\ ])( *)\\([_*\[\]#<>~&`.()+!-])")
_LONG_DASHES = re.compile(r"-{4,}")
_SPACE_AT_LINE_END = re.compile(r"(?<![ \t])[ \t]++(?=\n|\Z)")
_UNDERLINE = re.compile(r"""([=\-~^"'`#*+.:_])\1{2,}[ \t]*\Z""")


def read_text(data: bytes) -> Extracted:
    """A plain text file; underlined and overlined titles become headings."""
    text, encoding = decode(data)
    return _finished(
        underlined_headings(fenced_literals(_SPACE_AT_LINE_END.sub("", clean(text)[0]))), text, encoding, "text"
    )


def read_markdown(data: bytes) -> Extracted:
    """A Markdown file, without front matter and comments."""
    text, encoding = decode(data)
    cleaned = without_comments(_FRONT_MATTER.sub("", clean(text)[0]))
    return _finished(without_padding(cleaned), text, encoding, "markdown")


def _finished(markdown: str, text: str, encoding: str, engine: str) -> Extracted:
    _, removed, suspicious = clean(text)
    return Extracted(
        markdown=squeezed(markdown),
        engine=engine,
        encoding=encoding,
        removed_characters=removed,
        suspicious_unicode=suspicious,
    )


def decode(data: bytes) -> tuple[str, str]:
    """Text and the encoding that it was in.

    Raises:
        DocumentError: `empty`, or `not_text`.
    """
    if not data.strip():
        raise DocumentError("empty", f"{len(data)} bytes, none of them text")
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _checked(_decoded(data, encoding), encoding)
    if b"\0" in data:
        raise DocumentError("not_text", "the file holds NUL bytes")
    try:
        return _checked(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        # Windows-1252 leaves five bytes undefined; they are replaced.
        return _checked(data.decode("cp1252", errors="replace"), "cp1252")


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise DocumentError("not_text", f"not {encoding}, though its first bytes say so: {exc.reason}") from exc


def _checked(text: str, encoding: str) -> tuple[str, str]:
    control = sum(1 for match in _INVISIBLE.finditer(text) if match.group() < " ")
    if control > MAX_CONTROL_SHARE * len(text):
        raise DocumentError("not_text", f"{control} control characters")
    return text, encoding


def clean(text: str) -> tuple[str, int, bool]:
    """Clean text, how many characters were taken out, and whether some of them hid or reordered text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n").replace("\u2028", "\n")
    text, invisible = _INVISIBLE.subn("", text)
    text, hiding = _HIDING.subn("", text)
    text = _SPACES.sub(" ", text).translate(_LIGATURES).translate(_SYMBOL_BULLETS)
    return unicodedata.normalize("NFC", text.expandtabs(4)), invisible + hiding, hiding > 0


def squeezed(markdown: str) -> str:
    """Without space at line ends, hard line breaks aside, and without more than one empty line in a row."""
    lines = re.sub(
        r"(?<=[^ \t\n])[ \t]{2,}\n(?=[^\n])", "  \n", re.sub(r"(?<![ \t])[ \t](?=\n)|(?<=\n)[ \t]+(?=\n)", "", markdown)
    )
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n") + "\n"


def without_comments(markdown: str) -> str:
    """Without `<!-- comments -->`; one that is never closed is text."""
    parts = []
    position = 0
    while (start := markdown.find("<!--", position)) >= 0 and (end := markdown.find("-->", start)) >= 0:
        parts.append(markdown[position:start])
        position = end + len("-->")
    return "".join([*parts, markdown[position:]])


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
    return _ESCAPE.sub(r"\1\2", markdown)


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
