"""Convert documents in children with limits, so that a hostile file harms nobody but itself.

One server process loads the converters once and forks a child for each document: milliseconds, not a second. A child
has limits on memory, CPU time, file size and open files, its own process group, an empty environment, no network where
the kernel lets us take it away, and a deadline after which its group is killed. It answers with files in a folder that
we made, never with pickled objects. The server dies with us. What the files mean is read in `convert`.
"""

import contextlib
import ctypes
import errno
import gc
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from hpc_qa.documents.conversion import Job, Settings, convert_document, settings_from
from hpc_qa.documents.converters import preload
from hpc_qa.documents.pieces import CountTokens
from hpc_qa.errors import SandboxError

Outcome = Literal["done", "timeout", "memory", "crashed", "interrupted", "storage"]

CPU_GRACE_S = 5  # CPU time above the deadline: the deadline is what should end a child
MAX_OUTPUT_BYTES = 2**30
MAX_FILES = 128
MAX_LINE_BYTES = 1_000_000
EXIT_FAILED = 70  # an exception that says what is wrong with the document
EXIT_MEMORY = 77
EXIT_STORAGE = 100  # and the number of the error above it: the disk, and not the document, is to blame
STORAGE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOENT, errno.EACCES}
)
CRASHES = frozenset(  # what a process that goes wrong brings upon itself; other signals come from outside
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP}
)
STDERR_BYTES = 2_000
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38

# The server's whole environment: no secrets, no settings of the user; one thread and few arenas, because the arena of
# each thread counts as address space, and a node with many cores would reach the memory limit by that alone.
ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "LC_ALL": "C.UTF-8",
}
BOOT = "import sys; sys.path[:] = sys.argv[1:]; from hpc_qa.documents.sandbox import serve; serve()"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may use."""

    memory_bytes: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How the child of one job ended."""

    job_id: int
    outcome: Outcome
    detail: str
    seconds: float
    cpu_s: float
    memory_peak_bytes: int


class Sandbox:
    """The client's side: hands over jobs and waits for their ends."""

    def __init__(self, settings: Settings, limits: Limits, tokenizer: Path) -> None:
        self._hello = {"settings": asdict(settings), "limits": asdict(limits), "tokenizer": str(tokenizer)}
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()
        search_path = [part or os.getcwd() for part in sys.path]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", BOOT, *search_path],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        self._socket = ours
        self._lines = ours.makefile("rb")
        self._send(self._hello)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server; it kills the children that still run."""
        self._lines.close()
        self._socket.close()
        if self._process is not None:
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._log is not None:
            self._log.close()

    def start(self, job_id: int, job: Job) -> None:
        """Begin a job."""
        fields = {"source": str(job.source), "out": str(job.out), "sha256": job.sha256, "media_type": job.media_type}
        self._send({"job_id": job_id, **fields})

    def wait(self) -> Ended:
        """The next job that ends.

        Raises:
            SandboxError: the server died.
        """
        line = self._lines.readline(MAX_LINE_BYTES)
        if not line:
            raise self._died()
        return Ended(**json.loads(line))

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as exc:
            raise self._died() from exc

    def _died(self) -> SandboxError:
        log = b""
        if self._log is not None:
            self._log.seek(0)
            log = self._log.read()[-STDERR_BYTES:]
        return SandboxError("the process that converts documents died", log.decode(errors="replace").strip())


@dataclass(slots=True)
class _Child:
    job_id: int
    pid: int
    began: float
    deadline: float
    stderr: Path
    late: bool = False


def serve() -> None:
    """The server's side: reads jobs from standard input, a socket, until it is closed."""
    channel = socket.socket(fileno=os.dup(0))
    received = b""
    while b"\n" not in received:
        received += channel.recv(65536)
    first, _, rest = received.partition(b"\n")
    hello = json.loads(first)
    _call_prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGTERM, signal.SIGUSR2):  # Slurm sends them to every process of a job step; we end with the
        signal.signal(number, signal.SIG_IGN)  # client, and no document is to be blamed for a child that died of them
    _leave_network()
    settings, limits = settings_from(hello["settings"]), Limits(**hello["limits"])
    preload(settings.converters.values())
    count = _preload(Path(hello["tokenizer"]))
    _Server(channel, settings, limits, count).run(rest)


