"""What is known about one conversion, and its JSON: the file facts.json of the cache."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any, Literal

BY_LIMIT = frozenset({"too_large", "too_many_pages", "memory"})  # reasons that are none under other limits
MAX_JSON_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Facts:
    """One conversion, good or failed."""

    status: Literal["ok", "failed"]
    sha256: str
    media_type: str
    size_bytes: int
    reason: str | None = None  # of a failure: encrypted, malformed, empty, needs_ocr, not_text, ...
    detail: str = ""
    engine: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    title: str | None = None
    pages: int | None = None
    words: int = 0
    chars: int = 0
    tokens: int = 0  # of all chunks, in the tokenizer of the served model
    chunks: int = 0
    sentences: int = 0
    tables: int = 0
    word_coverage: float | None = None
    low_pages: list[int] = field(default_factory=list)
    raw_pages: list[int] = field(default_factory=list)
    scanned_pages: list[int] = field(default_factory=list)
    ocr_pages: list[int] = field(default_factory=list)
    structure: bool = True
    repaired: bool = False
    encoding: str | None = None
    truncated: bool = False
    undecodable: int = 0
    removed_characters: int = 0
    suspicious_unicode: bool = False
    hidden_words: int = 0  # that a reader of the page would not see
    language: str | None = None  # that most of its tokens are in; None: it does not show
    suspicious: dict[str, int] = field(default_factory=dict)  # chunks by flag, see `suspicion`
    unworthy: dict[str, int] = field(default_factory=dict)  # chunks by kind, see `worthiness`
    page_fidelity: dict[str, int] = field(default_factory=dict)  # chunks that are low or raw, see `screening`
    sketch: str | None = None  # by which near-identical documents are found, see `reissues`
    files: dict[str, int] = field(default_factory=dict)  # bytes of each file beside this one: another size is torn
    seconds: float = 0.0
    limits: dict[str, float] = field(default_factory=dict)  # in force; a failure by a limit holds for these only


def to_json(facts: Facts) -> str:
    """The text of facts.json."""
    values = {name: getattr(facts, name) for name in Facts.__slots__}
    return json.dumps(values, ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def from_json(text: str) -> Facts:
    """The facts that `to_json` wrote; keys of a later version are left alone.

    Raises:
        ValueError: the text is not one of ours.
    """
    known = {each.name for each in fields(Facts)}
    loaded: Any = json.loads(text)
    if not isinstance(loaded, dict) or loaded.get("status") not in ("ok", "failed"):
        raise ValueError("not the facts of a conversion")
    try:
        return Facts(**{name: value for name, value in loaded.items() if name in known})
    except TypeError as exc:
        raise ValueError(f"not the facts of a conversion: {exc}") from exc


def counts(facts: Facts, limits: Mapping[str, float]) -> bool:
    """Whether this is what a conversion under these limits would come to; else it is tried again."""
    return facts.reason not in BY_LIMIT or facts.limits == limits


def title_of(path: str, facts: Facts | None) -> str:
    """What a document is called where it is asked about, and its file, whose name often holds a date.

    >>> title_of("manuals/fees_2025-10.pdf", None)
    'fees 2025-10'
    """
    name = PurePosixPath(path).stem.replace("_", " ")
    return f"{facts.title} ({name})" if facts is not None and facts.title else name


def settled_state(
    status: str, reason: str | None, chunks: int, *, max_chunks: int | None
) -> tuple[Literal["failed", "skipped"], str] | None:
    """The terminal state of a document that cannot be asked about, and why; None when it can be.

    >>> settled_state("failed", "encrypted", 0, max_chunks=None), settled_state("ok", None, 9, max_chunks=8)
    (('failed', 'encrypted'), ('skipped', 'too_many_chunks'))
    """
    if status == "skipped":  # it was never to be converted
        return "skipped", reason or "unknown"
    if status != "ok":
        return "failed", reason or "conversion"
    if not chunks:
        return "skipped", "no_chunks"
    return ("skipped", "too_many_chunks") if max_chunks is not None and chunks > max_chunks else None
