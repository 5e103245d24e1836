"""Decide which request is sent when, how often, and what a death of the server or of an actor means for it.

Requests come from an iterator, one for each free slot, so nothing piles up; what an answer leads to (a judgement, the
next question) goes before anything new. Every request ends once, as ok, failed or skipped, and the count is checked.
How requests travel is in `session.py`, how a server is brought back is the caller's `recover`.

After a death, of the server or of an actor, everything that was out is suspect. Suspects are sent again one at a time,
so the second death names the one that is to blame, and it fails as `poison`.
"""

import heapq
import itertools
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

from hpc_qa.client.request import Endpoint, Reply, Request
from hpc_qa.client.retries import TOTAL_ATTEMPTS, wait_before
from hpc_qa.errors import ClientError, RequestError

logger = logging.getLogger(__name__)

OnDone = Callable[[Request, Reply | RequestError], Iterable[Request]]

TICK_S = 0.25
CHECK_S = 0.5
OVERDUE_S = 30.0  # beyond a request's own deadline: its actor is stuck
SUSPICION_S = 6.0  # an error so shortly before the server's death belongs to the death
DEATHS_TO_POISON = 2


class Pool(Protocol):
    """What carries requests: `ActorPool`, or a simulation in a test."""

    @property
    def replaced(self) -> int:
        """Dead actors that were replaced so far."""

    def submit(self, ticket: int, request: Request) -> None:
        """Send it; never blocks."""

    def collect(self, timeout_s: float) -> list[tuple[int, Reply | RequestError]]:
        """What has come back, waiting for the first at most so long."""

    def give_up(self, ticket: int) -> None:
        """Make it come back, whatever it takes."""

    def use(self, endpoint: Endpoint) -> None:
        """Send to another server from now on."""

    def close(self) -> None:
        """End everything that is out; nothing comes back any more."""


@dataclass(frozen=True, slots=True)
class Conservation:
    """What became of the requests: `admitted == ok + failed + skipped`, always."""

    admitted: int
    ok: int
    failed: int
    skipped: int  # not finished when we had to stop
    retries: int
    failures: dict[str, int]  # by reason


@dataclass(slots=True)
class _Item:
    request: Request  # as the caller made it
    sent: Request  # as it is sent: with more completion tokens after a truncated answer
    attempts: int = 0
    tried: Counter[str] = field(default_factory=Counter)  # failures by reason
    deaths: int = 0  # of the server or of its actor, while it was out
    verdict: RequestError | None = None  # given up, unless the server turns out to be dead
    failed_at: float = float("-inf")  # when the server last failed on it
    overdue_at: float = float("inf")


