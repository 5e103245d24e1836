"""Cut Markdown into chunks: the speed beside the bare tokenizer, and whether every chunk keeps to its budget.

The text is Markdown of real manuals. The bare tokenizer encodes the blocks of the same text in one batch for each
document, in the same process and on one thread, in turn with our path. Seconds are CPU seconds.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figure import ROOT, Figure
from benchmarks.manuals import fetch, pages
from hpc_qa.documents.blocks import parse_blocks
from hpc_qa.documents.packing import Packed, chunk_blocks
from hpc_qa.documents.pdf import read_pdf
from hpc_qa.documents.tokens import token_counter

HOW = "python -m benchmarks chunking"
TOKENIZER = ROOT / "cache" / "models" / "SmolLM2-135M-Instruct" / "tokenizer.json"
BUDGET = 1500  # tokens
MAX_PAGES = 500  # of the manuals that the text is from
LAPS = 5
WITHOUT, WITH = 0.6, 0.35


def run() -> list[Figure]:
    """The figures of this benchmark."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as in the children that convert documents
    from tokenizers import Tokenizer

    texts = markdown()
    bare = Tokenizer.from_file(str(TOKENIZER))
    count = token_counter(TOKENIZER)
    blocks = [[text[block.start : block.end] for block in parse_blocks(text)] for text in texts]

    def chunked() -> list[Packed]:
        return [
            chunk_blocks(text, parse_blocks(text), document_sha256="", page_starts=None, chunk_size=BUDGET, count=count)
            for text in texts
        ]

    def encode() -> None:
        for document in blocks:
            bare.encode_batch(document, add_special_tokens=False)

    def encode_fast() -> None:
        for document in blocks:
            bare.encode_batch_fast(document, add_special_tokens=False)

    laps = [tuple(cpu_seconds(step) for step in (encode, encode_fast, chunked, lambda: list(map(list, chunked()))))
            for _ in range(LAPS)]  # fmt: skip
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    raw = {"megabytes": megabytes, "batch_fast_chunks_sentences_cpu_s": laps}
    chunks = [chunk for document in chunked() for chunk in document]
    over = sum(tokens > BUDGET for tokens in count([chunk.text for chunk in chunks]))
    wrong = sum(chunk.tokens != tokens for chunk, tokens in zip(chunks, count([c.text for c in chunks]), strict=True))
    return [
        _share("chunking beside the bare tokenizer", WITHOUT, 2, laps, megabytes, raw),
        _share("chunking with sentence numbers beside the bare tokenizer", WITH, 3, laps, megabytes, raw),
        Figure("chunks over their budget", "0", f"{over} of {len(chunks):,}; {wrong} whose tokens are not as noted",
               over == wrong == 0, HOW),
    ]  # fmt: skip


def _share(
    name: str, asked: float, step: int, laps: list[tuple[float, ...]], megabytes: float, raw: dict[str, object]
) -> Figure:
    share = statistics.median(lap[0] / lap[step] for lap in laps)
    of_fast = statistics.median(lap[1] / lap[step] for lap in laps)
    rate = megabytes / statistics.median(lap[step] for lap in laps)
    measured = (
        f"{share:.2f} of encode_batch ({of_fast:.2f} of encode_batch_fast), {rate:.1f} MB/s, median of {len(laps)}"
    )
    return Figure(name, f"at least {asked} of encode_batch", measured, share >= asked, HOW, raw)


def markdown() -> list[str]:
    """The Markdown of real manuals."""
    with tempfile.TemporaryDirectory(prefix="hqk", dir="/tmp") as folder:
        found = [path for path in fetch(Path(folder)) if pages(path) <= MAX_PAGES]
        return [read_pdf(path.read_bytes(), max_pages=MAX_PAGES, min_word_coverage=0.9).markdown for path in found]


def cpu_seconds(step: Callable[[], object]) -> float:
    """CPU seconds of one step."""
    began = time.process_time()
    step()
    return time.process_time() - began
