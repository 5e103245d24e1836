"""Everything that is Ray's: a private one-machine session, and the actors in it that send requests.

The session has its own short 0700 folder, a token of its own in a 0600 file, no dashboard, a small object store, as
many CPUs as it is told, and an environment without anything it does not need. When it is closed, no process is left.
What to send, and what to do about failures, is decided in `dispatcher.py`.
"""

import os
import queue
import secrets
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from hpc_qa import processes
from hpc_qa.client import reaper
from hpc_qa.client.actors import Sender
from hpc_qa.client.request import Endpoint, Reply, Request
from hpc_qa.errors import ClientError, RequestError

MARK = "HPC_QA_RAY"
VITAL = ("gcs_server", "raylet")
OBJECT_STORE_BYTES = 100_000_000  # only small values cross Ray
START_TIMEOUT_S = 120.0
_TOKEN = secrets.token_hex(32)  # Ray reads it once in the life of a process, so a second session has to use the same
# <folder>/r/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store, and a socket path holds 107 bytes
MAX_FOLDER_BYTES = 40

_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class RaySession:
    """Ray on this machine alone, from entering to leaving the `with` block.

    `ended` says when everything that we have started was told to end from outside, as by Slurm's TERM to a whole job
    step. Ray is not called any more then: it would wait a minute for a head that is gone.
    """

    def __init__(self, folder: Path, num_cpus: int, *, ended: Callable[[], bool] = lambda: False) -> None:
        self._folder = folder
        self._num_cpus = num_cpus
        self._ended = ended
        self._token_file = folder / "token"
        self._mark = f"{MARK}={secrets.token_hex(8)}"
        self._pools: list[ActorPool] = []
        self._vital: list[tuple[str, psutil.Process]] = []  # without these Ray hangs, and says so only after a minute
        self._reaper: subprocess.Popen[bytes] | None = None
        self._on_term: Any = None

    def __enter__(self) -> Self:
        """Start Ray.

        Raises:
            ClientError: the folder is unsuitable, or Ray did not start.
        """
        _check_folder(self._folder)
        _write_token(self._token_file)
        self._reaper = subprocess.Popen(
            [sys.executable, "-P", str(Path(reaper.__file__)), self._mark],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        ours, here = dict(os.environ), os.getcwd()
        _replace_environment(self._scrubbed(ours))
        self._on_term = signal.getsignal(signal.SIGTERM)
        os.chdir(self._folder)  # Ray's processes inherit it: they can be told by where they work
        try:
            self._start()
        except SystemExit as exc:  # Ray's answer to TERM
            _answer_term(self._on_term)  # there may be another one
            self._end()
            raise ClientError("told to stop while Ray was starting", hint="hpc-qa resume RUN continues") from exc
        except BaseException:  # ended, and raised again
            self._end()
            raise
        finally:
            os.chdir(here)
            _answer_term(self._on_term)
            _replace_environment(ours | self._token_environment())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def pool(self, endpoint: Endpoint, *, actors: int, concurrency: int) -> "ActorPool":
        """Actors that send to this server, `concurrency` requests at a time among them.

        Raises:
            ClientError: they did not start.
        """
        pool = ActorPool(endpoint, actors=actors, concurrency=concurrency, ended=self._ended)
        self._pools.append(pool)
        pool.wait_started()
        self._tell_reaper()
        return pool

    def check(self) -> None:
        """Look whether Ray's own processes live; cheap, so that it can be called often.

        Raises:
            ClientError: one of them has died.
        """
        for name, process in self._vital:
            if not processes.alive([process]):
                raise ClientError(
                    f"Ray's {name} (pid {process.pid}) has died",
                    hint="is memory short on the node? hpc-qa resume RUN continues",
                )

    def _start(self) -> None:
        ray = _ray()
        ray._private.utils.set_sigterm_handler = lambda _handler: None  # Ray's would leave at once, see _answer_term
        # they serve autoscalers and drivers; we have neither, and each would load for a second of a CPU
        ray._private.node.Node.start_monitor = ray._private.node.Node.start_log_monitor = lambda _node: None
        try:
            ray.init(
                address="local",
                num_cpus=self._num_cpus,
                num_gpus=0,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                configure_logging=False,
                _temp_dir=str(self._folder / "r"),  # Ray makes it 0777: not our private folder itself
            )
        except (ray.exceptions.RayError, RuntimeError, ValueError, OSError, TimeoutError) as exc:
            raise ClientError(
                f"Ray did not start: {exc}", hint=f"its logs: {self._folder}/r/session_latest/logs"
            ) from exc
        children = psutil.Process().children()
        self._vital = [(child.name(), child) for child in children if child.name() in VITAL]
        self._tell_reaper()

    def _end(self) -> None:
        ray = _ray()
        for pool in self._pools:
            pool.close()
        started = self._processes()  # they are below us now; some would be orphans afterwards
        if self._ended():
            processes.kill(started)
        else:
            ray.shutdown()
        _answer_term(self._on_term)  # Ray has left it to the kernel, which kills
        for name in self._token_environment():
            os.environ.pop(name, None)
        left = processes.wait_gone([*started, *processes.marked(self._mark)], timeout_s=5.0)
        left = processes.kill(left) if left else []
        self._dismiss_reaper()
        self._token_file.unlink(missing_ok=True)
        if left:
            raise ClientError(f"processes of Ray cannot be ended: {', '.join(str(one.pid) for one in left)}")

    def _tell_reaper(self) -> None:
        """Name the processes that the mark does not find: a process title has overwritten their environment."""
        if self._reaper is not None and self._reaper.stdin is not None:
            lines = [f"{one.pid} {one.create_time()}\n" for one in processes.alive(self._processes())]
            self._reaper.stdin.write("".join(lines).encode())
            self._reaper.stdin.flush()

    def _dismiss_reaper(self) -> None:
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            self._reaper.wait(timeout=30.0)

    def _processes(self) -> list[psutil.Process]:
        """Ray's processes: children of ours that carry the mark or name the folder, and everything below them."""
        found = []
        for child in processes.descendants(os.getpid()):
            if _belongs_to(child, self._mark, self._folder):
                found += [child, *processes.descendants(child.pid)]
        return found

    def _token_environment(self) -> dict[str, str]:
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self._token_file)}

    def _scrubbed(self, ours: Mapping[str, str]) -> dict[str, str]:
        """The environment of Ray and its actors: nothing of RAY_*, no tokens, no proxies."""
        kept = {k: v for k, v in ours.items() if k in _PASSED or k.startswith("LC_")}
        name, _, value = self._mark.partition("=")
        return (kept | self._token_environment()) | {
            "OMP_NUM_THREADS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_memory_monitor_refresh_ms": "0",  # it would kill our actors for memory that others use
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            # nobody reads these figures, and on few cores every process that wakes up delays the model
            "RAY_enable_metrics_collection": "false",
            "RAY_task_events_report_interval_ms": "0",
            "RAY_event_stats": "false",
            "RAY_raylet_report_resources_period_milliseconds": "1000",
            "RAY_gcs_pull_resource_loads_period_milliseconds": "5000",
            "RAY_prestart_worker_first_driver": "false",  # an idle worker wakes up a hundred times a second
            "AUTOSCALER_METRIC_PORT": "-1",  # else it tells everybody on 44217 of all interfaces, without any token
            "TMPDIR": str(self._folder),
            name: value,
        }


