"""Which documents are for validation: whole groups of near-identical documents, so that no passage is on both sides.

Re-issues of a manual share most of their text. A pair of last year's in the training split would give away the answer
to this year's in the validation split.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from hpc_qa.documents.reissues import groups

VALIDATION_SHARE = 0.1
CONTAINED = 0.5  # of a document in another, from which on both are on one side
DOCUMENTS_TO_SPLIT = 5  # below it every document is for training


def groups_of(contents: Mapping[str, str], sketches: Mapping[str, str], similarity: float) -> dict[str, str]:
    """The group of each document, named by its smallest doc_id; a document that is like no other is a group of its own.

    `contents` has the SHA-256 of each document, `sketches` those of documents that have one: documents with equal
    content are together whatever they are called, and so are re-issues, a manual and the file of one of its chapters.

    Raises:
        ValueError: a sketch is none.
    """
    same: dict[str, list[str]] = defaultdict(list)
    for doc_id in sorted(contents):
        same[contents[doc_id]].append(doc_id)
    firsts = {twins[0]: sketches[twins[0]] for twins in same.values() if twins[0] in sketches}
    near = {
        doc_id: min(group)
        for group in groups(dict(sorted(firsts.items())), similarity, contained=CONTAINED)
        for doc_id in group
    }
    return {doc_id: near.get(twins[0], twins[0]) for twins in same.values() for doc_id in twins}


def choose_validation(documents: Iterable[str], group_of: Mapping[str, str] | None = None) -> set[str]:
    """One document in ten, at least one, none of fewer than five; which ones depends on nothing but their ids.

    Groups go as a whole, those that fit into the tenth; where none does, the smallest is taken, and where all documents
    are one group, none.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for doc_id in documents:
        members[(group_of or {}).get(doc_id, doc_id)].append(doc_id)
    count = sum(map(len, members.values()))
    if count < DOCUMENTS_TO_SPLIT or len(members) < 2:
        return set()
    ordered = sorted(members, key=lambda group: hashlib.sha256(group.encode()).digest())
    room = max(1, round(count * VALIDATION_SHARE))
    chosen: set[str] = set()
    for group in ordered:
        if len(chosen) + len(members[group]) <= room:
            chosen.update(members[group])
    return chosen or set(members[min(ordered, key=lambda group: len(members[group]))])
