"""Convert documents in children with limits, so that a hostile file harms nobody but itself.

One server process (`sandbox_server`) loads the converters once and forks a child for each document: milliseconds, not a
second. A child has limits on memory, CPU time, file size and open files, its own process group, an empty environment,
no network where the kernel lets us take it away, and a deadline after which its group is killed. It answers with files
in a folder that we made, never with pickled objects. The server dies with us. What the files mean is read in `convert`.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from hpc_qa.documents.conversion import Job, Settings
from hpc_qa.errors import SandboxError

Outcome = Literal["done", "timeout", "memory", "crashed", "interrupted", "storage"]

MAX_LINE_BYTES = 1_000_000
STDERR_BYTES = 2_000

# The server's whole environment: no secrets, no settings of the user; one thread and few arenas, because the arena of
# each thread counts as address space, and a node with many cores would reach the memory limit by that alone. Huge pages
# for what malloc gives: a fork then copies one entry of the page table where it would copy 512.
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_ARENA_MAX": "2",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "LC_ALL": "C.UTF-8",
}
BOOT = "import sys; sys.path[:] = sys.argv[1:]; from hpc_qa.documents.sandbox_server import serve; serve()"


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