@dataclass(slots=True)
class _Actor:
    handle: Any
    pid: int | None = None
    out: set[int] = field(default_factory=set)  # tickets of the requests that it has


class ActorPool:
    """Ray actors with requests in them. `submit` never blocks, `collect` hands out what is finished.

    A dead actor is replaced, and its requests come back as RequestError("actor_died").
    """

    def __init__(
        self, endpoint: Endpoint, *, actors: int, concurrency: int, ended: Callable[[], bool] = lambda: False
    ) -> None:
        ray = self._ray = _ray()
        self._ended = ended
        self._endpoint = endpoint
        self._concurrency = concurrency
        # no CPUs are reserved: a sender waits most of the time
        self._remote = ray.remote(Sender).options(num_cpus=0, max_restarts=0, max_concurrency=max(16, concurrency + 8))
        self._done: queue.SimpleQueue[tuple[int, _Actor, Any]] = queue.SimpleQueue()
        self._actors = [self._new_actor() for _ in range(actors)]
        self._actor_of: dict[int, _Actor] = {}
        self.replaced = 0

    def wait_started(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until every actor has told its pid."""
        try:
            pids = self._ray.get([actor.handle.pid.remote() for actor in self._actors], timeout=timeout_s)
        except self._ray.exceptions.RayError as exc:
            raise ClientError(f"the Ray actors did not start: {exc}") from exc
        for actor, pid in zip(self._actors, pids, strict=True):
            actor.pid = pid

    def pids(self) -> list[int]:
        """Process ids of the actors, as far as they are known."""
        return [actor.pid for actor in self._actors if actor.pid is not None]

    def submit(self, ticket: int, request: Request) -> None:
        """Give the request to the actor that has the fewest."""
        actor = min(self._actors, key=lambda one: len(one.out))
        actor.out.add(ticket)
        self._actor_of[ticket] = actor
        future = actor.handle.send.remote(request).future()
        future.add_done_callback(lambda done: self._done.put((ticket, actor, done)))

    def collect(self, timeout_s: float) -> list[tuple[int, Reply | RequestError]]:
        """What has finished, waiting for the first at most `timeout_s`."""
        finished = []
        try:
            finished.append(self._done.get(timeout=timeout_s))
            while True:
                finished.append(self._done.get_nowait())
        except queue.Empty:
            pass
        return [(ticket, self._settle(ticket, actor, future)) for ticket, actor, future in finished]

    def give_up(self, ticket: int) -> None:
        """Kill the actor that sits on this request; everything that it has comes back as `actor_died`."""
        actor = self._actor_of.get(ticket)
        if actor is not None:
            self._ray.kill(actor.handle)

    def use(self, endpoint: Endpoint, timeout_s: float = 60.0) -> None:
        """Send to another server from now on."""
        self._endpoint = endpoint
        calls = [(actor, actor.handle.use.remote(endpoint)) for actor in self._actors]
        for actor, call in calls:
            try:
                actor.pid = self._ray.get(call, timeout=timeout_s)
            except self._ray.exceptions.RayError:  # dead or stuck: another takes its place
                self._ray.kill(actor.handle)
                self._replace(actor)

    def close(self) -> None:
        """Kill the actors; the server sees their connections close and drops what it still works on."""
        for actor in self._actors if not self._ended() else ():
            self._ray.kill(actor.handle)
        self._actors = []

    def _new_actor(self) -> _Actor:
        return _Actor(self._remote.remote(self._endpoint, self._concurrency))

    def _settle(self, ticket: int, actor: _Actor, future: Any) -> Reply | RequestError:
        actor.out.discard(ticket)
        self._actor_of.pop(ticket, None)
        error = future.exception()
        if error is None:
            reply: Reply | RequestError = future.result()
            if isinstance(reply, Reply):
                actor.pid = reply.actor_pid
            return reply
        if isinstance(error, self._ray.exceptions.RayActorError):
            self._replace(actor)
            return RequestError("actor_died", type(error).__name__, retryable=True)
        return RequestError("actor_died", f"{type(error).__name__}: {error}"[:300], retryable=True)

    def _replace(self, actor: _Actor) -> None:
        """Put a new actor where this one was; the requests of one death find it replaced already."""
        if actor not in self._actors or self._ended():
            return
        self._actors[self._actors.index(actor)] = self._new_actor()
        self.replaced += 1


def _ray() -> Any:
    """The module. Ray reads RAY_* when it is imported, so not before the environment is clean."""
    try:
        import ray
    except ImportError as exc:
        raise ClientError(f"Ray cannot be imported: {exc}", hint="install the `gpu` extra") from exc
    return ray


def _check_folder(folder: Path) -> None:
    length = len(os.fsencode(folder))
    if length > MAX_FOLDER_BYTES:
        raise ClientError(
            f"{folder}: too long a path for Ray's sockets ({length} bytes, at most {MAX_FOLDER_BYTES})",
            hint="set TMPDIR to a short folder on the node, /tmp for example",
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as exc:
        raise ClientError(f"{folder}: cannot be made ({exc.strerror})") from exc
    # Ray makes its own folders 0777, so ours must keep everybody else out
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ClientError(f"{folder}: must be a folder of ours with mode 0700", hint="use mkdtemp")


def _write_token(path: Path) -> None:
    """A token of this session alone: Ray's own is shared by all sessions of a user, and readable by others."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(_TOKEN)


def _answer_term(handler: Any) -> None:
    """Answer TERM as before: Ray would leave in the middle of whatever we are at, and not finish what is in flight."""
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGTERM, handler)


def _replace_environment(environment: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


def _belongs_to(process: psutil.Process, mark: str, folder: Path) -> bool:
    try:
        if any(str(folder) in word for word in process.cmdline()):
            return True
        name, _, value = mark.partition("=")
        return process.environ().get(name) == value
    except psutil.Error:
        return False
