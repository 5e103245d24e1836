"""The life of a vLLM server: start, wait until it answers under its own name, restart, take down without a trace.

Its own session, socket and folders for each start, and a keeper that ends the whole tree when we end (`keeper.py`).
A start that fails in a way that a second one may not is repeated, as often as a server that died is restarted. Which
requests are sent, and what a dead server means for them, is not decided here; a server that somebody else runs is in
`attached.py`.
"""

import logging
import os
import secrets
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from hpc_qa import processes
from hpc_qa.config import Vllm
from hpc_qa.errors import ConfigError, ServerError
from hpc_qa.serving import keeper, phases
from hpc_qa.serving.causes import likely_cause, telling_lines
from hpc_qa.serving.command import serve_command, server_environment, setting_faults
from hpc_qa.serving.gpus import gpu_memory
from hpc_qa.serving.log import ServerLog
from hpc_qa.serving.phases import Phase
from hpc_qa.serving.preflight import model_faults
from hpc_qa.serving.probe import healthy, served_names
from hpc_qa.serving.surface import Server
from hpc_qa.units import parse_clock

logger = logging.getLogger(__name__)

MARK = "HPC_QA_SERVER"
GRACE_S = 15.0  # from SIGTERM to SIGKILL; a healthy server needs under 3 s
PROGRESS_S = 30.0
# vLLM makes sockets <folder>/sN/tmp/<36 characters>, and a socket path holds 107 bytes
MAX_FOLDER_BYTES = 55


