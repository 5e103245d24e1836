"""What it costs that a finished conversion is on its disk before it has its name in the cache.

Conversions of a size as documents of some tens of pages leave them, published one by one, each waited for, and as many
children at once would finish them.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.figure import ROOT, Figure
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.documents.publishing import Publisher

HOW = "python -m benchmarks publishing"
LIMIT_MS = 20.0
CONVERSIONS = 200
FILES = {"document.md": 60_000, "chunks.jsonl": 90_000, "screening.jsonl": 20_000, "pages.json": 1_000,
         "facts.json": 4_000}  # fmt: skip


def run() -> list[Figure]:
    """The figures of this benchmark."""
    with tempfile.TemporaryDirectory(prefix=".publishing-", dir=ROOT) as name:  # /tmp may be in memory
        cache = DocumentCache(Path(name), "key")
        return [
            _figure("each waited for", one_by_one(cache)),
            _figure("as they come from many children", together(cache)),
        ]


def one_by_one(cache: DocumentCache) -> list[float]:
    """Seconds that each conversion takes to be published."""
    taken = []
    with Publisher(cache) as publisher:
        for number in range(CONVERSIONS):
            staged = made(cache)
            began = time.perf_counter()
            publisher.add(staged, f"{number:064x}", "text/plain", replace=False).result()
            taken.append(time.perf_counter() - began)
    return taken


def together(cache: DocumentCache) -> list[float]:
    """Seconds that each takes where all of them are there at once."""
    staged = [made(cache) for _ in range(CONVERSIONS)]
    began = time.perf_counter()
    with Publisher(cache) as publisher:
        for number, folder in enumerate(staged, start=CONVERSIONS):
            publisher.add(folder, f"{number:064x}", "text/plain", replace=False)
    return [(time.perf_counter() - began) / CONVERSIONS]


def made(cache: DocumentCache) -> Path:
    """One finished conversion; its bytes are random, so that no file system packs them."""
    staged = cache.stage()
    (staged / "out").mkdir()
    for name, size in FILES.items():
        (staged / "out" / name).write_bytes(os.urandom(size))
    return staged


def _figure(how_they_come: str, taken: list[float]) -> Figure:
    middle_ms = 1000 * statistics.median(taken)
    measured = f"{middle_ms:.1f} ms (median of {len(taken)}; at most {1000 * max(taken):.1f})"
    return Figure(
        f"to publish a conversion that is on disk, {how_they_come}", f"under {LIMIT_MS:.0f} ms a document",
        measured, middle_ms < LIMIT_MS, HOW, {"seconds": taken},
    )  # fmt: skip
