"""From the chunks of a shard to its records: which requests are sent, and what comes of their answers.

`Pipeline.requests()` is pulled by the dispatcher, `Pipeline.on_done()` gets every outcome and may give follow-up
requests (a judge after a pair). A chunk's records are written as one batch when its last answer is in, a document's
record after its last chunk. Nothing here knows HTTP, Ray or files.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpc_qa.client.request import Reply, Request
from hpc_qa.config import Config
from hpc_qa.documents.chunks import Chunk
from hpc_qa.errors import DocumentError, RequestError, StoreError
from hpc_qa.manifest import Entry
from hpc_qa.qa import answers, checks, judge
from hpc_qa.qa.answers import Draft
from hpc_qa.qa.generation import Ask, asks, choose_chunks
from hpc_qa.qa.prompts import Prompts
from hpc_qa.store.merge import ChunkDone
from hpc_qa.units import iso, utc_now
from hpc_qa.worker.intents import Intents, Suspicion
from hpc_qa.worker.records import RecordMaker
from hpc_qa.worker.settle import Settled

log = logging.getLogger("hpc_qa.worker")
INTERNAL = "internal_error"  # a fault of ours, with its traceback in the worker's log


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


@dataclass(slots=True)
class PairWork:
    """One question and answer, its checks, and what the judge says."""

    item: int
    draft: Draft
    checks: Mapping[str, bool]
    verdict: judge.Verdict | None = None


@dataclass(slots=True)
class ChunkWork:
    """One chunk on its way: requests that are out, pairs so far, tokens."""

    document: DocumentWork
    chunk: Chunk
    asked: int = 0
    out: int = 0
    pairs: list[PairWork] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Progress:
    """Counts of this attempt, for the progress file."""

    documents_todo: int = 0
    documents_fed: int = 0
    chunks_fed: int = 0
    chunks_done: int = 0
    documents_ok: int = 0
    documents_failed: int = 0
    documents_skipped: int = 0
    pairs: int = 0
    accepted: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    judge_prompt_tokens: int = 0
    judge_cached_tokens: int = 0
    judge_completion_tokens: int = 0

    @property
    def documents(self) -> int:
        """Documents in a terminal state."""
        return self.documents_ok + self.documents_failed + self.documents_skipped

    @property
    def computed_tokens(self) -> int:
        """Prompt tokens without cache hits, plus completion tokens."""
        return self.prompt_tokens - self.cached_tokens + self.completion_tokens


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
        self._open: dict[str, tuple[ChunkWork, Ask | PairWork]] = {}
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
        for chunk, limit in chosen:
            if document.outcomes["poison"]:
                return  # it has killed the server twice: it fails, whatever the rest of it would give
            earlier = self._done_chunks.get(self._make.chunk_key(document.entry, chunk))
            if earlier is not None:
                document.outcomes[earlier.outcome] += 1
                document.pairs += earlier.pairs
                document.accepted += earlier.accepted
                continue
            to_ask = asks(chunk, self._config.qa, limit=limit, seed=self._config.seed)
            work = ChunkWork(document, chunk, asked=sum(ask.count for ask in to_ask))
            if not to_ask:
                continue
            requests = [self._generation_request(work, ask) for ask in to_ask]
            work.out = len(requests)
            document.open_chunks += 1
            self.progress.chunks_fed += 1
            for ask, request in zip(to_ask, requests, strict=True):
                self._open[request.id] = (work, ask)
                yield request

    def _generation_request(self, work: ChunkWork, ask: Ask) -> Request:
        return Request(
            id=f"{work.chunk.chunk_id}/generate/{ask.item}",
            kind="generate",
            doc_id=work.document.entry.doc_id,
            messages=ask.messages(self.prompts),
            schema=ask.schema,
            max_tokens=ask.max_tokens,
            temperature=ask.temperature,
            seed=self._make.seed_of(work.chunk.chunk_id, ask.item),
            deadline_s=self._timeout_s,
        )

    # outcomes

    def on_done(self, request: Request, outcome: Reply | RequestError) -> Iterable[Request]:
        """Take one outcome; gives the follow-up requests it asks for."""
        work, what = self._open.pop(request.id)
        work.out -= 1
        if isinstance(outcome, Reply):
            self._count_tokens(work, request, outcome)
        if isinstance(what, PairWork):
            self._take_verdict(what, outcome)
            follow_ups: list[Request] = []
        else:
            follow_ups = self._take_pairs_or_fail(work, what, outcome)
        work.out += len(follow_ups)
        if work.out == 0:
            self._close_chunk(work)
        return follow_ups

    def _count_tokens(self, work: ChunkWork, request: Request, reply: Reply) -> None:
        cached = reply.cached_tokens or 0
        work.tokens.update(prompt=reply.prompt_tokens, cached=cached, completion=reply.completion_tokens)
        progress = self.progress
        progress.prompt_tokens += reply.prompt_tokens
        progress.cached_tokens += cached
        progress.completion_tokens += reply.completion_tokens
        if request.kind == "judge":
            progress.judge_prompt_tokens += reply.prompt_tokens
            progress.judge_cached_tokens += cached
            progress.judge_completion_tokens += reply.completion_tokens

    def _take_pairs_or_fail(self, work: ChunkWork, ask: Ask, outcome: Reply | RequestError) -> list[Request]:
        pairs = len(work.pairs)
        try:
            return self._take_pairs(work, ask, outcome)
        except Exception:  # as above: what a model wrote must not take the shard with it
            log.exception("%s, chunk %s", work.document.entry.doc_id, work.chunk.chunk_id)
            del work.pairs[pairs:]
            work.lost[INTERNAL] += ask.count
            return []

    def _take_pairs(self, work: ChunkWork, ask: Ask, outcome: Reply | RequestError) -> list[Request]:
        if isinstance(outcome, RequestError):
            work.lost[outcome.reason] += ask.count
            return []
        try:
            drafts = answers.parse(ask, outcome.text, outcome.finish_reason)
        except RequestError as error:
            work.lost[error.reason] += ask.count
            return []
        if len(drafts) < ask.count:
            work.lost["shortfall"] += ask.count - len(drafts)
        follow_ups = []
        for draft in drafts:
            pair = PairWork(len(work.pairs), draft, self._check(draft, work.chunk))
            work.pairs.append(pair)
            if self._config.qa.judge and all(pair.checks.values()):
                follow_ups.append(self._judge_request(work, pair, ask))
        return follow_ups

    def _check(self, draft: Draft, chunk: Chunk) -> dict[str, bool]:
        return checks.check(draft, chunk, self._config.qa, examples=self.prompts.examples)

    def _judge_request(self, work: ChunkWork, pair: PairWork, ask: Ask) -> Request:
        request = Request(
            id=f"{work.chunk.chunk_id}/judge/{pair.item}",
            kind="judge",
            doc_id=work.document.entry.doc_id,
            messages=judge.messages(self.prompts, ask, pair.draft),
            schema=judge.SCHEMA,
            max_tokens=judge.MAX_TOKENS,
            temperature=judge.TEMPERATURE,
            seed=self._make.seed_of(work.chunk.chunk_id, pair.item),
            deadline_s=self._timeout_s,
        )
        self._open[request.id] = (work, pair)
        return request

    def _take_verdict(self, pair: PairWork, outcome: Reply | RequestError) -> None:
        if isinstance(outcome, Reply):
            pair.verdict = judge.parse(outcome.text)

    # closing

    def _close_chunk(self, work: ChunkWork) -> None:
        document = work.document
        records = [self._pair_record(work, pair) for pair in work.pairs]
        accepted = sum(record["accepted"] for record in records)
        outcome = "ok" if work.pairs or not work.lost else work.lost.most_common(1)[0][0]
        if set(work.lost) == {"shortfall"}:
            outcome = "ok"  # the model saw nothing to ask: a thin chunk, not a failure
        records.append(self._make.chunk(
            document.entry, work.chunk, asked=work.asked, parsed=len(work.pairs), accepted=accepted, outcome=outcome,
            checked=sum(all(pair.checks.values()) for pair in work.pairs),
            judged=sum(pair.verdict is not None for pair in work.pairs),
            lost=dict(sorted(work.lost.items())), tokens=work.tokens,
        ))  # fmt: skip
        self._write(records)
        document.outcomes[outcome] += 1
        document.pairs += len(work.pairs)
        document.accepted += accepted
        document.open_chunks -= 1
        self.progress.chunks_done += 1
        self.progress.pairs += len(work.pairs)
        self.progress.accepted += accepted
        self._close_document(document)

    def _pair_record(self, work: ChunkWork, pair: PairWork) -> dict[str, Any]:
        accepted, reason = judge.accepted(
            pair.checks, pair.verdict, self._config.qa.accept, judged=self._config.qa.judge
        )
        return self._make.pair(
            work.document.entry, work.chunk, pair.item, pair.draft, checks=dict(pair.checks), verdict=pair.verdict,
            accepted=accepted, reject_reason=reason, created_at=iso(utc_now()),
        )  # fmt: skip

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