class _Server:
    """Forks, watches and kills; single-threaded, as a process that forks has to be."""

    def __init__(self, channel: socket.socket, settings: Settings, limits: Limits, count: CountTokens) -> None:
        self._channel = channel
        self._settings, self._limits, self._count = settings, limits, count
        self._children: dict[int, _Child] = {}
        self._buffer = b""
        self._woken, self._waker = socket.socketpair()

    def run(self, received: bytes) -> None:
        """Serve until the client is gone; `received` came in behind its first line."""
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._take_jobs(received)
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while self._step(selector):
                pass
        for child in self._children.values():
            _kill_group(child.pid)
        for child in self._children.values():
            os.waitpid(child.pid, 0)

    def _step(self, selector: selectors.BaseSelector) -> bool:
        """Wait for a job, an end or a deadline; false when the client is gone."""
        deadlines = [child.deadline for child in self._children.values() if not child.late]
        timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        ready = [key.fileobj for key, _ in selector.select(timeout)]
        if self._woken in ready:
            self._woken.recv(4096)
        self._kill_late()
        try:
            for ended in self._reap():
                self._channel.sendall(json.dumps(asdict(ended)).encode() + b"\n")
        except OSError:
            return False
        if self._channel not in ready:
            return True
        data = self._channel.recv(65536)
        self._take_jobs(data)
        return bool(data)

    def _take_jobs(self, data: bytes) -> None:
        *complete, self._buffer = (self._buffer + data).split(b"\n")
        for line in complete:
            self._start(json.loads(line))

    def _start(self, fields: dict[str, Any]) -> None:
        job_id = fields.pop("job_id")
        job = Job(Path(fields["source"]), Path(fields["out"]), fields["sha256"], fields["media_type"])
        stderr = job.source.with_name("stderr")
        pid = os.fork()
        if pid == 0:
            self._in_child(job, stderr)
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)  # the child does it as well; whoever is first
        now = time.monotonic()
        self._children[pid] = _Child(job_id, pid, now, now + self._limits.timeout_s, stderr)

    def _in_child(self, job: Job, stderr: Path) -> None:
        """Never returns: the child must not go on as a second server."""
        code = EXIT_FAILED
        try:
            _confine(self._limits, stderr)
            convert_document(job, self._settings, self._count)
            code = 0
        except MemoryError:
            code = EXIT_MEMORY
        except BaseException as exc:  # noqa: BLE001 # it ends this document alone, and is read from its standard error
            if isinstance(exc, OSError) and exc.errno in STORAGE_ERRORS:
                code = EXIT_STORAGE + exc.errno
            traceback.print_exc()
        finally:
            os._exit(code)

    def _kill_late(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if not child.late and now >= child.deadline:
                child.late = True
                _kill_group(child.pid)

    def _reap(self) -> Iterator[Ended]:
        while self._children:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return
            _kill_group(found.si_pid)  # what it left behind; before its number is free for others
            _, status, usage = os.wait4(found.si_pid, 0)
            child = self._children.pop(found.si_pid)
            outcome, detail = self._judge(child, status, usage)
            cpu_s, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
            yield Ended(child.job_id, outcome, detail, time.monotonic() - child.began, cpu_s, peak)

    def _judge(self, child: _Child, status: int, usage: resource.struct_rusage) -> tuple[Outcome, str]:
        code = os.waitstatus_to_exitcode(status)
        used_up = code == -signal.SIGKILL and usage.ru_utime + usage.ru_stime >= _cpu_limit(self._limits)
        if child.late or used_up or code == -signal.SIGXCPU:
            return "timeout", f"not done after {self._limits.timeout_s:g} s"
        if code == 0:
            return "done", ""
        if code - EXIT_STORAGE in STORAGE_ERRORS:
            return "storage", os.strerror(code - EXIT_STORAGE)
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        if -code not in CRASHES and code not in (EXIT_FAILED, EXIT_MEMORY):
            return "interrupted", f"the converter ended with {how}, and did not say why"
        said = _tail(child.stderr)
        if code == EXIT_MEMORY or self._out_of_memory(code, said, usage):
            return "memory", f"needs more than {self._limits.memory_bytes / 2**30:.3g} GiB"
        last_line = said.strip().splitlines()[-1:] or [""]
        return "crashed", f"the converter ended with {how} {last_line[0]}".strip()

    def _out_of_memory(self, code: int, said: str, usage: resource.struct_rusage) -> bool:
        """PDFium and Rust abort when memory is refused; they say so, or had most of what is allowed."""
        if any(phrase in said for phrase in ("memory allocation of", "bad_alloc", "out of memory", "MemoryError")):
            return True
        return code < 0 and usage.ru_maxrss * 1024 > self._limits.memory_bytes // 2


def _preload(tokenizer: Path) -> CountTokens:
    """Import what children need, and the tokenizer; nothing here may start a thread."""
    import html_to_markdown  # noqa: F401 - loaded once, before any fork
    import liteparse  # noqa: F401 - loaded once, before any fork
    import mammoth  # noqa: F401 - loaded once, before any fork
    import pikepdf  # noqa: F401 - loaded once, before any fork
    import pypdfium2  # noqa: F401 - loaded once, before any fork

    from hpc_qa.documents.languages import identifier
    from hpc_qa.documents.tokens import token_counter

    count = token_counter(tokenizer)
    identifier()
    gc.collect()
    gc.freeze()  # a collection in a child would otherwise copy the pages that it shares with us
    return count


def _confine(limits: Limits, stderr: Path) -> None:
    """Limits of the child, which has just been forked."""
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _call_prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _call_prctl(PR_SET_NO_NEW_PRIVS, 1)
    target = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(target, 2)
    os.closerange(3, 4096)
    for what, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, _cpu_limit(limits)),
        (resource.RLIMIT_FSIZE, MAX_OUTPUT_BYTES),
        (resource.RLIMIT_NOFILE, MAX_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (bounded, bounded))


def _cpu_limit(limits: Limits) -> int:
    """CPU seconds after which the kernel kills a child; soft and hard limit are one, so that it does so by SIGKILL."""
    return int(limits.timeout_s) + CPU_GRACE_S


def _leave_network() -> None:
    """Move to a network namespace without any interface, where the kernel allows that to a plain user."""
    # Not every site allows user namespaces; the parsers make no connections of their own, so this is a second line.
    ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _call_prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - STDERR_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
