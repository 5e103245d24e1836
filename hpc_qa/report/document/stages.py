"""Where the time goes: by stage, size of the documents and model, with what held each up and what was slowest."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from hpc_qa.bench.record import Record, Stage
from hpc_qa.bench.stage_list import DOCUMENT_STAGES
from hpc_qa.report.document.markdown import chapter, number, table, to_be_filled, words
from hpc_qa.report.document.material import CLUSTER, LOCAL, Material

# seconds of a pipeline of the same stages for 100 documents of medium size, on other hardware
REFERENCE = {
    "raw_input": "45-60", "conversion": "180-240", "preprocessing": "90-120", "fact_extraction": "900-1,200",
    "generation": "300-450", "finalisation": "60-90",
}  # fmt: skip
HEADINGS = [
    "Stage",
    "Duration (s)",
    "Cached",
    "CPU (%)",
    "GPU (%)",
    "Memory peak (GB)",
    "Read (MB)",
    "Written (MB)",
    "Share (%)",
    "Bottleneck",
]


def breakdown(material: Material) -> str:
    """The stages of the newest record of each environment that has any, and all models side by side."""
    parts = [
        chapter(f"{environment.capitalize()}: {words(record.id)}", *_of_record(record), level=4)
        for environment in (LOCAL, CLUSTER)
        if (record := with_stages(material, environment)) is not None
    ]
    if not parts:
        return chapter("Where the Time Goes", to_be_filled("a run is in the ledger (hpc-qa ledger sync)"), level=3)
    return chapter("Where the Time Goes", *parts, chapter("By model", _models(material.single), level=4), level=3)


def with_stages(material: Material, environment: str) -> Record | None:
    """The newest record of an environment of which the stages are known."""
    those = [one for one in material.single if one.environment == environment and any(s.duration_s for s in one.stages)]
    return those[-1] if those else None


def of_allocation(record: Record) -> list[Stage]:
    """The stages of the allocations; of a record that does not say which are which all that are none of documents."""
    return [
        one for one in record.stages if one.of == "allocation" or (one.of is None and one.name not in DOCUMENT_STAGES)
    ]


def _of_record(record: Record) -> Iterator[str]:
    allocation = of_allocation(record)
    documents = [one for one in record.stages if one not in allocation]
    if documents:
        rows = [[*_row(one), REFERENCE.get(one.name or "", "")] for one in documents]
        yield (
            "Stages of the documents. What is cached was converted before the run, which spent none of that time; the "
            "last column is from other hardware, for 100 documents of medium size.\n"
        )
        yield table([*HEADINGS, "Reference (s)"], rows)
    if allocation:
        yield "Stages of the allocations, all attempts; they sum to what was held.\n"
        yield table(HEADINGS, [_row(one) for one in allocation])
    if record.by_size_class:
        headings = ["Size class", "Documents", "Documents/hour", "Quality score", "Memory peak (GB)"]
        yield table(
            headings,
            [
                [
                    words(one.size_class), number(one.docs), number(one.docs_per_hour),
                    number(one.quality_score, digits=3), number(one.memory_gb_peak),
                ]
                for one in record.by_size_class
            ],
        )  # fmt: skip
    if record.slowest_documents:
        rows = [
            [words(one.stage), words(one.doc_id), number(one.seconds), words(one.why)]
            for one in record.slowest_documents
        ]
        yield table(["Slowest in", "Document", "Seconds", "Why"], rows)


def _row(one: Stage) -> list[str]:
    figures = (
        one.duration_s, one.cached, one.cpu_percent, one.gpu_percent, one.memory_gb_peak, one.io_read_mb,
        one.io_write_mb, one.share_percent,
    )  # fmt: skip
    return [words(one.name), *(number(value) for value in figures), words(one.bottleneck)]


def _models(records: Sequence[Record]) -> str:
    """Means over the records of a model on the same hardware."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        count = record.hardware.gpu_count
        gpus = f"{count} x {record.hardware.gpu_model or 'GPU'}" if count else "no GPU"
        groups[record.model.name or "not known", f"{record.environment or 'not said'}, {gpus}"].append(record)
    keys = (
        "results.throughput_pdfs_per_hour", "results.tokens_per_s", "quality.quality_score",
        "results.max_gpu_memory_gb", "results.max_cpu_memory_gb", "results.gpu_hours_per_accepted_pair",
        "results.error_rate",
    )  # fmt: skip
    rows = [
        [words(model), words(where), number(len(those)), *(number(_mean(those, key)) for key in keys)]
        for (model, where), those in sorted(groups.items())
    ]
    headings = [
        "Model", "Where", "Runs", "Documents/hour", "Tokens/s", "Quality score", "GPU memory (GB)", "CPU memory (GB)",
        "GPU-hours/accepted pair", "Error rate",
    ]  # fmt: skip
    return table(headings, rows)


def _mean(records: Sequence[Record], key: str) -> float | None:
    known = [value for record in records if (value := record.value(key)) is not None]
    return sum(known) / len(known) if known else None
