"""The stages of a run, as its record has them: those that documents go through, and those of the allocations.

The time of `serving` and `tail` is divided into generation and judging by the share of the computed tokens. Documents
are converted before any GPU is held; their seconds of raw input, conversion and preprocessing are summed, however many
processes shared them, and are those of the last time that they were converted, also where the cache spared this run:
`cached` says of how many documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from hpc_qa.bench.record import Record, Stage
from hpc_qa.bench.stage_use import Use, UseByStage, bottleneck
from hpc_qa.budget.waterfall import STAGES

SERVED = ("serving", "tail")
SWITCH = "model_switch"
DOCUMENT_STAGES = (
    "raw_input", "conversion", "preprocessing", "fact_extraction", "generation", "judging", "finalisation",
)  # fmt: skip
MEASURED = ("cached", "cpu_percent", "memory_gb_peak", "io_read_mb", "io_write_mb", "bottleneck")
Kind = Literal["documents", "allocation"]


def stages_of(
    spent_ms: Mapping[str, int], judged: float | None, converted: Mapping[str, Mapping[str, Any]], used: UseByStage,
    kv_cache_percent: float | None,
) -> list[Stage]:  # fmt: skip
    """The stages of documents, then those of the allocations that took time.

    `spent_ms` are milliseconds by stage over all attempts, `judged` is the judge's share of the computed tokens,
    `converted` what is known of the stages of conversion, with the keys of a stage.
    """
    seconds = {name: spent_ms[name] / 1000 for name in spent_ms}
    of_documents = _of_documents(seconds, judged, converted)
    allocation = {name: seconds[name] for name in STAGES if seconds.get(name)}
    found = list(_listed("documents", of_documents, used, kv_cache_percent))
    return [
        *(one.model_copy(update=_measured(converted.get(str(one.name), {}))) for one in found),
        *_listed("allocation", allocation, used, kv_cache_percent),
    ]


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the conversion itself measured of a stage, but for its share of the conversion alone."""
    return {name: row[name] for name in MEASURED if row.get(name) is not None}


def _of_documents(
    seconds: Mapping[str, float], judged: float | None, converted: Mapping[str, Mapping[str, Any]]
) -> dict[str, float | None]:
    """Seconds of each; None where nobody measured."""
    served = sum(seconds.get(name, 0.0) for name in SERVED)
    found: dict[str, float | None] = dict.fromkeys(DOCUMENT_STAGES)
    found |= {name: row["duration_s"] for name, row in converted.items() if name in found}
    if served and judged is not None:
        found |= {"generation": served * (1 - judged), "judging": served * judged}
    found["finalisation"] = seconds.get("teardown") or None
    return found


def _listed(
    kind: Kind, taken: Mapping[str, float | None], used: UseByStage, kv_cache_percent: float | None
) -> Iterable[Stage]:
    known = kind == "allocation" or taken["generation"] is not None  # without the largest no share says anything
    whole = sum(spent or 0.0 for spent in taken.values()) if known else 0.0
    for name, spent in taken.items():
        use = used.together(_marked(name)) if spent else Use()
        yield Stage(
            name=name,
            of=kind,
            duration_s=spent,
            cpu_percent=use.cpu_percent,
            gpu_percent=use.gpu_percent,
            memory_gb_peak=use.memory_gb_peak,
            share_percent=100 * spent / whole if spent and whole else None,
            bottleneck=bottleneck(name, use, kv_cache_percent) if spent else None,
        )


def _marked(name: str) -> tuple[str, ...]:
    """The stages of the worker in which a stage goes on."""
    if name in ("generation", "judging"):
        return SERVED
    return ("teardown",) if name == "finalisation" else (name,)


def with_switch(record: Record, switch_s: float | None) -> Record:
    """The record of a cell before which one server took the place of another: what that took, unload and load.

    It is no part of what the cell took; the stage is of neither list.
    """
    if switch_s is None:
        return record
    return record.model_copy(update={"stages": [*record.stages, Stage(name=SWITCH, duration_s=switch_s)]})


def judge_share(progress: Iterable[Mapping[str, Any]]) -> float | None:
    """The judge's share of the tokens that some attempts computed, by what they count; None where they computed none.

    >>> judge_share([{"computed_tokens": 100, "judge_prompt_tokens": 60, "judge_cached_tokens": 40}])
    0.2
    """
    counted = [one for one in progress if one.get("computed_tokens") and one.get("judge_prompt_tokens") is not None]
    whole = sum(one["computed_tokens"] for one in counted)
    judged = sum(
        one["judge_prompt_tokens"] - (one.get("judge_cached_tokens") or 0) + (one.get("judge_completion_tokens") or 0)
        for one in counted
    )
    return min(1.0, max(0.0, judged / whole)) if whole else None
