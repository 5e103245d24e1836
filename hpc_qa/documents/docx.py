"""DOCX to Markdown: `mammoth` makes HTML of it, and that goes the way of every page.

A DOCX file is a ZIP archive of XML, so both are distrusted: the archive is checked as those of a manifest are, and XML
with a document type is refused, since OOXML has none and entities come with it. mammoth gets an archive that was made
here of the text parts alone: no pictures, macros, embedded files or headers and footers, and no text that Word hides or
strikes through.
Pages are made by the program that shows the file; there is no page number in it.
"""

import io
import itertools
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.fidelity import count_words, coverage
from hpc_qa.documents.html import markdown_of
from hpc_qa.documents.numbering import Numbering, read_lists, read_styles, write_marks
from hpc_qa.documents.raised import subscript, superscript
from hpc_qa.documents.signatures import format_of
from hpc_qa.documents.suspicion import MAX_PLACES, places_beside
from hpc_qa.documents.text import clean, squeezed
from hpc_qa.errors import DocumentError
from hpc_qa.manifest import archive

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Streams of the container of old Word files, which also holds new ones that need a password; UTF-16 names.
ENCRYPTED_STREAM, OLD_WORD_STREAM = ("EncryptedPackage".encode("utf-16-le"), "WordDocument".encode("utf-16-le"))
CORE_PROPERTIES, STYLES, NUMBERING = "docProps/core.xml", "word/styles.xml", "word/numbering.xml"
READ_FIRST = (STYLES, NUMBERING)  # they say what is hidden and how paragraphs are numbered
STRUCK = ("strike", "dstrike")  # marks of a run: one line through it, or two
TAKEN_OUT = "\ufdd0"  # a code that stands for no character
NO_TEXT = (
    "word/glossary/", "word/theme/", "word/header", "word/footer", "word/comments", "word/settings", "word/webSettings",
    "word/fontTable", "word/stylesWithEffects",
)  # fmt: skip
MAX_DEPTH = 200  # a table in a table takes five levels

_MAIN = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",  # "strict"
)
_COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"


@dataclass(slots=True)
class _Package:
    """The parts that hold text, without what is not read, and that text in plain paragraphs."""

    parts: dict[str, bytes] = field(default_factory=dict)
    plain: list[str] = field(default_factory=list)
    has_document: bool = False
    hidden_words: int = 0  # of the runs that Word does not show
    hidden_places: list[str] = field(default_factory=list)  # where they stood
    hidden_styles: frozenset[str] = frozenset()  # whose text Word does not show
    struck_styles: dict[str, frozenset[str]] = field(default_factory=dict)  # by the mark that strikes: its styles
    numbering: Numbering = field(default_factory=Numbering)
    raised: dict[str, str] = field(default_factory=dict)  # character styles that are "superscript" or "subscript"
    title: str | None = None


def read_docx(data: bytes, *, min_word_coverage: float) -> Extracted:
    """A Word document's text; without structure where the Markdown lost too many of its words.

    Raises:
        DocumentError: `empty`, `encrypted`, `unsupported` (an old .doc), `too_large` (a bomb) or `malformed`.
    """
    _check_signature(data)
    package = _read_package(data)
    plain, removed, places = clean("\n\n".join(package.plain))
    markdown = markdown_of(clean(_html(package))[0])
    covered = coverage([plain], markdown)
    kept = covered >= min_word_coverage
    return Extracted(
        markdown=markdown if kept else squeezed(plain),
        engine="mammoth" if kept else "xml.etree",
        word_coverage=round(covered, 4),
        structure=kept,
        title=package.title,
        removed_characters=removed,
        suspicious_unicode=bool(places),
        hidden_places=places,
        hidden_words=package.hidden_words,
        hidden_text_places=package.hidden_places[:MAX_PLACES],
    )


def _check_signature(data: bytes) -> None:
    if not data.strip(b"\0 \t\r\n"):
        raise DocumentError("empty", f"{len(data)} bytes")
    if data.startswith(OLE):
        if ENCRYPTED_STREAM in data:
            raise DocumentError("encrypted", "a password is needed; save it without one")
        kind = "an old Word file (.doc)" if OLD_WORD_STREAM in data else format_of(data)
        raise DocumentError("unsupported", f"the file is {kind}, not DOCX; save it as .docx or PDF")
    if not data.startswith(ZIP):
        other = format_of(data)
        raise DocumentError("malformed", f"the file is {other}, not DOCX" if other else "no DOCX: not a ZIP archive")


def _read_package(data: bytes) -> _Package:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            infos = packed.infolist()
            archive.check(infos, len(data))
            package = _Package()
            for info in sorted(_text_parts(infos), key=lambda info: info.filename not in READ_FIRST):
                _add_part(package, info.filename, packed.read(info))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError) as exc:
        raise DocumentError("malformed", f"the ZIP archive that a DOCX file is cannot be read: {exc}") from exc
    if not package.has_document:
        raise DocumentError("malformed", "a ZIP archive without the text part of a Word document")
    return package


