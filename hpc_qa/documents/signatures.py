"""Formats by their first bytes, to tell a wrong suffix from a broken file. Only names are given; nothing is parsed."""

_SIGNATURES = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive, as Word, Excel, OpenDocument and EPUB files are"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Word, Excel or PowerPoint file"),
    (b"{\\rtf", "RTF"),
    (b"%!PS", "PostScript"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"II*\0", "a picture"),
    (b"MM\0*", "a picture"),
    (b"AT&TFORM", "DjVu"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ\0", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\0", "a database"),
)
TAR_MAGIC, TAR_OFFSET = b"ustar", 257


def format_of(data: bytes) -> str | None:
    r"""What a file is that is no text, None when its beginning does not say.

    >>> format_of(b"%PDF-1.7\n"), format_of(b"Plain text")
    ('a PDF', None)
    """
    if data[TAR_OFFSET : TAR_OFFSET + len(TAR_MAGIC)] == TAR_MAGIC:
        return "a TAR archive"
    start = data[:64].lstrip()
    return next((name for signature, name in _SIGNATURES if start.startswith(signature)), None)
