"""The first chapters: which figures are followed, what they should reach, and what a record has to say."""

from collections.abc import Iterable, Iterator

from hpc_qa.bench.record import Record
from hpc_qa.bench.targets import MET, NO_DATA, against
from hpc_qa.budget.gates import NOBODY_SAID
from hpc_qa.campaign.batches import rank
from hpc_qa.report.document.markdown import chapter, checklist, facts, number, table, words
from hpc_qa.report.document.material import CLUSTER, LOCAL, Material
from hpc_qa.report.document.remarks import NOTHING, Remarks
from hpc_qa.units import plural

# figure, unit, what it is good for, key of a record
KEY_METRICS = (
    ("Processing time per PDF", "minutes", "how long the whole corpus will take", "results.avg_time_per_pdf_minutes"),
    ("QA pairs per PDF", "count", "whether as much comes out as is expected", "results.qa_pairs_per_pdf"),
    ("GPU utilization", "%", "how well what is held is used", "results.avg_gpu_utilization_percent"),
    ("Memory usage (GPU)", "GB", "how far it is to an out-of-memory error", "results.max_gpu_memory_gb"),
    ("Memory usage (CPU)", "GB", "how much memory to ask for", "results.max_cpu_memory_gb"),
    ("GPU-hours per PDF", "hours", "the budget", "results.gpu_hours_per_pdf"),
    ("Throughput", "PDFs/hour", "planning of capacity", "results.throughput_pdfs_per_hour"),
    ("Quality score", "0-1", "whether quality holds at scale", "quality.quality_score"),
)  # fmt: skip
FEW_REVIEWED, MANY_REVIEWED = 10, 50  # pairs of the sample that people look at, the larger from batch_500 on
LARGE_BATCH = (2, 500)


def targets(material: Material, remarks: Remarks) -> str:
    """Benchmark targets: key metrics, what is asked of them, environments."""
    newest = {name: material.newest(name) for name in (LOCAL, CLUSTER)}
    metrics = [
        [name, unit, why, *(_value(record, key) for record in newest.values())] for name, unit, why, key in KEY_METRICS
    ]
    return chapter(
        "Benchmark Targets",
        chapter(
            "Key Metrics to Track",
            table(["Metric", "Unit", "Purpose", "Newest local", "Newest cluster"], metrics),
            level=3,
        ),
        chapter(f"Targets of the profile {words(material.profile)}", *_reached(material, newest.values()), level=3),
        chapter("Environments", _environments(material), remarks.place("environments", NOTHING), level=3),
    )


def _value(record: Record | None, key: str) -> str:
    if record is None:
        return NO_DATA
    peak, mean = "results.max_cpu_memory_gb", record.results.avg_cpu_memory_gb
    if key == peak and record.value(peak) is None and mean is not None:
        return f"{number(mean)} on average"
    return number(record.value(key))


def _reached(material: Material, newest: Iterable[Record | None]) -> Iterator[str]:
    records = [record for record in newest if record is not None]
    if not records:
        rows = [[words(name), *_asked(one.describe()), "", NO_DATA] for name, one in material.targets.items()]
        yield table(["Metric", "Target", "Critical", "Value", "Verdict"], rows)
    for record in records:
        found = against([record], material.targets)
        rows = [[words(one.metric), *_asked(one.target), number(one.value), _marked(one.verdict)] for one in found]
        yield f"{words(record.id)}:\n\n" + table(["Metric", "Target", "Critical", "Value", "Verdict"], rows)


def _marked(verdict: str) -> str:
    return verdict if verdict == MET else f"**{verdict}**"


def _asked(target: str) -> tuple[str, str]:
    """(target, critical threshold) of what a target says of itself."""
    wanted, _, critical = target.partition("; critical ")
    return wanted, critical


def _environments(material: Material) -> str:
    seen = {(record.environment or "not said", hardware(record)): record for record in material.records}
    if not seen:
        return "_No run is recorded yet._\n"
    return facts((f"{name.capitalize()}", what) for name, what in sorted(seen))


def hardware(record: Record) -> str:
    """What a record ran on, in one line."""
    found = record.hardware
    if found.gpu_count:
        memory = f" ({number(found.gpu_vram_gb, 'GB')} each)" if found.gpu_vram_gb else ""
        gpus = f"{found.gpu_count} x {words(found.gpu_model or 'GPU')}{memory}"
    else:
        gpus = "no GPU" if found.gpu_count == 0 or record.results.gpu_hours == 0 else "GPUs not known"
    cpus = plural(found.cpu_cores, "CPU") if found.cpu_cores else "CPUs not known"
    memory_gb = found.ram_gb_allocated or found.ram_gb
    return ", ".join([gpus, cpus, f"{number(memory_gb, 'GB')} of memory" if memory_gb else "memory not known"])


