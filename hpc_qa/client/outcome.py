"""What an HTTP answer means: a `Reply`, or a `RequestError` with one of a fixed set of reasons.

| reason | what happened | worth another try |
| --- | --- | --- |
| `refused` | the server says that the request is wrong (4xx) | no |
| `too_long` | prompt and completion do not fit into the context | no |
| `busy` | the server has too much to do (429) | yes |
| `server_error` | the server failed (5xx) | yes |
| `unreachable` | no connection, or it broke | yes; the server may be dead |
| `timeout` | no answer within the deadline | yes |
| `truncated` | the completion hit `max_tokens` | yes, with more of them |
| `bad_reply` | an answer that is no completion | yes |
| `actor_died` | the process that sent it is gone | yes |
| `poison` | it was out at two deaths in a row | no |

The last two are given by the dispatcher. How often something is tried again is in `retries.py`.
"""

import json
import re
from typing import Any

from hpc_qa.client.request import Reply, Request
from hpc_qa.errors import RequestError

_TOO_LONG = re.compile(r"context length|max_model_len|input_tokens|max_tokens.*too large|longer than the maximum", re.I)
_DETAIL_CHARS = 300


def outcome_of(request: Request, status: int, body: bytes, *, latency_s: float, actor_pid: int) -> Reply | RequestError:
    """The meaning of one complete HTTP answer."""
    if status != 200:
        return _refusal(status, body)
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        text, finish_reason, usage = choice["message"]["content"], choice["finish_reason"], answer["usage"]
        prompt_tokens, completion_tokens = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as exc:
        return RequestError("bad_reply", f"{type(exc).__name__} in an answer of {len(body)} bytes", retryable=True)
    if finish_reason == "length":
        return RequestError("truncated", f"more than {request.max_tokens} completion tokens", retryable=True)
    if not isinstance(text, str):
        return RequestError("bad_reply", "an answer without text", retryable=True)
    return Reply(
        request_id=request.id,
        text=text,
        finish_reason=str(finish_reason),
        prompt_tokens=prompt_tokens,
        cached_tokens=_cached_tokens(usage),
        completion_tokens=completion_tokens,
        latency_s=latency_s,
        attempts=1,
        actor_pid=actor_pid,
    )


def _refusal(status: int, body: bytes) -> RequestError:
    message = _message(body)
    detail = f"HTTP {status}: {message}"
    if status == 429:
        return RequestError("busy", detail, retryable=True)
    if status >= 500 or status < 400:
        return RequestError("server_error", detail, retryable=True)
    if status in (400, 413) and _TOO_LONG.search(message):
        return RequestError("too_long", detail)
    return RequestError("refused", detail)


def _message(body: bytes) -> str:
    """The server's own words, in one short line: they may quote a document."""
    text = body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
        error = content.get("error", content)
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, AttributeError, RecursionError):
        pass
    return " ".join(text.split())[:_DETAIL_CHARS]


def _cached_tokens(usage: dict[str, Any]) -> int | None:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return cached if isinstance(cached, int) else None
