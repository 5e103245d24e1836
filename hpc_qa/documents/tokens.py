"""Count tokens with the tokenizer of the served model.

Only `tokenizer.json` is read, with the `tokenizers` library; no model, no network. Control tokens that stand in a
document are counted as the plain text that they are sent as.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_qa.documents.pieces import CountTokens
from hpc_qa.errors import ConfigError

if TYPE_CHECKING:
    from hpc_qa.config import Config

BATCH_CHARS = 1_000_000


def tokenizer_file(config: "Config", project: Path) -> Path:
    """The tokenizer.json of the served model.

    Raises:
        ConfigError: there is none.
    """
    named = "vllm.tokenizer" if config.vllm.tokenizer else "vllm.model"
    folder = project / (config.vllm.tokenizer or config.model)
    path = folder if folder.name == "tokenizer.json" else folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(
            f"{named}: {path} does not exist",
            hint="chunks are measured in tokens of the served model: name a folder that holds its tokenizer.json",
        )
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, however large."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def token_counter(path: Path) -> CountTokens:
    """A function that counts the tokens of several texts.

    Raises:
        ConfigError: the file is not a tokenizer.
    """
    from tokenizers import Tokenizer  # 60 ms, and not needed where everything is cached

    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as exc:  # tokenizers raises bare Exception for a file that it cannot read
        raise ConfigError(f"{path}: not a tokenizer: {exc}") from exc
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True

    def count(texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for batch in _batches(texts):
            counts += map(len, tokenizer.encode_batch_fast(batch, add_special_tokens=False))
        return counts

    return count


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in batches of some megabytes: an encoding takes fifty times the memory of its text."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
