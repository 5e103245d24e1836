"""Word documents that are broken, hostile or something else, each with the reason that it gets."""

import io
import stat
import struct
import warnings
import zipfile

from tests import made_documents as made

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TEXT = made.PDF_LINE
GOOD = made.letter()
LAUGHS = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 20}">' for n in range(8))


def paragraph(text: str = TEXT) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def part(body: str, before: str = "") -> bytes:
    """The XML of a main document part."""
    return f'<?xml version="1.0"?>{before}<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'.encode()


def package(
    document: bytes | None, *more: tuple[str | zipfile.ZipInfo, bytes], name: str = "word/document.xml"
) -> bytes:
    """The archive around a main document part, with more members."""
    types = (
        f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>'
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", types)
        packed.writestr("_rels/.rels", relationships("r1", "officeDocument", name))
        if document is not None:
            packed.writestr(name, document)
        for member, data in more:
            with warnings.catch_warnings(action="ignore"):  # of a name that is there already
                packed.writestr(member, data)
    return target.getvalue()


def relationships(key: str, kind: str, to: str, mode: str = "Internal") -> str:
    return (
        f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target="{to}" TargetMode="{mode}"/></Relationships>'
    )


def container(stream: str) -> bytes:
    """The beginning of an OLE file with a stream of that name, as old Word files and encrypted new ones are."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1016) + stream.encode("utf-16-le") + bytes(600)


def encrypted_member() -> bytes:
    raw = bytearray(package(part(paragraph())))
    central = raw.find(b"PK\x01\x02", raw.find(b"PK\x01\x02") + 4)  # of _rels/.rels
    raw[central + 8 : central + 10] = struct.pack("<H", 1)
    return bytes(raw)


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("word/styles.xml")
    info.external_attr, info.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    return info


def overlapping() -> bytes:
    """A directory in which two members begin at the same place."""
    raw = bytearray(package(part(paragraph())))
    first = raw.find(b"PK\x01\x02")
    second = raw.find(b"PK\x01\x02", first + 4)
    raw[second + 42 : second + 46] = raw[first + 42 : first + 46]
    return bytes(raw)


PICTURE = (
    '<w:p><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing">'
    '<a:graphic xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:graphicData>'
    '<pic:pic xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:blipFill>'
    f'<a:blip xmlns:r="{OFFICE}" r:link="r9"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline>'
    "</w:drawing></w:r></w:p>"
)

WORD: dict[str, tuple[bytes, str, str]] = {  # name: bytes, reason, and what the detail has to say
    "good.docx": (package(part(paragraph())), "ok", ""),
    "renamed_main_part.docx": (package(part(paragraph()), name="word/document2.xml"), "ok", ""),
    "zero.docx": (b"", "empty", "0 bytes"),
    "no_text.docx": (package(part("<w:p/>")), "empty", "no text"),
    "spaces.docx": (package(part(paragraph("...  "))), "empty", "no text"),
    "half.docx": (GOOD[: len(GOOD) // 2], "malformed", "cannot be read"),
    "torn_part.docx": (package(part(paragraph())[:-9]), "malformed", "word/document.xml"),
    "no_part.docx": (package(None), "malformed", "without the text part"),
    "plain_zip.docx": (made.zipped({"a.txt": TEXT.encode()}), "malformed", "without the text part"),
    "encrypted.docx": (container("EncryptedPackage"), "encrypted", "a password is needed"),
    "encrypted_member.docx": (encrypted_member(), "encrypted", "_rels/.rels"),
    "really_doc.docx": (container("WordDocument"), "unsupported", "(.doc), not DOCX; save it as .docx"),
    "really_xls.docx": (container("Workbook"), "unsupported", "save it as .docx"),
    "really_pdf.docx": (made.one_page(), "malformed", "the file is a PDF, not DOCX"),
    "really_rtf.docx": (b"{\\rtf1 " + TEXT.encode() + b"}", "malformed", "the file is RTF, not DOCX"),
    "really_text.docx": (TEXT.encode(), "malformed", "not a ZIP archive"),
    "laughs.docx": (
        package(part(paragraph("&i;"), f'<!DOCTYPE x [<!ENTITY a "ha">{LAUGHS}]>')), "malformed", "document type"
    ),
    "external_entity.docx": (
        package(part(paragraph("&a;"), '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>')),
        "malformed",
        "document type",
    ),
    "external_subset.docx": (
        package(part(paragraph(), '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">')), "malformed", "document type"
    ),
    "entities_in_styles.docx": (
        package(part(paragraph()), ("word/styles.xml", b'<!DOCTYPE x [<!ENTITY a "ha">]><x>&a;</x>')),
        "malformed",
        "document type",
    ),
    "deep.docx": (package(part("<w:tc><w:tbl>" * 90_000 + "</w:tbl></w:tc>" * 90_000)), "malformed", "nested"),
    "bomb.docx": (package(part(paragraph(" " * 300_000_000))), "too_large", "unpacks to more than 200 times"),
    "bomb_of_many.docx": (
        package(part(paragraph()), *((f"word/x{n}.xml", bytes(9_000_000)) for n in range(40))),
        "too_large",
        "its members unpack",
    ),
    "picture_bomb.docx": (package(part(paragraph()), ("word/media/a.bmp", bytes(300_000_000))), "ok", ""),
    "overlapping.docx": (overlapping(), "malformed", "overlap"),
    "two_main_parts.docx": (
        package(part(paragraph()), ("word/document.xml", part(paragraph("Other.")))), "malformed", "several parts"
    ),
    "link.docx": (package(part(paragraph()), (link(), b"/etc/passwd")), "denied", "a symbolic link"),
    "leads_out.docx": (package(part(paragraph()), ("../../up.xml", b"<x/>")), "ok", ""),
    "linked_picture.docx": (
        package(
            part(paragraph() + PICTURE),
            ("word/_rels/document.xml.rels", relationships("r9", "image", "file:///etc/passwd", "External").encode()),
        ),
        "ok",
        "",
    ),
    "macros.docx": (package(part(paragraph()), ("word/vbaProject.bin", b"AutoOpen")), "ok", ""),
    "embedded.docx": (package(part(paragraph()), ("word/embeddings/x.docx", GOOD)), "ok", ""),
    "style_map.docx": (package(part(paragraph()), ("mammoth/style-map", b"p => script:fresh")), "ok", ""),
}  # fmt: skip
