"""Two test processes side by side: `pytest -n 2`, as `make test` calls it, because real tests mostly wait.

The tests of a file stay in one process and in their order. So do those of a room in which all share what there is only
once: a vLLM server, a Slurm cluster, a run that stands still. Rooms come first, the longest ahead, and the many short
files fill up the end. Without `-n` everything is one process, as the long lane always is.
"""

from contextlib import suppress
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOMS = ("tests/real_vllm/", "tests/real_ray/", "tests/real_disk/", "tests/real_slurm/", "tests/security/")

ENDS_WITHIN_S = 60.0
PROCESSES = pytest.StashKey[list[Any]]()


def unit_of(nodeid: str) -> str:
    """What a test is kept together with: its room or, outside of the rooms, its file."""
    path = nodeid.partition("::")[0]
    return next((room for room in ROOMS if path.startswith(room)), path)


def turn_of(nodeid: str) -> int:
    """When its unit is handed out; files come after all rooms."""
    unit = unit_of(nodeid)
    return ROOMS.index(unit) if unit in ROOMS else len(ROOMS)


class Rooms(LoadScopeScheduling):
    """Whole units, each to the process that has nothing to do."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and config.getoption("--lane") != "fast":
        raise pytest.UsageError("-n is for the fast lane: the long lane measures seconds and memory; leave it out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # in one of the processes
        items.sort(key=lambda item: turn_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Rooms:
    config.option.loadscopereorder = False  # our order, not the number of tests in a unit
    return Rooms(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodeready(node: Any) -> None:
    node.config.stash.setdefault(PROCESSES, []).append(node)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.INTERRUPTED:  # Ctrl-C: let both end their servers, before xdist kills them
        for node in session.config.stash.get(PROCESSES, []):
            with suppress(node.channel.TimeoutError, node.channel.RemoteError):
                node.channel.waitclose(ENDS_WITHIN_S)
