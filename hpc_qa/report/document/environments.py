"""Local against cluster: what a PDF takes in either, by which factor they differ, and which one is for what."""

from collections.abc import Callable, Iterator

from hpc_qa.bench.record import Record
from hpc_qa.report.cells import NOT_KNOWN
from hpc_qa.report.document.batches import time
from hpc_qa.report.document.goals import hardware
from hpc_qa.report.document.markdown import chapter, facts, number, table, to_be_filled, words
from hpc_qa.report.document.material import CLUSTER, LOCAL, Material

UNLIKE = {
    "model.name": "model", "model.revision": "revision", "model.tensor_parallel": "tensor parallel size",
    "configuration.quantization": "quantisation", "configuration.chunk_size": "chunk size",
    "configuration.concurrency_limit": "concurrency limit",
}  # fmt: skip
SAMPLE = 20  # PDFs of a sample on which prompts and settings are tried
PATIENCE_HOURS = 8.0  # within which a result is waited for


def comparison(material: Material) -> str:
    """The newest record of each environment, side by side."""
    title = "Local vs. Cluster Performance"
    local, cluster = material.newest(LOCAL), material.newest(CLUSTER)
    if local is None or cluster is None:
        return chapter(title, to_be_filled("both environments have a record"), level=3)
    headings = ["Metric", f"Local ({hardware(local)})", f"Cluster ({hardware(cluster)})", "Cluster Advantage"]
    said = f"Records: {words(local.id)} and {words(cluster.id)}.\n"
    rows = list(_rows(local, cluster, material))
    return chapter(title, said, table(headings, rows), _insights(local, cluster, material), level=3)


def _rows(local: Record, cluster: Record, material: Material) -> Iterator[list[str]]:
    def row(name: str, key: str, unit: str, words_: tuple[str, str], *, less: bool = True) -> list[str]:
        mine, theirs = local.value(key), cluster.value(key)
        factor = None if not mine or not theirs else mine / theirs if less else theirs / mine
        return [name, number(mine, unit), number(theirs, unit), advantage(factor, *words_)]

    yield row("Avg Time per PDF", "results.avg_time_per_pdf_minutes", "min", ("faster", "slower"))
    mine, theirs = _gpu_memory(local), _gpu_memory(cluster)
    more = NOT_KNOWN if mine is None or theirs is None else f"{theirs - mine:+,.0f} GB"
    yield ["GPU Memory Available", number(mine, "GB (total)"), number(theirs, "GB (total)"), more]
    yield row("Throughput", "results.throughput_pdfs_per_hour", "PDFs/hr", ("faster", "slower"), less=False)
    yield row("GPU-Hours per PDF", "results.gpu_hours_per_pdf", "", ("more efficient", "less efficient"))
    yield ["Cost per PDF", "0 (owned)", _cost(cluster, material), "N/A"]


def advantage(factor: float | None, better: str, worse: str) -> str:
    """By which factor one is better than the other, or worse.

    >>> advantage(2.0, "faster", "slower"), advantage(0.5, "faster", "slower"), advantage(None, "faster", "slower")
    ('2.00x faster', '2.00x slower', 'not known')
    """
    if factor is None:
        return NOT_KNOWN
    return f"{factor:.2f}x {better}" if factor >= 1 else f"{1 / factor:.2f}x {worse}"


def _gpu_memory(record: Record) -> float | None:
    found = record.hardware
    if found.gpu_count == 0:
        return 0.0
    return None if found.gpu_count is None or found.gpu_vram_gb is None else found.gpu_count * found.gpu_vram_gb


def _cost(record: Record, material: Material) -> str:
    campus = next((row for row in material.budget.costs if row.instance is None), None)
    if campus is None or campus.per_gpu_hour is None:
        return "not charged directly"
    hours = record.results.gpu_hours_per_pdf
    return number(None if hours is None else hours * campus.per_gpu_hour, campus.currency)


def _insights(local: Record, cluster: Record, material: Material) -> str:
    unlike = [
        f"{word} ({words(local.value(key))} against {words(cluster.value(key))})"
        for key, word in UNLIKE.items()
        if local.value(key) != cluster.value(key)
    ]
    here, there = local.quality.quality_score, cluster.quality.quality_score
    scores = f"{number(here, digits=3)} against {number(there, digits=3)}"
    if here is not None and there is not None:
        scores += f", {there - here:+.3f} on the cluster"
    total = material.documents_total
    pairs = [
        ("What differs beside the hardware", "; ".join(unlike) or "nothing that is recorded"),
        ("Quality score", scores),
        (f"For trying prompts and settings ({SAMPLE} PDFs)", _recommended(local, cluster, SAMPLE, _for_a_sample)),
    ]
    if total:
        pairs.append((f"For the corpus ({total:,} PDFs)", _recommended(local, cluster, total, _for_much)))
    return facts(pairs)


def _recommended(local: Record, cluster: Record, pdfs: int, rule: Callable[[float, float], str]) -> str:
    each = local.results.avg_time_per_pdf_minutes, cluster.results.avg_time_per_pdf_minutes
    if each[0] is None or each[1] is None:
        return "not known: one of the two has no time per PDF"
    here, there = each[0] * pdfs, each[1] * pdfs
    return f"{rule(here / 60, there / 60)} ({time(here)} against {time(there)}, without waiting in the queue)"


def _for_a_sample(here: float, there: float) -> str:
    """The local machine where it is quick enough: it has no queue and takes nothing of the budget."""
    return "local" if here <= PATIENCE_HOURS or here <= there else "cluster"


def _for_much(here: float, there: float) -> str:
    return "local" if here <= min(there, PATIENCE_HOURS) else "cluster" if there <= here else "local, if it can wait"
