"""A page of ours, served to one person: on a loopback port or a UNIX socket, for as long as it is used.

Whoever asks has to know the token: in the URL for the page, in a header for everything else. A cookie would go to every
server on this host whatever its port, a header that a foreign page cannot send goes to ours alone. Requests that name
another host (DNS rebinding) or come from another origin are refused, and no answer allows one. Each connection carries
one request and lives for seconds, so that nobody holds up the others by being slow.
"""

import hmac
import json
import os
import secrets
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hpc_qa.errors import ConfigError

HOSTS = frozenset(("127.0.0.1", "localhost", "[::1]"))  # through a tunnel the port may be another one
MOST_BODY_BYTES = 64_000
MOST_CONNECTIONS = 64
REQUEST_S = 15.0  # a connection is cut off then, whatever it does
LOOK_S = 0.25  # how often time limits are looked at
JSON, HTML, TEXT = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"


class Refused(Exception):
    """A request that gets no more than a status and why; `kind` is a short stable word for programs."""

    def __init__(self, status: HTTPStatus, kind: str, why: str) -> None:
        super().__init__(why)
        self.status, self.kind, self.why = status, kind, why


class LocalServer(ThreadingMixIn, TCPServer):
    """Serves until it is finished or nobody who knows the token has asked for `idle_s` seconds."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32
    timeout = LOOK_S

    def __init__(
        self,
        handler: "type[LocalHandler]",
        address: tuple[str, int] | Path,
        *,
        idle_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the port is taken, or there cannot be a socket of this name.
        """
        self.idle_s, self._clock = idle_s, clock
        self.token = secrets.token_urlsafe(32)
        self.finished = False
        self._last_asked = clock()
        self._open: dict[socket.socket, float] = {}  # connections, and when each is cut off
        self._socket_path = address if isinstance(address, Path) else None
        if self._socket_path is not None:
            self.address_family = socket.AF_UNIX
            _clear(self._socket_path)
        where: Any = str(address) if isinstance(address, Path) else address  # socketserver's types know no UNIX socket
        try:
            super().__init__(where, handler)
        except (OSError, OverflowError) as exc:
            place = address if isinstance(address, Path) else f"port {address[1]}"
            raise ConfigError(f"{place}: cannot listen there: {exc}", hint="another --port or --socket") from exc
        if self._socket_path is not None:
            os.chmod(self._socket_path, stat.S_IRUSR | stat.S_IWUSR)

    @property
    def port(self) -> int | None:
        """The port that is listened on; None of a UNIX socket."""
        return None if self._socket_path else int(self.server_address[1])

    def serve(self) -> None:
        """Answer until it is finished, or nobody asks any more."""
        while not self.finished and self._clock() - self._last_asked < self.idle_s:
            self.handle_request()
            for connection, until in list(self._open.items()):
                if self._clock() > until:
                    with suppress(OSError):  # its own thread may be quicker
                        connection.shutdown(socket.SHUT_RDWR)

    def note_request(self) -> None:
        """Somebody who knows the token is there."""
        self._last_asked = self._clock()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the signature is socketserver's
        """Take a connection, unless there are too many."""
        if len(self._open) >= MOST_CONNECTIONS:
            return False
        self._open[request] = self._clock() + REQUEST_S
        return True

    def grant(self, request: socket.socket, seconds: float) -> None:
        """Give a connection so long from now, as what it asked for takes its time."""
        if request in self._open:
            self._open[request] = self._clock() + seconds

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection and close it."""
        self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that broke."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Stop listening; the socket's file goes with it."""
        super().server_close()
        if self._socket_path is not None:
            self._socket_path.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on any more."""
    if not path.is_socket():
        if path.exists():
            raise ConfigError(f"{path}: is there already, and is no socket", hint="another --socket")
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as exc:
            raise ConfigError(f"{path}: {exc.strerror or exc}", hint="another --socket") from exc
    raise ConfigError(f"{path}: another program listens there", hint="another --socket")


class LocalHandler(BaseHTTPRequestHandler):
    """One request; subclasses say what there is, by path."""

    server: LocalServer
    timeout = REQUEST_S
    server_version, sys_version = "hpc-qa", ""
    status = HTTPStatus.OK  # of the answer

    def do_GET(self) -> None:
        self.answer(self.gets())

    def do_POST(self) -> None:
        self.answer(self.posts())

    def gets(self) -> Mapping[str, Callable[[], None]]:
        """What can be asked for."""
        raise NotImplementedError

    def posts(self) -> Mapping[str, Callable[[], None]]:
        """What can be done."""
        raise NotImplementedError

    def given_token(self) -> str:
        """The token in the header of a request that is not for the page."""
        raise NotImplementedError

    def refuse(self, refused: Refused) -> None:
        """Answer a request that is refused."""
        self.send(refused.status, TEXT, f"{refused.why}\n".encode())

    def answer(self, routes: Mapping[str, Callable[[], None]]) -> None:
        """Answer by what stands under the path, if who asks may; what that raises is for subclasses to catch."""
        try:
            self._check()
            route = routes.get(urlsplit(self.path).path)
            if route is None:
                raise Refused(HTTPStatus.NOT_FOUND, "not_found", "there is nothing here")
            route()
        except Refused as refused:
            self.refuse(refused)

    def _check(self) -> None:
        """Refuse whoever does not know the token, or asks on behalf of another page."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or HOSTS.isdisjoint((hosts[0], hosts[0].rpartition(":")[0])):
            raise Refused(HTTPStatus.BAD_REQUEST, "wrong_host", "this host is not served here")
        url = urlsplit(self.path)
        token = self.given_token() if url.path != "/" else parse_qs(url.query).get("token", [""])[0]
        if not hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self.server.token.encode()):
            raise Refused(
                HTTPStatus.FORBIDDEN, "wrong_token", "the token is missing or wrong; open the address that was printed"
            )
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")
        foreign_site = url.path != "/" and site not in (None, "same-origin")
        if origin not in (None, f"http://{hosts[0]}") or foreign_site:
            raise Refused(HTTPStatus.FORBIDDEN, "foreign_request", "requests of other pages are refused")
        self.server.note_request()

    def body(self) -> dict[str, Any]:
        """The object that was sent.

        Raises:
            Refused: nothing of a known length, or too much, or no JSON.
            ValueError: it is no JSON object.
        """
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "length_required", "say how long it is")
        if len(length) > 9 or int(length) > MOST_BODY_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"at most {MOST_BODY_BYTES:,} bytes")
        if self.headers.get_content_type() != JSON:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", f"send {JSON}")
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except RecursionError as exc:
            raise ValueError("it is nested too deeply") from exc
        if not isinstance(asked, dict):
            raise ValueError("send an object")
        return asked

    def json(self, content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        """Answer with a JSON object."""
        self.send(status, JSON, json_bytes(content))

    def send(
        self, status: HTTPStatus, content_type: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer, under headers that allow nothing."""
        self.status = status
        self.send_response(status)
        always = {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Connection": "close",
        }
        for name, value in (always | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's
        """What http.server itself refuses: a word, and no page that repeats what was sent."""
        self.send(HTTPStatus(code), TEXT, f"{HTTPStatus(code).phrase}\n".encode())

    def log_message(self, *_words: object) -> None:
        """Nothing: a line of the log would hold the token."""


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """ASCII only: what cannot be encoded, half of a surrogate pair, is escaped."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
