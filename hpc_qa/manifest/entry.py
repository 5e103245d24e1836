"""One line of a manifest: what it holds, how it is named, and its JSON.

Nothing here touches a file system.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hpc_qa.units import size_class

ARCHIVE_SUFFIX = ".zip"
MEMBER = "!/"  # archive.zip!/inner/name.pdf
MAX_SLUG = 80
REQUIRED = ("doc_id", "path", "sha256", "bytes", "media_type")

_DOC_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MEDIA_TYPES = {
    ".pdf": "application/pdf",
    ".docx": DOCX,
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".rst": "text/x-rst",
}


@dataclass(slots=True)  # not frozen: that takes six times as long to make, and there may be a million
class Entry:
    """One document: where it is, and what it was when the manifest was built."""

    doc_id: str  # slug of the path + "-" + 8 hex of the sha256
    path: str  # from root; a member of an archive is archive.zip!/inner/name.pdf
    root: str  # from the project folder when inside it, else absolute
    sha256: str
    bytes: int
    media_type: str
    pages: int | None  # None: not known before conversion
    size_class: str
    tokens: int | None = None
    batch: str | None = None
    license: str | None = None  # of the document, where somebody said it


def media_type(path: str) -> str | None:
    """The media type that the name promises, None when it is not one that can be converted."""
    return MEDIA_TYPES.get(suffix(path))


def suffix(path: str) -> str:
    """Lower-case suffix of a path, for counting what is not supported.

    >>> suffix("a/B.PDF"), suffix("archive.zip!/x.Docx"), suffix("Makefile")
    ('.pdf', '.docx', '(none)')
    """
    return PurePosixPath(path).suffix.lower() or "(none)"


def split_member(path: str) -> tuple[str, str]:
    """The file of a path, and the member of it that is meant; "" when the file itself is the document.

    Only behind a ZIP archive does "!/" mark a member: a folder may be called "Read me!".

    >>> split_member("a/b.zip!/in/c.txt"), split_member("Read me!/c.txt")
    (('a/b.zip', 'in/c.txt'), ('Read me!/c.txt', ''))
    """
    place = path.lower().find(ARCHIVE_SUFFIX + MEMBER)
    if place < 0:
        return path, ""
    end = place + len(ARCHIVE_SUFFIX)
    return path[:end], path[end + len(MEMBER) :]


def leads_out(path: str) -> bool:
    r"""Whether a path could name something outside the place that it counts from, on any system.

    >>> leads_out("a/../b"), leads_out("/b"), leads_out("c:\\b"), leads_out("a..b/c")
    (True, True, True, False)
    """
    parts = re.split(r"[/\\]", path)
    return ".." in parts or parts[0] == "" or re.fullmatch(r"[A-Za-z]:", parts[0]) is not None


def slug(path: str) -> str:
    """A path as a name of ASCII letters, digits, dots and dashes; the end of a long path is kept.

    >>> slug("Manuals/Chapter 1 (2024).pdf"), slug("été.html")
    ('manuals-chapter-1-2024', 'ete')
    """
    stem, dot, ending = path.rpartition(".")
    text = stem if dot and "/" not in ending else path
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9.]+", "-", ascii_text.lower()).strip("-.")[-MAX_SLUG:].strip("-.") or "document"


def make_entry(*, path: str, root: str, sha256: str, size_bytes: int, kind: str) -> Entry:
    """The entry of one document that was just hashed."""
    return Entry(
        doc_id=f"{slug(path)}-{sha256[:8]}",
        path=path,
        root=root,
        sha256=sha256,
        bytes=size_bytes,
        media_type=kind,
        pages=None,
        size_class=size_class(size_bytes),
    )


_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode


def entry_json(entry: Entry) -> str:
    """One line of JSON, the same bytes for the same entry."""
    values = ((name, getattr(entry, name)) for name in Entry.__slots__)
    return _encode({name: value for name, value in values if value is not None or name == "pages"})


_TEXT, _NUMBER = r'"([ !#-\[\]-~]+)"', "(0|[1-9][0-9]{0,17})"  # without escapes; below 10^18
_PLAIN = re.compile(
    rf'{{"doc_id": "({_DOC_ID.pattern})", "path": (?!"/){_TEXT}, "root": {_TEXT}, "sha256": "({_SHA256.pattern})", '
    rf'"bytes": {_NUMBER}, "media_type": {_TEXT}, "pages": (?:null|{_NUMBER}), "size_class": {_TEXT}'
    rf'(?:, "tokens": {_NUMBER})?(?:, "batch": {_TEXT})?(?:, "license": {_TEXT})?}}\n'
)


def plain_entry(line: str) -> Entry | None:
    """The entry of a line, its end included, that is letter by letter as we write it; None for most other lines.

    One pattern in place of a parser and the checks of `entry_from` takes a tenth of their time. Other lines may be
    right as well, those with names outside of ASCII for example.
    """
    found = _PLAIN.fullmatch(line)
    if found is None or ".." in line or "!/" in line:  # the path may lead out of its root or its archive
        return None
    doc_id, path, root, sha256, size, kind, pages, class_of_size, tokens, batch, said = found.groups()
    return Entry(
        doc_id, path, root, sha256, int(size), kind, int(pages) if pages else None, class_of_size,
        int(tokens) if tokens else None, batch, said,
    )  # fmt: skip


def entry_from(fields: Mapping[str, Any]) -> Entry:
    """The entry that a line's JSON object describes; keys that we do not know are left alone.

    Raises:
        ValueError: a field is missing or cannot be right; the message names all such fields.
    """
    faults = [*_field_faults(fields), *_path_faults(fields)]
    if faults:
        raise ValueError("; ".join(faults))
    return Entry(
        doc_id=fields["doc_id"],
        path=fields["path"],
        root=fields.get("root", "."),
        sha256=fields["sha256"],
        bytes=fields["bytes"],
        media_type=fields["media_type"],
        pages=fields.get("pages"),
        size_class=fields.get("size_class") or size_class(fields["bytes"]),
        tokens=fields.get("tokens"),
        batch=fields.get("batch"),
        license=fields.get("license"),
    )


def _field_faults(fields: Mapping[str, Any]) -> list[str]:
    faults = [f"{name} is missing" for name in REQUIRED if name not in fields]
    faults += (f"{name} is null" for name in REQUIRED if name in fields and fields[name] is None)
    faults += (
        f"{name} is not a text"
        for name in ("doc_id", "path", "root", "sha256", "media_type", "size_class", "batch", "license")
        if fields.get(name) is not None and not (isinstance(fields[name], str) and fields[name])
    )
    faults += (
        f"{name} is not a whole number from 0"
        for name in ("bytes", "pages", "tokens")
        if fields.get(name) is not None and not (type(fields[name]) is int and fields[name] >= 0)  # True is an int too
    )
    if isinstance(fields.get("sha256"), str) and not _SHA256.fullmatch(fields["sha256"]):
        faults.append("sha256 is not 64 hexadecimal digits")
    if isinstance(fields.get("doc_id"), str) and not _DOC_ID.fullmatch(fields["doc_id"]):
        faults.append("doc_id may hold letters, digits, dots, dashes and underscores only")
    return faults


def _path_faults(fields: Mapping[str, Any]) -> list[str]:
    path, root = fields.get("path"), fields.get("root", ".")
    if not isinstance(path, str) or not isinstance(root, str):
        return []
    for name, text in (("path", path), ("root", root)):
        if "\0" in text:
            return [f"{name} holds a NUL character"]
        if _LONE_SURROGATE.search(text):
            return [f"{name} holds half a character (a lone surrogate)"]
    file_part, member = split_member(path)
    if file_part.startswith("/"):
        return [f"path {path!r} is absolute; it counts from root"]
    if ".." in file_part.split("/"):
        return [f"path {path!r} leads out of its root"]
    if member and leads_out(member):
        return [f"path {path!r} leads out of its archive"]
    if ".." in root.split("/"):
        return [f"root {root!r} leads out of the project folder; an absolute root is allowed"]
    return []
