"""Read the pages of a PDF that are pictures, with Tesseract.

PDFium draws the page in grey at 300 dots an inch, and the program `tesseract` reads it, in the child that converts the
document and under its limits; one thread, no files. Its words have no headings and no tables. Where the program is or
what it knows is looked at once, before any document; that it is not there is a reason, not an error. A page on which it
fails is told apart from one without text.
"""

import hashlib
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_qa.documents.fidelity import words
from hpc_qa.errors import DocumentError

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

DPI, POINTS_AN_INCH = 300, 72
MAX_PIXELS = 40_000_000  # a larger page is drawn with fewer dots
PROGRAM_TIMEOUT_S = 30  # to say its version and its languages
MAX_SAID = 200  # characters of what the program said when it failed
MAX_NAMED = 10  # pages
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


class OcrError(Exception):
    """The program failed on one page; says how."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What became of the pages that were to be read, by number from 1."""

    texts: dict[int, str] = field(default_factory=dict)  # of those on which something was found
    failed: dict[int, str] = field(default_factory=dict)  # what the program said of those that it could not read

    @property
    def note(self) -> str:
        """What people should know; "" when the program could read every page."""
        if not self.failed:
            return ""
        named = ", ".join(map(str, sorted(self.failed)[:MAX_NAMED])) + (", ..." if len(self.failed) > MAX_NAMED else "")
        return f"OCR failed on pages {named}: {next(iter(self.failed.values()))}"


def read_pages(data: bytes, numbers: Sequence[int], ocr: Ocr) -> Recognised:
    """Read these pages of a PDF, numbered from 1.

    Raises:
        DocumentError: `ocr_failed`, the program failed on all of them, or was killed.
    """
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    found = Recognised()
    for number in numbers:
        page = document[number - 1]
        picture = picture_of(page)
        page.close()
        try:
            text = _read(picture, ocr)
        except OcrError as exc:
            found.failed[number] = str(exc)
            continue
        if words(text):
            found.texts[number] = _BROKEN_WORD.sub("", text.replace("\f", "")).strip() + "\n"
    if found.failed and len(found.failed) == len(numbers):
        detail = f"{found.note}; see that tesseract runs where documents are converted, and convert again"
        raise DocumentError("ocr_failed", detail, pages=len(document), scanned_pages=numbers)
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
    """What stands in a picture.

    Raises:
        OcrError: the program failed on it.
        DocumentError: `ocr_failed`, somebody killed the program.
    """
    command = [ocr.program, "stdin", "stdout", "-l", ocr.language, "--dpi", str(DPI)]
    if ocr.data_folder:
        command += ["--tessdata-dir", str(Path(ocr.data_folder))]
    environment = {"OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(command, input=picture, capture_output=True, env=environment, check=False)
    except OSError as exc:
        raise OcrError(f"{ocr.program}: {exc.strerror}") from exc
    if done.returncode == 0:
        return done.stdout.decode(errors="replace")
    code = done.returncode
    if code == -signal.SIGKILL:  # the kernel for want of memory, or somebody: another page may fare no better
        raise DocumentError("ocr_failed", "tesseract was killed; where memory was short, more of it helps")
    how = signal.Signals(-code).name if code < 0 else f"status {code}"
    said = done.stderr.decode(errors="replace").split("\n")
    last_line = next((line for line in map(_printable, reversed(said)) if line), "")
    raise OcrError(f"tesseract ended with {how}" + (f", {last_line[:MAX_SAID]}" if last_line else ""))


def _printable(line: str) -> str:
    return "".join(character for character in line if character.isprintable()).strip()
