"""One section for each batch: configuration, hardware, results beside targets, quality, issues, and what follows.

The newest run of a batch is shown in full, earlier ones in a line each.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpc_qa.bench.effect import wilson
from hpc_qa.bench.record import Configuration, JudgeScores, Quality, Record, Results, Scores
from hpc_qa.budget import gates
from hpc_qa.budget.forecast import NAIVE_OVERHEAD
from hpc_qa.budget.gates import Criterion, Previous
from hpc_qa.campaign.batches import rank
from hpc_qa.campaign.gate import COMPARED, GateReport, shown
from hpc_qa.report.document.goals import hardware, recorded
from hpc_qa.report.document.markdown import chapter, facts, number, percent, table, to_be_filled, words
from hpc_qa.report.document.material import CLUSTER, LOCAL, Material, batches_of
from hpc_qa.report.document.remarks import LESSONS, Remarks, key_of

LEVEL_95 = 1.959964  # of the normal distribution
PAIRS_PER_PDF = 5  # that are expected
LONG_MINUTES = 120  # from here on in hours


@dataclass(frozen=True, slots=True)
class Expected:
    """A batch that every campaign has, and how many pairs are expected of it."""

    batch: str
    title: str
    environment: str | None  # None: its newest record does not say
    pairs: str


EXPECTED = (
    Expected("local_5", "Local test 1: initial validation", LOCAL, "about 25-30"),
    Expected("local_20", "Local test 2: scaled sample", LOCAL, "about 100"),
    Expected("smoke", "Cluster test 1: smoke test", CLUSTER, "about 5"),
    Expected("batch_50", "Cluster test 2: batch 50", CLUSTER, "about 250"),
    Expected("batch_200", "Cluster test 3: batch 200", CLUSTER, "about 1,000"),
    Expected("batch_500", "Cluster test 4: batch 500", CLUSTER, "about 2,500"),
    Expected("production", "Production run: the rest of the corpus", CLUSTER, ""),
)


def expected_of(material: Material) -> list[Expected]:
    """The batches of the document in their order: those that every campaign has, and others that have records."""
    known = {one.batch: one for one in EXPECTED}
    for name in batches_of(material.single):
        if name not in known:
            environment = material.of_batch(name)[-1].environment
            known[name] = Expected(name, f"Batch {name}", environment, "")
    return sorted(known.values(), key=lambda one: (rank(one.batch) or (9, 0), one.batch))


def benchmarks(material: Material, remarks: Remarks, environment: str | None, title: str) -> str:
    """The sections of all batches of one environment, and its runs without a batch; None are those that do not say.

    Empty where there is nothing at all to say.
    """
    sections = [_of_batch(one, material, remarks) for one in expected_of(material) if one.environment == environment]
    unnamed: dict[str, list[Record]] = defaultdict(list)
    for record in material.of_batch(None):
        if record.environment == environment:
            unnamed[record.config_file or "no config"].append(record)
    for config, records in sorted(unnamed.items()):
        place = remarks.place(key_of("runs", f"{environment or 'unknown'} {config}"), LESSONS)
        sections.append(_section(f"Runs of no batch: {config}", records, "", place, material))
    return chapter(title, *sections) if sections else ""


def _of_batch(expected: Expected, material: Material, remarks: Remarks) -> str:
    place = remarks.place(key_of("batch", expected.batch), LESSONS)
    records = material.of_batch(expected.batch)
    if not records:
        return chapter(words(expected.title), to_be_filled(expected.batch), place, level=3)
    return _section(expected.title, records, expected.pairs, place, material)


def _section(title: str, records: Sequence[Record], pairs: str, place: str, material: Material) -> str:
    record = records[-1]
    parts = [
        facts(_configuration(record, material)),
        _titled("Results", table(["Metric", "Value", "Notes"], _results(record, pairs, material))),
        _titled("Quality", _quality(record)),
        _titled("Issues", _issues(record)),
        _scaling(record, material),
        _projection(record, material),
        _go(record, material),
    ]
    if len(records) > 1:
        parts.append(_titled("Earlier runs", _others(records[:-1])))
    return chapter(words(title), *parts, place, level=3)


def _titled(title: str, text: str) -> str:
    return f"**{title}**\n\n{text}"


def _configuration(record: Record, material: Material) -> Iterator[tuple[str, str]]:
    run = material.runs.get(record.id)
    yield "Record", words(record.id) + (f", run {words(run.run_id)}" if run else "")
    yield "Date", words(record.date)
    yield "Environment", words(record.environment)
    if record.environment == CLUSTER:
        yield "Job ID(s)", words(", ".join(record.job_ids) or None)
    yield "Config", words(record.config_file)
    yield "Commit", words(record.commit_sha)
    model = record.model
    version = f", revision {words(model.revision)}" if model.revision else ""
    served = f", served by {words(model.serving)}" if model.serving else ""
    yield "Model", f"{words(model.name)}, tensor parallel {number(model.tensor_parallel)}{version}{served}"
    yield "Settings", ", ".join(_settings(record))
    if record.environment == CLUSTER:
        yield "Node", words(record.hardware.node_list)
    yield "Hardware", hardware(record)
    size = record.dataset.markdown_size_mb
    markdown = f", {number(size, 'MB')} of Markdown" if size is not None else ""
    yield "PDFs processed", number(record.dataset.pdfs_processed) + markdown
    yield "Manifest", words(record.dataset.manifest)
    yield "Recording", recorded(record, material)


def _settings(record: Record) -> Iterator[str]:
    """The three of every record, then the others that are known."""
    for name, value in record.configuration.model_dump().items():
        if name in Configuration.model_fields:
            yield f"{name} {number(value)}"
        elif value is not None:
            yield f"{name} {words(value)}"


def time(minutes: float | None) -> str:
    """A time for people: minutes, or hours when it is long."""
    if minutes is None or minutes < LONG_MINUTES:
        return number(minutes, "minutes")
    return number(minutes / 60, "hours")


def _results(record: Record, pairs: str, material: Material) -> Iterator[list[str]]:
    found = record.results
    queued = "" if found.queue_minutes is None else f", and {time(found.queue_minutes)} in the queue"
    yield ["Total processing time", time(found.total_time_minutes), f"wall time{queued}"]
    yield ["Avg time per PDF", number(found.avg_time_per_pdf_minutes, "minutes"), ""]
    pairs = pairs or f"about {PAIRS_PER_PDF * (record.dataset.pdfs_processed or 0):,}"
    yield ["QA pairs generated", number(found.qa_pairs_generated), f"target: {pairs}"]
    yield ["QA pairs accepted", number(found.qa_pairs_accepted), _of_generated(found)]
    yield ["QA pairs per PDF", number(found.qa_pairs_per_pdf), f"target: about {PAIRS_PER_PDF}"]
    yield [
        "Throughput",
        number(found.throughput_pdfs_per_hour, "PDFs/hour"),
        _target(material, "throughput_pdfs_per_hour"),
    ]
    utilization = _target(material, "gpu_utilization_percent")
    yield ["GPU utilization (avg)", number(found.avg_gpu_utilization_percent, "%"), utilization]
    yield ["GPU memory (max)", number(found.max_gpu_memory_gb, "GB"), "of one GPU"]
    yield ["CPU memory (avg)", number(found.avg_cpu_memory_gb, "GB"), ""]
    yield ["CPU memory (max)", number(found.max_cpu_memory_gb, "GB"), ""]
    yield ["GPU-hours per PDF", number(found.gpu_hours_per_pdf, "hours"), ""]
    yield ["Total GPU-hours", number(found.gpu_hours, "hours"), "allocated, all attempts"]
    yield ["GPU-hours per accepted pair", number(found.gpu_hours_per_accepted_pair, "hours"), ""]
    yield ["Start-up", number(found.startup_s, "s"), "median over attempts, to the first request"]
    yield ["Tokens per second", number(found.tokens_per_s), "computed, of one server while it served"]
    yield ["Job efficiency", number(found.job_efficiency_percent, "%"), "CPU efficiency, as seff has it"]
    yield ["Memory efficiency", number(found.memory_efficiency_percent, "%"), "as seff has it"]
    asked = "; ".join(filter(None, ["failed, of all documents", _target(material, "error_rate")]))
    yield ["Error rate", percent(found.error_rate), asked]
    yield ["Success rate", percent(found.success_rate), "ended ok, of all documents, also those that were skipped"]


def _of_generated(found: Results) -> str:
    made, accepted = found.qa_pairs_generated, found.qa_pairs_accepted
    return f"{percent(accepted / made)} of those generated" if made and accepted is not None else ""


def _target(material: Material, metric: str) -> str:
    asked = material.targets.get(metric)
    return f"target: {asked.describe()}" if asked else ""


def _quality(record: Record) -> str:
    found = record.quality
    size = number(found.sample_size)
    rows = [
        ["Question Clarity", number(found.avg_clarity_score, digits=2), size],
        ["Answer Accuracy", number(found.avg_accuracy_score, digits=2), size],
        ["Source Relevance", number(found.avg_relevance_score, digits=2), size],
        ["Overall Quality", number(found.avg_overall_score, digits=2), size],
    ]
    said = [f"quality score {number(found.quality_score, digits=3)}{_spread(found)}"]
    rate = found.overall_acceptance_rate
    if rate is not None:
        bounds = wilson(rate, found.sample_size, LEVEL_95) if found.sample_size else None
        between = f" ({percent(bounds[0])} to {percent(bounds[1])} with 95 % confidence)" if bounds else ""
        said.append(f"accepted {percent(rate)} of {_of_whom(found)}{between}")
    if found.ok is not None:
        said.append("found good" if found.ok else "found not good")
    who = f"Rated by: {found.rated_by or 'not said'}; {'; '.join(said)}.\n"
    beside = _judge(found.judge) if found.judge is not None else ""
    return table(["Metric", "Score (1-5)", "Sample size"], rows) + f"\n{who}{beside}"


def _spread(found: Scores) -> str:
    between = found.quality_score_deviation
    return "" if between is None else f" ± {number(between, digits=3)} between documents"


def _judge(found: JudgeScores) -> str:
    """What the judge says, where people rated, and what controls say of the judge."""
    known = {
        "quality score": found.quality_score, "sensitivity": found.sensitivity, "specificity": found.specificity,
        "acceptance rate corrected by controls": found.corrected_acceptance_rate,
    }  # fmt: skip
    said = "; ".join(f"{name} {number(value, digits=3)}" for name, value in known.items() if value is not None)
    return f"The judge, of {number(found.sample_size)} pairs: {said or 'not known'}.\n"


def _of_whom(found: Quality) -> str:
    """What the acceptance rate is a share of."""
    size = "" if found.sample_size is None else f"{found.sample_size:,} "
    if found.rated_by == "judge":
        return f"the {size}judged pairs, which had passed the checks"
    return f"the {size}rated pairs" if found.rated_by == "human" else f"a sample of {size}pairs".replace("  ", " ")


def _issues(record: Record) -> str:
    if not record.issues:
        return "- none noted\n" if record.issues == [] else "- nobody said whether there were any\n"
    lines = (
        one if isinstance(one, str) else f"{one.severity}: {one.text}" if one.severity else one.text
        for one in record.issues
    )
    return "".join(f"- {words(line)}\n" for line in lines)


def scaling(record: Record, before: Record | None) -> list[Criterion]:
    """A record held against that of the batch before, by the rules of the gates."""
    earlier = Previous()
    if before is not None:
        differs = _differs(record, before)
        figures = {name: before.value(f"results.{name}") for name in COMPARED}
        figures["quality_score"] = before.quality.quality_score
        name = before.batch or before.id
        earlier = (
            Previous(why_not=f"{name} had another {differs}: not compared") if differs else Previous(name, figures)
        )
    criteria = [
        gates.not_worse(name, record.value(f"results.{name}"), earlier, more_is_worse=worse)
        for name, worse in COMPARED.items()
    ]
    quality = record.quality
    return [*criteria, gates.quality_held(quality.quality_score, quality.sample_size or 0, earlier)]


def _differs(record: Record, before: Record) -> str | None:
    keys = {"model.name": "model", "hardware.gpu_count": "number of GPUs", "hardware.gpu_model": "GPU"}
    return next((word for key, word in keys.items() if record.value(key) != before.value(key)), None)


def _scaling(record: Record, material: Material) -> str:
    before = material.before(record)
    if before is None:
        return ""
    if differs := _differs(record, before):
        return _titled("Scaling analysis", f"Not compared: {words(before.batch or before.id)} had another {differs}.\n")
    found = {one.name: one for one in scaling(record, before)}
    time_, quality = found.pop("avg_time_per_pdf_minutes"), found.pop("quality_score")
    rows = [_answer("Time per PDF stable?", time_), _answer("Quality maintained?", quality)]
    worst = gates.verdict(found.values())
    degraded = {gates.GO: "no", gates.NO_GO: "**yes**"}.get(worst, "undecided")
    rows.append(
        ["Any performance degradation?", degraded, "; ".join(words(f"{one.name}: {one.why}") for one in found.values())]
    )
    return _titled("Scaling analysis", table(["Question", "Answer", "Why"], rows))


def _answer(question: str, found: Criterion) -> list[str]:
    answer = {gates.GO: "yes", gates.NO_GO: "**no**"}.get(found.verdict, "undecided")
    return [question, answer, words(found.why)]


def _projection(record: Record, material: Material) -> str:
    total, found = material.documents_total, record.results
    if not total:
        return ""
    hours = None if found.avg_time_per_pdf_minutes is None else found.avg_time_per_pdf_minutes * total / 60
    gpu_hours = None if found.gpu_hours_per_pdf is None else found.gpu_hours_per_pdf * total * NAIVE_OVERHEAD
    pairs = None if found.qa_pairs_per_pdf is None else round(found.qa_pairs_per_pdf * total)
    rows = [("Estimated time", f"{number(hours, 'hours')} of wall time, at the pace of this run")]
    if record.environment == LOCAL:
        rows.append(("Estimated GPU-hours", f"{number(gpu_hours, 'hours')} (of this machine, not charged)"))
    else:
        rows.append(
            ("Estimated GPU-hours", f"{number(gpu_hours, 'hours')} (PDFs x mean of this run x {NAIVE_OVERHEAD})")
        )
    rows.append(("Estimated QA pairs", number(pairs)))
    limit = material.budget_gpu_hours
    if limit is not None and record.environment != LOCAL:
        within = "not known" if gpu_hours is None else "yes" if gpu_hours <= limit else "**no**"
        rows.append(("Within budget", f"{within} ({number(limit)} GPU-hours); the forecast below has the interval"))
    return _titled(f"Projection for {total:,} PDFs from this run alone", facts(rows))


def _go(record: Record, material: Material) -> str:
    if record.environment != CLUSTER:
        return ""
    found = material.gate_of(record)
    if isinstance(found, str):
        return _titled("Go / no-go", f"_The gate cannot be read: {words(found)}_\n")
    criteria = found.criteria if isinstance(found, GateReport) else _from_record(record, material)
    items = "".join(
        f"- {_tick(one)}{one.name}: {one.verdict}, {shown(one.value)}; {words(one.why)} (asked: {words(one.limit)})\n"
        for one in criteria
    )
    source = "" if isinstance(found, GateReport) else " (from the record alone: the run is not here)"
    return _titled(f"Go / no-go: {gates.verdict(criteria)}{source}", items)


def _tick(one: Criterion) -> str:
    """The box before a criterion; none where nothing was asked."""
    return "" if one.verdict == gates.NOT_ASKED else "[x] " if one.verdict == gates.GO else "[ ] "


def _from_record(record: Record, material: Material) -> list[Criterion]:
    """The criteria that a record can answer by itself."""
    found, projected = record.results, material.budget.projection.forecast
    documents = record.dataset.pdfs_processed or 0
    noted = None if record.issues is None else [
        (one, False) if isinstance(one, str) else (one.text, one.severity == "critical") for one in record.issues
    ]  # fmt: skip
    failed = None if found.error_rate is None else round(found.error_rate * documents)
    return [
        gates.few_errors(failed, documents) if failed is not None else gates.few_errors(0, 0),
        gates.no_critical_issue(noted),
        *scaling(record, material.before(record)),
        gates.affordable(projected if projected.p50 is not None else None, material.budget_gpu_hours),
    ]


def _others(records: Sequence[Record]) -> str:
    rows = [
        [
            words(record.id), words(record.date), number(record.dataset.pdfs_processed),
            number(record.results.avg_time_per_pdf_minutes), number(record.results.qa_pairs_per_pdf),
            number(record.quality.quality_score, digits=3), number(record.results.gpu_hours),
        ]
        for record in records
    ]  # fmt: skip
    headings = ["Record", "Date", "PDFs", "Minutes per PDF", "QA pairs per PDF", "Quality score", "GPU-hours"]
    return table(headings, rows)
