"""Near-duplicate questions over a whole corpus: which to drop, and which stays for each.

MinHash of character 5-shingles proposes, their exact Jaccard similarity decides, and two questions with different
numbers, codes, names, signs or duties are never the same ("age 19" and "age 21", "in Ohio" and "in Iowa", 4(a) and
4(b), -n and -N, path and PATH), nor are two with opposite words, other units or other identifiers (minimum and maximum,
days and weeks, max_jobs and max_nodes). Paraphrases in other words are not found.

Signatures come from rensa; the candidates of a band are found by sorting in numpy (Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, section 3.4), because an index of a million questions in dictionaries does not fit.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hpc_qa.qa.facts import DUTY_WORDS, NUMBER_WORDS, modality, numbers
from hpc_qa.qa.names import acronyms, names
from hpc_qa.qa.opposites import opposed
from hpc_qa.qa.references import PART_NAMES, brackets, options

SHINGLE = 5
BANDS = 32
MOST_ROWS = 8  # of a band
FOUND = 0.95  # share of the pairs exactly at the threshold that become candidates; above it nearly all do
DEVIATIONS = 3.5  # by which an estimate may be below the threshold before the exact comparison is spared
BATCH = 20_000  # questions whose signatures are made at once
SEED = 1

Facts = tuple[object, ...]
_LETTERS, _DIGIT, _ALPHANUMERIC = re.compile(r"[^\W\d_]+"), re.compile(r"\d"), re.compile(r"[^\W_]+")
_SIGNS = re.compile(r"[<>=≤≥±+#%$€£§]")
# Between backticks, with an underscore or a capital inside, the name of a file, a path.
_IDENTIFIER_SIGNS = re.compile(r"[`_/]|[a-z][A-Z]|[A-Za-z]{2}\.[A-Za-z]{2}")
_IDENTIFIER = re.compile(
    r"`([^`\n]{1,80})`|(?<!\w)(?:[A-Za-z]\w*_\w+|[a-z]+[A-Z]\w*|[A-Za-z][\w-]+(?:\.[A-Za-z]\w+)+|~?/\w[\w./-]*)"
)
_COUNTING = NUMBER_WORDS | PART_NAMES  # a question without one of them, a digit or an option has no number or code
_LETTERS_ALONE = frozenset("bcefghjklnopqruvwxyz")  # hepatitis b; the others are words and the ends of contractions
# Politeness in front of the question that is asked, after normalisation.
_ASKING = re.compile(
    r"(?:(?:please|kindly|hello|hi) )*"
    r"(?:(?:(?:can|could|would|will) (?:you|someone) )?(?:please )?(?:tell (?:me|us)|explain(?: to (?:me|us))?|clarify)"
    r"|(?:do|would) you know|i (?:want|need|would like|d like|wish) to know|i (?:am|m) wondering) "
)


def near_duplicates(items: Sequence[tuple[str, str]], threshold: float) -> dict[str, str]:
    """Of (key, question) pairs the keys to drop, each with the key that stays for it: always a smaller one.

    The order of the items makes no difference.
    """
    dropped: dict[str, str] = {}
    distinct = _Distinct()
    for key, question in sorted(set(items)):
        distinct.add(key, question)
    if len(distinct.texts) > 1:
        for number, kept in _near(distinct, threshold):
            dropped[distinct.keys[number]] = distinct.keys[kept]
    for key, number in distinct.copies:
        same = distinct.keys[number]
        dropped[key] = dropped.get(same, same)
    return dropped


class _Distinct:
    """The questions that differ in more than case and punctuation, in the order of their keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.texts: list[str] = []  # normalised
        self.facts: list[int] = []  # equal numbers for equal facts
        self.identifiers: list[tuple[str, ...]] = []
        self.copies: list[tuple[str, int]] = []  # (key, number of the distinct question that it repeats)
        self._numbers: dict[tuple[str, int], int] = {}
        self._facts: dict[Facts, int] = {}

    def add(self, key: str, question: str) -> None:
        text = normalised(question)
        said = _said(question)
        exact = (text, self._number(said))
        if exact in self._numbers:
            self.copies.append((key, self._numbers[exact]))
            return
        self._numbers[exact] = len(self.keys)
        self.keys.append(key)
        self.texts.append(text)
        self.facts.append(self._number((*said, names(question))))
        self.identifiers.append(identifiers(question))

    def _number(self, facts: Facts) -> int:
        return self._facts.setdefault(facts, len(self._facts))


def _said(question: str) -> Facts:
    """What makes two questions different although their letters are the same; most say nothing of the kind."""
    folded = set(_LETTERS.findall(question.casefold()))
    counts = not (question.isascii() and folded.isdisjoint(_COUNTING) and not _DIGIT.search(question))
    counts = counts or bool(options(question))
    found = frozenset(numbers(question).items()) if counts else frozenset()
    # "can you tell me" permits nothing
    duties = frozenset() if folded.isdisjoint(DUTY_WORDS) else frozenset(modality(question) - {"may"})
    letters = (*brackets(question), *sorted(folded & _LETTERS_ALONE))
    return found, duties, tuple(sorted(_SIGNS.findall(question))), letters, acronyms(question)


def _near(distinct: _Distinct, threshold: float) -> Iterator[tuple[int, int]]:
    """(dropped, kept) numbers of questions that are near each other."""
    rows = _rows(threshold)
    signatures, bands = _signatures(distinct, rows)
    items, starts, buckets = _shared_buckets(bands)
    del bands
    kept: dict[int, list[int]] = defaultdict(list)  # questions that stay, by bucket
    for position, number in enumerate(items.tolist()):
        mine = buckets[starts[position] : starts[position + 1]].tolist()
        candidates = {other for bucket in mine for other in kept[bucket]}
        same = _first_same(number, sorted(candidates), distinct, signatures, threshold) if candidates else None
        if same is not None:
            yield number, same
            continue
        for bucket in mine:
            kept[bucket].append(number)


