"""The library that strikes system calls, compiled here, and the process that is struck again and again."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_disk.strikes import Bench, in_memory


@pytest.fixture(scope="session")
def fault_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fault.c as a shared library."""
    library = tmp_path_factory.mktemp("fault") / "fault.so"
    command = [
        "cc",
        "-std=c11",
        "-Wall",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(Path(__file__).with_name("fault.c")),
        "-pthread",
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return library


@pytest.fixture(scope="session")
def bench(fault_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The driver; its notes lie in a folder of their own, never below a run."""
    made = Bench(fault_library, tmp_path_factory.mktemp("bench"))
    yield made
    made.close()


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder in memory, for loops of strikes."""
    with in_memory() as folder:
        yield folder