class Dispatcher:
    """Runs requests through a pool until the source is dry, or until it is told to stop.

    `limit` (requests in flight) may be changed at any time. `check` is asked twice a second why the server is dead,
    with the number of requests that are out; None means that it is not. `recover` then brings a server back, in a
    thread, and returns where it is; while it works nothing is sent.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        limit: int,
        max_retries: int = 3,
        drain_s: float = 60.0,
        check: Callable[[int], str | None] | None = None,
        recover: Callable[[str], Endpoint] | None = None,
        max_actor_deaths: int = 20,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._pool = pool
        self._max_retries = max_retries
        self.drain_s = drain_s
        self._check = check
        self._recover = recover
        self._max_actor_deaths = max_actor_deaths
        self._rng = random.Random(seed)
        self._clock = clock
        self._tickets = itertools.count()
        self._out: dict[int, _Item] = {}
        self._ready: deque[_Item] = deque()  # follow-ups and what is due again
        self._suspects: deque[_Item] = deque()
        self._on_trial: int | None = None  # ticket of the suspect that is out, alone
        self._tried_last: _Item | None = None  # the suspect, if it was sent last: the next death is its own
        self._waiting: list[tuple[float, int, _Item]] = []  # heap by due time
        self._recovery: Future[Endpoint] | None = None
        self._checked_at = float("-inf")
        self._admitted = self._ok = self._retries = 0
        self._failures: Counter[str] = Counter()

    @property
    def outstanding(self) -> int:
        """Requests that are out now."""
        return len(self._out)

    def run(
        self,
        source: Iterator[Request],
        on_done: OnDone,
        *,
        tick: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Conservation:
        """Run until nothing is left. Once `stop` says so, nothing new is taken and what is under way gets `drain_s`.

        `on_done` hears of every request that is ok or failed, and may return requests that follow from it.

        Raises:
            ClientError: actors keep dying, or the count does not add up.
            ServerError: the server is dead and could not be brought back.
        """
        try:
            self._run(source, on_done, tick, stop)
        except BaseException:  # closed, and raised again
            self._pool.close()
            raise
        return self._conservation(skipped=self._skip_rest())

    # -- the loop

    def _run(
        self, source: Iterator[Request], on_done: OnDone, tick: Callable[[], None], stop: Callable[[], bool]
    ) -> None:
        dry = False
        drain_until: float | None = None
        ticked_at = float("-inf")
        while True:
            now = self._clock()
            if now - ticked_at >= TICK_S:
                ticked_at = now
                tick()
                if drain_until is None and stop():
                    drain_until = now + self.drain_s
            if drain_until is not None and now >= drain_until:
                return
            self._look_after_server(now)
            self._take_due(now, on_done)
            dry = self._fill(source, now, dry=dry or drain_until is not None)
            if dry and not self._busy():
                return
            for ticket, outcome in self._pool.collect(self._patience(now)):
                self._settle(ticket, outcome, on_done)

    def _busy(self) -> bool:
        return bool(self._out or self._ready or self._suspects or self._waiting)

    def _patience(self, now: float) -> float:
        """How long to wait for an answer: until the next tick, or until something that waits is due."""
        due_s = self._waiting[0][0] - now if self._waiting else TICK_S
        return min(TICK_S, max(0.005, due_s))

    def _fill(self, source: Iterator[Request], now: float, *, dry: bool) -> bool:
        """Send while there is room; returns whether the source has nothing more for us."""
        if self._recovery is not None or self._on_trial is not None:
            return dry
        if self._suspects:  # one at a time, and nothing else meanwhile
            if not self._out:
                self._on_trial = self._send(self._suspects.popleft(), now, alone=True)
            return dry
        while len(self._out) < self.limit:
            if self._ready:
                self._send(self._ready.popleft(), now)
                continue
            request = None if dry else next(source, None)
            if request is None:
                return True
            self._admitted += 1
            self._send(_Item(request, request), now)
        return dry

    def _send(self, item: _Item, now: float, *, alone: bool = False) -> int:
        self._tried_last = item if alone else None
        item.attempts += 1
        item.overdue_at = now + item.sent.deadline_s + OVERDUE_S
        ticket = next(self._tickets)
        self._out[ticket] = item
        self._pool.submit(ticket, item.sent)
        return ticket

    def _take_due(self, now: float, on_done: OnDone) -> None:
        """What has waited long enough is ready again, or fails for good."""
        while self._waiting and self._waiting[0][0] <= now:
            item = heapq.heappop(self._waiting)[2]
            if item.verdict is not None:
                self._finish(item, item.verdict, on_done)
            elif item.deaths:
                self._suspects.append(item)  # once under suspicion, it never again takes others down with it
            else:
                self._ready.append(item)

    # -- what came back

    def _settle(self, ticket: int, outcome: Reply | RequestError, on_done: OnDone) -> None:
        item = self._out.pop(ticket)
        if ticket == self._on_trial:
            self._on_trial = None
        if isinstance(outcome, Reply):
            self._finish(item, replace(outcome, attempts=item.attempts), on_done)
        elif outcome.reason == "actor_died":
            self._settle_actor_death(item, outcome, on_done)
        elif self._recovery is not None and outcome.reason in ("unreachable", "server_error", "timeout"):
            self._suspect_or_poison(item, outcome, on_done)  # it was out when the server died, and hears of it now
        else:
            self._retry_or_fail(ticket, item, outcome, on_done)

    def _retry_or_fail(self, ticket: int, item: _Item, error: RequestError, on_done: OnDone) -> None:
        now = self._clock()
        wait_s = self._wait_before(item, error)
        server_to_blame = error.reason in ("unreachable", "server_error")
        if server_to_blame:
            item.failed_at = now
            self._checked_at = float("-inf")  # look at once whether the server is dead
        if wait_s is None:
            final = _given_up(error, item)
            if not (server_to_blame and self._check):
                self._finish(item, final, on_done)
                return
            item.verdict, wait_s = final, SUSPICION_S  # a server dies more slowly than its requests
        else:
            self._retries += 1
        heapq.heappush(self._waiting, (now + wait_s, ticket, item))

    def _settle_actor_death(self, item: _Item, error: RequestError, on_done: OnDone) -> None:
        if self._pool.replaced > self._max_actor_deaths:
            raise ClientError(f"{self._pool.replaced} Ray actors died", hint="see Ray's logs; is memory short?")
        item.deaths += 1
        self._suspect_or_poison(item, error, on_done)

    def _suspect_or_poison(self, item: _Item, error: RequestError, on_done: OnDone) -> None:
        if item.deaths >= DEATHS_TO_POISON:
            self._finish(item, RequestError("poison", f"{error} (attempt {item.attempts})"), on_done)
            return
        self._retries += 1
        self._suspects.append(item)

    def _wait_before(self, item: _Item, error: RequestError) -> float | None:
        """Seconds until the next try, or None. A truncated answer gets twice the room next time."""
        item.tried[error.reason] += 1
        if not error.retryable or item.attempts >= TOTAL_ATTEMPTS:
            return None
        wait_s = wait_before(error.reason, item.tried[error.reason], max_retries=self._max_retries, rng=self._rng)
        if wait_s is not None and error.reason == "truncated":
            item.sent = replace(item.sent, max_tokens=2 * item.sent.max_tokens)
        return wait_s

    def _finish(self, item: _Item, outcome: Reply | RequestError, on_done: OnDone) -> None:
        if isinstance(outcome, Reply):
            self._ok += 1
        else:
            self._failures[outcome.reason] += 1
        for request in on_done(item.request, outcome):
            self._admitted += 1
            self._ready.append(_Item(request, request))

    # -- the server's death

    def _look_after_server(self, now: float) -> None:
        if self._recovery is not None:
            self._take_recovered()
            return
        if now - self._checked_at < CHECK_S:
            return
        self._checked_at = now
        for ticket, item in self._out.items():
            if now > item.overdue_at:
                item.overdue_at = float("inf")
                self._pool.give_up(ticket)
        death = self._check(len(self._out)) if self._check is not None else None
        if death is not None:
            self._begin_recovery(death, now)

    def _begin_recovery(self, death: str, now: float) -> None:
        """Suspect everything that was out or has just failed, and bring the server back."""
        logger.warning("the server is dead: %s; %d requests were out", death, len(self._out))
        for item in self._out.values():
            item.deaths += 1
        self._suspect_recently_failed(death, now)
        if self._recover is None:
            raise ClientError(f"the server is dead: {death}")
        self._recovery = _in_thread(self._recover, death)

    def _suspect_recently_failed(self, death: str, now: float) -> None:
        """What failed just before the death failed of it: that costs it no try."""
        others = []
        for entry in self._waiting:
            item = entry[2]
            if now - item.failed_at > SUSPICION_S:
                others.append(entry)
                continue
            if not item.deaths or item is self._tried_last:
                item.deaths += 1
            item.verdict = None
            item.tried.clear()
            if item.deaths >= DEATHS_TO_POISON:
                item.verdict = RequestError("poison", f"{death} (attempt {item.attempts})")
                others.append((now, entry[1], item))
            else:
                self._suspects.append(item)
        heapq.heapify(others)
        self._waiting = others

    def _take_recovered(self) -> None:
        if self._recovery is not None and self._recovery.done():
            self._pool.use(self._recovery.result())
            self._recovery = None

    # -- the end

    def _skip_rest(self) -> int:
        """Count what is left, and end what is out."""
        left = len(self._out) + len(self._ready) + len(self._suspects) + len(self._waiting)
        if self._out:
            self._pool.close()
        return left

    def _conservation(self, *, skipped: int) -> Conservation:
        failed = sum(self._failures.values())
        if self._admitted != self._ok + failed + skipped:
            raise ClientError(
                f"{self._admitted} requests went in, but {self._ok} ok + {failed} failed + {skipped} skipped came out"
            )
        return Conservation(self._admitted, self._ok, failed, skipped, self._retries, dict(self._failures))


def _given_up(error: RequestError, item: _Item) -> RequestError:
    return RequestError(error.reason, f"{error.detail} (attempt {item.attempts})".strip())


def _in_thread(recover: Callable[[str], Endpoint], death: str) -> Future[Endpoint]:
    """Bring a server back in a thread of its own: it takes a minute, and the loop has to go on."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recover")
    future = executor.submit(recover, death)
    executor.shutdown(wait=False)
    return future
