"""Why a cell of a sweep could not be measured: one class, for tables, and the words of whoever refused or broke.

What Slurm says of an array task counts first, then what its worker wrote down of its end (`failure.json`), then the
shared server's death. What no rule knows is "run incomplete", in the words that there are.
"""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from hpc_qa.campaign.attempts import attempts_of
from hpc_qa.campaign.control import last_words
from hpc_qa.campaign.pipeline import CANCELLED, state_of
from hpc_qa.campaign.status import RunStatus
from hpc_qa.errors import ConfigError, HpcQaError, ManifestError, ServerError, SlurmError
from hpc_qa.store.run_directory import RunDirectory

FailureKind = Literal[
    "does not fit", "wrong settings", "manifest", "over the budget", "refused by Slurm", "server did not start",
    "server died", "out of memory", "timed out", "interrupted", "run incomplete", "no document done", "no data",
    "storage",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(FailureKind)
# Slurm's states of an array task, and what it means for a cell
STATES: dict[str, FailureKind] = {
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "timed out",
    "DEADLINE": "timed out",
    "CANCELLED": "interrupted",
    "NODE_FAIL": "interrupted",
    "PREEMPTED": "interrupted",
    "BOOT_FAIL": "interrupted",
}
# words of workers and servers, in the order in which they are looked for: the first says why, later ones what followed
WORDS: tuple[tuple[str, FailureKind], ...] = (
    (r"out of (GPU )?memory\b|OutOfMemoryError|killed \d+ processes? .*for memory", "out of memory"),
    (r"Cannot allocate memory|too small for one request|No available memory for the cache", "out of memory"),
    (r"before it was ready|was not ready after|could not be started", "server did not start"),
    (r"vLLM died|vLLM ended|server died", "server died"),
)
ECHOES = ("srun:", "slurmstepd")  # which only repeat that something ended


class CellFailed(Exception):
    """A cell cannot be measured, and why."""

    def __init__(self, kind: FailureKind, why: str) -> None:
        super().__init__(why)
        self.kind, self.why = kind, why


def said(error: HpcQaError) -> str:
    """What an error says, in one line."""
    return "; ".join(error.faults)


def by_words(text: str, otherwise: FailureKind) -> FailureKind:
    """The class that the words of a worker or a server tell.

    >>> by_words("vLLM ended with status 1 before it was ready (after 9 s): out of GPU memory", "run incomplete")
    'out of memory'
    """
    return next((kind for words, kind in WORDS if re.search(words, text)), otherwise)


def of_error(error: HpcQaError) -> CellFailed:
    """What an error means for the cell that it stopped."""
    kind: FailureKind = "storage"
    if isinstance(error, ServerError):
        kind = by_words("\n".join([*error.faults, *error.log_tail]), "server did not start")
    elif isinstance(error, SlurmError):
        kind = "refused by Slurm"
    elif isinstance(error, ManifestError):
        kind = "manifest"
    elif isinstance(error, ConfigError):
        kind = "wrong settings"
    return CellFailed(kind, said(error))


def of_run(run: RunDirectory, last: RunStatus, death: str | None) -> CellFailed | None:
    """Why a run that has stopped is no measurement; None when it is one. `death` is that of a shared server.

    Raises:
        StoreError: its folder cannot be read.
    """
    if last.state == "complete":
        if last.count("ok"):
            return None
        return CellFailed("no document done", f"{run.run_id}: {last.count('failed')} documents failed")
    left = [one for one in last.shards if one.state != "done"]
    ended = next((one.detail for one in left if str(one.detail).partition(" ")[0] in STATES), None)
    words = _words_of(run, [one.shard for one in left])
    if ended is not None:
        return CellFailed(STATES[ended.partition(" ")[0]], f"{run.run_id}: {'; '.join([ended, *words])}")
    if state_of(run, last) == CANCELLED:
        return CellFailed("interrupted", f"{run.run_id}: somebody cancelled it")
    if death is not None:
        return CellFailed(by_words("; ".join([*words, death]), "server died"), f"{run.run_id}: {death}")
    kind = by_words("; ".join(words), "run incomplete")
    return CellFailed(kind, f"{run.run_id}: {'; '.join(words) or last.state}")


def _words_of(run: RunDirectory, shards: Sequence[int]) -> list[str]:
    """Why these shards stopped, as far as anybody said: faults of the last attempts, else the end of a log."""
    faults = [
        str(fault)
        for shard in shards
        if (attempts := attempts_of(run.shard(shard)))
        for fault in attempts[-1].failure.get("faults", ())
    ]
    if faults or not shards:
        return list(dict.fromkeys(faults))
    lines = [line.strip() for line in last_words(run, shards[0]) if not line.startswith(ECHOES)]
    return lines[-1:]
