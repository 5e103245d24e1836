"""Which requests a document becomes: the chunks that are asked about, and the asks of each chunk.

abstractive: one ask per chunk for up to n pairs. extractive: one ask per source sentence; the model writes the
question, the sentence is the answer. Sending an ask, and reading the reply, is done elsewhere.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from hpc_qa.config import Qa
from hpc_qa.documents.chunks import Chunk
from hpc_qa.qa.markup import plain
from hpc_qa.qa.openings import opening
from hpc_qa.qa.prompts import Message, Prompts
from hpc_qa.qa.targets import targets

EXTRACTIVE_MAX_TOKENS = 96  # one question and its JSON


@dataclass(frozen=True, slots=True)
class Rejected:
    """A pair that did not count, as the model is shown it when it is asked again."""

    question: str
    answer: str
    why: str  # a sentence


@dataclass(frozen=True, slots=True)
class Ask:
    """One generation request."""

    style: Literal["abstractive", "extractive"]
    chunk: Chunk
    item: int  # which of the chunk's asks
    count: int  # pairs asked for
    target: int | None  # extractive: the number of the source sentence
    begins: str | None  # extractive: a pattern of the whole question, which fixes its first words
    max_tokens: int
    temperature: float
    max_question_chars: int
    max_answer_chars: int
    question_types: tuple[str, ...]  # abstractive: of which the model names one
    difficulty: tuple[str, ...]  # likewise; empty: it is not asked for
    rejected: tuple[Rejected, ...] = ()  # what came of it before, when it is asked again

    def document(self, prompts: Prompts) -> str:
        """What the request begins with; the judge's request about this ask begins with the same text."""
        return prompts.document(self.chunk)

    def messages(self, prompts: Prompts) -> tuple[Message, ...]:
        """The chat of this request."""
        document = self.document(prompts)
        if self.target is None:
            types = ", ".join(self.question_types)
            instruction = prompts.fill("abstractive", count=str(self.count), question_types=types)
            if self.difficulty:
                instruction += "\n" + prompts.fill("difficulty", levels=", ".join(self.difficulty))
            return prompts.messages(document, instruction + self._again(prompts))
        sentence = _sentence(self.chunk, self.target)
        instruction = prompts.fill("extractive", number=str(self.target), sentence=sentence)
        return prompts.messages(document, instruction + self._again(prompts), prompts.extractive_examples())

    def _again(self, prompts: Prompts) -> str:
        """What the instruction adds when it is given again."""
        if not self.rejected:
            return ""
        lines = [f"- {one.question} {one.answer}\n  {one.why}" for one in self.rejected]
        return "\n\n" + prompts.fill("again", rejected="\n".join(lines))

    @property
    def schema(self) -> dict[str, Any]:
        """What the reply must look like. Only what xgrammar keeps to: types, enums, bounds, patterns without counts."""
        question: dict[str, Any] = {"type": "string", "minLength": 12, "maxLength": self.max_question_chars}
        if self.begins is not None:  # xgrammar drops length bounds beside a pattern, so none are given
            return _closed({"question": {"type": "string", "pattern": self.begins}})
        if self.target is not None:
            return _closed({"question": question})
        number = {"type": "integer", "minimum": 1, "maximum": len(self.chunk.sentences)}
        kinds: dict[str, Any] = {"question_type": {"type": "string", "enum": list(self.question_types)}}
        if self.difficulty:
            kinds["difficulty"] = {"type": "string", "enum": list(self.difficulty)}
        item = _closed(
            {
                "evidence": {"type": "array", "items": number, "minItems": 1, "maxItems": 6},
                **kinds,
                "question": question,
                "answer": {"type": "string", "minLength": 2, "maxLength": self.max_answer_chars},
            }
        )
        return _closed({"items": {"type": "array", "items": item, "minItems": 0, "maxItems": self.count}})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def asks(chunk: Chunk, qa: Qa, *, limit: int | None = None, seed: int = 0) -> list[Ask]:
    """The requests about one chunk: `questions_per_chunk` pairs at most, and not more than `limit`."""
    count = qa.questions_per_chunk if limit is None else min(limit, qa.questions_per_chunk)
    if count < 1 or not chunk.sentences:
        return []
    if qa.answer_style == "abstractive":
        return [_ask(chunk, qa, item=0, count=count, target=None)]
    chosen = targets(chunk, count, seed=seed, types=qa.question_types)
    return [_ask(chunk, qa, item=item, count=1, target=number) for item, number in enumerate(chosen)]


def _ask(chunk: Chunk, qa: Qa, *, item: int, count: int, target: int | None) -> Ask:
    begins = opening(_sentence(chunk, target)) if target is not None and qa.language == "en" else None
    return Ask(
        style=qa.answer_style,
        chunk=chunk,
        item=item,
        count=count,
        target=target,
        begins=begins,
        max_tokens=qa.max_tokens if target is None else min(qa.max_tokens, EXTRACTIVE_MAX_TOKENS),
        temperature=qa.temperature,
        max_question_chars=qa.checks.max_question_chars,
        max_answer_chars=qa.checks.max_answer_chars,
        question_types=tuple(qa.question_types),
        difficulty=tuple(qa.difficulty),
    )


def _sentence(chunk: Chunk, number: int) -> str:
    """A source sentence as it is shown: a small model ends its JSON string at the first double quote it repeats."""
    return plain(chunk.sentence(number)).replace('"', "")


def choose_chunks(chunks: Sequence[Chunk], qa: Qa, *, seed: int, doc_id: str) -> list[tuple[Chunk, int]]:
    """Which chunks of a document are asked about, each with its limit of pairs, in reading order.

    Without `max_pairs_per_document` every chunk has `questions_per_chunk`. With it the pairs go one by one to chunks
    drawn from one top heading after the other, until the cap is reached or no chunk can take more.
    """
    capacity = {chunk.index: capacity_of(chunk, qa, seed=seed) for chunk in chunks}
    able = [chunk for chunk in chunks if capacity[chunk.index] > 0]
    if qa.max_pairs_per_document is None:
        return [(chunk, capacity[chunk.index]) for chunk in able]
    limits: dict[int, int] = {}
    left = qa.max_pairs_per_document
    queue = _spread(able, random.Random(_number(seed, doc_id)))
    while left > 0 and queue:
        for chunk in queue[:left]:
            limits[chunk.index] = limits.get(chunk.index, 0) + 1
        left -= min(left, len(queue))
        queue = [chunk for chunk in queue if limits.get(chunk.index, 0) < capacity[chunk.index]]
    return [(chunk, limits[chunk.index]) for chunk in able if chunk.index in limits]


def capacity_of(chunk: Chunk, qa: Qa, *, seed: int = 0) -> int:
    """How many pairs may be asked of this chunk at most."""
    if not chunk.sentences:
        return 0
    if qa.answer_style == "abstractive":
        return qa.questions_per_chunk
    return len(targets(chunk, qa.questions_per_chunk, seed=seed, types=qa.question_types))


def _spread(chunks: Sequence[Chunk], draw: random.Random) -> list[Chunk]:
    """All chunks in drawn order, one heading after the other, so that a prefix covers as many headings as it can."""
    groups: dict[tuple[str, ...], list[Chunk]] = {}
    for chunk in chunks:
        groups.setdefault(chunk.headings[:2], []).append(chunk)
    shuffled = [draw.sample(group, len(group)) for _, group in sorted(groups.items())]
    draw.shuffle(shuffled)
    return [chunk for layer in zip_longest(*shuffled) for chunk in layer if chunk is not None]


def _number(seed: int, doc_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{doc_id}".encode()).digest()[:8], "big")
