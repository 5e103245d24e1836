"""Optimization insights: what held runs up and what it cost, which changes were made and what they gave."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpc_qa.bench.comparison import KEYS
from hpc_qa.bench.ranking import Cell
from hpc_qa.bench.record import Record, Stage
from hpc_qa.bench.stage_use import BUSY_PERCENT
from hpc_qa.report.document.markdown import chapter, facts, number, to_be_filled, words
from hpc_qa.report.document.material import CLUSTER, LOCAL, Material
from hpc_qa.report.document.remarks import NOTHING, Remarks
from hpc_qa.report.document.stages import breakdown, of_allocation, with_stages

WORTH_NAMING = 5.0  # percent of the allocations
SERVING = "serving"
TAIL, IDLE = "Tail", "Idle GPUs while serving"
# stages -> (type, solution)
LOSSES = {
    ("launch", "setup", "model_load", "warm_up"): (
        "Start-up",
        "more documents for each array task (a smaller plan.max_startup_share); weights on a faster file system",
    ),
    ("tail",): (TAIL, "array tasks of more even cost; a smaller documents.max_chunks or qa.max_pairs_per_document"),
    ("teardown",): ("Teardown", "hpc-qa logs RUN SHARD shows what the server waited for at its end"),
    ("lost",): ("Lost work", "a longer slurm.time, or another partition: attempts were killed; issues say by what"),
    ("unattributed",): ("Unattributed time", "worker.log of the attempt says what happened between its marks"),
}
REMEDY = {
    "cpu": "more CPUs for each GPU (slurm.cpus_per_task), more client.actors",
    "requests": "a higher client.concurrency_limit",
    "gpu_memory": "a smaller vllm.max_model_len or more GPUs: the KV cache was full",
    None: "not known what it waited for: without samples of GPU and CPU nobody can say",
}
# strategy -> (title, settings that it changes)
SAME_WORK = ("batch", "sweep", "dataset.manifest", "dataset.pdfs_processed")  # else more than a setting differs
STRATEGIES = {
    "concurrency tuning": ("Concurrency Tuning", ("concurrency_limit",)),
    "memory management": (
        "Memory Management", ("gpu_memory_utilization", "kv_cache_dtype", "max_model_len", "quantization"),
    ),
    "batch sizing": ("Batch Sizing", ("batch_size", "max_num_batched_tokens", "max_num_seqs")),
}  # fmt: skip


def insights(material: Material, remarks: Remarks) -> str:
    """The whole chapter."""
    records = [one for environment in (LOCAL, CLUSTER) if (one := with_stages(material, environment)) is not None]
    found = [line for record in records for line in _bottlenecks(record)]
    entries = "\n".join(found) or to_be_filled("a run is in the ledger (hpc-qa ledger sync)")
    strategies = [_strategy(name, material, remarks) for name in STRATEGIES]
    return chapter(
        "Optimization Insights",
        breakdown(material),
        chapter("Bottlenecks Identified", entries, remarks.place("bottlenecks", NOTHING), level=3),
        chapter("Optimization Strategies Applied", *strategies, level=3),
        chapter("Best Practices Discovered", remarks.place("best practices", "1. _To be written by hand._"), level=3),
    )


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Something that held a run up."""

    kind: str
    symptom: str
    share: float  # percent of the allocations
    resource: str | None
    stages: str
    solution: str


def bottlenecks(record: Record) -> list[Bottleneck]:
    """What took more than a twentieth of the allocations beside the work of a busy GPU, the largest first."""
    stages = {one.name: one for one in of_allocation(record) if one.share_percent}
    found = [
        _loss(kind, solution, [stages[name] for name in names if name in stages])
        for names, (kind, solution) in LOSSES.items()
    ]
    serving = stages.get(SERVING)
    if serving is not None:
        found.append(_idle(serving))
    worth = [one for one in found if one is not None and one.share >= WORTH_NAMING]
    return sorted(worth, key=lambda one: -one.share)


def _loss(kind: str, solution: str, stages: Sequence[Stage]) -> Bottleneck | None:
    if not stages:
        return None
    share = sum(one.share_percent or 0.0 for one in stages)
    longest = max(stages, key=lambda one: one.share_percent or 0.0)
    seconds = sum(one.duration_s or 0.0 for one in stages)
    names = ", ".join(str(one.name) for one in stages)
    symptom = f"{number(seconds, 's')} in {names}, in which no document is worked on"
    if kind == TAIL:
        symptom = f"{number(seconds, 's')} in which the last documents of an array task left slots of the server empty"
    return Bottleneck(kind, symptom, share, longest.bottleneck, names, solution)


def _idle(serving: Stage) -> Bottleneck | None:
    """The part of serving in which no GPU was busy; without a GPU that of a CPU which is the bottleneck is no loss."""
    if serving.gpu_percent is None or serving.gpu_percent >= BUSY_PERCENT:
        return None
    share = (serving.share_percent or 0.0) * (1 - serving.gpu_percent / 100)
    symptom = f"GPUs were busy for {number(serving.gpu_percent, '%')} of serving"
    return Bottleneck(IDLE, symptom, share, serving.bottleneck, SERVING, REMEDY.get(serving.bottleneck, ""))


