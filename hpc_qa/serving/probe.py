"""Short questions to a server on a UNIX socket: does somebody listen, is it healthy, what is its name?

Each opens a connection of its own and has a short deadline. Completions are not asked for here; that is `client`.
"""

import logging
import socket as sockets
from pathlib import Path

import httpx

from hpc_qa.errors import ServerError

logging.getLogger("httpx").setLevel(logging.WARNING)  # its line for each request would drown everything else


def get(socket: Path, path: str, *, key: str = "", timeout_s: float = 5.0) -> httpx.Response:
    """One GET over a connection of its own; raises what httpx raises."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.HTTPTransport(uds=str(socket))
    with httpx.Client(transport=transport, timeout=timeout_s, trust_env=False) as client:
        return client.get(f"http://vllm{path}", headers=headers)


def healthy(socket: Path) -> bool:
    """True when `/health` says 200. A hanging engine says so too; see `watch.py`."""
    try:
        return get(socket, "/health", timeout_s=2.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def accepts(socket: Path) -> bool:
    """True when something listens on the socket."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(socket))
        except TimeoutError:  # its queue is full: busy, not dead
            return True
        except OSError:
            return False
    return True


def served_names(socket: Path, key: str) -> list[str]:
    """The models that the server says it serves.

    Raises:
        ServerError: no answer, or the key is refused (not retryable).
    """
    try:
        response = get(socket, "/v1/models", key=key, timeout_s=10.0)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise ServerError(
                f"{socket}: the server refuses our key",
                hint="vllm.attach_key_file",
                retryable=False,
            )
        response.raise_for_status()
        return [str(model["id"]) for model in response.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as exc:
        raise ServerError(f"{socket}: no answer to /v1/models: {exc or type(exc).__name__}") from exc
