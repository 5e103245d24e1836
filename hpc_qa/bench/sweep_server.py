"""The servers of a sweep on this machine: kept up while cells share them, made alike before each cell.

One server is up at a time. Cells whose `vllm` section is the same use it over `vllm.attach`, so that its start is no
part of what is measured; between them its prefix cache is emptied and it is warmed up. Their workers are told its
process and its GPUs, and sample both as their own. A server that the config
attaches to is somebody else's: it is asked the same, and never stopped.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hpc_qa.bench.grid import Cell
from hpc_qa.config import Config
from hpc_qa.errors import ConfigError, ServerError
from hpc_qa.serving import prefix_cache
from hpc_qa.serving.attached import AttachedServer
from hpc_qa.serving.gpus import uses_gpus, visible_devices
from hpc_qa.serving.server import VllmServer

PREFIX = "hqs"  # of the folder below TMPDIR: sockets need a short path
RESET, FRESH, KEPT = "reset", "fresh server", "not reset: the server does not offer it"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a cell is measured with."""

    config: Config  # attached to the server, where it is shared
    prefix_cache: str  # how it was emptied


class SweepServers:
    """Context manager: the server that is up is stopped at the end, whatever ends it."""

    def __init__(self, project: Path, folder: Path, say: Callable[[str], None]) -> None:
        self._project = project
        self._logs = folder
        self._say = say
        self._scratch = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        self._up: VllmServer | None = None
        self._what: str | None = None
        self._refused: dict[str, ServerError] = {}  # another start of these would fail the same way
        self._starts = 0
        self.switch_s: float | None = None  # for the cell that was prepared last: its server took the place of another

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop()
        finally:
            self._scratch.cleanup()

    def prepare(self, cell: Cell, *, warm_up: int) -> Prepared:
        """Bring up what this cell needs, empty its prefix cache and warm it up.

        Raises:
            ServerError: it did not start, died, or cannot be emptied.
            ConfigError: the socket or the key of an attached server cannot be used.
        """
        config, limit, self.switch_s = cell.config, cell.config.client.concurrency_limit, None
        if config.client.local_servers > 1 and config.vllm.attach is None:
            self._stop()  # the run starts its own, several at once
            return Prepared(config, FRESH)
        if config.vllm.attach is None:
            own = self._own(cell)
            config = self._attached(config, own)
            server: VllmServer | AttachedServer = own
        else:
            server = self._theirs(config)
        emptied = prefix_cache.reset(server.socket, server.key)
        name = server.served_model_name
        prefix_cache.warm_up(server.socket, server.key, name, requests=warm_up, at_once=limit)
        emptied = emptied and prefix_cache.reset(server.socket, server.key)
        return Prepared(config, RESET if emptied else KEPT)

    def death(self) -> str | None:
        """Why the server that is up is dead; None while it lives, or where none is ours."""
        return self._up.death() if self._up else None

    def _own(self, cell: Cell) -> VllmServer:
        if cell.server in self._refused:
            raise self._refused[cell.server]
        began, lives = time.monotonic(), self._up is not None and not self._up.death()
        if self._up is not None and (self._what != cell.server or not lives):
            self._stop()
        if self._up is None:
            self._up, self._what = self._new(cell), cell.server
            try:
                self._up.start()
                self._up.wait_ready()
            except ServerError as error:
                self._stop()
                if not error.retryable:
                    self._refused[cell.server] = error
                raise
            self._say(f"server for {cell.name} is ready after {self._up.startup_s or 0.0:.0f} s")
            self.switch_s = time.monotonic() - began if lives else None
        return self._up

    def _new(self, cell: Cell) -> VllmServer:
        config = cell.config
        self._starts += 1
        tokenizer = config.vllm.tokenizer
        return VllmServer(
            config.vllm,
            model_path=self._place(config.model),
            tokenizer_path=self._place(tokenizer) if tokenizer else None,
            folder=Path(self._scratch.name) / str(self._starts),
            cache=self._project / "cache" / "vllm",
            log=self._logs / f"server-{cell.server[:12]}.log",
            served_model_name=f"sweep-{cell.server[:12]}",
            steerable=True,
        )

    def _place(self, model: str) -> str:
        """A folder counts from the project; what is no folder there is a name of a hub."""
        folder = self._project / model
        return str(folder) if folder.is_dir() or model.startswith((".", "/")) else model

    def _attached(self, config: Config, server: VllmServer) -> Config:
        key_file = Path(self._scratch.name) / f"key-{self._starts}"
        key_file.touch(mode=0o600)
        key_file.write_text(server.key)
        theirs = {
            "attach": str(server.socket),
            "attach_key_file": str(key_file),
            "attach_pid": server.pid,
            "env": config.vllm.env | _same_gpus(config),
        }
        return config.model_copy(update={"vllm": config.vllm.model_copy(update=theirs)})

    def _theirs(self, config: Config) -> AttachedServer:
        attach, key_file = config.vllm.attach, config.vllm.attach_key_file
        if attach is None:
            raise ConfigError("vllm.attach names no socket")
        server = AttachedServer(
            config.vllm, socket=self._project / attach, key_file=self._project / key_file if key_file else None
        )
        server.wait_ready()
        return server

    def _stop(self) -> None:
        up, self._up, self._what = self._up, None, None
        if up is not None:
            up.stop()


def _same_gpus(config: Config) -> dict[str, str]:
    """The GPUs that a server with these settings took, as CUDA names them: a worker may be left others."""
    if not uses_gpus(config.vllm):
        return {}
    first = ",".join(map(str, range(config.gpus_per_task)))
    return {"CUDA_VISIBLE_DEVICES": first if (visible := visible_devices(config.vllm)) is None else visible}
