"""Read the pages of a PDF that are pictures, with Tesseract.

PDFium draws the page in grey at 300 dots an inch, and the program `tesseract` reads it, in the child that converts the
document and under its limits; one thread, no files. Its words have no headings and no tables. Where the program is or
what it knows is looked at once, before any document; that it is not there is a reason, not an error.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_qa.documents.fidelity import words

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

DPI, POINTS_AN_INCH = 300, 72
MAX_PIXELS = 40_000_000  # a larger page is drawn with fewer dots
PROGRAM_TIMEOUT_S = 30  # to say its version and its languages
_LANGUAGES = re.compile(r'^List of available languages(?: in "(.+)")? \(\d+\):$')
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-z])")


@dataclass(frozen=True, slots=True)
class Ocr:
    """What pages are read with; `fault` says why none can be, with what to do, and is "" when they can."""

    language: str  # of Tesseract: eng, deu+fra, ...
    program: str = ""
    data_folder: str = ""
    version: str = ""
    fault: str = ""

    @property
    def description(self) -> str:
        """For people and for the cache key: another version or another language gives another text."""
        return f"{self.version} {self.language}" if not self.fault else "missing"


def look_for(language: str) -> Ocr:
    """Tesseract as it is on this machine."""
    program = shutil.which("tesseract")
    if program is None:
        advice = "install it (Debian: apt-get install tesseract-ocr) where documents are converted, and convert again"
        return Ocr(language, fault=f"documents.ocr is auto, and there is no program tesseract: {advice}")
    return _look_at(program, language)


@lru_cache
def _look_at(program: str, language: str) -> Ocr:
    said = _ask(program, "--version").splitlines()[:1]
    heading, *languages = _ask(program, "--list-langs").splitlines() or [""]
    found = _LANGUAGES.match(heading)
    if not said or found is None:
        return Ocr(language, fault=f"{program} does not say its version and its languages; install tesseract anew")
    if missing := sorted(set(language.split("+")) - set(languages)):
        packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in missing)
        advice = f"install {packages} (Debian), or change documents.ocr_language"
        return Ocr(language, fault=f"tesseract does not know {', '.join(missing)}: {advice}")
    version = f"{said[0].removeprefix('tesseract ')} {_data_of(found[1] or '', language)}".strip()
    return Ocr(language, program, found[1] or "", version)


def _data_of(folder: str, language: str) -> str:
    """What tells apart the trained data, of which each language has several; "" where Tesseract does not say."""
    digest = hashlib.sha256()
    try:
        for name in language.split("+"):
            digest.update(Path(folder, f"{name}.traineddata").read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()[:8]


def _ask(program: str, option: str) -> str:
    try:
        asked = subprocess.run(
            [program, option], capture_output=True, text=True, errors="replace", timeout=PROGRAM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout or asked.stderr  # Tesseract 3 and 4 say their version on stderr


def read_pages(data: bytes, numbers: Iterable[int], ocr: Ocr) -> dict[int, str]:
    """The text of these pages of a PDF, by number from 1; those on which nothing was found are left out."""
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    found = {}
    for number in numbers:
        page = document[number - 1]
        text = _read(picture_of(page), ocr)
        page.close()
        if words(text):
            found[number] = _BROKEN_WORD.sub("", text.replace("\f", "")).strip() + "\n"
    return found


def picture_of(page: "PdfPage") -> bytes:
    """The page as a grey picture in the PGM format."""
    width, height = page.get_size()
    scale = min(DPI / POINTS_AN_INCH, (MAX_PIXELS / max(1.0, width * height)) ** 0.5)
    drawn = page.render(scale=scale, grayscale=True)
    rows = memoryview(drawn.buffer).cast("B")
    lines = (rows[start : start + drawn.width] for start in range(0, drawn.stride * drawn.height, drawn.stride))
    return b"P5 %d %d 255\n" % (drawn.width, drawn.height) + b"".join(lines)


def _read(picture: bytes, ocr: Ocr) -> str:
    """What stands in a picture; nothing where the program fails on it, which leaves the page a picture."""
    command = [ocr.program, "stdin", "stdout", "-l", ocr.language, "--dpi", str(DPI)]
    if ocr.data_folder:
        command += ["--tessdata-dir", str(Path(ocr.data_folder))]
    environment = {"OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, input=picture, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=environment, check=False)  # fmt: skip
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
