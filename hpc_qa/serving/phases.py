"""Where a starting vLLM server has got to, read from its log.

The server announces nothing else while it starts: its socket appears last. A line that we do not know changes nothing,
so a newer vLLM at worst shows fewer phases.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

PROCESS, ENGINE, WEIGHTS, KV_CACHE, WARM_UP, READY = (
    "process",
    "engine",
    "weights",
    "kv_cache",
    "warm_up",
    "ready",
)
NAMES = (PROCESS, ENGINE, WEIGHTS, KV_CACHE, WARM_UP, READY)

_BEGINS = (
    (ENGINE, re.compile(r"Initializing a V1 LLM engine")),
    (
        WEIGHTS,
        re.compile(r"Starting to load model|Loading safetensors checkpoint shards"),
    ),
    (
        KV_CACHE,
        re.compile(r"Loading weights took|Model loading took|Available KV cache memory"),
    ),
    (
        WARM_UP,
        re.compile(r"KV cache size:|Capturing CUDA graphs?|Compiling the model|init engine \(profile"),
    ),
)
_SHOWN = {
    PROCESS: "starting its process",
    ENGINE: "starting the engine",
    WEIGHTS: "loading the weights",
    KV_CACHE: "making the KV cache",
    WARM_UP: "warming up",
    READY: "ready",
}


@dataclass(frozen=True, slots=True)
class Phase:
    """A step of the start and when it began, in seconds since the start."""

    name: str
    began_s: float

    @property
    def shown(self) -> str:
        """The phase in words for people."""
        return _SHOWN[self.name]


def furthest(lines: Iterable[str], so_far: str = PROCESS) -> str:
    """The furthest phase that these log lines speak of, never before `so_far`.

    >>> furthest(["INFO Starting to load model /m", "INFO Loading weights took 1.5 seconds"])
    'kv_cache'
    """
    rank = NAMES.index(so_far)
    for line in lines:
        for name, pattern in _BEGINS:
            if NAMES.index(name) > rank and pattern.search(line):
                rank = NAMES.index(name)
    return NAMES[rank]
