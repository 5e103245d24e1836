"""Whole workers on a disk that fails: frozen runs, one worker as a process of its own, and a disk that is too small."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpc_qa.campaign.plan import plan_run
from hpc_qa.campaign.submit import freeze
from hpc_qa.config_file import load
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory
from tests.projects import wait_for

NAMESPACE = Path(__file__).with_name("namespace.py")


def frozen(project: Path) -> RunDirectory:
    """A run of this project as `submit` leaves it, with nothing started."""
    return freeze(plan_run(load(project / "config.yaml", project=project), project=project), project=project)


@dataclass
class Worker:
    """A worker process and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def ended(self, timeout_s: float = 240.0) -> tuple[int, str]:
        """Its exit status and everything that it said."""
        return self.process.wait(timeout_s), self.log.read_text()


@contextmanager
def workers(
    run: RunDirectory, log: Path, count: int = 1, environment: dict[str, str] | None = None
) -> Iterator[list[Worker]]:
    """So many workers of shard 0 that start at once; what still runs at the end is ended."""
    command = [sys.executable, "-m", "hpc_qa.worker", str(run.path), "0"]
    started = []
    for number in range(count):
        path = log.with_name(f"{log.name}-{number}")
        with path.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | (environment or {}))
        started.append(Worker(process, path))
    try:
        yield started
    finally:
        for worker in started:
            if worker.process.poll() is None:
                worker.process.terminate()
                worker.process.wait(60)


def attempts(run: RunDirectory) -> list[AttemptDirectory]:
    """The attempts at shard 0."""
    return run.shard(0).attempts()


def has_records(attempt: AttemptDirectory) -> bool:
    """Whether it has flushed something."""
    return any(path.stat().st_size for path in attempt.segments())


class SmallDisk:
    """A disk of a few kilobytes at one folder, seen by the programs that are started through it."""

    def __init__(self, folder: Path, holder: subprocess.Popen[str]) -> None:
        self.folder = folder
        self._holder = holder

    def seen(self, path: Path) -> Path:
        """The path by which we see what lies there."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def command(self, *words: str) -> list[str]:
        """A command that runs where the disk is."""
        return [sys.executable, str(NAMESPACE), "in", str(self._holder.pid), *words]

    def hpc_qa(self, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The program, run there to its end."""
        words = (sys.executable, "-m", "hpc_qa", "--project", str(project), *arguments)
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=400)

    def make_read_only(self) -> None:
        """From now on nothing can be opened there for writing."""
        remount = [sys.executable, str(NAMESPACE), "remount", str(self._holder.pid), str(self.folder)]
        subprocess.run(remount, check=True)

    def fill(self, leave: int = 0) -> None:
        """Leave so many bytes free."""
        space = os.statvfs(self.seen(self.folder))
        with self.seen(self.folder / "filler").open("wb") as filler:
            filler.write(bytes(max(0, space.f_bavail * space.f_bsize - leave)))

    def make_room(self) -> None:
        """Free what `fill` took."""
        self.seen(self.folder / "filler").unlink()


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """A disk of this size at this folder."""
    folder.mkdir(parents=True, mode=0o700)
    command: Sequence[str] = [sys.executable, str(NAMESPACE), "hold", str(folder), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield SmallDisk(folder, holder)
        assert holder.stdin is not None
        holder.stdin.close()


def wait_until_serving(run: RunDirectory) -> None:
    """Until the first records of shard 0 are on disk."""
    wait_for(lambda: any(has_records(attempt) for attempt in attempts(run)), 240)
