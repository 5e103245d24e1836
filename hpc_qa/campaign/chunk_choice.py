"""Which chunks of a manifest are asked about, and why the others are not.

Pure but for what it is given to read: of each chunk what its conversion found (`documents.screening`), never its text.
A chunk is left out for what it is, for its language, because it repeats word for word in many documents, or because an
equal one is asked about already. Re-issues of one manual are found first: a paragraph that stands in ten editions of it
is no boilerplate. Every chunk of a document is either asked about or left out for exactly one reason.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hpc_qa.campaign.shards import Settled
from hpc_qa.config import Documents
from hpc_qa.documents.editions import edition
from hpc_qa.documents.reissues import groups
from hpc_qa.documents.screening import Screened
from hpc_qa.qa.names import supported_places
from hpc_qa.store.run_directory import BY_PLAN

BOILERPLATE, DUPLICATE, NOT_SAMPLED = "boilerplate", "duplicate", "not_sampled"


class Document(NamedTuple):
    """What has to be known of a document beside its chunks."""

    path: str
    title: str | None
    sketch: str | None  # None: too short to be compared


@dataclass(slots=True)
class Chosen:
    """The chunks of one document: how many there are, and those that are left out, by reason."""

    chunks: int
    left_out: dict[str, list[int]] = field(default_factory=dict)

    @property
    def asked(self) -> list[int]:
        """The chunks that are asked about, in order."""
        out = {index for indices in self.left_out.values() for index in indices}
        return [index for index in range(self.chunks) if index not in out]

    def leave_out(self, reason: str, indices: Iterable[int]) -> None:
        """Leave out these chunks, which were not before."""
        if left := list(indices):
            self.left_out.setdefault(reason, []).extend(left)


@dataclass(slots=True)
class Choice:
    """The choice for a whole manifest."""

    documents: dict[str, Chosen] = field(default_factory=dict)  # all that are converted, by doc_id
    settled: list[Settled] = field(default_factory=list)  # documents of which nothing is left to ask about
    groups: list[list[str]] = field(default_factory=list)  # re-issues of one document
    boilerplate: frozenset[str] = frozenset()  # digests of paragraphs
    by_order: list[str] = field(default_factory=list)  # newest by the order of the manifest alone: no date says so

    def settle(self, settled: Iterable[Settled], chunks: Mapping[str, int]) -> None:
        """Account for documents that were settled before: all their chunks are left out for the same reason."""
        for one in settled:
            whole = Chosen(chunks.get(one.doc_id, 0))
            whole.leave_out(one.reason.partition(":")[0], range(whole.chunks))
            self.documents[one.doc_id] = whole

    def counts(self) -> dict[str, int]:
        """Chunks of all documents: how many there are, are asked about, and are left out, by reason."""
        found: Counter[str] = Counter()
        for chosen in self.documents.values():
            found["chunks"] += chosen.chunks
            found.update({reason: len(indices) for reason, indices in chosen.left_out.items()})
        left_out = {reason: count for reason, count in sorted(found.items()) if reason != "chunks"}
        return {"chunks": found["chunks"], "asked": found["chunks"] - sum(left_out.values()), **left_out}

    def to_json(self) -> dict[str, Any]:
        """As it stands in plan.json."""
        return {
            "made": BY_PLAN,
            "counts": self.counts(),
            "reissues": self.groups,
            "newest_by_order": self.by_order,
            "boilerplate": sorted(self.boilerplate),
            "documents": {
                doc_id: {"chunks": chosen.chunks, "left_out": chosen.left_out}
                for doc_id, chosen in self.documents.items()
            },
        }


def choose(
    documents: Mapping[str, Document],
    chunks: Mapping[str, int],
    screening: Callable[[str], Sequence[Screened] | None],
    settings: Documents,
    language: str | None,
) -> Choice:
    """Choose among the chunks of these documents, which are in the order of the manifest.

    `chunks` is how many each has. Of equal chunks that of the first document is asked about. Where `screening` does not
    know a document, all its chunks are kept.
    """
    choice = Choice()
    sketches = {doc_id: one.sketch for doc_id, one in documents.items() if one.sketch is not None}
    choice.groups = groups(sketches, settings.reissue_similarity)
    left = list(documents)
    if settings.reissues == "newest":
        older, choice.by_order = _older(choice.groups, documents)
        choice.settle((Settled(old, "skipped", f"reissue_of:{new}") for old, new in older.items()), chunks)
        choice.settled += [Settled(old, "skipped", f"reissue_of:{new}") for old, new in older.items()]
        left = [doc_id for doc_id in left if doc_id not in older]

    def known(doc_id: str) -> Sequence[Screened]:
        found = screening(doc_id)
        return found if found is not None and len(found) == chunks[doc_id] else ()

    if BOILERPLATE in settings.skip:
        choice.boilerplate = _boilerplate(left, choice.groups, known, settings)
    rules = _Rules(settings, language, choice.boilerplate)
    for doc_id in left:
        chosen = Chosen(chunks[doc_id])
        for index, one in enumerate(known(doc_id)):
            if reason := rules.reason(one):
                chosen.leave_out(reason, [index])
        choice.documents[doc_id] = chosen
        if chosen.chunks and not chosen.asked:
            most = max(chosen.left_out, key=lambda reason: len(chosen.left_out[reason]))
            choice.settled.append(Settled(doc_id, "skipped", f"nothing_to_ask:{most}"))
    return choice


class _Rules:
    """The reasons for chunks in the order of the manifest; remembers those that are asked about."""

    def __init__(self, settings: Documents, language: str | None, boilerplate: frozenset[str]) -> None:
        self._settings, self._language, self._boilerplate = settings, language, boilerplate
        self._asked: set[int] = set()  # digests as numbers: a third of the memory of their text

    def reason(self, one: Screened) -> str | None:
        if by_itself := one.reason(self._settings, self._language):
            return by_itself
        repeated = sum(chars for digest, chars in one.paragraphs if digest in self._boilerplate)
        if repeated >= self._settings.boilerplate.chunk_share * max(1, one.chars):
            return BOILERPLATE
        digest = int(one.digest, 16)
        if digest in self._asked and DUPLICATE in self._settings.skip:
            return DUPLICATE
        self._asked.add(digest)
        return None


def _older(grouped: Sequence[Sequence[str]], documents: Mapping[str, Document]) -> tuple[dict[str, str], list[str]]:
    """The documents of which there is a newer issue, each with the newest; and which of these no date tells."""
    older: dict[str, str] = {}
    by_order: list[str] = []
    position = {doc_id: number for number, doc_id in enumerate(documents)}
    for issues in (issues for group in grouped for issues in _of_one_place(group, documents)):
        dates = {doc_id: edition(documents[doc_id].path, documents[doc_id].title) for doc_id in issues}
        newest = max(issues, key=lambda one: (dates[one], position[one]))
        older |= {doc_id: newest for doc_id in issues if doc_id != newest}
        if sum(date == dates[newest] for date in dates.values()) > 1:
            by_order.append(newest)
    return older, by_order


def _of_one_place(group: Sequence[str], documents: Mapping[str, Document]) -> Iterable[list[str]]:
    """A group by the states and countries in paths and titles: the manuals of two states are never issues of one.

    Those that name none go with the others where these name all the same, else they stay among themselves.
    """
    found: dict[frozenset[str], list[str]] = defaultdict(list)
    for doc_id in group:
        one = documents[doc_id]
        found[supported_places(f"{one.path} {one.title or ''}".replace("_", " "))].append(doc_id)
    return found.values() if len(found.keys() - {frozenset()}) > 1 else [list(group)]


def _boilerplate(
    documents: Sequence[str],
    grouped: Sequence[Sequence[str]],
    screening: Callable[[str], Sequence[Screened]],
    settings: Documents,
) -> frozenset[str]:
    """Paragraphs that stand in enough documents that are no re-issues of each other.

    Holds 8 bytes for each paragraph of each group, never a text.
    """
    leader = {doc_id: group[0] for group in grouped for doc_id in group}
    together: dict[str, list[str]] = defaultdict(list)
    for doc_id in documents:
        together[leader.get(doc_id, doc_id)].append(doc_id)
    enough = max(settings.boilerplate.min_documents, settings.boilerplate.min_share * len(together))
    if len(together) < enough:
        return frozenset()
    found = array("Q")
    for members in together.values():
        digests = {digest for doc_id in members for one in screening(doc_id) for digest, _ in one.paragraphs}
        found.extend(int(digest, 16) for digest in digests)
    values, times = np.unique(np.frombuffer(found, dtype=np.uint64), return_counts=True)
    return frozenset(f"{int(value):016x}" for value in values[times >= enough])
