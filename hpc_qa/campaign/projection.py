"""The forecast of a project: made from its ledger and its corpus.

The total holds everything that was charged so far, other work as well: it is held against a budget that all of it
comes out of. Of shards that are not done the work so far is left out, as the rest contains all of it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpc_qa.budget.costs import DocumentCost
from hpc_qa.budget.forecast import Forecast, costs_nothing, forecast, unknown, with_naive
from hpc_qa.budget.overhead import Overhead
from hpc_qa.campaign.corpus import Corpus, corpus_of, corpus_of_count
from hpc_qa.campaign.measured import Measured, measured
from hpc_qa.config import Site
from hpc_qa.config_file import Project
from hpc_qa.ledger.usage import REMEDY, charged
from hpc_qa.manifest import Manifest
from hpc_qa.units import plural

NO_CORPUS = "what the corpus is, is not said: corpus or budget.corpus_documents in project.yaml, or --corpus F"


@dataclass(frozen=True, slots=True)
class Projection:
    """A forecast, and what it was made of."""

    forecast: Forecast
    costs: tuple[DocumentCost, ...]
    inputs: dict[str, Any]
    notes: tuple[str, ...]
    seen: Measured | None = None  # what the runs of the campaign took
    manifest: Path | None = None  # of the corpus

    def to_json(self) -> dict[str, Any]:
        """As `budget forecast --json` prints it."""
        return self.forecast.to_json() | {"inputs": self.inputs, "notes": list(self.notes)}


def project_forecast(
    project: Path, settings: Project, *, budget_gpu_hours: float | None = None, corpus: Path | None = None,
    site: Site | None = None, used: float | None = None,
) -> Projection:  # fmt: skip
    """The forecast of the project's corpus, from its ledger as it is.

    `budget_gpu_hours` and `corpus` go before what project.yaml says; `site` says what is charged for what is allocated,
    `used` is what was charged, where it is known.

    Raises:
        ManifestError: the manifest of the corpus cannot be read.
        StoreError: the ledger cannot be listed.
    """
    limit = settings.budget.gpu_hours if budget_gpu_hours is None else budget_gpu_hours
    manifest = corpus or (project / settings.corpus if settings.corpus else None)
    skipped: tuple[str, ...] = ()
    if used is None:
        found_used, skipped = charged(project, settings.budget.clusters, site)
        used = found_used.gpu_hours
    seen = measured(project, site)
    if seen is None or not (manifest or settings.budget.corpus_documents):
        return _nothing_yet(project, settings, limit, manifest, seen, used)
    found = (
        corpus_of(seen, manifest, project=project)
        if manifest
        else corpus_of_count(seen, settings.budget.corpus_documents or 0)
    )
    overhead = _overhead(found, seen, used)
    made = forecast(found.costs, budget_gpu_hours=limit, overhead=overhead)
    if limit is not None and used > limit:
        made = replace(made, status="over")
    made = with_naive(made, _mean(seen))
    made = replace(made, wall_hours=_wall_hours(made, seen), qa_pairs=_pairs(found))
    if reason := _not_known(made, found, seen):
        made = unknown(made, reason)
    left_out = [f"left out, so that less is known than the ledger had: {one}" for one in (*skipped, *seen.skipped)]
    notes = (*found.notes, *left_out)
    return Projection(made, found.costs, _inputs(found, seen, used, overhead), notes, seen, manifest)


def _nothing_yet(
    project: Path, settings: Project, limit: float | None, manifest: Path | None, seen: Measured | None, used: float
) -> Projection:
    count = sum(1 for _ in Manifest(manifest, project=project)) if manifest else settings.budget.corpus_documents or 0
    made = replace(forecast([], budget_gpu_hours=limit, overhead=Overhead(spent=used)), documents_total=count)
    notes = ["no document of a run on Slurm is in the ledger yet: hpc-qa ledger sync, once a shard is done"]
    return Projection(made, (), {}, tuple([NO_CORPUS] if seen else notes))


def _mean(seen: Measured) -> float | None:
    """GPU-hours of a document that is done, with start-ups and interruptions: what the plain rule goes by."""
    work = sum(one.gpu_hours for one in seen.documents.values())
    whole = work + sum(seen.attempts.startups) + sum(seen.attempts.lost)
    return whole / len(seen.documents) if seen.documents else None


def _overhead(corpus: Corpus, seen: Measured, used: float) -> Overhead:
    """What is spent beside the work on documents that count, and what start-ups and interruptions will add."""
    done = [cost for cost in corpus.costs if cost.gpu_hours is not None]
    left = {cost.task_id for cost in corpus.costs if cost.gpu_hours is None}
    work = sum(cost.gpu_hours or 0.0 for cost in done)
    return seen.attempts.expect(len(left), spent=max(0.0, used - seen.repeated_gpu_hours - work))


def _wall_hours(made: Forecast, seen: Measured) -> dict[str, float] | None:
    """Hours that hold GPUs, so far and for the rest, as many array tasks at once as the config allows."""
    if made.p05 is None or made.p50 is None or made.p95 is None:
        return None
    at_once = seen.config.gpus_allocated * seen.config.slurm.array_parallelism
    totals = {"p05": made.p05, "p50": made.p50, "p95": made.p95}
    rest = {name: max(0.0, total - made.spent_gpu_hours) for name, total in totals.items()}
    return {name: seen.hours + hours / at_once for name, hours in rest.items()} if at_once else None


def _pairs(corpus: Corpus) -> dict[str, float] | None:
    """Accepted pairs of the corpus, by the same estimator."""
    made = forecast(corpus.accepted, budget_gpu_hours=None)
    if made.p05 is None or made.p50 is None or made.p95 is None:
        return None
    return {"p05": made.p05, "p50": made.p50, "p95": made.p95}


def _not_known(made: Forecast, corpus: Corpus, seen: Measured) -> str | None:
    """Why it is not known what documents cost, however many are done; None where it is."""
    if seen.not_accounted:
        return (
            f"accounting has no GPUs of {plural(seen.not_accounted, 'attempt')} that asked for some, so that it is "
            f"not known what documents cost. {REMEDY}"
        )
    if seen.committed and not seen.documents:
        return (
            f"{plural(seen.committed, 'document is', 'documents are')} done, and it is not known what they "
            "cost: accounting does not say what their attempts held (AllocTRES)"
        )
    if made.documents_done < made.documents_total and not any(one.ok for one in seen.documents.values()):
        failed = "every document that is done has failed, so that it is not known what the others cost"
        return failed if seen.documents else None
    return costs_nothing(corpus.costs)


def _inputs(corpus: Corpus, seen: Measured, used: float, overhead: Overhead) -> dict[str, Any]:
    return {
        "runs": list(seen.runs),
        "model": seen.config.model,
        "gpus_per_server": seen.gpus_per_server,
        "array_parallelism": seen.config.slurm.array_parallelism,
        "corpus_sha256": corpus.manifest_sha256,
        "corpus_documents": corpus.documents,
        "sizes_by": corpus.sizes_by,
        "used_gpu_hours": used,
        "repeated_gpu_hours": seen.repeated_gpu_hours,
        "attempts_finished": len(seen.attempts.startups),
        "attempts_interrupted": len(seen.attempts.lost),
        "startup_gpu_hours": seen.attempts.startup,
        "overhead_spent_gpu_hours": overhead.spent,
        "overhead_expected_gpu_hours": overhead.expected,
        "overhead_variance": overhead.variance,
        "hours_held": seen.hours,
    }
