"""Ray from node to node, as the executor of a vLLM server that spans several nodes of one array task.

The first node starts Ray's head and waits until every other node has joined; vLLM then places its ranks on all of them.
The nodes find each other by files in a folder that all of them see: the head writes where it is and the token that lets
others in, each node that has joined writes that it has. This Ray is vLLM's alone; the actors that send requests are in
a session of their own. Its ports are open to the cluster's network and closed to who has no token.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hpc_qa.errors import ServerError
from hpc_qa.serving import keeper

HEAD = "head.json"
NODES_JOIN_WITHIN_S = 300.0
LOOK_EVERY_S = 0.5
GRACE_S = 10.0
RAY = ("-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
ANY_PORT = ("--min-worker-port", "0", "--max-worker-port", "0")


@dataclass(frozen=True, slots=True)
class SpanNode:
    """This node's part in a server that spans several."""

    meeting: Path  # a private folder that every node sees
    folder: Path  # private, short and local to the node; Ray wants it to have the same path on all of them
    gpus: int
    address: str

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    def environment(self) -> dict[str, str]:
        """What lets a process on this node take part."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_file), "VLLM_HOST_IP": self.address}

    def start_ray(self, options: list[str], inherited: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start Ray's processes of this node below a keeper, which takes them down when we end."""
        resources = ["--num-gpus", str(self.gpus), "--num-cpus", str(len(os.sched_getaffinity(0)))]
        command = [sys.executable, *RAY, *ANY_PORT, "--node-ip-address", self.address, *resources, *options]
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-P", str(Path(keeper.__file__)), str(GRACE_S), *command],
                cwd=self.folder, env={**inherited, **self.environment()}, stdin=subprocess.PIPE, stdout=output,
                stderr=output, start_new_session=True, umask=0o077,
            )  # fmt: skip


class SpanHead:
    """Ray's head on the first node, from entering to leaving the `with` block."""

    def __init__(
        self, node: SpanNode, *, nodes: int, environment: Mapping[str, str], log: Path,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`environment` is what Ray's processes inherit, `nodes` how many there are with this one."""
        self._node = node
        self._nodes = nodes
        self._inherited = environment
        self._log = log
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        """Start it and wait for the other nodes.

        Raises:
            ServerError: Ray did not start, or a node did not join.
        """
        node = self._node
        node.meeting.mkdir(mode=0o700, exist_ok=True)
        _write(node.token_file, token := secrets.token_hex(32))
        self._port, client_port = free_ports(2)
        options = ["--head", "--port", str(self._port), "--ray-client-server-port", str(client_port),
                   "--include-dashboard", "false", "--temp-dir", str(node.folder / "n")]  # fmt: skip
        self._process = node.start_ray(options, self._inherited, self._log)
        try:
            self._wait(lambda: _listens(node.address, self._port), "Ray's head did not start")
            said = {"address": f"{node.address}:{self._port}", "token": token, "folder": str(node.folder)}
            _write(node.meeting / HEAD, json.dumps(said))
            self._wait(lambda: len(self._joined()) == self._nodes - 1, "a node did not join Ray")
        except BaseException:  # ended, and raised again
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def environment(self) -> dict[str, str]:
        """What makes vLLM use this Ray."""
        return {**self._node.environment(), "RAY_ADDRESS": f"{self._node.address}:{self._port}"}

    def _joined(self) -> list[str]:
        return [name for name in os.listdir(self._node.meeting) if name.startswith("joined-")]

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + NODES_JOIN_WITHIN_S
        while not condition():
            if self._stop():
                raise ServerError("told to stop while the nodes were joined", hint="hpc-qa resume RUN continues")
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                here = 1 + len(self._joined())
                raise ServerError(
                    f"{otherwise}; {here} of {self._nodes} nodes are there",
                    hint=f"{self._log} and the log of the array task say why; can the nodes reach each other?",
                    log_tail=_tail(self._log),
                    of_node=True,
                )
            time.sleep(LOOK_EVERY_S)

    def _end(self) -> None:
        (self._node.meeting / HEAD).unlink(missing_ok=True)
        if self._process is not None:
            keeper.end(self._process, GRACE_S)


def read_head(meeting: Path) -> dict[str, str] | None:
    """Where the head is; None while it has not said so."""
    try:
        return dict(json.loads((meeting / HEAD).read_text()))
    except (OSError, ValueError):
        return None


def join(node: SpanNode, head: Mapping[str, str], rank: int, *, environment: Mapping[str, str], log: Path) -> int:
    """Take part in the Ray of this head until it ends; the status of Ray's process."""
    _write(node.token_file, head["token"])
    process = node.start_ray(["--address", head["address"]], environment, log)
    try:
        began = time.monotonic()
        while process.poll() is None and not _has_joined(log) and time.monotonic() < began + NODES_JOIN_WITHIN_S:
            time.sleep(LOOK_EVERY_S)
        if process.poll() is None:
            _write(node.meeting / f"joined-{rank}", node.address)
        return process.wait()
    finally:
        keeper.end(process, GRACE_S)


def _has_joined(log: Path) -> bool:
    return "Ray runtime started" in log.read_text(errors="replace")


def address_of(node_name: str) -> str:
    """The address under which other nodes reach this one: what its name stands for, else that of the default route."""
    try:
        named = socket.gethostbyname(node_name)
    except OSError:
        named = "127.0.0.1"
    if not named.startswith("127."):
        return named
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: this only asks which address would be used (RFC 5737)
        except OSError:
            return named
        return str(probe.getsockname()[0])


def free_ports(count: int) -> list[int]:
    """So many TCP ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for nobody else."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    temporary.replace(path)


def _tail(log: Path) -> list[str]:
    try:
        return [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-12:]
    except OSError:
        return []
