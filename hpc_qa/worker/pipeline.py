"""From the chunks of a shard to its records: which requests are sent, and what comes of their answers.

`Pipeline.requests()` is pulled by the dispatcher, `Pipeline.on_done()` gets every outcome and may give follow-up
requests. What they are is decided chunk by chunk (`chunk_work`) and pair by pair (`qa.examination`). A chunk's records
are written as one batch when its last answer is in, a document's record after its last chunk. Nothing here knows HTTP,
Ray or files.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hpc_qa.client.request import Kind, Reply, Request
from hpc_qa.config import Config
from hpc_qa.documents.chunks import Chunk
from hpc_qa.errors import DocumentError, RequestError, StoreError
from hpc_qa.manifest import Entry
from hpc_qa.qa.examination import Examiner, Want
from hpc_qa.qa.generation import Ask, asks, choose_chunks
from hpc_qa.qa.prompts import Prompts
from hpc_qa.store.merge import ChunkDone
from hpc_qa.units import iso, utc_now
from hpc_qa.worker.chunk_work import INTERNAL, ChunkWork, Generation, Job
from hpc_qa.worker.intents import Intents, Suspicion
from hpc_qa.worker.progress import Progress
from hpc_qa.worker.records import RecordMaker
from hpc_qa.worker.settle import Settled

log = logging.getLogger("hpc_qa.worker")


@dataclass(slots=True)
class DocumentWork:
    """A document on its way: how many of its chunks are still open, and what came of the others."""

    entry: Entry
    open_chunks: int = 0
    all_fed: bool = False
    failure: str | None = None  # why it could not be read
    outcomes: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    accepted: int = 0
    began: float = 0.0


class Pipeline:
    """The work of one shard in one attempt."""

    def __init__(  # noqa: PLR0913 - it reaches for nothing by itself
        self,
        config: Config,
        entries: Sequence[Entry],
        *,
        chunks_of: Callable[[Entry], list[Chunk]],
        done_chunks: Mapping[str, ChunkDone],
        prompts: Prompts,
        make: RecordMaker,
        write: Callable[[list[dict[str, Any]]], None],
        request_timeout_s: float,
        clock: Callable[[], float],
        intents: Intents | None = None,
        suspicion: Suspicion | None = None,
    ) -> None:
        """`done_chunks`: what earlier attempts wrote, by work key; those chunks are not asked about again.

        `suspicion`: which documents may have killed earlier attempts; `requests` feeds them last, `trials` alone.
        """
        self._config = config
        self._entries = entries
        self._chunks_of = chunks_of
        self._done_chunks = done_chunks
        self.prompts = prompts
        self._make = make
        self._write = write
        self._timeout_s = request_timeout_s
        self._clock = clock
        self.intents = intents or Intents()
        self._suspicion = suspicion or Suspicion()
        self._examiner = Examiner(config.qa, prompts)
        self._open: dict[str, tuple[DocumentWork, ChunkWork, Job]] = {}
        self.progress = Progress(documents_todo=len(entries))
        self.exhausted = False  # every document was fed

    # feeding

    def settle(self, documents: Iterable[Settled]) -> None:
        """Write down the terminal state of documents that are not asked about."""
        for one in documents:
            self._count(one.state)
            self._write([self._make.document(
                one.entry, state=one.state, reason=one.reason, chunks=0, pairs=0, accepted=0, seconds=0.0
            )])  # fmt: skip

    def requests(self) -> Iterator[Request]:
        """The generation requests of all documents, in order; pulled as room appears. Suspects come last."""
        suspects = []
        for entry in self._entries:
            if self._suspicion.asked_last(entry.doc_id):
                suspects.append(entry)
            else:
                yield from self._feed_or_fail(DocumentWork(entry, began=self._clock()))
        for entry in suspects:
            if not self._suspicion.asked_alone(entry.doc_id):
                yield from self._feed_or_fail(DocumentWork(entry, began=self._clock()))
        self.exhausted = True

    def trials(self) -> Iterator[Request]:
        """The requests of documents that may be to blame for several deaths, sent one at a time, after all others.

        A document that was alone when an attempt was killed is to blame, and is not asked about again.
        """
        for entry in self._entries:
            if self._suspicion.asked_alone(entry.doc_id):
                document = DocumentWork(entry, began=self._clock())
                if entry.doc_id in self._suspicion.guilty:
                    log.error("%s: every attempt was killed while it was asked about", entry.doc_id)
                    document.failure = "poison"
                yield from self._feed_or_fail(document, alone=True)

    def _feed_or_fail(self, document: DocumentWork, *, alone: bool = False) -> Iterator[Request]:
        if document.failure is None:
            self.intents.begin(document.entry.doc_id, alone=alone)
            try:
                yield from self._feed(document)
            except DocumentError as error:
                document.failure = error.reason
            except StoreError:
                raise  # not a matter of one document
            except Exception:  # a fault of ours in one odd document must not take the shard with it
                log.exception("%s", document.entry.doc_id)
                document.failure = INTERNAL
        document.all_fed = True
        self.progress.documents_fed += 1
        self._close_document(document)

    def _feed(self, document: DocumentWork) -> Iterator[Request]:
        chunks = self._chunks_of(document.entry)
        chosen = choose_chunks(chunks, self._config.qa, seed=self._config.seed, doc_id=document.entry.doc_id)
        others = [chunk for chunk, _ in chosen[1:] + chosen[:1]] if len(chosen) > 1 else [None]
        for (chunk, limit), other in zip(chosen, others, strict=False):
            if document.outcomes["poison"]:
                return  # it has killed the server twice: it fails, whatever the rest of it would give
            earlier = self._done_chunks.get(self._make.chunk_key(document.entry, chunk))
            if earlier is not None:
                document.outcomes[earlier.outcome] += 1
                document.pairs += earlier.pairs
                document.accepted += earlier.accepted
                continue
            to_ask = asks(chunk, self._config.qa, limit=limit, seed=self._config.seed)
            if not to_ask:
                continue
            work = ChunkWork(
                chunk, to_ask, self._examiner, other=other, seed=self._config.seed,
                key_of=partial(self._make.pair_key, document.entry, chunk),
            )  # fmt: skip
            requests = [self._request(document, work, job) for job in work.begin()]
            document.open_chunks += 1
            self.progress.chunks_fed += 1
            yield from requests

    def _request(self, document: DocumentWork, work: ChunkWork, job: Job) -> Request:
        """The request of a job, which is open from now on."""
        asked: Ask | Want
        kind: Kind
        if isinstance(job, Generation):
            asked, kind, messages = job.ask, "generate", job.ask.messages(self.prompts)
        else:
            asked, kind, messages = job.want, job.want.kind, job.want.messages
        request = Request(
            id=f"{work.chunk.chunk_id}/{job.name}",
            kind=kind,
            doc_id=document.entry.doc_id,
            messages=messages,
            schema=asked.schema,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            seed=self._make.seed_of(work.chunk.chunk_id, job.number),
            deadline_s=self._timeout_s,
        )
        self._open[request.id] = (document, work, job)
        return request

    # outcomes

    def on_done(self, request: Request, outcome: Reply | RequestError) -> Iterable[Request]:
        """Take one outcome; gives the follow-up requests it asks for."""
        document, work, job = self._open.pop(request.id)
        if isinstance(outcome, Reply):
            self._count_tokens(request, outcome)
        follow_ups = [self._request(document, work, one) for one in work.take(job, outcome)]
        if work.done:
            self._close_chunk(document, work)
        return follow_ups

    def _count_tokens(self, request: Request, reply: Reply) -> None:
        cached = reply.cached_tokens or 0
        progress = self.progress
        progress.prompt_tokens += reply.prompt_tokens
        progress.cached_tokens += cached
        progress.completion_tokens += reply.completion_tokens
        if request.kind == "judge":
            progress.judge_prompt_tokens += reply.prompt_tokens
            progress.judge_cached_tokens += cached
            progress.judge_completion_tokens += reply.completion_tokens

    # closing

    def _close_chunk(self, document: DocumentWork, work: ChunkWork) -> None:
        records = self._make.batch(document.entry, work, created_at=iso(utc_now()))
        self._write(records)
        accepted = records[-1]["accepted"]
        document.outcomes[work.outcome] += 1
        document.pairs += len(work.pairs)
        document.accepted += accepted
        document.open_chunks -= 1
        self.progress.chunks_done += 1
        self.progress.pairs += len(work.pairs)
        self.progress.accepted += accepted
        self._close_document(document)

    def _close_document(self, document: DocumentWork) -> None:
        if not document.all_fed or document.open_chunks:
            return
        state, reason = ("failed", document.failure) if document.failure else terminal_state(document.outcomes)
        self._count(state)
        self._write([self._make.document(
            document.entry, state=state, reason=reason, chunks=document.outcomes.total(), pairs=document.pairs,
            accepted=document.accepted, seconds=self._clock() - document.began,
        )])  # fmt: skip
        self.intents.end(document.entry.doc_id)

    def _count(self, state: str) -> None:
        match state:
            case "ok":
                self.progress.documents_ok += 1
            case "failed":
                self.progress.documents_failed += 1
            case _:
                self.progress.documents_skipped += 1


def terminal_state(outcomes: Counter[str]) -> tuple[str, str | None]:
    """State and reason of a document from the outcomes of its chunks.

    One good chunk makes a document ok; a document that killed the server twice is failed whatever else it gave.

    >>> terminal_state(Counter(ok=3, timeout=1)), terminal_state(Counter())
    (('ok', None), ('skipped', 'nothing_to_ask'))
    """
    if outcomes["poison"]:
        return "failed", "poison"
    if outcomes["ok"]:
        return "ok", None
    worst = next((reason for reason, count in outcomes.most_common() if count), None)
    return ("failed", worst) if worst else ("skipped", "nothing_to_ask")
