"""The records of a run, and the key that says which piece of work a record is.

Four kinds: a `pair`, a `control` of the judge, the `chunk` they came from, and the `document` when it has reached its
terminal state. They are plain JSON objects, typed here so that writer and readers agree; what a record may lack was not
written by earlier versions. How they get onto the disk is in `segments.py`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

Record = dict[str, Any]  # a record as read: one of the four below
TERMINAL_STATES = ("ok", "failed", "skipped")


class PairRecord(TypedDict):
    """One question with its answer, accepted or not."""

    kind: Literal["pair"]
    key: str
    doc_id: str
    chunk_id: str
    chunk_index: int
    item: int
    regeneration: NotRequired[int]  # n: the n-th time that its chunk was asked again; 0: the first
    question: str
    answer: str
    evidence: list[str]  # sentences of the chunk, verbatim
    evidence_numbers: list[int]
    headings: NotRequired[list[str]]  # above the first sentence of its evidence, outermost first
    question_type: str | None
    difficulty: NotRequired[str | None]
    checks: dict[str, bool]  # in the order in which they were made
    round_trip: NotRequired[dict[str, Any] | None]  # answer, token_f1, differs; None: not asked, or no answer
    clarity: int | None  # 1-5; None: no verdict
    accuracy: int | None
    relevance: int | None
    grounded: NotRequired[bool | None]  # None: no verdict, or not asked
    answerable: NotRequired[bool | None]
    self_contained: NotRequired[bool | None]
    quality_score: float | None
    accepted: bool
    reject_reason: str | None
    judge: dict[str, Any] | None  # its reason; each verdict where there were several
    created_at: str


class ControlRecord(TypedDict):
    """A verdict on a pair of which it is known whether it is good; never published, never counted as a pair."""

    kind: Literal["control"]
    key: str
    doc_id: str
    chunk_id: str
    chunk_index: int
    item: int  # of the pair that it was made of
    control: str  # what was done to it
    good: bool
    shown_chunk_id: str  # the chunk that the judge was shown
    question: str
    answer: str
    evidence: list[str]
    evidence_numbers: list[int]
    clarity: int | None
    accuracy: int | None
    relevance: int | None
    grounded: bool | None
    answerable: bool | None
    self_contained: bool | None
    quality_score: float | None
    accepted: bool | None  # None: no verdict
    reject_reason: str | None
    judge: dict[str, Any] | None
    created_at: str


class ChunkRecord(TypedDict):
    """One chunk that was asked about; written in one batch with all its pairs and controls."""

    kind: Literal["chunk"]
    key: str
    doc_id: str
    chunk_id: str
    chunk_index: int
    context: str
    headings: list[str]  # above its first sentence; those of a pair may be others
    table_header: NotRequired[str | None]  # of the table that the context begins in the middle of
    pages: list[int] | None
    asked: int  # pairs that the model was asked for
    asked_again: NotRequired[int]  # of them, in place of rejected ones
    parsed: int  # pairs that it gave: as many pair records as stand in the batch
    checked: int  # of them, pairs that passed every check
    judged: int  # pairs with a verdict
    accepted: int
    controls: NotRequired[int]  # as many control records as stand in the batch
    outcome: str  # "ok", or why nothing usable came back
    lost: dict[str, int]  # asked and not parsed, by reason
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    flags: NotRequired[list[str]]  # what is suspicious about its text
    page_fidelity: NotRequired[str | None]  # low or raw; None: nothing is wrong with its pages


class DocumentRecord(TypedDict):
    """The terminal state of a document; an `ok` one is done when as many chunk records are there as it says."""

    kind: Literal["document"]
    key: str
    doc_id: str
    state: Literal["ok", "failed", "skipped"]
    reason: str | None
    chunks: int  # chunk records of this document, over all attempts
    pairs: int  # as its attempt saw them; what counts is in the chunks
    accepted: int
    seconds: float
    all_chunks: NotRequired[int]  # of the document: those with a record, and those that were left out
    left_out: NotRequired[dict[str, int]]  # chunks without a record, by reason
    boilerplate_sentences: NotRequired[int]  # in chunks that were asked about otherwise
    suspicious: NotRequired[dict[str, int]]  # chunks by flag, of all of the document
    hidden_words: NotRequired[int]  # that a reader of the page would not see, and that were left out
    page_fidelity: NotRequired[dict[str, int]]  # chunks of low and of raw pages, of all of the document
    language: NotRequired[str | None]
    sketch: NotRequired[str | None]  # by which near-identical documents are found


FIELDS = {
    "pair": PairRecord.__required_keys__,
    "control": ControlRecord.__required_keys__,
    "chunk": ChunkRecord.__required_keys__,
    "document": DocumentRecord.__required_keys__,
}


def fault_of(record: object) -> str | None:
    """Why this is no record of ours although its checksum is right, None if it is one.

    >>> fault_of({"kind": "chunk", "key": "x"})
    'is no record of this program: it lacks accepted'
    """
    if not isinstance(record, dict) or not isinstance(kind := record.get("kind"), str) or kind not in FIELDS:
        return "is no record of this program"
    if lacking := FIELDS[kind] - record.keys():
        return f"is no record of this program: it lacks {min(lacking)}"
    names = ("key", "doc_id") if kind == "document" else ("key", "doc_id", "chunk_id")
    if not all(isinstance(record[name], str) for name in names):
        return "is no record of this program: its names are no text"
    return None


def work_key(  # noqa: PLR0913 - each of them makes other work, and none may be forgotten
    *,
    doc_id: str,
    doc_sha256: str,
    chunk_id: str,
    kind: str,
    item: int,
    prompt_sha256: str,
    model: str,
    revision: str | None,
    sampling: Mapping[str, Any],
    seed: int,
) -> str:
    """What makes two records the same piece of work, as 64 hex digits: equal inputs, equal key, on any machine."""
    parts = [
        doc_id,
        doc_sha256,
        chunk_id,
        kind,
        item,
        prompt_sha256,
        model,
        revision,
        dict(sampling),
        seed,
    ]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
