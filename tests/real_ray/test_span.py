"""Ray from node to node: two nodes that are one machine here, each below a keeper of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from hpc_qa.errors import ServerError
from hpc_qa.serving import span
from hpc_qa.serving.span import SpanHead, SpanNode, address_of
from tests.projects import wait_for

ENVIRONMENT = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
LOOK = "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR'); print(len(ray.nodes()))"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hqs-", dir="/tmp") as name:
        yield Path(name)


def node(folder: Path, name: str) -> SpanNode:
    (folder / name).mkdir()
    return SpanNode(folder / "meeting", folder / name, gpus=2, address=address_of("no-such-name"))


def nodes_seen(address: str, environment: dict[str, str]) -> str:
    """How many nodes a stranger with this environment finds there."""
    command = [sys.executable, "-c", LOOK, address]
    done = subprocess.run(command, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "refused"


def processes_below(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    lines = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(folder) in line]


@pytest.mark.long  # Ray tries for a minute before it says that it was refused
@pytest.mark.covers("serving")
def test_two_nodes_find_each_other_let_nobody_in_without_the_token_and_end_together(folder: Path) -> None:
    first, second = node(folder, "a"), node(folder, "b")
    with ThreadPoolExecutor(1) as pool:
        head = SpanHead(first, nodes=2, environment=ENVIRONMENT, log=folder / "a.log")
        pool_join = pool.submit(_join_when_it_is_there, second, folder / "b.log")
        with head:
            assert head.environment()["RAY_ADDRESS"].startswith(first.address)
            assert nodes_seen(head.environment()["RAY_ADDRESS"], first.environment()) == "2"
            assert nodes_seen(head.environment()["RAY_ADDRESS"], {}) == "refused"
            assert (folder / "meeting" / span.HEAD).stat().st_mode & 0o077 == 0
            token = first.token_file.read_text()
            assert not any(token in line for line in processes_below(folder))
        pool_join.result(timeout=60)
    wait_for(lambda: not processes_below(folder), 30)
    assert not (folder / "meeting" / span.HEAD).exists()


def _join_when_it_is_there(second: SpanNode, log: Path) -> int:
    wait_for(lambda: span.read_head(second.meeting))
    head = span.read_head(second.meeting)
    assert head is not None
    return span.join(second, head, 1, environment=ENVIRONMENT, log=log)


def test_a_node_that_does_not_come_is_said_and_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span, "NODES_JOIN_WITHIN_S", 12.0)
    with pytest.raises(
        ServerError, match=r"a node did not join Ray; 1 of 2 nodes are there|head did not start"
    ) as said:
        SpanHead(node(folder, "a"), nodes=2, environment=ENVIRONMENT, log=folder / "a.log").__enter__()
    assert said.value.of_node
    wait_for(lambda: not processes_below(folder), 30)
