"""Write every bad document and archive of the tests into a folder, and beside them what is expected of each.

    python -m tests.data.bad.make FOLDER

The files are made, not kept: some are bombs, and mail scanners and backups open what they find. `expected.tsv` holds
the name, the outcome (`ok`, or the reason that the document gets; of an archive `refused`), and what has to be said of
it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.data.bad.archives import MEMBERS, WHOLE, million
from tests.data.bad.pages import PAGES
from tests.data.bad.pdfs import PDFS
from tests.data.bad.texts import LARGE, TEXTS
from tests.data.bad.word import WORD


class Bad(NamedTuple):
    """One file, and what comes of it."""

    name: str
    data: bytes
    outcome: str
    said: str = ""


# The inputs that are to be survived, in the words of whoever thinks of them, and the files that are such.
INPUTS = {
    "text: invalid UTF-8, UTF-16, lone surrogates": (
        "utf8_one_bad.txt", "utf16.txt", "utf16_unmarked.txt", "surrogate.txt"),
    "text: NULs, control characters, only white space, only emoji, 0 bytes": (
        "nul.txt", "controls.txt", "space.txt", "emoji.txt", "zero.txt"),
    "text: bidirectional controls, zero-width and tag characters": ("bidi.txt", "zero_width.txt", "tags.txt"),
    "text: the model's own control tokens, instructions to it": ("tokens.txt", "orders.txt"),
    "text: nothing to the tokenizer": ("no_tokens.txt",),
    "text: 10^6 repeats of one token, one word without end, a line of 50 MB": (
        "million_repeats.txt", "one_word.txt", "long_line.txt"),
    "text: something else inside, packed streams among it": (
        "really_pdf.txt", "really_rtf.md", "really_zip.md", "really_gzip.txt", "really_xz.md"),
    "PDF: truncated, encrypted, 0 pages, 10^5 pages, image only": (
        "half.pdf", "start.pdf", "encrypted.pdf", "no_pages.pdf", "pages_100000.pdf", "scan.pdf"),
    "PDF: nested Flate, RunLength, XFA and XMP bombs": (
        "flate_bomb.pdf", "run_length.pdf", "form_laughs.pdf", "metadata_laughs.pdf", "metadata_bomb.pdf"),
    "PDF: outline loop, page loop, ToUnicode blow-up, deep nesting": (
        "outline_loop.pdf", "page_loop.pdf", "to_unicode.pdf", "deep.pdf"),
    "PDF: scripts, attachments, launch actions": ("launch.pdf", "attachment.pdf"),
    "PDF: PDF and ZIP in one, wrong extension": (
        "archive_behind.pdf", "really_zip.pdf", "really_png.pdf", "really_html.pdf", "really_word.pdf"),
    "ZIP: names that lead out, links, devices": (
        "up.zip", "inner_up.zip", "absolute.zip", "drive.zip", "backslash.zip", "link.zip", "fifo.zip"),
    "ZIP: bombs, overlapping members, wrong sizes, 10^6 members": (
        "zeros.zip", "together.zip", "overlap.zip", "liar.zip", "huge.zip", "million.zip"),
    "ZIP: truncated, encrypted, packed in another way": (
        "half.zip", "empty.zip", "text.zip", "encrypted.zip", "lzma.zip", "unknown.zip"),
    "DOCX: XML entity bombs, external entities": (
        "laughs.docx", "external_entity.docx", "external_subset.docx", "entities_in_styles.docx"),
    "DOCX: archive bombs, overlapping members, links, names that lead out": (
        "bomb.docx", "bomb_of_many.docx", "picture_bomb.docx", "overlapping.docx", "link.docx", "leads_out.docx"),
    "DOCX: truncated, encrypted, old, renamed": (
        "half.docx", "torn_part.docx", "encrypted.docx", "really_doc.docx", "really_pdf.docx", "really_text.docx"),
    "DOCX: macros, embedded files, linked pictures": ("macros.docx", "embedded.docx", "linked_picture.docx"),
    "HTML: scripts and styles, 10^6 nested tags": ("script.html", "nested.html"),
    "HTML: a base elsewhere, pictures, frames and styles to fetch": ("remote.html",),
    "HTML: entities, odd encodings, torn markup": (
        "entities.html", "outside.html", "utf7.html", "comments.html", "torn_tags.html", "out_of_order.html"),
}  # fmt: skip


def corpus() -> Iterator[Bad]:
    """Every file."""
    for table in (PDFS, TEXTS):
        yield from (Bad(name, data, outcome) for name, (data, outcome) in table.items())
    yield from (Bad(name, data(), "ok") for name, data in LARGE.items())
    yield from (Bad(name, *rest) for name, rest in WORD.items())
    yield from (Bad(f"{name}.html", page.encode(), "ok") for name, page in PAGES.items())
    for archives in (MEMBERS, WHOLE):
        yield from (Bad(name, data, "refused", said) for name, (data, said) in archives.items())
    yield Bad("million.zip", million(), "refused", "its list of members has more than 16000000 bytes")


def write(folder: Path) -> int:
    """Write the files and their table; gives their number."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for bad in corpus():
        (folder / bad.name).write_bytes(bad.data)
        rows.append(f"{bad.name}\t{bad.outcome}\t{bad.said}\n")
    (folder / "expected.tsv").write_text("name\toutcome\tsaid\n" + "".join(sorted(rows)))
    return len(rows)


if __name__ == "__main__":
    print(f"{write(Path(sys.argv[1]))} files in {sys.argv[1]}")  # noqa: T201 # a script says what it did
