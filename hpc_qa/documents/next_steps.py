"""What to do about documents that could not be used: one step for each reason that does not say it by itself."""

from collections import Counter
from collections.abc import Iterable, Iterator

from hpc_qa.units import plural

AGAIN = "then hpc-qa manifest build, and convert again"
NEXT_STEPS = {
    "changed": f"it is no longer the file of the manifest: {AGAIN.removeprefix('then ')}",
    "converter_failed": "look at the converter of your site, or remove its package: our own reader takes over",
    "denied": f"give yourself the right to read it, or unpack it beside the archive; {AGAIN}",
    "empty": "open it: a file without text is left out of the manifest, a wrong or broken copy is replaced; "
    f"{AGAIN}. Text that is a picture is read with documents.ocr: auto",
    "encrypted": f"save a copy without a password (qpdf --decrypt --password=... IN OUT, for a PDF); {AGAIN}",
    "malformed": f"open it in the program that made it and save it anew, or get it again; {AGAIN}",
    "memory": "raise documents.limits.memory_gib, or divide the document",
    "not_found": f"put it back where the manifest has it, or {AGAIN.removeprefix('then ')}",
    "not_text": f"give the file the suffix of what it is, or save it as text in UTF-8; {AGAIN}",
    "too_large": f"raise documents.limits.max_file_mb, or divide it; {AGAIN}",
    "too_many_pages": f"raise documents.limits.max_pages, or divide the document; {AGAIN}",
    "unsupported": f"save it as PDF, DOCX, HTML, Markdown or text; {AGAIN}",
}
SAID = frozenset({"needs_ocr", "timeout"})  # whose message says it


def advice(reasons: Iterable[str | None]) -> Iterator[str]:
    """A line for each reason among these, the most frequent first; None is a document without one."""
    for reason, count in Counter(reason for reason in reasons if reason in NEXT_STEPS).most_common():
        yield f"{reason} ({plural(count, 'document')}): {NEXT_STEPS[str(reason)]}"
