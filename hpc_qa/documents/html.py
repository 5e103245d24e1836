"""HTML to Markdown with `html-to-markdown`; nothing is fetched, nothing is run.

Navigation, footers, scripts and styles are taken out, links become their text, images go, and no front matter is made.
What a browser would hide is left out.
"""

import re
from html import unescape
from typing import TYPE_CHECKING, Any

from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.text import clean, decode, squeezed, without_escapes, without_padding
from hpc_qa.errors import DocumentError

if TYPE_CHECKING:
    from html_to_markdown import ConversionOptions

LEFT_OUT = ["nav", "footer", "script", "style", "noscript", "template", "[role=navigation]", "[role=contentinfo]"]
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_LINK_TAG = re.compile(r"</?a(?:\s[^<>]{0,4000})?>", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,200}>(.{0,500}?)</title", re.IGNORECASE | re.DOTALL)


def read_html(data: bytes) -> Extracted:
    """A page's text.

    Raises:
        DocumentError: `empty`, `not_text`, or `malformed`.
    """
    import html_to_markdown

    text, encoding = _decode(data)
    cleaned, removed, suspicious = clean(text)
    try:
        content = html_to_markdown.convert(_LINK_TAG.sub("", cleaned), _options()).content
    except html_to_markdown.ConversionError as exc:
        raise DocumentError("malformed", f"the HTML cannot be read: {exc}") from exc
    return Extracted(
        markdown=squeezed(without_padding(without_escapes(clean(content or "")[0]))),
        engine="html-to-markdown",
        title=_title(cleaned),
        encoding=encoding,
        removed_characters=removed,
        suspicious_unicode=suspicious,
    )


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


def _decode(data: bytes) -> tuple[str, str]:
    """As `text.decode`, but a charset that the page names comes before the fallback."""
    match = _CHARSET.search(data[:4096])
    if match and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")) and b"\0" not in data:
        name = match.group(1).decode("ascii")
        try:
            return data.decode(name), name.lower()
        except (LookupError, UnicodeDecodeError):
            pass  # an unknown name or a wrong one: the common rule decides
    return decode(data)
