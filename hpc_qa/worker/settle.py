"""Documents of a shard that need no server: what their conversion left settles them.

Only for runs whose documents were converted by a job array after they were planned; else the plan has settled them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hpc_qa.documents.cache import DocumentCache
from hpc_qa.documents.facts import settled_state
from hpc_qa.errors import StoreError
from hpc_qa.manifest import Entry
from hpc_qa.store.conversion_directory import ConversionDirectory
from hpc_qa.units import plural

MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Settled:
    """A document that is in its terminal state before anything is asked about it."""

    entry: Entry
    state: str  # failed | skipped
    reason: str


def settle(
    entries: Iterable[Entry], cache: DocumentCache, conversion: ConversionDirectory, *, max_chunks: int | None
) -> tuple[list[Entry], list[Settled]]:
    """(documents to ask about, documents that are settled), both in their order.

    Raises:
        StoreError: documents were not converted, and no array task of the conversion says why.
    """
    failures = conversion.failures()
    left, settled, unknown = [], [], []
    for entry in entries:
        facts = cache.facts(entry.sha256, entry.media_type)
        if facts is not None:
            state = settled_state(facts.status, facts.reason, facts.chunks, max_chunks=max_chunks)
        elif entry.doc_id in failures:
            state = "failed", failures[entry.doc_id]
        else:
            unknown.append(entry.doc_id)
            continue
        if state is None:
            left.append(entry)
        else:
            settled.append(Settled(entry, *state))
    if unknown:
        named = ", ".join(unknown[:MAX_NAMED]) + (", ..." if len(unknown) > MAX_NAMED else "")
        raise StoreError(
            f"{plural(len(unknown), 'document is', 'documents are')} not converted: {named}",
            hint="hpc-qa resume RUN converts them",
        )
    return left, settled
