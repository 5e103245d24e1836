"""Count tokens with the tokenizer of the served model.

Only `tokenizer.json` is read, with the `tokenizers` library; no model, no network. Control tokens that stand in a
document are counted as the plain text that they are sent as.
"""

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_qa.config import Config
from hpc_qa.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH_CHARS = 1_000_000
# Ends and beginnings of words of every kind, and what stands between two pieces of a document.
SIDES = ("word", "WORD", "It's", "7", "2024", ".", ")", "|", "-", "#", "**", "_", "/", "é", "漢", "。", "٣", "☐", "😀")
SPACES = (" ", "\n", "\n\n", "  \n", "\n  ", "\t", "\u2003")
SPACE_MARK = "\u2581"  # what tokenizers after SentencePiece write for a space
_WORDS_IN_ONE = re.compile(r"\S\s+\S")


def tokenizer_file(config: Config, project: Path) -> Path:
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


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts the tokens of several texts, each as one text."""

    tokenizer: "Tokenizer"
    words_apart: bool  # see `pieces.adds_up`

    def __call__(self, texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for batch in _batches(texts):
            counts += map(len, self.tokenizer.encode_batch_fast(batch, add_special_tokens=False))
        return counts


def token_counter(path: Path) -> TokenCounter:
    """What counts tokens with this tokenizer.json.

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
    return TokenCounter(tokenizer, _keeps_words_apart(tokenizer))


def _keeps_words_apart(tokenizer: "Tokenizer") -> bool:
    """Whether it cuts a text at the space between words, of whatever kind they are, before it looks for tokens."""
    if tokenizer.pre_tokenizer is None:
        return False
    for sides in itertools.product(SIDES, SPACES, SIDES):
        text = "".join(sides)
        if tokenizer.normalizer is not None:
            text = tokenizer.normalizer.normalize_str(text)
        plain = text.replace(SPACE_MARK, " ")
        stretches = tokenizer.pre_tokenizer.pre_tokenize_str(text)
        if any(_WORDS_IN_ONE.search(plain, start, end) for _, (start, end) in stretches):
            return False
    return True


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
