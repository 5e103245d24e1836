"""What a running vLLM server says about itself.

Prometheus text in, one `ServerMetrics` out; what the server does not expose is None, never 0. GPU utilisation is not
here: the server does not know it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from hpc_qa.errors import ServerError
from hpc_qa.serving.probe import get

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """Counters since the server started, and gauges of this moment; summed over engines."""

    kv_cache_tokens: int | None = None  # what the KV cache holds
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    prefix_cache_queries: float | None = None  # tokens looked up in the prefix cache
    prefix_cache_hits: float | None = None  # tokens found there, which need no computing
    iteration_tokens: float | None = None  # tokens of all scheduler steps: stands still when the engine hangs
    preemptions: float | None = None
    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None  # share, 0-1

    def since(self, earlier: "ServerMetrics") -> "ServerMetrics":
        """Counters as the difference to an earlier reading; gauges and sizes as they are now."""
        changed: dict[str, Any] = {}
        for name in _COUNTERS:
            now, then = getattr(self, name), getattr(earlier, name)
            changed[name] = None if now is None or then is None else now - then
        return replace(self, **changed)

    def plus(self, earlier: "ServerMetrics | None") -> "ServerMetrics":
        """Counters added to those of a server that was restarted since, and began to count anew."""
        if earlier is None:
            return self
        changed: dict[str, Any] = {}
        for name in _COUNTERS:
            now, then = getattr(self, name), getattr(earlier, name)
            changed[name] = None if now is None or then is None else now + then
        return replace(self, **changed)


_COUNTERS = {
    "prompt_tokens": "vllm:prompt_tokens_total",
    "generation_tokens": "vllm:generation_tokens_total",
    "prefix_cache_queries": "vllm:prefix_cache_queries_total",
    "prefix_cache_hits": "vllm:prefix_cache_hits_total",
    "iteration_tokens": "vllm:iteration_tokens_total_sum",
    "preemptions": "vllm:num_preemptions_total",
}
_GAUGES = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_cache_usage": "vllm:kv_cache_usage_perc",
}


def scrape(socket: Path, key: str | None = None, *, timeout_s: float = 5.0) -> ServerMetrics:
    """Read the server's metrics once.

    Raises:
        ServerError: it did not answer in time, or not with metrics.
    """
    return parse_metrics(scrape_text(socket, key, timeout_s=timeout_s))


def scrape_text(socket: Path, key: str | None = None, *, timeout_s: float = 5.0) -> str:
    """The same, as the server says it.

    Raises:
        ServerError: it did not answer in time.
    """
    try:
        return get(socket, "/metrics", key=key or "", timeout_s=timeout_s).raise_for_status().text
    except httpx.HTTPError as exc:
        raise ServerError(f"the server's metrics could not be read: {exc or type(exc).__name__}") from exc


def parse_metrics(text: str) -> ServerMetrics:
    """`ServerMetrics` of one reading of `/metrics`."""
    sums: dict[str, float] = defaultdict(float)
    cache_labels: list[Mapping[str, str]] = []
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match is None:
            continue
        sums[match["name"]] += _number(match["value"])
        if match["name"] == "vllm:cache_config_info":
            cache_labels.append(dict(_LABEL.findall(match["labels"] or "")))
    values = {field: sums.get(name) for field, name in (_COUNTERS | _GAUGES).items()}
    return ServerMetrics(kv_cache_tokens=_kv_cache_tokens(cache_labels), **values)


def _kv_cache_tokens(engines: list[Mapping[str, str]]) -> int | None:
    """Tokens that the KV caches of all engines hold."""
    sizes = [_engine_tokens(labels) for labels in engines]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _engine_tokens(labels: Mapping[str, str]) -> int | None:
    said = labels.get("kv_cache_size_tokens", "")
    if said.isdigit():
        return int(said)
    blocks, block_size = labels.get("num_gpu_blocks", ""), labels.get("block_size", "")
    return int(blocks) * int(block_size) if blocks.isdigit() and block_size.isdigit() else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
