import asyncio
import json
import os
from dataclasses import replace

import pytest

from hpc_qa.client.actors import Sender
from hpc_qa.client.outcome import outcome_of
from hpc_qa.client.request import Endpoint, Reply, Request
from tests.echo_server import KEY, MODEL, EchoServer

REQUEST = Request("r1", "generate", "d1", ({"role": "user", "content": "hello"},), None, 64, 0.0, 1, 5.0)


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    with EchoServer(tmp_path_factory.mktemp("echo") / "e.sock") as server:
        yield server


def send(echo, text="hello", *, key=KEY, name=MODEL, **changes):
    async def once():
        sender = Sender(Endpoint(echo.path, key, name), connections=4)
        return await sender.send(replace(REQUEST, messages=({"role": "user", "content": text},), **changes))

    return asyncio.run(once())


def test_a_completion_becomes_a_reply(echo):
    reply = send(echo)
    assert isinstance(reply, Reply)
    assert reply.text.startswith("echo ")
    assert (reply.request_id, reply.finish_reason, reply.prompt_tokens, reply.cached_tokens) == ("r1", "stop", 1, 0)
    assert reply.actor_pid == os.getpid()
    assert reply.latency_s > 0


def test_the_schema_goes_with_the_request(echo):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    reply = send(echo, schema=schema)
    assert json.loads(reply.text) == {"n": 3}
    assert echo.bodies[-1]["response_format"]["json_schema"]["schema"] == schema
    assert echo.bodies[-1]["seed"] == 1


@pytest.mark.parametrize(
    ("fault", "reason", "retryable"),
    [
        ("busy", "busy", True),
        ("error", "server_error", True),
        ("refuse", "refused", False),
        ("too_long", "too_long", False),
        ("torn", "bad_reply", True),
        ("nothing", "bad_reply", True),
        ("length", "truncated", True),
        ("drop", "unreachable", True),
    ],
)
def test_every_fault_of_a_server_has_its_reason(echo, fault, reason, retryable):
    error = send(echo, f"[[{fault}]]")
    assert (error.reason, error.retryable) == (reason, retryable)


def test_a_request_without_an_answer_ends_at_its_deadline(echo):
    error = send(echo, "[[stall]]", deadline_s=0.2)
    assert (error.reason, error.retryable) == ("timeout", True)


def test_nobody_on_the_socket_is_unreachable(tmp_path):
    async def once():
        return await Sender(Endpoint(tmp_path / "none", KEY, MODEL), connections=1).send(REQUEST)

    assert asyncio.run(once()).reason == "unreachable"


def test_a_wrong_server_or_key_is_refused_and_not_answered(echo):
    assert send(echo, name="another-run").reason == "refused"
    assert send(echo, key="wrong").reason == "refused"


def test_a_sender_changes_to_another_server(echo, tmp_path):
    async def change():
        sender = Sender(Endpoint(tmp_path / "gone", KEY, MODEL), connections=1)
        await sender.use(Endpoint(echo.path, KEY, MODEL))
        return await sender.send(REQUEST)

    assert isinstance(asyncio.run(change()), Reply)


def test_the_key_is_not_shown(echo):
    assert KEY not in repr(Endpoint(echo.path, KEY, MODEL))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"choices":[{"message":{"content":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}',
    ],
)
def test_an_answer_that_is_no_completion_is_a_bad_reply(body):
    assert outcome_of(REQUEST, 200, body, latency_s=0.1, actor_pid=1).reason == "bad_reply"


def test_a_server_that_does_not_tell_cached_tokens_leaves_them_unknown():
    body = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":%s}'
    body %= b'{"prompt_tokens":1,"completion_tokens":1}'
    assert outcome_of(REQUEST, 200, body, latency_s=0.1, actor_pid=1).cached_tokens is None


def test_the_servers_words_are_cut_to_one_short_line():
    error = outcome_of(REQUEST, 500, b"a\nb " * 1000, latency_s=0.1, actor_pid=1)
    assert "\n" not in error.detail
    assert len(error.detail) < 400
