"""HTML to Markdown with `html-to-markdown`; nothing is fetched, nothing is run.

Navigation, footers, scripts and styles are taken out, links become their text, images go, and no front matter is made.
What a browser would hide or strike through is left out.
"""

import codecs
import re
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.fidelity import coverage
from hpc_qa.documents.hidden import VOID, hides, shown_html, without_comments
from hpc_qa.documents.list_marks import marked_lists
from hpc_qa.documents.page_parts import without_page_furniture
from hpc_qa.documents.raised import in_line
from hpc_qa.documents.signatures import format_of
from hpc_qa.documents.spans import readable_tables
from hpc_qa.documents.struck import without_struck
from hpc_qa.documents.text import Decoded, clean, decode, squeezed, without_escapes, without_padding
from hpc_qa.errors import DocumentError

if TYPE_CHECKING:
    from html_to_markdown import ConversionOptions

LEFT_OUT = ["nav", "footer", "script", "style", "noscript", "template", "[role=navigation]", "[role=contentinfo]"]
NO_TEXT = frozenset((*LEFT_OUT, "head", "button", "svg", "math"))
# Of Python's codecs those that a browser knows too; not utf-7, idna, unicode_escape and other ways to write ASCII.
CHARSETS = ("utf-8", "iso8859", "cp", "koi8", "mac", "gb", "big5", "shift_jis", "euc_", "iso2022", "tis-620", "ascii")
INLINE = frozenset("a abbr b cite code em i kbd mark q s samp small span strong sub sup tt u var wbr".split())
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_LINK_TAG = re.compile(r"</?a(?:\s[^<>]{0,4000})?>", re.IGNORECASE)
_SECTION = re.compile(r"<!\[(?:CDATA\[|[^\]<>]{0,200}\]?>)?")
_TITLE = re.compile(r"<title[^>]{0,200}>(.{0,500}?)</title", re.IGNORECASE | re.DOTALL)


def read_html(data: bytes, *, min_word_coverage: float) -> Extracted:
    """A page's text; without structure where the Markdown lost too many of its words.

    Raises:
        DocumentError: `empty`, `not_text`, or `malformed`.
    """
    decoded = _decode(data)
    cleaned, removed, places = clean(decoded.text)
    shown = shown_html(cleaned)
    cleaned = in_line(without_struck(without_page_furniture(_without_traps(shown.text))))
    raw = _page_text(cleaned)
    content = _converted(cleaned)
    covered = coverage([raw], content)
    kept = covered >= min_word_coverage
    text, written, more = clean(content)  # characters that were written as entities
    return Extracted(
        markdown=squeezed(without_padding(without_escapes(text)) if kept else raw),
        engine="html-to-markdown" if kept else "html.parser",
        word_coverage=round(covered, 4),
        structure=kept,
        title=_title(cleaned),
        encoding=decoded.encoding,
        undecodable=decoded.undecodable,
        removed_characters=removed + written,
        suspicious_unicode=bool(places or more),
        hidden_places=[*places, *more],
        hidden_words=shown.hidden_words,
        hidden_text_places=shown.places,
    )


def markdown_of(cleaned: str) -> str:
    """The Markdown of the source of a page that is clean text already.

    Raises:
        DocumentError: `malformed`.
    """
    return squeezed(without_padding(without_escapes(clean(_converted(in_line(cleaned)))[0])))


def _converted(html: str) -> str:
    import html_to_markdown

    try:
        return (
            html_to_markdown.convert(marked_lists(readable_tables(_LINK_TAG.sub("", html))), _options()).content or ""
        )
    except html_to_markdown.ConversionError as exc:
        raise DocumentError("malformed", f"the HTML cannot be read: {exc}") from exc


def _title(html: str) -> str | None:
    match = _TITLE.search(html[:100_000])
    return " ".join(unescape(match.group(1)).split()) or None if match else None


def _options() -> "ConversionOptions":
    from html_to_markdown import ConversionOptions, PreprocessingOptions

    choices: dict[str, Any] = {
        "extract_metadata": False,
        "skip_images": True,
        "compact_tables": True,
        "exclude_selectors": LEFT_OUT,
        "preprocessing": PreprocessingOptions(enabled=True, preset="standard", remove_forms=False),
    }
    return ConversionOptions(**choices)


def _without_traps(html: str) -> str:
    """The page without what `html.parser` needs quadratic time for: comments and sections without end, torn tags."""
    open_ended = _SECTION.sub("", without_comments(html)).replace("<!--", "").replace("]]>", "")
    end = open_ended.rfind(">") + 1
    return open_ended[:end] + open_ended[end:].replace("<", "&lt;")


def _page_text(html: str) -> str:
    """The text that a browser shows."""
    parser = _TextOnly()
    parser.feed(html)
    parser.close()
    return clean("".join(parser.parts))[0]


class _TextOnly(HTMLParser):
    """The words of a page without those that are left out, as a second opinion."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipped = ""  # the element that is left out, and how often it is nested in itself
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipped:
            self._depth += tag == self._skipped
        elif tag not in VOID and (tag in NO_TEXT or (attrs and _left_out(dict(attrs)))):
            self._skipped, self._depth = tag, 1
        elif tag not in INLINE:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            self._depth -= tag == self._skipped
            self._skipped = self._skipped if self._depth else ""
        elif tag not in INLINE:
            self.parts.append("\n\n" if tag in ("p", "div", "li", "tr", "section") else "\n")

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.parts.append(data)


def _left_out(attributes: dict[str, str | None]) -> bool:
    role = attributes.get("role") in ("navigation", "contentinfo")
    return role or attributes.get("aria-hidden") == "true" or hides(attributes)


def _decode(data: bytes) -> Decoded:
    """As `text.decode`, but a charset that the page names comes before the fallback."""
    match = _CHARSET.search(data[:4096])
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")) or b"\0" in data
    if match and not marked and format_of(data) is None:
        name = match.group(1).decode("ascii").lower()
        try:
            if codecs.lookup(name).name.startswith(CHARSETS):
                return Decoded(data.decode(name), name)
        except (LookupError, UnicodeDecodeError):
            pass  # an unknown name or a wrong one: the common rule decides
    return decode(data)
