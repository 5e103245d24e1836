"""What a check of the machine is: one line with its state and its fix, and where the answers come from."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    text: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the answers come from; a test gives its own."""

    environment: Mapping[str, str]
    run: Callable[[Sequence[str]], str]
    installed: Callable[[str], str | None]
    mounts: Callable[[], str]


def this_machine() -> Machine:
    """The machine that we run on."""
    return Machine(os.environ, _run, _installed, lambda: Path("/proc/self/mountinfo").read_text())


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def _installed(distribution: str) -> str | None:
    try:
        return distribution_version(distribution)
    except PackageNotFoundError:
        return None
