"""The record of one benchmark run: what ran, where, and what came of it. What was not measured is null.

The names are those that groups write by hand, so that records stay comparable for years; `record_file` reads them.
Numbers are never negative; shares are 0 to 1, scores 1 to 5, GB are 10^9 bytes.
"""

import re
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from hpc_qa.campaign.issues import with_severity
from hpc_qa.config import Section

Text = Annotated[str, Field(min_length=1, max_length=10_000)]
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?![\d])")
LARGEST = 10**15  # of anything: what is larger is a slip, and what follows from it is no number any more
Amount = Annotated[float, Field(ge=0, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Score = Annotated[float, Field(ge=1, le=5)]


def _is_on_a_calendar(text: str) -> str:
    """A date that begins as 2026-01-31 does is one; other ways to write it are left to whoever wrote it."""
    if day := _DAY.match(text):
        try:
            date.fromisoformat(day[1])
        except ValueError as exc:
            raise ValueError(f"{day[1]} is no day of a calendar") from exc
    return text


Day = Annotated[Text, AfterValidator(_is_on_a_calendar)]


class Hardware(Section):
    """What it ran on."""

    gpu_model: Text | None = None
    gpu_count: Count | None = None
    gpu_vram_gb: Amount | None = None
    cpu_cores: Count | None = None
    ram_gb: Amount | None = None
    ram_gb_allocated: Amount | None = None
    nodes: Count | None = None
    node_list: Text | None = None  # as Slurm writes it: node[1-2]


class Dataset(Section):
    """What it worked on."""

    pdfs_processed: Count | None = None
    markdown_size_mb: Amount | None = None
    manifest: Text | None = None


class Model(Section):
    """What generated."""

    name: Text | None = None
    serving: Text | None = None
    tensor_parallel: Count | None = None
    revision: Text | None = None


class Configuration(Section):
    """Settings that change what a run takes; others may stand beside them, and are compared as well."""

    model_config = ConfigDict(extra="allow")

    chunk_size: Count | None = None
    questions_per_chunk: Count | None = None
    concurrency_limit: Count | None = None


class Results(Section):
    """What it took and gave."""

    total_time_minutes: Amount | None = None
    queue_minutes: Amount | None = None
    qa_pairs_generated: Count | None = None
    qa_pairs_per_pdf: Amount | None = None
    qa_pairs_accepted: Count | None = None
    chunks_asked: Count | None = None  # of which pairs were asked for
    avg_time_per_pdf_minutes: Amount | None = None
    throughput_pdfs_per_hour: Amount | None = None
    gpu_hours: Amount | None = None
    gpu_hours_per_pdf: Amount | None = None
    gpu_hours_per_accepted_pair: Amount | None = None
    startup_s: Amount | None = None  # median over attempts, from the worker's begin to its first request
    tokens_per_s: Amount | None = None  # computed, per second of serving of one server
    avg_gpu_utilization_percent: Percent | None = None
    max_gpu_memory_gb: Amount | None = None
    avg_cpu_memory_gb: Amount | None = None
    max_cpu_memory_gb: Amount | None = None
    job_efficiency_percent: Amount | None = None
    cpu_efficiency_percent: Amount | None = None
    memory_efficiency_percent: Amount | None = None
    cpu_over_95_percent_longest_s: Amount | None = None  # the longest time without a break, by samples a second apart
    error_rate: Share | None = None
    success_rate: Share | None = None


class Scores(Section):
    """How good the pairs are, as one or the other judged."""

    sample_size: Count | None = None
    avg_clarity_score: Score | None = None
    avg_accuracy_score: Score | None = None
    avg_relevance_score: Score | None = None
    avg_overall_score: Score | None = None
    overall_acceptance_rate: Share | None = None
    quality_score: Share | None = None
    quality_score_deviation: Share | None = None  # standard deviation between the means of documents


S = TypeVar("S", bound=Scores)


class JudgeScores(Scores):
    """Those of the judge, and what controls say of it."""

    sensitivity: Share | None = None
    specificity: Share | None = None
    corrected_acceptance_rate: Share | None = None


class Quality(Scores):
    """The human review when there is one, else the judge's."""

    rated_by: Literal["human", "judge"] | None = None
    ok: bool | None = None  # of the quick template, which says no more
    judge: JudgeScores | None = None


class SizeClass(Section):
    """The same of the documents of one size."""

    size_class: Text | None = None
    docs: Count | None = None
    docs_per_hour: Amount | None = None
    quality_score: Share | None = None
    memory_gb_peak: Amount | None = None


class Stage(Section):
    """What one stage took: of the documents, or of the allocations. The shares of each kind sum to 100 %."""

    name: Text | None = None
    of: Literal["documents", "allocation"] | None = None
    duration_s: Amount | None = None
    cached: Count | None = None  # documents that the cache had when the run was submitted: this stage was done before
    cpu_percent: Amount | None = None
    gpu_percent: Percent | None = None
    memory_gb_peak: Amount | None = None
    io_read_mb: Amount | None = None
    io_write_mb: Amount | None = None
    share_percent: Amount | None = None
    bottleneck: Text | None = None


class SlowDocument(Section):
    """One of those that took longest in a stage."""

    doc_id: Text | None = None
    stage: Text | None = None
    seconds: Amount | None = None
    why: Text | None = None


class Issue(Section):
    """Something that went wrong, or was odd."""

    text: Text
    severity: Literal["minor", "critical"] | None = None


def _issue(written: Any) -> Any:
    """With the severity that people write in front of it: `Critical: ...`."""
    severity, text = with_severity(written)
    return {"text": text, "severity": severity} if severity else written


class Record(Section):
    """One benchmark run."""

    id: Text
    run: Text | None = None  # of which it is; None of what was written by hand
    date: Day | None = None
    environment: Literal["local", "cluster"] | None = None
    batch: Text | None = None
    sweep: Text | None = None  # of which it is a cell
    failure: Text | None = None  # of a cell that could not be measured: its class and why; its figures are of a part
    commit_sha: Text | None = None
    config_file: Text | None = None
    targets: Text | None = None  # the profile of targets that its config names
    hardware: Hardware = Hardware()
    dataset: Dataset = Dataset()
    model: Model = Model()
    configuration: Configuration = Configuration()
    results: Results = Results()
    quality: Quality = Quality()
    by_size_class: list[SizeClass] = Field(default_factory=list)
    stages: list[Stage] = Field(default_factory=list)
    slowest_documents: list[SlowDocument] = Field(default_factory=list)
    job_ids: list[str] = Field(default_factory=list)
    issues: list[Annotated[Text | Issue, BeforeValidator(_issue)]] | None = None  # empty: somebody looked, and saw none

    def value(self, key: str) -> Any:
        """What stands under a key like `results.gpu_hours`; None where it is unknown or no key."""
        found: Any = self
        for name in key.split("."):
            found = getattr(found, name, None)
        return found

    def to_yaml(self) -> str:
        """The whole record, what is unknown as null."""
        return as_yaml({"benchmark_run": self.model_dump()})


def as_yaml(document: dict[str, Any]) -> str:
    """YAML in the order of its keys; a date is a text in quotes."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def completed(record: Record) -> Record:
    """With the figures that follow from others by definition, where they are null.

    >>> made = completed(Record(id="x", results=Results(total_time_minutes=87), dataset=Dataset(pdfs_processed=10)))
    >>> round(made.results.avg_time_per_pdf_minutes, 1), round(made.results.throughput_pdfs_per_hour, 1)
    (8.7, 6.9)
    """
    found, found_quality, pdfs = record.results, record.quality, record.dataset.pdfs_processed
    follows = {
        "avg_time_per_pdf_minutes": _ratio(found.total_time_minutes, pdfs),
        "throughput_pdfs_per_hour": _ratio(60 * pdfs if pdfs else None, found.total_time_minutes),
        "qa_pairs_per_pdf": _ratio(found.qa_pairs_generated, pdfs),
        "gpu_hours_per_pdf": _ratio(found.gpu_hours, pdfs),
    }
    judged = found_quality.judge and _with_score(found_quality.judge)
    return record.model_copy(
        update={
            "results": found.model_copy(update={k: v for k, v in follows.items() if getattr(found, k) is None}),
            "quality": _with_score(found_quality).model_copy(update={"judge": judged}),
        }
    )


def _with_score(scores: S) -> S:
    """With the quality score that follows from the means of all three scores."""
    means = (scores.avg_clarity_score, scores.avg_accuracy_score, scores.avg_relevance_score)
    known = [mean for mean in means if mean is not None]
    if scores.quality_score is not None or len(known) < len(means):
        return scores
    return scores.model_copy(update={"quality_score": sum((mean - 1) / 4 for mean in known) / len(known)})


def _ratio(part: float | None, whole: float | None) -> float | None:
    found = part / whole if part is not None and whole else None
    return found if found is not None and found <= LARGEST else None