def _text_parts(infos: list[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    """The members that are read; one of these that is not to be trusted is the end of the document."""
    names = Counter(info.filename for info in infos)
    for info in infos:
        name = info.filename
        wanted = name in ("[Content_Types].xml", "_rels/.rels", CORE_PROPERTIES) or (
            name.startswith("word/") and name.endswith((".xml", ".rels")) and not name.startswith(NO_TEXT)
        )
        if not wanted:
            continue
        if names[name] > 1:
            raise DocumentError("malformed", f"several parts are called {name}")
        if fault := archive.member_fault(info):
            raise DocumentError(archive.reason_of(fault), f"{name}: {fault}")
        yield info


class _NoDocumentType(ET.TreeBuilder):
    """Builds the tree of a part, and refuses one that could define entities."""

    def doctype(self, *_: str | None) -> None:
        raise DocumentError("malformed", "XML with a document type (entities), which no Word document has")


def _add_part(package: _Package, name: str, data: bytes) -> None:
    try:
        root = ET.fromstring(data, ET.XMLParser(target=_NoDocumentType()))  # noqa: S314 # no entities
    except ET.ParseError as exc:
        raise DocumentError("malformed", f"{name}: {exc}") from exc
    _check_depth(name, root)
    if name == CORE_PROPERTIES:
        package.title = " ".join((root.findtext(_TITLE) or "").split()) or None
        return
    namespace, _, kind = root.tag.rpartition("}")
    namespace += "}"
    if namespace[1:-1] in _MAIN and kind == "styles":
        package.hidden_styles = _styles_with("vanish", root, namespace)
        package.struck_styles = {mark: _styles_with(mark, root, namespace) for mark in STRUCK}
        package.raised = _raised_styles(root, namespace)
        read_styles(package.numbering, root, namespace)
    if namespace[1:-1] in _MAIN and kind == "numbering":
        read_lists(package.numbering, root, namespace)
    if namespace[1:-1] in _MAIN and kind in ("document", "footnotes", "endnotes"):
        _prepare(root, namespace)
        _take_out_hidden(package, root, namespace)
        _take_out_struck(package, root, namespace)
        _write_raised(root, namespace, package.raised)
        write_marks(package.numbering, root, namespace)
        package.plain += _paragraphs(root, namespace)
        package.has_document |= kind == "document"
    package.parts[name] = ET.tostring(root, encoding="utf-8")


def _check_depth(name: str, root: Element) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [child for element in level for child in element]
    raise DocumentError("malformed", f"{name}: elements are nested more than {MAX_DEPTH} deep")


def _prepare(root: Element, w: str) -> None:
    """Put what mammoth does not know into its words; `w` is the namespace in braces."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_COMPATIBILITY}AlternateContent":
                _keep_one(child)
            elif child.tag == f"{_MATH}oMath":
                _as_run(child, w)


def _take_out_hidden(package: _Package, root: Element, w: str) -> None:
    """Take the runs away that Word does not show, count their words, and note what stands beside them."""
    runs = [
        (parent, run)
        for paragraph in root.iter(f"{w}p")
        for parent in (paragraph, *_own(paragraph, w))
        for run in parent.findall(f"{w}r")
        if _is_marked(run, w, "vanish", package.hidden_styles, _style_of(paragraph, "p", w))
    ]
    for _, run in runs:
        words = count_words("".join(text.text or "" for text in run.iter(f"{w}t")))
        package.hidden_words += words
        run.clear()
        ET.SubElement(run, f"{w}t").text = TAKEN_OUT if words else ""
    if runs:
        parts = "\n".join(_paragraphs(root, w)).split(TAKEN_OUT)
        texts = [*parts[:1], *(text for text in parts[1:-1] if text.strip()), *parts[1:][-1:]]
        package.hidden_places += [place for pair in itertools.pairwise(texts) for place in places_beside(*pair)]
    for parent, run in runs:
        parent.remove(run)


def _take_out_struck(package: _Package, root: Element, w: str) -> None:
    """Take the runs away that are struck through: what they say is no longer valid."""
    for paragraph in root.iter(f"{w}p"):
        style = _style_of(paragraph, "p", w)
        for parent in (paragraph, *_own(paragraph, w)):
            for run in parent.findall(f"{w}r"):
                if any(
                    _is_marked(run, w, mark, package.struck_styles.get(mark, frozenset()), style) for mark in STRUCK
                ):
                    parent.remove(run)


def _is_marked(run: Element, w: str, name: str, styles: frozenset[str], style: str) -> bool:
    """Whether a run has this mark: it says so itself, else its style does, or that of its paragraph."""
    mark = run.find(f"{w}rPr/{w}{name}")
    return _is_on(mark, w) if mark is not None else not styles.isdisjoint((style, _style_of(run, "r", w)))


def _is_on(mark: Element, w: str) -> bool:
    return mark.get(f"{w}val", "true").lower() not in ("false", "0", "off")


def _style_of(element: Element, kind: str, w: str) -> str:
    """The style of a paragraph ("p") or run ("r"), empty where it names none."""
    named = element.find(f"{w}{kind}Pr/{w}{kind}Style")
    return "" if named is None else named.get(f"{w}val", "")


def _styles_with(name: str, root: Element, w: str) -> frozenset[str]:
    """The styles whose text has this mark, and those that are based on one and do not say otherwise."""
    marks = {style.get(f"{w}styleId", ""): style.find(f"{w}rPr/{w}{name}") for style in root.iter(f"{w}style")}
    bases = {style.get(f"{w}styleId", ""): style.find(f"{w}basedOn") for style in root.iter(f"{w}style")}
    marked = {style for style, mark in marks.items() if mark is not None and _is_on(mark, w)}
    while True:
        more = {
            style for style, base in bases.items()
            if base is not None and marks[style] is None and base.get(f"{w}val", "") in marked
        } - marked  # fmt: skip
        if not more:
            return frozenset(marked)
        marked |= more


def _raised_styles(root: Element, w: str) -> dict[str, str]:
    """The styles that raise or lower their own text, each with which of it."""
    marks = {style.get(f"{w}styleId", ""): style.find(f"{w}rPr/{w}vertAlign") for style in root.iter(f"{w}style")}
    return {name: mark.get(f"{w}val", "") for name, mark in marks.items() if mark is not None}


def _write_raised(root: Element, w: str, styles: Mapping[str, str]) -> None:
    """Write raised and lowered text in a form of its own; runs that stand side by side are one text."""
    for parent in list(root.iter()):
        for align, runs in itertools.groupby(parent, key=lambda child: _alignment(child, w, styles)):
            texts = [text for run in runs for text in run.findall(f"{w}t")] if align else []
            if texts:
                whole = "".join(text.text or "" for text in texts)
                texts[0].text = superscript(whole) if align == "superscript" else subscript(whole)
                for text in texts[1:]:
                    text.text = ""
    for properties in root.iter(f"{w}rPr"):
        for mark in properties.findall(f"{w}vertAlign"):
            properties.remove(mark)


def _alignment(run: Element, w: str, styles: Mapping[str, str]) -> str:
    """Whether a run is "superscript", "subscript" or, empty, neither."""
    if run.tag != f"{w}r":
        return ""
    mark = run.find(f"{w}rPr/{w}vertAlign")
    align = styles.get(_style_of(run, "r", w), "") if mark is None else mark.get(f"{w}val", "")
    return align if align in ("superscript", "subscript") else ""


def _keep_one(alternatives: Element) -> None:
    """The same text box in two ways, of which mammoth reads the older one: where there is none, the newer is it."""
    choices = alternatives.findall(f"{_COMPATIBILITY}Choice")
    if alternatives.find(f"{_COMPATIBILITY}Fallback") is None and choices:
        choices.pop(0).tag = f"{_COMPATIBILITY}Fallback"
    for choice in choices:
        alternatives.remove(choice)


def _as_run(formula: Element, w: str) -> None:
    """A formula as its letters in a row; how it is set is lost, what it speaks of is not."""
    letters = "".join(part.text or "" for part in formula.iter(f"{_MATH}t"))
    formula.clear()
    formula.tag = f"{w}r"
    ET.SubElement(formula, f"{w}t").text = letters


def _paragraphs(root: Element, w: str) -> Iterator[str]:
    """The text of each paragraph, as a second opinion; what was moved away or deleted is no text."""
    gone = {id(run) for moved in root.iter(f"{w}moveFrom") for run in moved.iter(f"{w}t")}
    for paragraph in root.iter(f"{w}p"):
        text = "".join(_letters(element, w) for element in _own(paragraph, w) if id(element) not in gone)
        if text.strip():
            yield text


def _own(paragraph: Element, w: str) -> Iterator[Element]:
    """What is in a paragraph, but not in one of the paragraphs of a text box in it."""
    for child in paragraph:
        if child.tag != f"{w}p":
            yield child
            yield from _own(child, w)


def _letters(element: Element, w: str) -> str:
    if element.tag == f"{w}t":
        return element.text or ""
    return {f"{w}tab": " ", f"{w}br": "\n", f"{w}cr": "\n", f"{w}noBreakHyphen": "-"}.get(element.tag, "")


def _html(package: _Package) -> str:
    import mammoth

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        for name, part in package.parts.items():
            packed.writestr(name, part)
    try:
        return str(mammoth.convert_to_html(target, style_map=_STYLES, include_embedded_style_map=False).value)
    except (OSError, KeyError, ValueError, AttributeError, TypeError, IndexError, RecursionError) as exc:
        raise DocumentError("malformed", f"the Word document cannot be read: {type(exc).__name__}: {exc}") from exc