def _bottlenecks(record: Record) -> Iterator[str]:
    hours = record.results.gpu_hours
    slow = [one for one in record.slowest_documents if one.stage == "generation"][:3]
    for place, one in enumerate(bottlenecks(record), 1):
        of = "of the time held; GPU-hours are none, or not known"
        if hours:
            of = f"{number(hours * one.share / 100, 'GPU-hours')} of {number(hours)}"
        cause = f"resource: {words(one.resource)}; stage: {one.stages}"
        if one.kind in (TAIL, IDLE) and slow:
            cause += "; slowest documents: " + "; ".join(f"{words(s.doc_id)} ({words(s.why)})" for s in slow)
        most = f"at most {number(one.share, '%')} less, if it went away; what a change gave stands under the strategies"
        yield f"{place}. **{one.kind}** ({words(record.id)})\n" + "".join(
            f"   - **{name}**: {text}\n"
            for name, text in (
                ("Symptom", one.symptom), ("Impact", f"{number(one.share, '%')} ({of})"), ("Root Cause", cause),
                ("Solution", one.solution), ("Improvement", most),
            )
        )  # fmt: skip
    if all(stage.share_percent is None for stage in record.stages):
        yield f"{words(record.id)}: not known, as it says of no stage what share of the time it took.\n"
    elif not bottlenecks(record):
        yield f"{words(record.id)}: nothing beside the work itself took {number(WORTH_NAMING)} % of what was held.\n"


def _strategy(name: str, material: Material, remarks: Remarks) -> str:
    title, settings = STRATEGIES[name]
    place = remarks.place(name, "_Rationale: nothing noted._")
    named = getattr(material.settings.report.strategies, name.replace(" ", "_"))
    pair = _named(named, material) if named else found_pair(material.measured, settings)
    if isinstance(pair, str):
        return chapter(title, f"_{pair}_\n", place, level=4)
    if pair is None:
        what = f"two runs that differ in {' or '.join(settings)} alone, or report.strategies of project.yaml names two"
        return chapter(title, to_be_filled(what), place, level=4)
    return chapter(title, facts(_compared(*pair, settings)), place, level=4)


def _named(names: Sequence[str], material: Material) -> tuple[Cell, Cell] | str:
    """The records that project.yaml names, by their id or that of their run; which one is not there."""
    by_run = {run.run_id: record_id for record_id, run in material.runs.items()}
    by_id = {record.id: record for record in material.records}
    found = [by_id.get(by_run.get(name, name)) for name in names]
    missing = [name for name, record in zip(names, found, strict=True) if record is None]
    if missing:
        return f"project.yaml names {words(missing[0])}, which is no record and no run"
    before, after = (Cell((("record", record.id),), (record,)) for record in found if record is not None)
    return before, after


def found_pair(records: Sequence[Record], settings: Sequence[str]) -> tuple[Cell, Cell] | None:
    """The earliest cell and the one that took least, of the same work with other values of these settings alone."""
    groups: dict[tuple[str, ...], dict[tuple[str, ...], list[Record]]] = {}
    for record in records:
        flat = record.configuration.model_dump()
        alike = [str(record.value(key)) for key in KEYS if key.partition(".")[2] not in settings]
        alike += [str(record.value(key)) for key in SAME_WORK]
        alike += [str(value) for key, value in sorted(flat.items()) if key not in settings]
        groups.setdefault((str(record.environment), *alike), {}).setdefault(
            tuple(str(flat.get(name)) for name in settings), []
        ).append(record)
    for cells in groups.values():
        made = [Cell(tuple(zip(settings, values, strict=True)), tuple(those)) for values, those in cells.items()]
        known = [cell for cell in made if cell.cost[0] is not None]
        if len(known) > 1 and (best := min(known, key=lambda cell: cell.cost[0] or 0.0)) is not known[0]:
            return known[0], best
    return None


def _compared(before: Cell, after: Cell, settings: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, cell in (("Initial", before), ("Optimized", after)):
        yield name, f"{_settings_of(cell, settings)} ({words(', '.join(record.id for record in cell.records))})"
    pace = [cell.mean("results.avg_time_per_pdf_minutes") for cell in (before, after)]
    cost = [cell.cost[0] for cell in (before, after)]
    faster = (
        f"{number(100 * (pace[0] / pace[1] - 1), '%')} faster" if pace[0] and pace[1] else "not known how much faster"
    )
    cheaper = (
        f"; {before.cost[1]}: {number(cost[0])}, then {number(cost[1])}" if before.cost[1] == after.cost[1] else ""
    )
    yield "Improvement", faster + cheaper
    busy = [cell.mean("results.avg_gpu_utilization_percent") for cell in (before, after)]
    good = [cell.mean("quality.quality_score") for cell in (before, after)]
    yield (
        "Rationale",
        (
            f"GPU utilization {number(busy[0], '%')}, then {number(busy[1], '%')}; "
            f"quality score {number(good[0], digits=3)}, then {number(good[1], digits=3)}"
        ),
    )


def _settings_of(cell: Cell, settings: Sequence[str]) -> str:
    flat = cell.records[0].configuration.model_dump()
    return (
        ", ".join(f"{name} {words(flat[name])}" for name in settings if flat.get(name) is not None) or "as by default"
    )
