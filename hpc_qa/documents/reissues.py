"""Near-identical documents: manuals that are issued again every year with small changes.

A document keeps a sketch of its word 3-shingles: the smallest of their hashes, from which the Jaccard similarity of two
documents follows (bottom-k MinHash: A. Broder, On the resemblance and containment of documents, 1997). Words are taken
as they stand, numbers, dates and names of states too: two editions that differ in a rate are near, never equal. The
candidates come from bands of MinHash signatures made by rensa, and every one is verified by the two sketches.
"""

import base64
import hashlib
import heapq
import itertools
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from hpc_qa.documents.fidelity import words

SHINGLE = 3  # words
SKETCH = 256  # hashes; the standard error of a similarity of 0.7 is 0.03
PERMUTATIONS = 128
SEED = 1
MIN_SHINGLES = 30  # shorter texts say too little to be called alike
MIN_SHARED = 8  # hashes of a document in another, from which on its containment is estimated
MOST_HOLDERS, MOST_SHARE = 10, 0.05  # documents with a shingle, and of all; what more of them have is boilerplate
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # odd, of 64 bits: one for each word


def sketch(text: str) -> str | None:
    """The sketch of a text in base64, 4 bytes a hash; None where the text is too short to be compared."""
    import numpy as np

    found = np.fromiter(map(cache(_hash), words(text)), np.uint64)
    first, second, third = map(np.uint64, _FACTORS)
    mixed = found[:-2] * first + found[1:-1] * second + found[2:] * third  # modulo 2^64
    shingles = np.unique((mixed >> np.uint64(32)).astype(np.uint32))
    if len(shingles) < MIN_SHINGLES:
        return None
    return base64.b64encode(shingles[:SKETCH].tobytes()).decode("ascii")


def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def similarity(left: str, right: str) -> float:
    """The Jaccard similarity of two documents, estimated from their sketches.

    Of the `SKETCH` smallest hashes of both together, the share that both have.

    Raises:
        ValueError: one of them is no sketch.
    """
    return _similarity(_hashes(left), _hashes(right))


def _hashes(text: str) -> frozenset[int]:
    return frozenset(array("I", base64.b64decode(text, validate=True)))


def _similarity(left: frozenset[int], right: frozenset[int]) -> float:
    smallest = heapq.nsmallest(SKETCH, left | right)
    return sum(1 for one in smallest if one in left and one in right) / max(1, len(smallest))


def groups(sketches: Mapping[str, str], threshold: float, *, contained: float | None = None) -> list[list[str]]:
    """The groups of two and more near-identical documents, each and all in the order of `sketches`.

    With `contained` a document of which so large a share stands in another is near to that as well: the chapter of a
    manual that is a file of its own.

    What is near to a document of a group is of the group: a manual of 2019 and that of 2025 may share little, and the
    years between them join them. The order of the documents does not change who is together.

    Raises:
        ValueError: one of them is no sketch.
    """
    position = {name: number for number, name in enumerate(sketches)}
    leader = {name: name for name in sketches}

    def leader_of(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    near = _near(sketches, threshold)
    for one, other in near if contained is None else itertools.chain(near, _containing(sketches, contained)):
        first, second = sorted((leader_of(one), leader_of(other)), key=position.__getitem__)
        leader[second] = first
    found: dict[str, list[str]] = defaultdict(list)
    for name in sketches:
        found[leader_of(name)].append(name)
    return [members for members in found.values() if len(members) > 1]


def _near(sketches: Mapping[str, str], threshold: float) -> Iterator[tuple[str, str]]:
    """Pairs of documents that are at least so similar."""
    names, hashes = list(sketches), [_hashes(text) for text in sketches.values()]
    for one, other in sorted(_candidates(hashes, rows=4 if threshold >= 0.6 else 2)):
        if _similarity(hashes[one], hashes[other]) >= threshold:
            yield names[one], names[other]


def _containing(sketches: Mapping[str, str], share: float) -> Iterator[tuple[str, str]]:
    """Pairs of documents of which one holds at least such a share of the other.

    A sketch has all hashes of its document up to its largest, so that of the hashes of the smaller document that are
    not above it, the share that is in it estimates the containment (A. Broder, 1997). Hashes that many documents have
    are boilerplate, and are left out.
    """
    names, hashes = list(sketches), [_hashes(text) for text in sketches.values()]
    largest = [max(one, default=0) for one in hashes]
    holders: dict[int, list[int]] = defaultdict(list)
    for place, one in enumerate(hashes):
        for value in one:
            holders[value].append(place)
    most = max(MOST_HOLDERS, MOST_SHARE * len(names))
    common = {value for value, places in holders.items() if len(places) > most}
    shared: Counter[tuple[int, int]] = Counter()
    for value in holders.keys() - common:
        shared.update(itertools.permutations(holders[value], 2))
    for (inner, outer), count in sorted(shared.items()):
        if largest[inner] < largest[outer] or count < MIN_SHARED:  # the smaller one has the larger hashes
            continue
        compared = sum(value <= largest[outer] for value in hashes[inner] - common)
        if count >= share * compared:
            yield names[inner], names[outer]


def _candidates(documents: Sequence[frozenset[int]], rows: int) -> set[tuple[int, int]]:
    """Places of documents that agree in one band of so many minima.

    With 4 rows a pair of similarity 0.7 is missed once in 6,000 times.
    """
    if len(documents) < 2:
        return set()
    import numpy as np
    from rensa import RMinHash

    tokens = np.array([value for hashes in documents for value in sorted(hashes)], np.uint64)
    ends = np.cumsum([0, *(len(hashes) for hashes in documents)])
    spread = tokens * np.uint64(_FACTORS[0])  # a sketch holds small values alone
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(spread, ends.astype(np.uint64), PERMUTATIONS, SEED)
    found: set[tuple[int, int]] = set()
    buckets: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, minima in enumerate(matrix.to_rows()):
        for start in range(0, PERMUTATIONS, rows):
            bucket = buckets[start, *minima[start : start + rows]]
            found.update((other, place) for other in bucket)
            bucket.append(place)
    return found