def _rows(threshold: float) -> int:
    """Rows of a band, as many as find enough at the threshold: of b bands with r rows 1 - (1 - t^r)^b are found."""
    if threshold >= 1:
        return MOST_ROWS
    needed = 1 - (1 - FOUND) ** (1 / BANDS)
    return max(1, min(MOST_ROWS, math.floor(math.log(needed) / math.log(threshold))))


def _signatures(distinct: _Distinct, rows: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64]]:
    """Of each question the low byte of each of its minima, and the hash of each band with its facts."""
    from rensa import RMinHash

    count, width = len(distinct.texts), BANDS * rows
    low = np.empty((count, width), np.uint8)
    bands = np.empty((BANDS, count), np.uint64)
    facts = np.array(distinct.facts, np.uint64)
    for first in range(0, count, BATCH):
        part = slice(first, min(first + BATCH, count))
        hashes, offsets = _hashed_shingles(distinct.texts[part])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, width, SEED)
        minima = np.array(matrix.to_rows(), np.uint64)
        low[part] = minima.astype(np.uint8)
        folded = np.broadcast_to(facts[part, None], (len(minima), BANDS)).copy()
        for row in range(rows):
            folded = _mixed(folded ^ minima[:, row::rows])
        bands[:, part] = folded.T
    return low, bands


def _hashed_shingles(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The shingles of all these texts as hashes on end, and where each text begins."""
    padded = [text.ljust(SHINGLE, "\0") for text in texts]
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.array([len(text) for text in padded])
    windows = np.zeros(len(letters) - SHINGLE + 1, np.uint64)
    for place in range(SHINGLE):
        windows = windows * np.uint64(0x1000003D) + letters[place : place + len(windows)]
    ends = np.cumsum(lengths)
    whole = np.ones(len(letters), bool)
    for place in range(1, SHINGLE):
        whole[ends - place] = False  # a window that begins here reaches into the next text
    offsets = np.concatenate(([0], np.cumsum(lengths - SHINGLE + 1)))
    return _mixed(windows[whole[: len(windows)]]), offsets.astype(np.uint64)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Every bit of the result depends on every bit of the value (the finaliser of MurmurHash3)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


def _shared_buckets(
    bands: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The questions that share a bucket with another one, ascending, and which buckets: items, starts, buckets."""
    found_items, found_buckets, known = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for band in bands:
        order = np.argsort(band, kind="stable")
        fresh = np.diff(band[order], prepend=band[order[0]]) != 0
        bucket = np.cumsum(fresh)
        shared = np.bincount(bucket)[bucket] > 1
        found_items.append(order[shared])
        found_buckets.append(bucket[shared] + known)
        known += int(bucket[-1]) + 1
    items, buckets = np.concatenate(found_items), np.concatenate(found_buckets)
    order = np.argsort(items, kind="stable")
    items, first = np.unique(items[order], return_index=True)
    return items, np.append(first, len(order)), buckets[order]


def _first_same(
    number: int, candidates: list[int], distinct: _Distinct, signatures: npt.NDArray[np.uint8], threshold: float
) -> int | None:
    """The first of the candidates that is near this question; the estimate spares most of the exact comparisons."""
    others = np.array(candidates)
    estimates = (signatures[others] == signatures[number]).mean(axis=1)
    margin = DEVIATIONS * math.sqrt(threshold * (1 - threshold) / signatures.shape[1])
    likely = others[estimates >= threshold - margin].tolist()
    texts = distinct.texts
    ours = shingles_of(texts[number]) if likely else frozenset()
    near = (other for other in likely if jaccard(ours, shingles_of(texts[other])) >= threshold)
    return next((other for other in near if not _ask_of_others(distinct, number, other)), None)


def _ask_of_others(distinct: _Distinct, one: int, other: int) -> bool:
    """Whether facts, opposite words, or an identifier that only one has make two near questions different."""
    if distinct.facts[one] != distinct.facts[other]:  # they met by chance: the hash of a band is 64 bits of both
        return True
    ours, theirs = distinct.texts[one], distinct.texts[other]
    if ours == theirs:
        return False
    named = ((distinct.identifiers[one], theirs), (distinct.identifiers[other], ours))
    if any(f" {name} " not in f" {text} " for names_, text in named for name in names_):
        return True
    return opposed(ours.split(), theirs.split())


def identifiers(question: str) -> tuple[str, ...]:
    """What is written as programs and files write it, normalised as questions are.

    >>> identifiers("What does max_jobs do in `slurm.conf`, and maxNodes?")
    ('max jobs', 'maxnodes', 'slurm conf')
    """
    if not _IDENTIFIER_SIGNS.search(question):
        return ()
    found = {match[1] or match[0] for match in _IDENTIFIER.finditer(question)}
    return tuple(sorted({name for one in found if (name := " ".join(_ALPHANUMERIC.findall(one.casefold())))}))


def shingles(question: str) -> frozenset[str]:
    """Character 5-shingles of the normalised question."""
    return shingles_of(normalised(question))


def shingles_of(text: str) -> frozenset[str]:
    """Character 5-shingles of a text; of a shorter one the text itself."""
    return frozenset(text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1)))


def normalised(question: str) -> str:
    """Lower case, words and numbers only, one space between them, without the politeness in front.

    >>> normalised("Can you tell me: what IS a plan?")
    'what is a plan'
    """
    text = " ".join(_ALPHANUMERIC.findall(question.casefold()))
    return text[polite.end() :] if (polite := _ASKING.match(text)) else text


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Shared share of two sets."""
    union = len(left | right)
    return len(left & right) / union if union else 1.0
