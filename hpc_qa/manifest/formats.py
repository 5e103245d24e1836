"""Formats that are not read: what they are called, and what to do with such a file.

What can be read is in `entry.MEDIA_TYPES`. A suffix that stands in neither is named as it is.
"""

_AS_PDF = "export it as PDF"
_UNPACK = "unpack it, or pack its files as ZIP"
_OCR = "recognise its text with OCR and save it as PDF"
_DATA = "data and no document; what should be asked about has to be text, Markdown, HTML, DOCX or PDF"

_ADVICE = {
    "Word": (".doc .docm .dot .dotx", "save it as .docx"),
    "Excel": (".xls .xlsx .xlsm .xlsb", _AS_PDF),
    "PowerPoint": (".ppt .pptx .pptm .pps .ppsx", _AS_PDF),
    "OpenDocument": (".odt .ods .odp .odg .ott", _AS_PDF),
    "Pages, Numbers or Keynote": (".pages .numbers .key", _AS_PDF),
    "RTF": (".rtf", _AS_PDF),
    "an e-book": (".epub .mobi .azw .azw3 .fb2", "convert it to HTML or PDF"),
    "TeX": (".tex .latex .texi", "typeset it and take the PDF"),
    "PostScript or DjVu": (".ps .eps .djvu .xps", _AS_PDF),
    "a compiled help file": (".chm .hlp", "convert it to HTML"),
    "e-mail": (".eml .msg .mbox", "save it as text or PDF"),
    "a picture": (".png .jpg .jpeg .gif .tif .tiff .bmp .webp .heic .svg", _OCR),
    "sound or film": (".mp3 .mp4 .wav .m4a .mov .avi .mkv", "write a transcript"),
    "an archive": (".tar .tgz .gz .bz2 .xz .zst .7z .rar .tbz2 .txz .lz4", _UNPACK),
    "an archive inside an archive": (".zip", "unpack the outer one"),
    "JSON": (".json .jsonl .ndjson", _DATA),
    "a table": (".csv .tsv .parquet .sqlite .db", _DATA),
    "XML": (".xml", "convert it to HTML or text"),
    "YAML or TOML": (".yaml .yml .toml .ini", _DATA),
}
_BY_SUFFIX = {suffix: (name, advice) for name, (suffixes, advice) in _ADVICE.items() for suffix in suffixes.split()}


def unsupported(suffix: str) -> str:
    """What a file with this suffix is, and what to do.

    >>> unsupported(".doc"), unsupported(".qqq")
    ('.doc is Word, which is not read: save it as .docx', '.qqq is not read: export it as PDF, DOCX, HTML or text')
    """
    if suffix == "(none)":
        return "a name without a suffix is not read: it has to say what the file is, report.txt for example"
    if suffix not in _BY_SUFFIX:
        return f"{suffix} is not read: export it as PDF, DOCX, HTML or text"
    name, advice = _BY_SUFFIX[suffix]
    return f"{suffix} is {name}, which is not read: {advice}"
