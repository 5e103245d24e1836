"""The one fake of the tests: an OpenAI-like server on a UNIX socket that echoes, and fails on demand.

It does what a model cannot do on demand: byte-equal answers (the answer is a function of the last message and the
schema alone), and faults. A message with `[[busy 2]]` in it is refused with 429 the first two times it comes; a fault
without a number happens every time. Faults: busy (429), error (500), refuse (400), too_long (400), torn (JSON cut off),
nothing (no choices), length (finish_reason), stall (no answer), drop (connection closed), exit (the server dies).

In a test: `with EchoServer(socket) as server`. As a program: `python tests/echo_server.py SOCKET [KEY [DELAY_S]]`.
"""

import asyncio
import hashlib
import json
import os
import re
import socket
import struct
import sys
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MODEL = "echo"
KEY = "echo-key"
_FAULT = re.compile(r"\[\[(\w+)(?: (\d+))?\]\]")
_RULE = re.compile(r"^\[(\d+)\] The (\w+) office must (.+)$", re.MULTILINE)


class EchoServer:
    """Serves in a thread of its own. What it has seen is in its attributes."""

    def __init__(self, path: Path, *, key: str = KEY, delay_s: float = 0.0) -> None:
        self.path = path
        self.key = key
        self.delay_s = delay_s
        self.frozen = False  # /metrics stands still, as in a hang
        self.peers: Counter[int] = Counter()  # requests by the pid at the other end of the socket
        self.seen: Counter[str] = Counter()  # requests by the text of the last message
        self.bodies: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._tokens = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._up = threading.Event()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every connection and stop listening, as a death would."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_unix_server(self._connection, self.path))
        self._up.set()
        self._loop.run_forever()
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()
        self.path.unlink(missing_ok=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid = _peer_pid(writer)
        try:
            while await self._exchange(reader, writer, pid):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> bool:
        """One request and its answer; False when the connection is to be closed."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1]) if length else 0)
        path = head.split(" ", 2)[1]
        if path == "/v1/chat/completions":
            self.peers[pid] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                answer = await self._complete(head, json.loads(body))
            finally:
                self._at_once -= 1
        else:
            answer = self._look(path, head)
        if answer is None:
            return False
        status, content = answer
        writer.write(
            f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        )
        writer.write(content)
        await writer.drain()
        return True

    def _look(self, path: str, head: str) -> tuple[int, bytes]:
        if path == "/health":
            return 200, b""
        if path == "/metrics":
            return 200, self._metrics().encode()
        if path == "/v1/models":
            allowed = f"Bearer {self.key}" in head
            return (200, _json({"data": [{"id": MODEL}]})) if allowed else (401, _json({"error": "Unauthorized"}))
        if path == "/seen":  # not of vLLM: for tests whose server is another process
            return 200, _json({"requests": self.seen.total()})
        return 404, _json({"error": {"message": "no such path"}})

    async def _complete(self, head: str, request: dict[str, Any]) -> tuple[int, bytes] | None:
        if f"Bearer {self.key}" not in head:
            return 401, _json({"error": "Unauthorized"})
        if request["model"] != MODEL:
            return 404, _json({"error": {"message": f"The model `{request['model']}` does not exist."}})
        text = request["messages"][-1]["content"]
        self.seen[text] += 1
        self.bodies.append(request)
        fault = _FAULT.search(text)
        if fault and (fault[2] is None or self.seen[text] <= int(fault[2])):
            return await self._fail(fault[1], request)
        await asyncio.sleep(self.delay_s)
        return 200, _json(self._answer(request, "stop"))

    async def _fail(self, fault: str, request: dict[str, Any]) -> tuple[int, bytes] | None:
        if fault == "exit":
            os._exit(1)
        if fault == "stall":
            await asyncio.sleep(3600)
        if fault == "drop":
            return None
        if fault == "torn":
            return 200, _json(self._answer(request, "stop"))[:-20]
        if fault == "length":
            return 200, _json(self._answer(request, "length"))
        messages = {
            "busy": (429, "too many requests"),
            "error": (500, "something broke"),
            "refuse": (400, "the schema is wrong"),
            "too_long": (400, "This model's maximum context length is 4096 tokens."),
            "nothing": (200, None),
        }
        status, message = messages[fault]
        return status, _json({"choices": []} if message is None else {"error": {"message": message}})

    def _answer(self, request: dict[str, Any], finish_reason: str) -> dict[str, Any]:
        prompt = " ".join(message["content"] for message in request["messages"])
        text = answer_to(request)
        usage = {
            "prompt_tokens": len(prompt.split()),
            "completion_tokens": len(text.split()),
            "prompt_tokens_details": {"cached_tokens": 0},
        }
        if not self.frozen:
            self._tokens += usage["prompt_tokens"] + usage["completion_tokens"]
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
        return {"object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}

    def _metrics(self) -> str:
        return f'vllm:iteration_tokens_total_sum{{model_name="{MODEL}"}} {float(self._tokens)}\n'


def answer_to(request: dict[str, Any]) -> str:
    """The text of the answer, in the shape that the schema asks for: a function of the messages alone.

    Of rules like "The Alder office must answer every letter within 17 days." in a numbered document it makes pairs that
    pass every check, and three times in four it answers what such an office must do; without them, and without a
    schema, it gives the hash of the last message.
    """
    digest = hashlib.sha256(request["messages"][-1]["content"].encode()).hexdigest()
    schema = request.get("response_format", {}).get("json_schema", {}).get("schema")
    if schema is None:
        return f"echo {digest}"
    if schema.get("properties", {}).keys() == {"answer"}:
        return json.dumps({"answer": _answer(request, digest)})
    if "items" in schema.get("properties", {}):
        rules = _RULE.findall("\n".join(message["content"] for message in request["messages"]))
        most = schema["properties"]["items"].get("maxItems", 1)
        if rules:
            return json.dumps({"items": [_pair(*rule) for rule in rules[:most]]})
    return json.dumps(_instance(schema, digest))


def _pair(number: str, name: str, duty: str) -> dict[str, Any]:
    return {
        "evidence": [int(number)],
        "question_type": "requirement",
        "question": f"What must the {name} office do?",
        "answer": f"The {name} office must {duty}",
    }


def _answer(request: dict[str, Any], digest: str) -> str:
    """The rule of the office that is asked about, unless the hash says otherwise."""
    rules = _RULE.findall("\n".join(message["content"] for message in request["messages"]))
    found = [
        duty for _, name, duty in rules if f"What must the {name} office do?" in request["messages"][-1]["content"]
    ]
    return f"It must {found[0]}" if found and int(digest[0], 16) % 4 else "not stated"


def _instance(schema: dict[str, Any], digest: str) -> Any:
    if "enum" in schema:
        return schema["enum"][-1]
    kind = schema.get("type", "string")
    if kind == "object":
        return {name: _instance(part, digest) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_instance(schema.get("items", {}), digest) for _ in range(max(1, schema.get("minItems", 1)))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    if kind == "boolean":
        return True
    return f"echo {digest}"[: schema.get("maxLength")]


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    """The process at the other end, as the kernel knows it."""
    credentials = writer.get_extra_info("socket").getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
    )
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    with EchoServer(Path(given[1]), key=given.get(2, KEY), delay_s=float(given.get(3, "0"))):
        threading.Event().wait()
