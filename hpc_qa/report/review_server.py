"""The page of a review, served to one person until the review has ended: see `local_server.py` for how safely."""

import functools
import secrets
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hpc_qa.errors import HpcQaError
from hpc_qa.report.local_server import HTML, LocalHandler, LocalServer
from hpc_qa.report.review_page import policy, render
from hpc_qa.report.review_session import ReviewSession

TOKEN_HEADER = "X-Review-Token"  # noqa: S105 - the name of the header, not what it holds


class ReviewServer(LocalServer):
    """Serves one session until it is finished or nobody has asked for `idle_s` seconds."""

    def __init__(
        self,
        session: ReviewSession,
        address: tuple[str, int] | Path,
        *,
        idle_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the port is taken, or there cannot be a socket of this name.
        """
        self.session = session
        super().__init__(_Handler, address, idle_s=idle_s, clock=clock)


class _Handler(LocalHandler):
    """One request."""

    server: ReviewServer

    def given_token(self) -> str:
        return self.headers.get(TOKEN_HEADER, "")

    def gets(self) -> Mapping[str, Callable[[], None]]:
        return {"/": self._page, "/api/state": self._state, "/api/pair": self._pair, "/api/summary": self._sum}

    def posts(self) -> Mapping[str, Callable[[], None]]:
        session = self.server.session
        acts = {"rate": session.rate, "skip": session.skip, "undo": session.undo, "finish": self._finish}
        return {f"/api/{name}": functools.partial(self._act, act) for name, act in acts.items()}

    def answer(self, routes: Mapping[str, Callable[[], None]]) -> None:
        try:
            super().answer(routes)
        except ValueError as exc:
            self.json({"error": str(exc)}, HTTPStatus.BAD_REQUEST)
        except HpcQaError as error:
            said = "; ".join(filter(None, [str(error), error.hint]))
            self.json({"error": said}, HTTPStatus.INTERNAL_SERVER_ERROR)
        if self.path.partition("?")[0] == "/api/finish" and self.status == HTTPStatus.OK:
            self.server.finished = True  # after the answer is on its way

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        page = render(nonce=nonce, run=self.server.session.run.run_id, token_header=TOKEN_HEADER)
        self.send(HTTPStatus.OK, HTML, page.encode(), {"Content-Security-Policy": policy(nonce)})

    def _state(self) -> None:
        self.json(self.server.session.state())

    def _sum(self) -> None:
        self.json(self.server.session.summary())

    def _pair(self) -> None:
        number = parse_qs(urlsplit(self.path).query).get("number", [""])[0]
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise ValueError("number is the place of a pair, from 0")
        self.json(self.server.session.pair(int(number)))

    def _act(self, act: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.json(act(self.body()))

    def _finish(self, _asked: Mapping[str, Any]) -> dict[str, Any]:
        return self.server.session.summary()
