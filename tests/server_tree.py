"""The processes of a real server by their place in the tree, for tests that strike one of them.

keeper -> API server -> engine core -> one worker per rank (none of its own with a single rank). Places are told by
parentage: the names are set by vLLM, late and cut off.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

from hpc_qa import processes


@dataclass(frozen=True, slots=True)
class Tree:
    """What runs below a keeper now."""

    keeper: psutil.Process
    api: psutil.Process
    engine: psutil.Process
    workers: list[psutil.Process]

    @property
    def all(self) -> list[psutil.Process]:
        """Everything that is there, helpers as well."""
        return [self.keeper, *processes.descendants(self.keeper.pid)]


def tree_below(keeper_pid: int) -> Tree:
    """The tree, once the engine is there."""
    keeper = psutil.Process(keeper_pid)
    (api,) = _working(keeper)
    (engine,) = _working(api)
    assert "api_server" in " ".join(api.cmdline())
    return Tree(keeper, api, engine, _working(engine))


def keeper_below(worker_pid: int) -> int | None:
    """The keeper that a worker of ours has started, once it is there."""
    found = [one.pid for one in psutil.Process(worker_pid).children() if "keeper.py" in " ".join(one.cmdline())]
    return found[0] if found else None


def still_there(paths: set[Path]) -> set[Path]:
    """Those of these files that exist."""
    return {path for path in paths if path.exists()}


def _working(parent: psutil.Process) -> list[psutil.Process]:
    return [one for one in processes.alive(parent.children()) if "resource_tracker" not in " ".join(one.cmdline())]
