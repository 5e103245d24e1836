"""The process that sends requests: one keep-alive HTTP client on the server's UNIX socket.

An ordinary class; `session.py` makes Ray actors of it. It tries once and says what happened. It imports nothing but
the HTTP client and our values, so that an actor starts fast and stays small.
"""

import asyncio
import json
import os
import time

import httpx

from hpc_qa.client.outcome import outcome_of
from hpc_qa.client.request import Endpoint, Reply, Request, payload
from hpc_qa.errors import RequestError

# vLLM closes an idle connection after 5 s; one that is closed while we write to it would look like a dead server
KEEPALIVE_EXPIRY_S = 3.0
CONNECT_TIMEOUT_S = 10.0
MAX_REPLY_BYTES = 16 << 20


class Sender:
    """Sends chat completions to one server, many at a time."""

    def __init__(self, endpoint: Endpoint, connections: int) -> None:
        self._connections = connections
        self._endpoint = endpoint
        self._client = self._connect()

    async def send(self, request: Request) -> Reply | RequestError:
        """Send it once; never raises for what a server or a network can do."""
        began = time.perf_counter()
        body = json.dumps(payload(request, self._endpoint.served_model_name), ensure_ascii=False).encode()
        try:
            async with asyncio.timeout(request.deadline_s):
                status, content = await self._post(body)
        except TimeoutError:
            return RequestError("timeout", f"no answer within {request.deadline_s:g} s", retryable=True)
        except httpx.HTTPError as exc:
            return RequestError("unreachable", f"{type(exc).__name__}: {exc}"[:300], retryable=True)
        if content is None:
            return RequestError("bad_reply", f"an answer of more than {MAX_REPLY_BYTES} bytes", retryable=True)
        return outcome_of(request, status, content, latency_s=time.perf_counter() - began, actor_pid=os.getpid())

    async def use(self, endpoint: Endpoint) -> int:
        """Send to another server from now on; what is out stays out. Returns our pid."""
        old, self._endpoint = self._client, endpoint
        self._client = self._connect()
        await old.aclose()
        return os.getpid()

    async def pid(self) -> int:
        """Our process id."""
        return os.getpid()

    async def _post(self, body: bytes) -> tuple[int, bytes | None]:
        """Status and body; None for a body that is too large to be an answer."""
        content = bytearray()
        async with self._client.stream("POST", "/v1/chat/completions", content=body) as response:
            async for part in response.aiter_raw():
                content += part
                if len(content) > MAX_REPLY_BYTES:
                    return response.status_code, None
        return response.status_code, bytes(content)

    def _connect(self) -> httpx.AsyncClient:
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=self._connections, keepalive_expiry=KEEPALIVE_EXPIRY_S
        )
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(self._endpoint.socket), limits=limits),
            base_url="http://vllm",
            headers={
                "Authorization": f"Bearer {self._endpoint.key}",
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
            },
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            trust_env=False,
        )