def guidelines(material: Material) -> str:
    """Recording guidelines: the checklist of the newest record, ticked; and how the newest of each batch does."""
    newest = material.single[-1] if material.single else None
    if newest is None:
        return chapter(
            "Recording Guidelines", "_No run is recorded yet: hpc-qa bench record RUN, or bench import FILE._\n"
        )
    parts = [chapter(title, checklist(items), level=3) for title, items in checks(newest, material).items()]
    return chapter("Recording Guidelines", f"Of the newest record, {words(newest.id)}.\n", *parts)


def recorded(record: Record, material: Material) -> str:
    """How much of the checklist a record meets, and what it does not."""
    items = [item for group in checks(record, material).values() for item in group]
    missing = [name for name, met, _ in items if not met]
    said = f"{len(items) - len(missing)} of {len(items)} guidelines met"
    return said + (f"; not met: {'; '.join(missing)}" if missing else "")


Items = list[tuple[str, bool, str]]


def checks(record: Record, material: Material) -> dict[str, Items]:
    """The guidelines, (what, whether it is met, by what), before, during and after a run."""
    return {
        "Before a run": list(_before(record)),
        "During a run": list(_during(record)),
        "After a run": list(_after(record, material)),
    }


def _before(record: Record) -> Iterator[tuple[str, bool, str]]:
    exact = bool(record.commit_sha and record.config_file) and not str(record.commit_sha).endswith("+dirty")
    commit = f"commit {words(record.commit_sha)}, config {words(record.config_file)}"
    yield "Exact configuration (commit, config file)", exact, commit
    found = record.hardware
    yield (
        "Hardware specifications",
        bool(found.cpu_cores and (found.gpu_model or not found.gpu_count)),
        hardware(record),
    )
    model = record.model
    version = f"{words(model.name)}, revision {words(model.revision)}, served by {words(model.serving)}"
    yield "Model checkpoint and version", bool(model.name and model.revision), version
    subset = record.dataset
    which = f"{words(subset.manifest)}, PDFs: {number(subset.pdfs_processed)}"
    yield "Dataset subset", bool(subset.manifest and subset.pdfs_processed is not None), which


def _during(record: Record) -> Iterator[tuple[str, bool, str]]:
    found, no_gpu = record.results, record.hardware.gpu_count == 0 or record.results.gpu_hours == 0
    used = found.avg_gpu_utilization_percent
    sampled = used is not None and record.run is not None
    by_hand = f"mean {number(used, '%')}, written by hand: how often it was looked at is not known"
    seen = f"mean {number(used, '%')}, a sample a second" if sampled else "no samples" if used is None else by_hand
    yield "GPU utilization, each second", no_gpu or sampled, "no GPU was held" if no_gpu else seen
    peak, mean = found.max_cpu_memory_gb, found.avg_cpu_memory_gb
    known = (peak is not None or mean is not None) and (no_gpu or found.max_gpu_memory_gb is not None)
    host = f"{number(mean, 'GB')} on average" if peak is None and mean is not None else f"at most {number(peak, 'GB')}"
    gpu = "" if no_gpu else f", of a GPU {number(found.max_gpu_memory_gb, 'GB')}"
    yield "Memory usage", known, f"host {host}{gpu}"
    minutes = found.total_time_minutes
    yield "Processing timestamps", minutes is not None, f"total time {number(minutes, 'minutes')}"
    rate = found.error_rate
    yield "Error rates", rate is not None, f"failed of all {number(None if rate is None else 100 * rate, '%')}"


def _after(record: Record, material: Material) -> Iterator[tuple[str, bool, str]]:
    found, quality = record.results, record.quality
    means = found.qa_pairs_per_pdf is not None and found.avg_time_per_pdf_minutes is not None
    yield (
        "Aggregate statistics",
        means,
        f"{number(found.qa_pairs_per_pdf)} pairs and {number(found.avg_time_per_pdf_minutes)} minutes per PDF",
    )
    need = MANY_REVIEWED if (rank(record.batch) or (0, 0)) >= LARGE_BATCH else FEW_REVIEWED
    sample = quality.sample_size or 0
    by_people = quality.rated_by == "human" or (quality.rated_by is None and sample > 0)
    who = (
        f"{plural(sample, 'pair')} rated by people"
        if by_people
        else f"the judge alone rated {sample}"
        if sample
        else "no pair was rated"
    )
    yield f"Output quality reviewed (a sample of {need} pairs or more)", by_people and sample >= need, who
    yield "Anomalies and issues documented", record.issues is not None, _noted(record)
    projected = material.budget.projection
    run = material.runs.get(record.id)
    counts = run is not None and run.run_id in projected.inputs.get("runs", ())
    why = "the forecast counts it" if counts else "no forecast counts it: it is of other runs, or not in the ledger"
    yield "Projections updated", counts, why


def _noted(record: Record) -> str:
    if record.issues is None:
        return NOBODY_SAID
    seen = plural(len(record.issues), "issue") if record.issues else "none"
    return f"{seen}, of the tool and of people" if record.run else f"{seen}, written by hand"
