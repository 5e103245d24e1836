"""Empty the prefix cache of a server, and warm the server up: what stands between two measurements on one server.

vLLM has the route `/reset_prefix_cache` in its development mode only, which our own servers are in when they are
`steerable`. A server that somebody else runs may not offer it.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from hpc_qa.errors import ServerError

TRIES = 20
PAUSE_S = 0.25
TIMEOUT_S = 120.0
TEXT = "Count from one to forty in words, one word a line."  # of no document
TOKENS = 32


def reset(socket: Path, key: str, *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Empty the prefix cache; False when the server does not offer it.

    The server refuses while a request holds blocks, so that it is asked for some seconds.

    Raises:
        ServerError: it does not answer, or refuses all the time.
    """
    for _ in range(TRIES):
        answer = _post(socket, key, "/reset_prefix_cache")
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
            return False
        if answer.status_code == httpx.codes.OK and _succeeded(answer):
            return True
        sleep(PAUSE_S)
    raise ServerError(f"{socket}: the prefix cache cannot be emptied: {answer.status_code} {answer.text[:200]}")


def warm_up(socket: Path, key: str, served_model_name: str, *, requests: int, at_once: int) -> None:
    """Ask so many requests about no document, so many at once, and wait for the answers.

    Raises:
        ServerError: one of them was not answered.
    """
    body = {
        "model": served_model_name,
        "messages": [{"role": "user", "content": TEXT}],
        "max_tokens": TOKENS,
        "temperature": 0.0,
    }

    def ask(_: int) -> int:
        return _post(socket, key, "/v1/chat/completions", body).status_code

    if requests:
        with ThreadPoolExecutor(min(requests, at_once)) as pool:
            answers = set(pool.map(ask, range(requests)))
        if answers != {httpx.codes.OK}:
            raise ServerError(f"{socket}: a warm-up request was answered with {', '.join(map(str, sorted(answers)))}")


def _post(socket: Path, key: str, path: str, body: object = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.HTTPTransport(uds=str(socket))
    try:
        with httpx.Client(transport=transport, timeout=TIMEOUT_S, trust_env=False) as client:
            return client.post(f"http://vllm{path}", headers=headers, json=body)
    except httpx.HTTPError as exc:
        raise ServerError(f"{socket}: no answer to {path}: {exc or type(exc).__name__}") from exc


def _succeeded(answer: httpx.Response) -> bool:
    try:
        said = answer.json()
    except ValueError:
        return True  # older servers answer with nothing
    return not isinstance(said, dict) or said.get("success", True) is True
