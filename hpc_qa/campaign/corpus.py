"""The documents of a corpus as costs: done ones with what they took, the others with their sizes and array tasks.

The size of a document is the tokens that a run of the campaign would ask for it; where these cannot be known, its
bytes. Of a corpus of which only the number of documents is known, all of them are of the same size.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc_qa.budget.costs import DocumentCost
from hpc_qa.campaign import estimate
from hpc_qa.campaign.asked import asked_of
from hpc_qa.campaign.known import Known
from hpc_qa.campaign.measured import Measured
from hpc_qa.campaign.piles import paces_of, piles_of
from hpc_qa.campaign.schedule import Pace, Pile, balance
from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.errors import ConfigError
from hpc_qa.manifest import Manifest
from hpc_qa.units import plural

TOKENS, BYTES, COUNT = "tokens", "bytes", "count"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Every document that is to be asked about."""

    costs: tuple[DocumentCost, ...]
    accepted: tuple[DocumentCost, ...]  # the same with accepted pairs in the place of GPU-hours
    sizes_by: str  # tokens | bytes | count
    documents: int  # of the manifest
    manifest_sha256: str | None
    notes: tuple[str, ...]


def corpus_of(seen: Measured, manifest: Path, *, project: Path) -> Corpus:
    """The documents of this manifest.

    Raises:
        ManifestError: it cannot be read.
    """
    entries = Manifest(manifest, project=project)
    files = {entry.doc_id: entry.sha256 for entry in entries}
    sizes, by, notes = sizes_of(entries, seen.config, seen.converter_key, project)
    known = [doc_id for doc_id in sizes if files[doc_id] in seen.documents]
    left = {doc_id: size for doc_id, size in sizes.items() if files[doc_id] not in seen.documents}
    tasks = _tasks(left, by, seen, project)
    done = [seen.documents[files[doc_id]] for doc_id in known]
    rest = [DocumentCost(doc_id, float(size), tasks[doc_id], None) for doc_id, size in left.items()]
    costs = [DocumentCost(doc_id, float(sizes[doc_id]), one.task_id, one.gpu_hours)
             for doc_id, one in zip(known, done, strict=True)]  # fmt: skip
    pairs = [cost._replace(gpu_hours=float(one.accepted)) for cost, one in zip(costs, done, strict=True)]
    if without := len(files) - len(sizes):
        notes = [
            *notes,
            f"{without:,} of {plural(len(files), 'document')} cannot be used, or are copies: no work is in them",
        ]
    return Corpus((*costs, *rest), (*pairs, *rest), by, len(files), _sha256(entries), tuple(notes))


def corpus_of_count(seen: Measured, documents: int) -> Corpus:
    """So many documents, of which nothing more is known than what those that are done took."""
    done = list(seen.documents.items())
    costs = [DocumentCost(name, 1.0, one.task_id, one.gpu_hours) for name, one in done]
    pairs = [cost._replace(gpu_hours=float(one.accepted)) for cost, (_, one) in zip(costs, done, strict=True)]
    each = max(1, round(len(done) / max(1, len({cost.task_id for cost in costs}))))
    rest = [DocumentCost(f"left-{n}", 1.0, f"left-{n // each}", None) for n in range(documents - len(done))]
    notes = ["no manifest of the corpus is named, so that its documents are taken to be as large as those done"]
    return Corpus((*costs, *rest), (*pairs, *rest), COUNT, max(documents, len(done)), None, tuple(notes))


def sizes_of(
    entries: Manifest, config: Config, converter_key: str, project: Path
) -> tuple[Mapping[str, int], str, list[str]]:
    """(size of each document that a run of this config would ask about, in what, what is to be said of that).

    Raises:
        ManifestError: the manifest cannot be read.
    """
    config = config.model_copy(update={"documents": config.documents.model_copy(update={"sample_chunks": None})})
    cache = DocumentCache(project / config.documents.cache, converter_key)
    known = Known(config, project, cache, convert_first=True)
    try:
        asked = asked_of(entries, known, config)
        if known.complete(None):
            asked = asked_of(entries, known, config)
    except ConfigError:  # nothing of it is converted here
        note = "no document of the corpus is converted here, so that documents are compared by their bytes"
        return {entry.doc_id: max(1, entry.bytes) for entry in entries}, BYTES, [note]
    return {doc_id: max(1, tokens) for doc_id, tokens in asked.tokens.items()}, TOKENS, known.notes


def _tasks(left: Mapping[str, int], by: str, seen: Measured, project: Path) -> dict[str, str]:
    """The array task of each document that is left, as a run of all of them would have them."""
    piles = _planned(left, seen.config, paces_of(seen.config, project, seen.gpus_per_server)[0]) if by == TOKENS else []
    if not piles:
        tasks_done = len({one.task_id for one in seen.documents.values()})
        piles = balance(left, math.ceil(len(left) * tasks_done / max(1, len(seen.documents))))
    return {doc_id: f"left-{number}" for number, pile in enumerate(piles) for doc_id in pile.documents}


def _planned(left: Mapping[str, int], config: Config, paces: Sequence[Pace]) -> Sequence[Pile]:
    """Empty where the planner would not decide: the config says how many, or a document is too long for it."""
    if config.plan.shards is not None or not paces:
        return []
    try:
        return piles_of(left, estimate.middle(paces), config)[0]
    except ConfigError:  # submit says so
        return []


def _sha256(entries: Manifest) -> str:
    digest = hashlib.sha256()
    for line in entries.lines():
        digest.update(line)
    return digest.hexdigest()
