"""The dashboard, served by a thread of the tests."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from hpc_qa.report.dashboard_server import DashboardServer

ANSWER_S = 300.0  # a pipeline is answered for when it is submitted


@contextmanager
def served(
    project: Path, address: tuple[str, int] | Path = ("127.0.0.1", 0), *, polled: bool = False, **settings: Any
) -> Iterator[DashboardServer]:
    """The server while it answers; points of history are taken by the tests unless it is `polled`."""
    with DashboardServer(project, address, idle_s=60, **settings) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            if polled:
                with server.polled():
                    yield server
            else:
                yield server
        finally:
            server.finished = True
            thread.join()


def ask(server: DashboardServer, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """What its API answers to somebody who has the token: status and document."""
    connection = HTTPConnection("127.0.0.1", server.port or 0, timeout=ANSWER_S)
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def address_of(server: DashboardServer) -> str:
    """What a person would open."""
    return f"http://127.0.0.1:{server.port}/?token={server.token}"
