"""One chunk on its way: what is asked about it, what becomes of the replies, and when it is done.

Its pairs are examined one by one as they come. When nothing is out any more, what was rejected is asked for again as
far as the settings and the tokens allow; then the controls are judged; then the chunk is done. Nothing here knows HTTP,
Ray or files, and which jobs there are follows from the replies alone, never from their order.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hpc_qa.client.request import Reply
from hpc_qa.documents.chunks import Chunk
from hpc_qa.errors import RequestError
from hpc_qa.qa import answers, regeneration
from hpc_qa.qa.controls import Control, Neighbourhood, control_of
from hpc_qa.qa.examination import Examiner, Pair, Want
from hpc_qa.qa.generation import Ask
from hpc_qa.qa.regeneration import Spent

log = logging.getLogger("hpc_qa.worker")
INTERNAL = "internal_error"  # a fault of ours, with its traceback in the worker's log
ITEMS_OF_A_ROUND = 100  # more than a chunk has pairs: item 203 replaces item 103, which replaced item 3


@dataclass(frozen=True, slots=True)
class Generation:
    """Pairs are asked for; the first of the reply becomes the first of `items`."""

    ask: Ask
    items: tuple[int, ...]
    regeneration: int

    @property
    def name(self) -> str:
        """Unique within its chunk."""
        return f"generate/{self.number}"

    @property
    def number(self) -> int:
        """Of the request, for its seed."""
        return ITEMS_OF_A_ROUND * self.regeneration + self.ask.item


@dataclass(frozen=True, slots=True)
class Examination:
    """A pair or a control is examined."""

    pair: Pair
    want: Want
    of: str = "pair"

    @property
    def name(self) -> str:
        """Unique within its chunk."""
        kind = self.want.kind if self.of == "pair" else self.of
        return f"{kind}/{self.number}"

    @property
    def number(self) -> int | str:
        """Of the request, for its seed: that of the pair, and for every further judgement another one."""
        return f"{self.pair.item}/{self.want.number}" if self.want.number else self.pair.item


Job = Generation | Examination


@dataclass(frozen=True, slots=True)
class ControlWork:
    """A control, examined like a pair."""

    control: Control
    pair: Pair


class ChunkWork:
    """The work on one chunk. `other` is another chunk of its document, for controls; None where there is none."""

    def __init__(
        self, chunk: Chunk, asks: Sequence[Ask], examiner: Examiner, *, other: Chunk | None = None, seed: int = 0,
        key_of: Callable[[int], str] = str,
    ) -> None:  # fmt: skip
        self.chunk = chunk
        self.asked = sum(ask.count for ask in asks)
        self.asked_again = 0  # of them, in place of rejected pairs
        self.pairs: list[Pair] = []
        self.controls: list[ControlWork] = []
        self.lost: Counter[str] = Counter()  # pairs that were asked for and did not come
        self.tokens: Counter[str] = Counter()
        self.done = False
        self._asks = asks
        self._examiner = examiner
        self._other = other
        self._seed = seed
        self._key_of = key_of
        self._spent = Spent()
        self._out = 0
        self._phases = self._later()

    def begin(self) -> list[Job]:
        """The first jobs."""
        self._out = len(self._asks)
        return [Generation(ask, tuple(range(ask.item, ask.item + ask.count)), 0) for ask in self._asks]

    def take(self, job: Job, outcome: Reply | RequestError) -> list[Job]:
        """Take the outcome of a job; the jobs that follow from it. After the last one the chunk is `done`."""
        if isinstance(outcome, Reply):
            self._count(job, outcome)
        jobs = self._taken(job, outcome)
        self._out += len(jobs) - 1
        while not self._out and not self.done:
            jobs = self._next_phase()
            self._out = len(jobs)
        return jobs

    def outcome_of(self, pair: Pair) -> tuple[bool, str | None]:
        """Whether the pair counts, and if not why."""
        return self._examiner.outcome(pair)

    @property
    def outcome(self) -> str:
        """Of the chunk: ok, or why nothing usable came back."""
        if self.pairs or not self.lost or set(self.lost) == {"shortfall"}:
            return "ok"  # where the model saw nothing to ask, the chunk is thin: no failure
        return self.lost.most_common(1)[0][0]

    def _count(self, job: Job, reply: Reply) -> None:
        self.tokens.update(
            prompt=reply.prompt_tokens, cached=reply.cached_tokens or 0, completion=reply.completion_tokens
        )
        tokens = reply.prompt_tokens + reply.completion_tokens
        if isinstance(job, Generation):
            self._spent.generation += tokens
            self._spent.generations += 1
        else:
            self._spent.examination += tokens

    def _taken(self, job: Job, outcome: Reply | RequestError) -> list[Job]:
        try:
            if isinstance(job, Generation):
                return self._take_pairs(job, outcome)
            text = outcome.text if isinstance(outcome, Reply) else None
            wants = self._examiner.take(job.pair, job.want, text)
            return [Examination(job.pair, want, job.of) for want in wants]
        except Exception:  # what a model wrote must not take the shard with it
            log.exception("chunk %s, %s", self.chunk.chunk_id, job.name)
            if isinstance(job, Generation):
                self.lost[INTERNAL] += job.ask.count
            return []

    def _take_pairs(self, job: Generation, outcome: Reply | RequestError) -> list[Job]:
        ask = job.ask
        try:
            if isinstance(outcome, RequestError):
                raise outcome
            drafts = answers.parse(ask, outcome.text, outcome.finish_reason)
        except RequestError as error:
            self.lost[error.reason] += ask.count
            return []
        checked = [self._examiner.check(draft, ask.chunk) for draft in drafts]
        pairs = [
            Pair(item, ask, draft, passed, job.regeneration)
            for item, draft, passed in zip(job.items, drafts, checked, strict=False)
        ]
        jobs: list[Job] = [Examination(pair, want) for pair in pairs for want in self._examiner.begin(pair)]
        if len(pairs) < ask.count:
            self.lost["shortfall"] += ask.count - len(pairs)
        self.pairs += pairs
        return jobs

    def _next_phase(self) -> list[Job]:
        try:
            jobs = next(self._phases, None)
        except Exception:  # as above; what there is of the chunk is kept
            log.exception("chunk %s", self.chunk.chunk_id)
            jobs = None
        self.done = jobs is None
        return jobs or []

    def _later(self) -> Iterator[list[Job]]:
        """What is done each time that nothing is out."""
        if self.lost["poison"]:  # it has killed the server twice
            return
        settings = self._examiner.qa.regenerate
        first = self._spent.tokens
        for number in range(1, settings.attempts + 1):
            again = self._again(number, left=settings.max_token_share * first - (self._spent.tokens - first))
            if not again:
                break
            yield again
        yield self._judge_controls()

    def _again(self, number: int, *, left: float) -> list[Job]:
        """Ask again for what the last time gave and was rejected."""
        self._spent.examined = sum(pair.round_trip or pair.judged for pair in self.pairs)
        failed = []
        for pair in sorted(self.pairs, key=lambda pair: pair.item):
            _, reason = self.outcome_of(pair)
            if pair.regeneration == number - 1 and reason is not None and regeneration.can_mend(reason):
                failed.append((pair, reason))
        jobs: list[Job] = []
        for ask, replaced in regeneration.asks_again(failed, self._spent, left):
            items = tuple(ITEMS_OF_A_ROUND * number + pair.item % ITEMS_OF_A_ROUND for pair in replaced)
            jobs.append(Generation(ask, items, number))
            self.asked += ask.count
            self.asked_again += ask.count
        return jobs

    def _judge_controls(self) -> list[Job]:
        judged = sorted((pair for pair in self.pairs if pair.judged), key=lambda pair: pair.item)
        near = Neighbourhood(self._examiner.qa, [pair.draft for pair in judged], self._other)
        jobs: list[Job] = []
        for pair in judged:
            made = control_of(pair.ask, pair.draft, near, key=self._key_of(pair.item), seed=self._seed)
            if made is not None:
                control = ControlWork(made, Pair(pair.item, made.ask, made.draft, {}))
                self.controls.append(control)
                jobs += [Examination(control.pair, want, "control") for want in self._examiner.to_judge(control.pair)]
        return jobs
