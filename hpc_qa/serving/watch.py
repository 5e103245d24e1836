"""Tell whether a serving vLLM still works: it has not ended, and tokens flow while requests are out.

`/health` stays 200 while the engine hangs, so it is not asked. The one sign of life that cannot be stale is the count
of tokens that the scheduler has handled. What to do about a dead server is decided elsewhere.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from hpc_qa.errors import ServerError
from hpc_qa.serving.metrics import ServerMetrics


class Watched(Protocol):
    """A server that can be watched."""

    @property
    def restarts(self) -> int:
        """How often it was restarted so far."""

    def death(self) -> str | None:
        """Why it is dead, or None while it is not."""

    def metrics(self, *, timeout_s: float = 5.0) -> ServerMetrics:
        """Its metrics now."""


class ServerWatch:
    """Reads the metrics in a thread of its own, so that a hanging server never blocks the one who asks.

    `check` is called often with the number of requests that are out and answers why the server is dead, or None.
    """

    def __init__(
        self,
        server: Watched,
        *,
        stall_timeout_s: float,
        interval_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._stall_timeout_s = stall_timeout_s
        self._interval_s = min(interval_s, max(0.2, stall_timeout_s / 4))
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="server-watch", daemon=True)
        self._last: ServerMetrics | None = None
        self._peak_kv_cache_usage: float | None = None
        self._tokens: float | None = None
        self._moved = clock()  # when the token count changed last, or nothing was out
        self._restarts = server.restarts

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10.0)

    @property
    def last(self) -> ServerMetrics | None:
        """The last metrics read of the server that runs now; None before the first reading."""
        return self._last

    @property
    def peak_kv_cache_usage(self) -> float | None:
        """The largest share of the KV cache that any reading has shown; None before the first."""
        return self._peak_kv_cache_usage

    def check(self, outstanding: int) -> str | None:
        """Why the server is dead, or None. `outstanding` is the number of requests that wait for an answer."""
        death = self._server.death()
        if death is not None:
            return death
        with self._lock:
            if self._server.restarts != self._restarts:
                self._moved, self._restarts, self._last = self._clock(), self._server.restarts, None
            if outstanding == 0:
                self._moved = self._clock()
            stalled_s = self._clock() - self._moved
        if stalled_s <= self._stall_timeout_s:
            return None
        return f"it hangs: no token for {stalled_s:.0f} s while {outstanding} requests were out"

    def read(self) -> None:
        """Take one reading; the thread does so all the time."""
        try:
            metrics = self._server.metrics(timeout_s=min(5.0, self._stall_timeout_s))
        except ServerError:  # a busy server may miss a reading; a dead one is seen by `death` or by the stall
            return
        with self._lock:
            self._last = metrics
            if metrics.kv_cache_usage is not None:
                self._peak_kv_cache_usage = max(metrics.kv_cache_usage, self._peak_kv_cache_usage or 0.0)
            # without the counter a hang cannot be told from long work, so then only the process counts
            if metrics.iteration_tokens is None or metrics.iteration_tokens != self._tokens:
                self._tokens, self._moved = metrics.iteration_tokens, self._clock()

    def _read_on(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.read()
