"""The pipeline with a model that is a function: what is asked of it, and which records are written."""

import json
from collections.abc import Callable
from typing import Any

from hpc_qa.client.request import Reply, Request
from hpc_qa.config import Config
from hpc_qa.documents.chunks import Chunk, Sentence
from hpc_qa.errors import RequestError
from hpc_qa.manifest import Entry
from hpc_qa.qa import prompts
from hpc_qa.store.merge import ChunkDone
from hpc_qa.worker.pipeline import Pipeline
from hpc_qa.worker.progress import Progress
from hpc_qa.worker.records import RecordMaker

TEXTS = (
    "The state agency must determine eligibility within 45 days of the application.",
    "A provider may request a fair hearing when a claim is denied.",
)
Answer = Callable[[Request], Reply | RequestError]


def chunk(number: int) -> Chunk:
    text = "\n".join(TEXTS)
    first = len(TEXTS[0])
    sentences = (Sentence(1, 0, first), Sentence(2, first + 1, len(text)))
    return Chunk(
        chunk_id=f"c{number}", index=number, text=text, headings=("Eligibility",), pages=(3,), char_start=0,
        char_end=len(text), tokens=30, sentences=sentences,
    )  # fmt: skip


def entry(name: str = "doc") -> Entry:
    return Entry(name, f"{name}.txt", ".", "ab" * 32, 100, "text/plain", None, "small")


def config(**qa: Any) -> Config:
    settings = {"answer_style": "abstractive", "questions_per_chunk": 2, **qa}
    return Config.model_validate({"name": "t", "manifest": "m", "qa": settings, "vllm": {"model": "m"}})


def reply(request: Request, document: object) -> Reply:
    return Reply(request.id, json.dumps(document), "stop", 100, 80, 20, 0.1, 1, 1)


GOOD_PAIR = {
    "evidence": [1],
    "question_type": "numeric",
    "question": "Within how many days must the state agency determine eligibility?",
    "answer": "It must do so within 45 days of the application.",
}


VERDICT = {
    "reason": "clear", "clarity": 5, "accuracy": 5, "relevance": 4,
    "grounded": True, "answerable": True, "self_contained": True,
}  # fmt: skip


def answer_well(request: Request) -> Reply:
    if request.kind == "judge":
        return reply(request, VERDICT)
    return reply(request, {"items": [GOOD_PAIR]})


def run(
    answer: Answer,
    settings: Config | None = None,
    *,
    chunks: int = 1,
    done: dict[str, ChunkDone] | None = None,
    documents: tuple[str, ...] = ("doc",),
    chunks_of: Callable[[Entry], list[Chunk]] | None = None,
    progress: list[Progress] | None = None,
    backwards: bool = False,
) -> tuple[list[list[dict[str, Any]]], list[Request]]:
    """The batches that were written, and the requests that were sent, one at a time; the last that is known first."""
    batches: list[list[dict[str, Any]]] = []
    sent: list[Request] = []
    maker = RecordMaker(model="m", revision=None, prompts_sha256="p", sampling={}, seed=0)
    pipeline = Pipeline(
        settings or config(), [entry(name) for name in documents],
        chunks_of=chunks_of or (lambda _: [chunk(i) for i in range(chunks)]),
        done_chunks=done or {}, prompts=prompts.load(), make=maker, write=batches.append,
        request_timeout_s=60, clock=lambda: 0.0,
    )  # fmt: skip
    for first in pipeline.requests():
        waiting = [first]
        while waiting:
            request = waiting.pop(0 if backwards else -1)
            sent.append(request)
            waiting += pipeline.on_done(request, answer(request))
    if progress is not None:
        progress.append(pipeline.progress)
    return batches, sent


def documents_of(batches: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [record for batch in batches for record in batch if record["kind"] == "document"]


def records_of(batches: list[list[dict[str, Any]]], kind: str) -> list[dict[str, Any]]:
    return [record for batch in batches for record in batch if record["kind"] == kind]
