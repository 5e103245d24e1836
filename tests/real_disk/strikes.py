"""Strike one system call of a program: what is to be struck, and what came of it. The library is fault.c."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpc_qa.store.files import RUN_ID
from hpc_qa.store.run_directory import ATTEMPT_NAME

TEMPORARY = re.compile(r"\..*\.tmp")
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Call:
    """One system call that counted: its number among them, its name, and the path that it was about."""

    number: int
    name: str
    path: Path

    @property
    def place(self) -> tuple[str, str]:
        """What it was and on what kind of file, without the random parts of names."""
        name = self.path.name
        for pattern, kind in ((RUN_ID, "run"), (ATTEMPT_NAME, "attempt"), (TEMPORARY, "temporary file")):
            if pattern.fullmatch(name):
                return self.name, kind
        return self.name, name


@dataclass(frozen=True)
class Struck:
    """What came of a program under the library."""

    status: int
    said: str
    calls: list[Call]  # those that were struck, or all of them when none was to be

    @property
    def ended_well(self) -> bool:
        return self.status == 0

    @property
    def ended_with_a_storage_error(self) -> bool:
        """Exit code 1, and a message with a next step instead of a traceback."""
        return self.status == 1 and "error:" in self.said and "  try: " in self.said and "Traceback" not in self.said


def read_calls(log: Path) -> list[Call]:
    """What the library wrote down."""
    lines = log.read_text().splitlines() if log.exists() else []
    parts = [line.split(" ", 2) for line in lines]
    return [Call(int(number), name, Path(path)) for number, name, path in parts]


def fault(below: Path, log: Path, *, how: str, calls: str = "all", nth: int = 0, error: int = 0,
          onwards: bool = False, match: str = "") -> dict[str, str]:  # fmt: skip
    """The environment of a fault, as fault.c reads it."""
    return {
        "FAULT_BELOW": str(below), "FAULT_LOG": str(log), "FAULT_CALLS": calls, "FAULT_NTH": str(nth),
        "FAULT_HOW": how, "FAULT_ERRNO": str(error), "FAULT_ONWARDS": str(int(onwards)), "FAULT_MATCH": match,
    }  # fmt: skip


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of strikes need real calls, not a real disk's slowness."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as folder:
        yield Path(folder)


class Bench:
    """Runs the jobs of driver.py under the library, one after the other."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._folder = folder
        self._runs = 0
        environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(Path(__file__).with_name("driver.py"))]
        self._driver = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
        )

    def run(self, job: str, *arguments: str | Path, below: Path, how: str = "log", **where: object) -> Struck:
        """What comes of this job when the call that `where` names is struck."""
        self._runs += 1
        log, stderr = self._folder / f"calls-{self._runs}", self._folder / f"stderr-{self._runs}"
        environment = fault(below, log, how=how, **where)  # type: ignore[arg-type]
        order = {
            "job": job,
            "arguments": [str(a) for a in arguments],
            "environment": environment,
            "stderr": str(stderr),
        }
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(order) + "\n")
        self._driver.stdin.flush()
        status = int(self._driver.stdout.readline())
        return Struck(status, stderr.read_text(), read_calls(log))

    def close(self) -> None:
        """End the driver."""
        assert self._driver.stdin is not None
        self._driver.stdin.close()
        self._driver.wait(30)
