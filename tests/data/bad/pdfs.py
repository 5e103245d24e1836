"""PDFs that are broken, hostile or something else, each with its reason."""

import io
import zipfile
import zlib

from tests import made_documents as made

MANUAL = made.manual(6)
BOMB = made.deflate_bomb(2**31, 3)
LAUGHS = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">%s]><x>&z;</x>' % b"".join(
    b'<!ENTITY %c "%s">' % (98 + index, b"&%c;" % (97 + index) * 20) for index in range(25)
)
FLATE_3 = b"/Filter [/FlateDecode /FlateDecode /FlateDecode] "
# 20 maps that each give every code 1,500 letters
CMAP = (
    b"begincmap 1 begincodespacerange <0000><FFFF> endcodespacerange "
    + b"1 beginbfrange <0000> <FFFF> <%s> endbfrange " % (b"0041" * 1_500) * 20
    + b"endcmap"
)
MAPPED = (
    b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /ToUnicode 6 0 R /DescendantFonts "
    b"[<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /CIDSystemInfo "
    b"<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>] >>"
)


def archive() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        packed.writestr("inner.txt", "ZIPPED words stand here.")
    return target.getvalue()


PDFS: dict[str, tuple[bytes, str]] = {
    "good.pdf": (made.one_page(), "ok"),
    "half.pdf": (MANUAL[: len(MANUAL) // 2], "ok"),
    "no_content.pdf": (made.one_page()[: made.one_page().find(b"stream")], "malformed"),
    "start.pdf": (MANUAL[:100], "malformed"),
    "end_missing.pdf": (MANUAL[:-40], "ok"),
    "encrypted.pdf": (made.encrypted(), "encrypted"),
    "no_pages.pdf": (
        made.raw_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"]),
        "empty",
    ),
    "wrong_count.pdf": (
        made.raw_pdf(
            [
                b"<< /Type /Catalog /Pages 2 0 R >>",
                b"<< /Type /Pages /Kids [3 0 R] /Count 99999999 >>",
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] >>",
            ]
        ),
        "empty",
    ),
    "pages_100000.pdf": (made.many_pages(100_000), "too_many_pages"),
    "page_loop.pdf": (
        made.raw_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"]),
        "empty",
    ),
    "scan.pdf": (made.scan(), "needs_ocr"),
    "flate_once.pdf": (made.one_page(zlib.compress(made.PDF_TEXT), filters=b"/Filter /FlateDecode "), "ok"),
    "flate_bomb.pdf": (made.one_page(BOMB, filters=FLATE_3), "memory"),
    "run_length.pdf": (
        made.one_page(zlib.compress(b"\x81 " * 4_000_000, 9), filters=b"/Filter [/FlateDecode /RunLengthDecode] "),
        "empty",
    ),
    "metadata_laughs.pdf": (
        made.one_page(catalog=b"/Metadata 6 0 R ", more=[made.stream(LAUGHS, b"/Type /Metadata /Subtype /XML ")]),
        "ok",
    ),
    "form_laughs.pdf": (
        made.one_page(catalog=b"/AcroForm << /XFA 6 0 R /Fields [] >> ", more=[made.stream(LAUGHS)]),
        "ok",
    ),
    "metadata_bomb.pdf": (
        made.one_page(
            catalog=b"/Metadata 6 0 R ", more=[made.stream(BOMB, b"/Type /Metadata /Subtype /XML " + FLATE_3)]
        ),
        "memory",
    ),
    "outline_loop.pdf": (
        made.one_page(
            catalog=b"/Outlines 6 0 R ",
            more=[
                b"<< /Type /Outlines /First 7 0 R /Last 7 0 R /Count 1 >>",
                b"<< /Title (a) /Parent 6 0 R /Next 7 0 R /First 7 0 R /Last 7 0 R /Count 1 >>",
            ],
        ),
        "malformed",
    ),
    "to_unicode.pdf": (
        made.one_page(
            b"BT /F1 12 Tf 72 700 Td <%s> Tj ET" % (b"00410042" * 5_000), font=MAPPED, more=[made.stream(CMAP)]
        ),
        "malformed or memory",
    ),
    "launch.pdf": (
        made.one_page(
            catalog=b"/OpenAction << /S /Launch /F (/bin/touch) /P (%(ran)s) >> "
            b"/AA << /WC << /S /JavaScript /JS (app.launchURL\\('http://127.0.0.1:9/'\\)) >> >> ",
            page=b"/Annots [<< /Type /Annot /Subtype /Link /Rect [0 0 600 800] "
            b"/A << /S /URI /URI (http://127.0.0.1:9/x) >> >>] ",
        ),
        "ok",
    ),
    "attachment.pdf": (
        made.one_page(
            catalog=b"/Names << /EmbeddedFiles << /Names [(a.txt) 6 0 R] >> >> ",
            more=[
                b"<< /Type /Filespec /F (a.txt) /EF << /F 7 0 R >> >>",
                made.stream(b"ATTACHED words stand here.", b"/Type /EmbeddedFile "),
            ],
        ),
        "ok",
    ),
    "archive_behind.pdf": (made.one_page() + archive(), "ok"),
    "really_zip.pdf": (archive(), "malformed"),
    "really_png.pdf": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "malformed"),
    "really_html.pdf": (b"<!doctype html><p>Not found", "malformed"),
    "really_word.pdf": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "malformed"),
    "deep.pdf": (
        made.raw_pdf(
            [b"<< /Type /Catalog /Pages 2 0 R /X %s%s >>" % (b"[" * 50_000, b"]" * 50_000), b"<< /Type /Pages >>"]
        ),
        "empty",
    ),
    "huge_page.pdf": (made.one_page().replace(b"[0 0 600 800]", b"[0 0 9e9 9e9]"), "ok"),
    "long_title.pdf": (
        made.one_page().replace(b"/Root", b"/Info << /Title (%s) >> /Root" % (b"T" * 2_000_000)), "ok"
    ),
}  # fmt: skip
