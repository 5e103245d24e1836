"""The live page of a project and its API, served to its owner: see `local_server.py` for how safely.

The page, `/metrics` (Prometheus text), `/api/v1/metrics`, `/api/v1/pipeline` and what the page asks for. All but the
page want the token as `Authorization: Bearer TOKEN`. Every refusal is `{"error": {"type", "message"}}`.
"""

import functools
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hpc_qa.campaign.pipeline import Pipelines, write_request
from hpc_qa.errors import HpcQaError
from hpc_qa.report import pipeline_api
from hpc_qa.report.dashboard_history import HOURS, History, limits_of, profile_of
from hpc_qa.report.dashboard_page import render
from hpc_qa.report.local_server import HTML, JSON, REQUEST_S, LocalHandler, LocalServer, Refused, json_bytes
from hpc_qa.report.publisher import Publisher
from hpc_qa.report.review_page import policy

log = logging.getLogger(__name__)

PORT = 8700
PIPELINE = "/api/v1/pipeline"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
SCHEME = "Bearer "


class DashboardServer(LocalServer):
    """Serves one project until it is told to end or nobody has asked for `idle_s` seconds."""

    def __init__(
        self,
        project: Path,
        address: tuple[str, int] | Path,
        *,
        idle_s: float,
        history: History | None = None,
        profile: str | None = None,
        read_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to listen. With `read_only` no pipeline can be started.

        Raises:
            ConfigError: there is no such profile, the port is taken, or there cannot be a socket of this name.
        """
        self.project, self.read_only = project, read_only
        self.limits = limits_of(project, profile or profile_of(project))
        self.history = history or History(project)
        self.pipelines = Pipelines(project)
        self.publisher = Publisher(project)
        self.starting = threading.Lock()
        super().__init__(_Handler, address, idle_s=idle_s, clock=clock)

    @contextmanager
    def polled(self) -> Iterator[None]:
        """Take a point of history every half minute meanwhile, and publish what was asked for."""
        stop = threading.Event()
        thread = threading.Thread(target=self._poll, args=(stop,), name="dashboard", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(REQUEST_S)

    def _poll(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.history.poll()
            try:
                if not self.read_only:
                    self.publisher.publish_due()
            except Exception:  # nor does what it was asked to publish end the history
                log.exception("publishing failed")
            stop.wait(self.history.every_s)


class _Handler(LocalHandler):
    """One request."""

    server: DashboardServer

    def given_token(self) -> str:
        said = self.headers.get("Authorization", "")
        return said.removeprefix(SCHEME) if said.startswith(SCHEME) else ""

    def gets(self) -> Mapping[str, Callable[[], None]]:
        path = urlsplit(self.path).path
        routes = {
            "/": self._page, "/metrics": self._text, "/api/history": self._history, "/api/v1/metrics": self._metrics,
        }  # fmt: skip
        if path.startswith(f"{PIPELINE}/"):
            routes[path] = functools.partial(self._pipeline, path.removeprefix(f"{PIPELINE}/"))
        return routes

    def posts(self) -> Mapping[str, Callable[[], None]]:
        return {PIPELINE: self._start}

    def answer(self, routes: Mapping[str, Callable[[], None]]) -> None:
        try:
            super().answer(routes)
        except ValueError as exc:  # of `body`: everything else is checked by name
            self.refuse(Refused(HTTPStatus.BAD_REQUEST, "bad_json", str(exc)))
        except HpcQaError as error:
            said = "; ".join(filter(None, [*error.faults, error.hint]))
            self.refuse(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "unreadable", said))

    def refuse(self, refused: Refused) -> None:
        self.send(refused.status, JSON, json_bytes({"error": {"type": refused.kind, "message": refused.why}}))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's
        """What http.server itself refuses."""
        self.refuse(Refused(HTTPStatus(code), "bad_request", HTTPStatus(code).phrase))

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        page = render(nonce=nonce, project=self.server.project.name, every_s=self.server.history.every_s, hours=HOURS)
        self.send(HTTPStatus.OK, HTML, page.encode(), {"Content-Security-Policy": policy(nonce)})

    def _metrics(self) -> None:
        self.json(self.server.history.now())

    def _text(self) -> None:
        self.send(HTTPStatus.OK, EXPOSITION, self.server.history.text().encode())

    def _history(self) -> None:
        said = parse_qs(urlsplit(self.path).query).get("since", ["0"])[0]
        try:
            since = float(said)
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "since is a moment in seconds since 1970") from None
        points = self.server.history.since(since)
        self.json({"now": self.server.history.now(), "limits": self.server.limits, "points": points})

    def _pipeline(self, run_id: str) -> None:
        run = self.server.pipelines.find(run_id)
        if run is None:
            raise Refused(HTTPStatus.NOT_FOUND, "no_such_pipeline", "no run of this project has this id")
        self.json(self.server.pipelines.answer(run) | self.server.publisher.of(run))

    def _start(self) -> None:
        asked: dict[str, Any] = self.body()
        if self.server.read_only:
            raise Refused(HTTPStatus.FORBIDDEN, "read_only", "hpc-qa dashboard was started with --read-only")
        order = pipeline_api.order_of(asked, self.server.project)
        if not self.server.starting.acquire(blocking=False):
            raise Refused(HTTPStatus.CONFLICT, "busy", "another pipeline is being started; ask again when it is")
        try:
            self.server.grant(self.connection, 2 * pipeline_api.SUBMIT_S + REQUEST_S)
            run_id = pipeline_api.start(order, self.server.project)
            if run := self.server.pipelines.find(run_id):
                write_request(run, order.output)
        finally:
            self.server.starting.release()
        self.json({"pipeline_id": run_id}, HTTPStatus.CREATED)
