"""One completion: what is asked, where, and what came back. Plain values that cross process borders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["generate", "round_trip", "judge"]
Message = Mapping[str, str]  # {"role": "user", "content": "..."}


@dataclass(frozen=True, slots=True)
class Request:
    """One chat completion. `id` is the caller's and unique within a run of the dispatcher."""

    id: str
    kind: Kind
    doc_id: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None  # JSON schema of the answer; None: free text
    max_tokens: int
    temperature: float
    seed: int
    deadline_s: float  # per attempt


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request; `text` is whole, an answer that was cut off is a RequestError("truncated")."""

    request_id: str
    text: str
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int | None  # None: the server does not tell
    completion_tokens: int
    latency_s: float  # of the last attempt
    attempts: int
    actor_pid: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. The name is asked for in every request, so that no other server can answer."""

    socket: Path
    key: str = field(repr=False)
    served_model_name: str


def payload(request: Request, served_model_name: str) -> dict[str, Any]:
    """The body of a chat completion request."""
    body: dict[str, Any] = {
        "model": served_model_name,
        "messages": [dict(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    if request.schema is not None:
        schema = {"name": request.kind, "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body
