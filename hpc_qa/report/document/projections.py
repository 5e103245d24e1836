"""GPU-hour projections: what the batches used, the plain rule beside the measured one, and whether the budget holds."""

from collections.abc import Iterator

from hpc_qa.budget.forecast import NAIVE_OVERHEAD
from hpc_qa.report.document.markdown import chapter, facts, number, percent, table, to_be_filled, words
from hpc_qa.report.document.material import CLUSTER, Material
from hpc_qa.report.document.usage import usage_table
from hpc_qa.units import plural

MEANINGS = {
    "within": "within the budget (below 90 % of it)",
    "close": "close to the budget (90 to 100 % of it, or the interval reaches over it)",
    "over": "over the budget: ask for less, or for an extension",
    "undecided": "undecided: too little is done to say",
}


def projections(material: Material) -> str:
    """Usage, model, projected total, status."""
    return chapter(
        "GPU Hour Projections",
        chapter("Current Usage Summary", usage_table(material), level=3),
        chapter("Projection Model", *_model(material), level=3),
        chapter("Budget Status", *_status(material), level=3),
    )


def _model(material: Material) -> Iterator[str]:
    made = material.budget.projection
    found, inputs = made.forecast, made.inputs
    if found.p50 is None or found.naive is None:
        yield _from_records(material) or to_be_filled("a batch on the cluster (hpc-qa ledger sync)")
        return
    mean = found.naive / NAIVE_OVERHEAD / found.documents_total
    beside = inputs["overhead_spent_gpu_hours"] + inputs["overhead_expected_gpu_hours"]
    share = beside / (found.p50 - beside) if found.p50 > beside else None
    yield (
        "```\nGPU-Hours = (PDFs x Avg_GPU_Hours_per_PDF) + Overhead\n\n"
        f"  Avg_GPU_Hours_per_PDF = {number(mean)} hours, of {found.documents_done:,} PDFs with their start-ups\n"
        f"  Overhead, plain rule  = {100 * (NAIVE_OVERHEAD - 1):.0f} % of it\n"
        f"  Overhead, measured    = {number(beside)} GPU-hours, {percent(share)} of the work on documents:"
        " start-ups, interruptions, other work\n```\n"
    )
    wall, pairs = found.wall_hours, found.qa_pairs
    yield table(
        ["Projected total", "GPU-hours", "90 % interval"],
        [
            [
                f"Measured rule, {found.documents_total:,} PDFs",
                number(found.p50),
                f"{number(found.p05)} to {number(found.p95)}",
            ],
            [f"Plain rule, {found.documents_total:,} PDFs", number(found.naive), "it has none"],
        ],
    )
    yield facts(
        [
            ("Estimated time", f"{number(wall['p50'] if wall else None, 'hours')} that hold GPUs"),
            ("Estimated QA pairs", f"{number(pairs['p50'] if pairs else None, digits=0)} accepted"),
            ("Method", words(found.method)),
        ]
    )


def _from_records(material: Material) -> str:
    """The plain rule from the records of the cluster alone: of runs that the ledger does not know there is no more."""
    those = [one for one in material.single if one.environment == CLUSTER and one.results.gpu_hours is not None]
    hours = sum(one.results.gpu_hours or 0.0 for one in those)
    pdfs = sum(one.dataset.pdfs_processed or 0 for one in those)
    total, limit = material.documents_total, material.budget_gpu_hours
    if not (pdfs and total):
        return ""
    projected = hours / pdfs * total * NAIVE_OVERHEAD
    within = ""
    if limit is not None:
        within = f", {'within' if projected <= limit else '**over**'} the budget of {number(limit)}"
    return (
        "```\nGPU-Hours = (PDFs x Avg_GPU_Hours_per_PDF) + Overhead\n\n"
        f"  Avg_GPU_Hours_per_PDF = {number(hours / pdfs)} hours, of {pdfs:,} PDFs by their records\n"
        f"  Overhead, plain rule  = {100 * (NAIVE_OVERHEAD - 1):.0f} % of it\n```\n\n"
        f"**Projected Total**: {number(projected, 'GPU-hours')} for {total:,} PDFs{within}. The ledger knows none of "
        "these runs, so that there is no forecast with an interval.\n"
    )


def _status(material: Material) -> Iterator[str]:
    report = material.budget
    found, limit = report.projection.forecast, report.budget_gpu_hours
    if limit is None:
        yield "No budget is set: `budget.gpu_hours` in project.yaml.\n"
        return
    yield f"**{report.status}**: {MEANINGS[report.status]}.\n"
    inside = [("Budget", number(limit, "GPU-hours")), ("Probability that the corpus fits", percent(found.p_within))]
    inside.append(("By the plain rule", words(found.naive_status)))
    if found.more_documents_to_decide is not None:
        inside.append(("To decide", f"about {plural(found.more_documents_to_decide, 'more document')}"))
    if (help_ := report.remedies) is not None:
        if help_.over_by_p50 > 0:
            inside.append(("Over by", f"{number(help_.over_by_p50, 'GPU-hours')} in the middle of the forecast"))
        inside.append(("Extension to ask for", f"{number(help_.extension, 'GPU-hours')}, for the 95th percentile"))
        inside += [
            (
                f"`{one.setting}`",
                f"saves {number(one.gpu_hours, 'GPU-hours')}{', which is enough' if one.enough else ''}",
            )
            for one in help_.savings
        ]
    yield facts(inside)