class VllmServer(Server):
    """A server of ours, from `start` to `stop`; also a context manager that stops it.

    `folder` must be private (0700), short and local to the node; `cache` as well, and may serve several starts on one
    node (by default it is inside `folder`). `span` is the environment of a Ray that other nodes have joined, when the
    server is to span them. `on_phase` hears of each phase of a start. With `steerable` it has vLLM's development
    routes, of which `prefix_cache.py` calls one; they ask for no key, and nobody but us reaches the socket. Every start
    has a new socket and a new `served_model_name`, so an answer can never come from the server before it.
    """

    def __init__(  # noqa: PLR0913 - where it lives, what it is called, who hears of it
        self,
        settings: Vllm,
        *,
        model_path: str | Path,
        folder: Path,
        log: Path,
        served_model_name: str,
        tokenizer_path: str | Path | None = None,
        cache: Path | None = None,
        span: Mapping[str, str] | None = None,
        on_phase: Callable[[Phase], None] | None = None,
        grace_s: float = GRACE_S,
        steerable: bool = False,
    ) -> None:
        super().__init__(settings, key=secrets.token_urlsafe(32))
        self._model_path = model_path
        self._tokenizer_path = tokenizer_path
        self._cache = cache or folder / "cache"
        self._folder = folder
        self._span = span or {}
        self._log = ServerLog(log)
        self._name = served_model_name
        self._on_phase = on_phase
        self._grace_s = grace_s
        self._steerable = steerable
        self._mark = f"{MARK}={secrets.token_hex(8)}"
        self._process: subprocess.Popen[bytes] | None = None
        self._gpus = gpu_memory(settings)
        self._starts = 0
        self._started = 0.0
        self._lock = threading.RLock()  # a restart runs in a thread while the owner may want to stop
        self._closed = threading.Event()

    @property
    def socket(self) -> Path:
        """Where the server listens; another path after each start."""
        return self._start_folder / "v.sock"

    @property
    def served_model_name(self) -> str:
        """The name that requests must ask for; another one after each start."""
        return f"{self._name}-s{self._starts}"

    @property
    def pid(self) -> int | None:
        """The keeper's pid; the server and everything it started are below it."""
        return None if self._process is None else self._process.pid

    @property
    def startup_s(self) -> float | None:
        """Seconds from the last start until it was ready; None while it is not."""
        return self.phases[-1].began_s if self.phases and self.phases[-1].name == phases.READY else None

    def start(self) -> None:
        """Start the process; returns at once, unless somebody still has memory on our GPUs.

        Raises:
            ConfigError: the settings would break the seal around the server.
            ServerError: the model folder is unusable or the GPUs stay occupied (not retryable), or the process could
                not be started.
        """
        with self._lock:
            if self._closed.is_set():
                raise ServerError("the server was stopped", retryable=False)
            if self._process is not None:
                raise ServerError("the server is running already", retryable=False)
            self._check_settings()
            self._gpus.wait_free(stop=self._closed.is_set)
            self._starts += 1
            self._prepare_folder()
            self._spawn()

    def wait_ready(self, timeout_s: float | None = None, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the server answers under its own name, at most `timeout_s` (default: vllm.startup_timeout).

        When it ends before that, and a second start may do better, there is a second start, while vllm.max_restarts
        allows it. Returns False, without waiting on, once `stop` says so.

        Raises:
            ServerError: it died (with the likely cause), or the time is over.
        """
        limit_s = parse_clock(self.settings.startup_timeout) if timeout_s is None else timeout_s
        while True:
            try:
                return self._wait_ready(limit_s, stop)
            except ServerError as error:
                if not error.retryable or self.restarts >= self.settings.max_restarts:
                    raise
                if stop():
                    return False
                self._start_again(str(error))

    def death(self) -> str | None:
        """Why the server is dead, or None while its process runs; any end is a death, also one with status 0."""
        process = self._process
        if process is None:
            return "it is not running"
        status = process.poll()
        return None if status is None else f"vLLM ended with {_status_words(status)}"

    def restart(self, reason: str) -> None:
        """Take down what is left, start again and wait until it is ready; at most vllm.max_restarts times.

        Raises:
            ServerError: the restarts are used up, or the new start failed.
        """
        self._log.read()
        if self.restarts >= self.settings.max_restarts:
            raise self._used_up(reason)
        self._start_again(reason)
        self.wait_ready()

    def stop(self) -> None:
        """Take the server down for good, prove that nothing of it is left, and remove its folders.

        Raises:
            ServerError: a process could not be ended.
        """
        self._closed.set()
        with self._lock:
            self._take_down()

    # -- starting

    def _start_again(self, reason: str) -> None:
        with self._lock:
            if self._closed.is_set():
                raise ServerError("the server was stopped", retryable=False)
            self.restarts += 1
            logger.warning("%s; restart %d of %d", reason, self.restarts, self.settings.max_restarts)
            self._take_down()
            self.start()

    @property
    def _start_folder(self) -> Path:
        return self._folder / f"s{self._starts}"

    def _check_settings(self) -> None:
        faults = setting_faults(self.settings)
        if faults:
            raise ConfigError(*faults)
        if self._model_is_folder():
            tokenizer = Path(self._tokenizer_path) if self._tokenizer_path else None
            wrong = model_faults(Path(self._model_path), self.settings, tokenizer=tokenizer)
            if wrong:
                raise ServerError(*wrong, hint="vllm.model: a complete model folder", retryable=False)

    def _model_is_folder(self) -> bool:
        """A hub name is `name` or `owner/name`; everything else is meant as a folder, also one that is not there."""
        path = Path(self._model_path)
        return path.is_absolute() or path.exists() or str(self._model_path).startswith(".") or len(path.parts) > 2

    def _prepare_folder(self) -> None:
        if len(os.fsencode(self._folder)) > MAX_FOLDER_BYTES:
            raise ServerError(
                f"{self._folder}: too long a path for the sockets in it ({len(os.fsencode(self._folder))} bytes, "
                f"at most {MAX_FOLDER_BYTES})",
                hint="set TMPDIR to a short folder on the node, /tmp for example",
                retryable=False,
            )
        try:
            _require_private(self._folder)
            _require_private(self._cache)
            shutil.rmtree(self._start_folder, ignore_errors=True)
            for name in (".", "tmp", "work"):
                (self._start_folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise ServerError(f"{self._start_folder}: cannot be made ({exc.strerror})") from exc

    def _spawn(self) -> None:
        command = serve_command(
            self.settings,
            model_path=self._model_path,
            socket=self.socket,
            served_model_name=self.served_model_name,
            tokenizer_path=self._tokenizer_path,
            spans_nodes=bool(self._span),
        )
        environment = server_environment(
            self.settings,
            key=self.key,
            folder=self._start_folder,
            cache=self._cache,
            mark=self._mark,
            model_is_folder=self._model_is_folder(),
        )
        environment |= self._span
        if self._steerable:
            environment["VLLM_SERVER_DEV_MODE"] = "1"
        keep = [sys.executable, "-P", str(Path(keeper.__file__)), str(self._grace_s)]
        self._started, self.phases = time.monotonic(), []
        try:
            log = self._log.begin()
            try:
                # an empty working folder: `python -m` looks for modules there first
                self._process = subprocess.Popen(
                    [*keep, *command],
                    cwd=self._start_folder / "work",
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    umask=0o077,
                )
            finally:
                os.close(log)
        except OSError as exc:
            raise ServerError(f"vLLM could not be started: {exc}") from exc
        self._enter_phase(phases.PROCESS)

    # -- waiting

    def _wait_ready(self, limit_s: float, stop: Callable[[], bool]) -> bool:
        said = PROGRESS_S
        while True:
            elapsed = time.monotonic() - self._started
            self._read_log()
            self._raise_if_ended(elapsed)
            if self.socket.exists() and healthy(self.socket) and self._is_ours():
                self._enter_phase(phases.READY)
                return True
            if stop():
                return False
            if elapsed > limit_s:
                raise self._too_slow(limit_s)
            if elapsed >= said:
                logger.info("vLLM is %s, %.0f s since its start", self.phases[-1].shown, elapsed)
                said += PROGRESS_S
            self._closed.wait(0.25)

    def _enter_phase(self, name: str) -> None:
        if self.phases and self.phases[-1].name == name:
            return
        phase = Phase(name, round(time.monotonic() - self._started, 3))
        self.phases.append(phase)
        if self._on_phase is not None:
            self._on_phase(phase)

    def _read_log(self) -> None:
        lines = self._log.read()
        if self.phases and self.phases[-1].name != phases.READY:
            self._enter_phase(phases.furthest(lines, self.phases[-1].name))

    def _raise_if_ended(self, elapsed: float) -> None:
        if self._closed.is_set():
            raise ServerError("the server was stopped while it was starting", retryable=False)
        status = None if self._process is None else self._process.poll()
        if status is None:
            return
        self._read_log()
        cause = likely_cause(self._log.lines, status)
        again = f" (start {self._starts} of {1 + self.settings.max_restarts})" if cause.retryable else ""
        raise ServerError(
            f"vLLM ended with {_status_words(status)} before it was ready (after {elapsed:.0f} s, while "
            f"{self.phases[-1].shown}){again}: {cause.what}",
            hint=cause.hint,
            log_tail=telling_lines(self._log.lines),
            retryable=cause.retryable,
            of_node=cause.of_node,
        )

    def _too_slow(self, limit_s: float) -> ServerError:
        return ServerError(
            f"vLLM was not ready after {limit_s:.0f} s (still {self.phases[-1].shown})",
            hint="a larger vllm.startup_timeout; for a network file system vllm.safetensors_load_strategy: prefetch",
            log_tail=[line for line in self._log.lines if line.strip()][-12:],
            retryable=False,  # another start would take as long
        )

    def _used_up(self, reason: str) -> ServerError:
        cause = likely_cause(self._log.lines)
        return ServerError(
            f"vLLM died, and no restart is left (vllm.max_restarts: {self.settings.max_restarts}): {reason}",
            hint=cause.hint,
            log_tail=telling_lines(self._log.lines),
        )

    def _is_ours(self) -> bool:
        """Whether the one who listens has the name of this start; False when it did not say in time.

        Raises:
            ServerError: it has another name, or refuses our key: it is somebody else's.
        """
        try:
            names = served_names(self.socket, self.key)
        except ServerError as error:
            if not error.retryable:
                raise ServerError(f"{self.socket}: somebody else listens there, and refuses our key") from error
            return False
        if names != [self.served_model_name]:
            raise ServerError(f"the server answers as {', '.join(names) or 'nobody'}, not as {self.served_model_name}")
        return True

    # -- ending

    def _take_down(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        keeper.end(process, self._grace_s)
        left = processes.marked(self._mark, self._start_folder)
        if left:
            processes.kill(left)
            left = processes.marked(self._mark, self._start_folder)
        if left:
            raise ServerError(
                f"processes of the server cannot be ended: {', '.join(str(one.pid) for one in left)}",
                hint="they are probably stuck in the driver; the node needs attention",
                retryable=False,
                of_node=True,
            )
        shutil.rmtree(self._start_folder, ignore_errors=True)


def _require_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ServerError(
            f"{folder}: must be a folder of ours with mode 0700",
            hint="use mkdtemp",
            retryable=False,
        )


def _status_words(status: int) -> str:
    if status > 128:
        return f"signal {status - 128}"
    return f"signal {-status}" if status < 0 else f"status {status}"
