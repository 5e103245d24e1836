"""Which chunks are wrongly asked about or left out, what is left out of real documents, and what looking takes.

Both errors are counted on labelled pages, which are made here (`labelled_pages`). The real documents are the demo
corpus, and the PDF manuals of two Debian packages, which apt-get downloads and nobody installs. Whether a rule was
right there is for a person to say: every chunk that was left out is printed with its beginning on stderr.
"""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import labelled_pages
from benchmarks.figure import ROOT, Figure
from hpc_qa.bench.effect import wilson
from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.chunks import Chunk
from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.html import read_html
from hpc_qa.documents.packing import chunk_blocks
from hpc_qa.documents.pdf import read_pdf
from hpc_qa.documents.reissues import sketch
from hpc_qa.documents.screening import screen
from hpc_qa.documents.tokens import token_counter
from hpc_qa.documents.worthiness import KINDS, unworthy

HOW = "python -m benchmarks preprocessing"
PACKAGES = ("debian-policy", "developers-reference")
DEMO = ROOT / "cache" / "demo" / "corpus"
CHUNK_SIZE = 512  # tokens: small chunks are harder to tell apart
SHOWN = 160  # characters of a chunk
PAGES_OF_EACH = 100  # labelled pages
LABELLED_SIZES = (10_000, 120)  # words: whole pages, and small chunks
MOST_MISSES, MOST_FALSE_SKIPS = 0.05, 0.01
Z = 1.96  # of a 95 % interval


@dataclass(slots=True)
class Counts:
    """Over the chunks of one corpus."""

    chunks: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    conversion_s: float = 0.0
    screening_s: float = 0.0


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hqpre") as folder:
        manuals = [path for package in PACKAGES for path in downloaded(package, Path(folder))]
        return [
            *labelled(),
            *figures("demo corpus", sorted(DEMO.glob("*.*"))),
            *figures(" and ".join(PACKAGES), manuals),
        ]


def labelled() -> list[Figure]:
    """Misses and false skips over labelled pages, whole and in small chunks."""
    of_kind: dict[str, Counter[str]] = {}
    for page in labelled_pages.pages(seed=1, of_each=PAGES_OF_EACH):
        for size in LABELLED_SIZES:
            kinds = [unworthy(chunk) for chunk in words_in_chunks(page.markdown, size)]
            of_kind.setdefault(page.kind or "kept", Counter()).update(kind or "asked about" for kind in kinds)
    kept = of_kind.pop("kept")
    left_out = sum(of_kind.values(), Counter[str]())
    misses = ", ".join(f"{kind} {seen['asked about']} of {seen.total()}" for kind, seen in of_kind.items())
    skips = ", ".join(f"{number} as {kind}" for kind, number in kept.items() if kind != "asked about")
    raw = {kind: dict(seen) for kind, seen in of_kind.items()}
    return [
        _judged("labelled chunks to leave out that are asked about", left_out["asked about"], left_out.total(),
                MOST_MISSES, misses, raw),
        _judged("labelled chunks to ask about that are left out", kept.total() - kept["asked about"], kept.total(),
                MOST_FALSE_SKIPS, skips, dict(kept)),
    ]  # fmt: skip


def _judged(name: str, wrong: int, of: int, most: float, said: str, raw: dict[str, Any]) -> Figure:
    high = wilson(wrong / of, of, Z)[1]
    measured = f"{wrong} of {of:,}, at most {high:.2%}" + (f" ({said})" if said else "")
    return Figure(
        name, f"at most {most:.0%}, with the upper end of the 95 % interval", measured, high <= most, HOW, raw
    )


def words_in_chunks(markdown: str, size: int) -> Iterator[Chunk]:
    """Chunks of at most so many words."""
    yield from chunk_blocks(
        markdown, parse_blocks(markdown), document_sha256="0" * 64, page_starts=None, chunk_size=size,
        count=lambda texts: [len(text.split()) for text in texts],
    )  # fmt: skip


def downloaded(package: str, folder: Path) -> list[Path]:
    """The PDFs of a Debian package."""
    place = folder / package
    place.mkdir()
    download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package]
    subprocess.run(download, cwd=place, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["dpkg-deb", "-x", str(next(place.glob("*.deb"))), "files"], cwd=place, check=True)
    for packed in place.rglob("*.pdf.gz"):
        subprocess.run(["gunzip", str(packed)], check=True)
    return sorted(path for path in place.rglob("*.pdf") if not path.is_symlink())


def figures(name: str, paths: list[Path]) -> list[Figure]:
    """What was counted, and the time; an injection is not expected in either corpus."""
    seen = Counts()
    for path in paths:
        look(path, seen)
    left_out = ", ".join(f"{count} {kind}" for kind, count in seen.left_out.most_common()) or "none"
    flagged = ", ".join(f"{count} {flag}" for flag, count in seen.flags.most_common()) or "none"
    share = seen.screening_s / max(seen.conversion_s, 1e-9)
    return [
        Figure(f"{name}: chunks left out for what they are", "printed, not judged",
               f"{left_out}, of {seen.chunks}", met=True, how=HOW, raw=dict(seen.left_out)),
        Figure(f"{name}: chunks flagged as suspicious", "none: they are manuals", f"{flagged}, of {seen.chunks}",
               met=not seen.flags, how=HOW, raw=dict(seen.flags)),
        Figure(f"{name}: screening and sketch against conversion and chunking", "printed, not judged",
               f"{share:.2f} ({seen.screening_s:.2f} s of {seen.conversion_s:.2f} s)", met=True, how=HOW),
    ]  # fmt: skip


def look(path: Path, seen: Counts) -> None:
    """Convert and screen one document."""
    began = time.process_time()
    found = _extracted(path)
    if found is None:
        return
    chunks = list(_chunks(found))
    seen.conversion_s += time.process_time() - began
    screen(chunks[0])  # loads the identifier of languages
    began = time.process_time()
    screened = [screen(chunk) for chunk in chunks]
    sketch(found.markdown)
    seen.screening_s += time.process_time() - began
    seen.chunks += len(chunks)
    for chunk, one in zip(chunks, screened, strict=True):
        seen.flags.update(one.flags)
        if one.kind in KINDS:
            seen.left_out[one.kind] += 1
        if one.kind or one.flags:
            beginning = " ".join(chunk.text.split())[:SHOWN]
            print(f"{path.name} {chunk.index} {one.kind or ''} {' '.join(one.flags)}: {beginning}", file=sys.stderr)


def _extracted(path: Path) -> Extracted | None:
    if path.suffix == ".pdf":
        return read_pdf(path.read_bytes(), max_pages=10_000, min_word_coverage=0.9)
    return read_html(path.read_bytes(), min_word_coverage=0.9) if path.suffix == ".html" else None


def _chunks(found: Extracted) -> Iterator[Chunk]:
    (tokenizer, *_) = sorted((ROOT / "cache" / "models").rglob("tokenizer.json"))
    yield from chunk_blocks(
        found.markdown, parse_blocks(found.markdown), document_sha256="0" * 64, page_starts=found.page_starts,
        chunk_size=CHUNK_SIZE, count=token_counter(tokenizer),
    )  # fmt: skip
