"""What the documents of a manifest will ask of servers: their chunks, requests and tokens.

Documents that cannot be used, copies and left-out chunks go first, then the sample is drawn, then the demand is summed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hpc_qa.campaign import estimate
from hpc_qa.campaign.chunk_choice import NOT_SAMPLED, Choice, Chosen, Document, choose
from hpc_qa.campaign.estimate import Demand
from hpc_qa.campaign.shards import Converted, Predicted, Settled, sample, settle
from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.documents.screening import Screened
from hpc_qa.manifest import Entry


@dataclass(frozen=True, slots=True)
class Asked:
    """What the documents of a run will ask of servers."""

    settled: list[Settled]
    some_chunks: Mapping[str, list[int]]  # by doc_id, of the documents of which not all are asked
    tokens: dict[str, int]  # by doc_id
    total: Demand
    every_chunk: Demand
    not_converted: int
    choice: Choice | None  # None: which chunks there are is not known yet


Chooser = Callable[[Mapping[str, Entry], Mapping[str, int]], Choice]


def asked_of(
    entries: Iterable[Entry], converted: Callable[[Entry], Converted], config: Config, choose: Chooser | None = None
) -> Asked:
    """One loop over the entries, of which there may be a million; `choose` leaves chunks out."""
    settled: list[Settled] = []
    seen = _Seen(converted, keep=choose is not None)
    documents: Iterable[tuple[str, Converted]] = settle(entries, seen, settled, max_chunks=config.documents.max_chunks)
    choice, some_chunks = Choice(), dict[str, list[int]]()
    if choose is not None or config.documents.sample_chunks is not None:
        whole = dict(documents)
        if choose is not None:
            before = list(settled)
            choice = choose({doc_id: seen.entries[doc_id] for doc_id in whole}, seen.chunks)
            choice.settle(before, seen.chunks)
            settled += choice.settled
        if config.documents.sample_chunks is not None:
            settled += _sample(whole, choice, config)
        some_chunks = _some_chunks(whole, choice)
        gone = {one.doc_id for one in settled}
        documents = (
            (doc_id, _part(facts, len(some_chunks[doc_id])) if doc_id in some_chunks else facts)
            for doc_id, facts in whole.items() if doc_id not in gone
        )  # fmt: skip
    qa, tokens = config.qa, dict[str, int]()
    capped = qa.max_pairs_per_document is not None
    requests = pairs = every_request = every_pair = every_token = not_converted = 0
    for doc_id, facts in documents:
        asked = estimate.demand(facts.chunks, facts.tokens, qa)
        tokens[doc_id] = asked.tokens
        not_converted += isinstance(facts, Predicted)
        requests += asked.requests
        pairs += asked.pairs
        if capped:
            asked = estimate.demand(facts.chunks, facts.tokens, qa, every_chunk=True)
            every_request += asked.requests
            every_pair += asked.pairs
            every_token += asked.tokens
    total = Demand(requests, pairs, sum(tokens.values()))
    every_chunk = Demand(every_request, every_pair, every_token) if capped else total
    made = choice if choose is not None else None
    return Asked(settled, some_chunks, tokens, total, every_chunk, not_converted, made)


class _Seen:
    """Conversions as they are asked for, with what is needed of them later."""

    def __init__(self, converted: Callable[[Entry], Converted], *, keep: bool) -> None:
        self._converted, self._keep = converted, keep
        self.entries: dict[str, Entry] = {}
        self.chunks: dict[str, int] = {}  # 0 where a document could not be converted

    def __call__(self, entry: Entry) -> Converted:
        outcome = self._converted(entry)
        if self._keep:
            self.entries[entry.doc_id] = entry
            self.chunks[entry.doc_id] = outcome.chunks if outcome.status == "ok" else 0
        return outcome


def choose_chunks(
    entries: Mapping[str, Entry], chunks: Mapping[str, int], *, cache: DocumentCache, config: Config
) -> Choice:
    """The choice among the chunks of these documents, by what their conversions left in the cache."""

    def document(entry: Entry) -> Document:
        facts = cache.facts(entry.sha256, entry.media_type)
        return Document(entry.path, facts.title if facts else None, facts.sketch if facts else None)

    def screening(doc_id: str) -> Sequence[Screened] | None:
        return cache.screening(entries[doc_id].sha256, entries[doc_id].media_type)

    documents = {doc_id: document(entry) for doc_id, entry in entries.items()}
    return choose(documents, chunks, screening, config.documents, config.qa.language)


def _sample(whole: Mapping[str, Converted], choice: Choice, config: Config) -> list[Settled]:
    """Draw from the chunks that are left; gives the documents of which none was drawn."""
    gone = {one.doc_id for one in choice.settled}
    left = {doc_id: choice.documents.setdefault(doc_id, Chosen(facts.chunks)) for doc_id, facts in whole.items()
            if doc_id not in gone}  # fmt: skip
    asked = {doc_id: chosen.asked for doc_id, chosen in left.items()}
    parts = {doc_id: whole[doc_id]._replace(chunks=len(indices)) for doc_id, indices in asked.items()}
    drawn = sample(parts, config.documents.sample_chunks or 0, config.seed)
    for doc_id, indices in asked.items():
        places = set(drawn.get(doc_id, ()))
        left[doc_id].leave_out(NOT_SAMPLED, (index for place, index in enumerate(indices) if place not in places))
    return [Settled(doc_id, "skipped", NOT_SAMPLED) for doc_id in asked if doc_id not in drawn]


def _some_chunks(whole: Mapping[str, Converted], choice: Choice) -> dict[str, list[int]]:
    """Of the documents of which something is left out, and not everything, the chunks that are asked about."""
    partly = {doc_id: choice.documents[doc_id] for doc_id in whole if doc_id in choice.documents}
    return {doc_id: asked for doc_id, chosen in partly.items() if chosen.left_out and (asked := chosen.asked)}


def _part(facts: Converted, chunks: int) -> Converted:
    return facts._replace(chunks=chunks, tokens=round(facts.tokens * chunks / facts.chunks))
