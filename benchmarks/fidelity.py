"""What comes back of PDFs whose truth is known, from us and from other converters.

A made manual through ReportLab, Chromium's print and LibreOffice: headings, table rows, running lines that are left.
Real manuals: the share of their words that is kept. The other converters are installed into a temporary folder and run
in a process of their own: `pdf-inspector` (MIT), `pdfplumber` (MIT; its tables behind its text), PDFium's raw text.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.manuals import fetch
from hpc_qa.documents.pdf import read_pdf
from tests.made_manual import Part, manual
from tests.printed_manual import by_chromium, by_libreoffice, by_reportlab, install_libreoffice
from tests.real_browser.chromium import install as install_chromium
from tests.recall import Recall, recall

HOW = "python -m benchmarks fidelity"
SEEDS = (1, 2)  # of the made manuals
HEADINGS, ROWS_EACH, ROWS_ALL, WORDS = 0.95, 0.85, 0.90, 0.97
OTHERS = ("pdf-inspector==1.25.2", "pdfplumber==0.11.10")
OURS = "hpc_qa"
CONVERT = {
    "pdf-inspector": """
import pdf_inspector
def convert(path):
    return "\\n\\n".join(page.markdown for page in pdf_inspector.extract_pages_markdown(path).pages)
""",
    "pdfplumber": """
import pdfplumber
def convert(path):
    out = []
    with pdfplumber.open(path) as document:
        for page in document.pages:
            out.append(page.extract_text())
            for table in page.extract_tables():
                out += ["| " + " | ".join((cell or "").replace("\\n", " ") for cell in row) + " |" for row in table]
    return "\\n".join(out)
""",
    "PDFium's raw text": """
import pypdfium2
def convert(path):
    document = pypdfium2.PdfDocument(path)
    return "\\n".join(page.get_textpage().get_text_range() for page in document)
""",
}
MAIN = "import json, sys\nprint(json.dumps([convert(path) for path in sys.argv[1:]]))\n"


def run() -> list[Figure]:
    """The figures of this benchmark."""
    install_chromium()
    install_libreoffice()
    with tempfile.TemporaryDirectory(prefix="hqf", dir="/tmp") as name:
        folder = Path(name)
        manuals = {seed: manual(seed) for seed in SEEDS}
        files = printed(manuals, folder)
        others = install_others(folder / "others")
        scores = {OURS: {key: recall(ours(path), manuals[key[1]]) for key, path in files.items()}}
        for engine in CONVERT:
            texts = converted(engine, list(files.values()), others)
            scores[engine] = {key: recall(text, manuals[key[1]]) for key, text in zip(files, texts, strict=True)}
        return [*known_truth(scores), real_files(fetch(folder))]


def printed(manuals: Mapping[int, list[Part]], folder: Path) -> dict[tuple[str, int], Path]:
    """The PDF of each program and manual."""
    programs: dict[str, Callable[[list[Part], Path], bytes]] = {
        "ReportLab": lambda parts, _: by_reportlab(parts),
        "Chromium": by_chromium,
        "LibreOffice": by_libreoffice,
    }
    files = {}
    for program, write in programs.items():
        for seed, parts in manuals.items():
            scratch = folder / f"{program}-{seed}"
            scratch.mkdir()
            files[program, seed] = folder / f"{program}-{seed}.pdf"
            files[program, seed].write_bytes(write(parts, scratch))
    return files


def known_truth(scores: Mapping[str, Mapping[tuple[str, int], Recall]]) -> list[Figure]:
    """Our shares by program, the other converters' beside them."""
    table = {engine: summary(of_engine) for engine, of_engine in scores.items()}
    figures = []
    for program in ("ReportLab", "Chromium", "LibreOffice"):
        mine = table[OURS][program]
        beside = "; ".join(f"{engine} {shown(of_engine[program])}" for engine, of_engine in table.items())
        met = mine["headings"] >= HEADINGS and mine["rows"] >= ROWS_EACH and mine["leaked"] == 0
        asked = f"headings {HEADINGS}, rows {ROWS_EACH}, no running line"
        figures.append(Figure(f"headings, table rows and running lines, {program}", asked, beside, met, HOW,
                              {engine: of_engine[program] for engine, of_engine in table.items()}))  # fmt: skip
    rows = {engine: of_engine["all"]["rows"] for engine, of_engine in table.items()}
    measured = ", ".join(f"{engine} {share:.3f}" for engine, share in rows.items())
    return [*figures, Figure("table rows over all programs", f"at least {ROWS_ALL}", measured,
                             rows[OURS] >= ROWS_ALL, HOW)]  # fmt: skip


def summary(scores: Mapping[tuple[str, int], Recall]) -> dict[str, dict[str, Any]]:
    """Per program and over all: mean share of headings, share of rows, and running lines left."""
    result = {}
    for program in ("ReportLab", "Chromium", "LibreOffice", "all"):
        these = [score for (name, _), score in scores.items() if program in (name, "all")]
        result[program] = {
            "headings": sum(score.headings for score in these) / len(these),
            "heading_precision": sum(score.heading_precision for score in these) / len(these),
            "rows": sum(score.found_rows for score in these) / sum(score.all_rows for score in these),
            "leaked": sum(score.leaked for score in these),
            "rows_by_style": [score.rows_by_style for score in these],
        }
    return result


def shown(score: Mapping[str, Any]) -> str:
    """One converter's three figures."""
    return f"{score['headings']:.2f}, {score['rows']:.2f}, {score['leaked']}"


def real_files(paths: list[Path]) -> Figure:
    """Coverage of real manuals, against PDFium's words, without running lines."""
    shares = {}
    for path in paths:
        found = read_pdf(path.read_bytes(), max_pages=10_000, min_word_coverage=0.0)
        shares[path.name] = found.word_coverage or 0.0
    least = min(shares, key=shares.__getitem__)
    measured = f"{shares[least]:.3f} at least, in {least}; {sum(shares.values()) / len(shares):.3f} on average"
    return Figure(f"words kept of {len(paths)} real manuals", f"at least {WORDS} of each", measured,
                  shares[least] >= WORDS, HOW, {"coverage": shares})  # fmt: skip


def ours(path: Path) -> str:
    """Our Markdown of a PDF."""
    return read_pdf(path.read_bytes(), max_pages=1000, min_word_coverage=0.9).markdown


def install_others(folder: Path) -> Path:
    """The other converters, in a folder of their own."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-warn-conflicts", "--target", str(folder)]
    subprocess.run([*command, *OTHERS], check=True, stdout=subprocess.DEVNULL)
    return folder


def converted(engine: str, paths: list[Path], others: Path) -> list[str]:
    """What another converter makes of these files."""
    done = subprocess.run(
        [sys.executable, "-c", CONVERT[engine] + MAIN, *map(str, paths)], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(others)},
    )  # fmt: skip
    return list(json.loads(done.stdout))
