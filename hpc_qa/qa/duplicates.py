"""Near-duplicate questions: which to drop, and which stays for each.

MinHash proposes, the exact Jaccard similarity of character 5-shingles decides, and two questions with different numbers
or codes are never the same ("age 19" and "age 21"). Paraphrases in other words are not found.
"""

import re
from collections.abc import Sequence

from hpc_qa.qa.facts import numbers

SHINGLE = 5
PERMUTATIONS = 64


def near_duplicates(items: Sequence[tuple[str, str]], threshold: float) -> dict[str, str]:
    """Of (key, question) pairs the keys to drop, each with the key that stays for it: always a smaller one.

    The order of the items makes no difference.
    """
    from datasketch import MinHash, MinHashLSH

    # Candidates are looked for below the threshold, so that few true ones near it are missed.
    lsh = MinHashLSH(threshold=max(0.1, threshold - 0.15), num_perm=PERMUTATIONS)
    kept: dict[str, tuple[frozenset[str], object]] = {}
    dropped: dict[str, str] = {}
    empty = MinHash(num_perm=PERMUTATIONS, seed=1)  # its permutations are the same for all, and slow to make
    for key, question in sorted(set(items)):
        signature = shingles(question)
        minhash = empty.copy()
        minhash.update_batch([shingle.encode("utf-8", "surrogatepass") for shingle in signature])
        facts = numbers(question)
        same = [
            other
            for other in lsh.query(minhash)
            if kept[other][1] == facts and jaccard(signature, kept[other][0]) >= threshold
        ]
        if same:
            dropped[key] = min(same)
        else:
            lsh.insert(key, minhash)
            kept[key] = (signature, facts)
    return dropped


def shingles(question: str) -> frozenset[str]:
    """Character 5-shingles of the normalised question."""
    text = normalised(question)
    return frozenset(text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1)))


def normalised(question: str) -> str:
    """Lower case, words and numbers only, one space between them."""
    return " ".join(re.findall(r"[^\W_]+", question.casefold()))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Shared share of two sets."""
    union = len(left | right)
    return len(left & right) / union if union else 1.0
