"""A pool of senders in a simulated world: requests do what their script says, and the clock is simulated as well.

The dispatcher decides by what comes back and by the time; both are given here, so that a test can go through thousands
of histories. What comes back in reality is tested with the echo server and with vLLM.
"""

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from hpc_qa.client.outcome import Reply
from hpc_qa.client.request import Endpoint, Request
from hpc_qa.errors import RequestError

RETRYABLE = {"busy", "server_error", "unreachable", "timeout", "truncated", "bad_reply"}


def request(name: str, **changes: object) -> Request:
    values = {"id": name, "kind": "generate", "doc_id": "d", "messages": (), "schema": None, "max_tokens": 100}
    return Request(**(values | {"temperature": 0.0, "seed": 0, "deadline_s": 60.0} | changes))


@dataclass
class World:
    """Scripts by request id: one word for each attempt, the last one for all that follow. No script: ok.

    Words: ok, a reason of `RequestError`, `kills_server`, `kills_actor`, `stuck` (comes back only when given up).
    """

    scripts: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 1.0  # that a request takes
    actors: int = 2
    now: float = 0.0
    sends: Counter = field(default_factory=Counter)
    sent: list = field(default_factory=list)  # (time, request)
    most_at_once: int = 0
    server_dead: bool = False
    server_deaths: int = 0
    replaced: int = 0
    closed: bool = False
    _due: list = field(default_factory=list)
    _out: dict = field(default_factory=dict)
    _actor_of: dict = field(default_factory=dict)
    _back: list = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    # -- the server

    def check(self, outstanding: int) -> str | None:
        return "killed" if self.server_dead else None

    def recover(self, reason: str) -> Endpoint:
        return Endpoint(Path("/s"), "k", "n")

    # -- the pool

    def submit(self, ticket: int, wanted: Request) -> None:
        self.sends[wanted.id] += 1
        self.sent.append((self.now, wanted))
        self._out[ticket] = wanted
        self._actor_of[ticket] = ticket % self.actors
        self.most_at_once = max(self.most_at_once, len(self._out))
        script = self.scripts.get(wanted.id, ["ok"])
        word = script[min(self.sends[wanted.id], len(script)) - 1]
        if word != "stuck":
            heapq.heappush(self._due, (self.now + self.seconds, ticket, "unreachable" if self.server_dead else word))

    def collect(self, timeout_s: float) -> list:
        until = self.now + timeout_s
        while self._due and self._due[0][0] <= until and not self._back:
            self.now, ticket, word = heapq.heappop(self._due)
            if ticket in self._out:
                self._happen(ticket, word)
        if not self._back:
            self.now = until
        back, self._back = self._back, []
        return back

    def give_up(self, ticket: int) -> None:
        if ticket in self._out:
            self._kill_actor(self._actor_of[ticket])

    def use(self, endpoint: Endpoint) -> None:
        self.server_dead = False

    def close(self) -> None:
        self.closed = True
        self._out.clear()

    def _happen(self, ticket: int, word: str) -> None:
        if word == "kills_server":
            self.server_dead = True
            self.server_deaths += 1
            for out in list(self._out):
                self._return(out, RequestError("server_error", "engine dead", retryable=True))
        elif word == "kills_actor":
            self._kill_actor(self._actor_of[ticket])
        elif word == "ok":
            self._return(ticket, Reply(self._out[ticket].id, "text", "stop", 1, 0, 1, self.seconds, 1, 7))
        else:
            self._return(ticket, RequestError(word, "as scripted", retryable=word in RETRYABLE))

    def _kill_actor(self, actor: int) -> None:
        self.replaced += 1
        for ticket in [ticket for ticket in self._out if self._actor_of[ticket] == actor]:
            self._return(ticket, RequestError("actor_died", retryable=True))

    def _return(self, ticket: int, outcome: Reply | RequestError) -> None:
        del self._out[ticket]
        self._back.append((ticket, outcome))


@dataclass
class Results:
    """What `on_done` was told, by request id."""

    outcomes: dict = field(default_factory=lambda: defaultdict(list))

    def __call__(self, asked: Request, outcome: Reply | RequestError) -> tuple[Request, ...]:
        self.outcomes[asked.id].append(outcome)
        return ()

    def reasons(self) -> dict[str, str]:
        return {
            name: one.reason if isinstance(one, RequestError) else "ok" for name, (one, *_) in self.outcomes.items()
        }
