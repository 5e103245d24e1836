"""Cut a manifest into batches that are fair samples of it.

The documents are put in order of size and cut into as many strata as the batch has documents; one is drawn from each.
A small early batch so has the size mix of the whole, which is what makes its cost a forecast.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpc_qa.errors import ManifestError
from hpc_qa.manifest.entry import Entry
from hpc_qa.units import plural

LOCAL = "local_"  # tried out at home first: these may share documents with each other and with the others
REST = "production"
_SIZE_ORDER = {"small": 0, "medium": 1, "large": 2}


def batches(entries: Sequence[Entry], sizes: Mapping[str, int], seed: int) -> dict[str, list[Entry]]:
    """Every batch asked for, in the manifest's order within each, and `production`: what no cluster batch took.

    Raises:
        ManifestError: there are too few documents, or a size is not positive.
    """
    _check(entries, sizes)
    result: dict[str, list[Entry]] = {}
    left = list(entries)
    for name, size in sizes.items():
        drawn = _draw(list(entries) if name.startswith(LOCAL) else left, size, random.Random(f"{seed}:{name}"))
        if not name.startswith(LOCAL):
            left = [entry for entry in left if entry.doc_id not in drawn]
        result[name] = _named(name, [entry for entry in entries if entry.doc_id in drawn])
    result[REST] = _named(REST, left)
    return result


def _check(entries: Sequence[Entry], sizes: Mapping[str, int]) -> None:
    faults = [f"{name}: {plural(size, 'document')}; a batch has at least 1" for name, size in sizes.items() if size < 1]
    if REST in sizes:
        faults.append(f"{REST} is what the other batches leave; it has no size of its own")
    cluster = sum(size for name, size in sizes.items() if not name.startswith(LOCAL))
    if cluster > len(entries):
        faults.append(f"the batches need {plural(cluster, 'document')}, the manifest has {len(entries)}")
    faults += (
        f"{name} needs {plural(size, 'document')}, the manifest has {len(entries)}"
        for name, size in sizes.items()
        if name.startswith(LOCAL) and size > len(entries)
    )
    if faults:
        raise ManifestError(*faults, hint="ask for smaller batches")


def _draw(entries: list[Entry], size: int, dice: random.Random) -> set[str]:
    ordered = sorted(entries, key=lambda entry: (_SIZE_ORDER.get(entry.size_class, 3), entry.bytes, entry.doc_id))
    borders = [round(index * len(ordered) / size) for index in range(size + 1)]
    return {dice.choice(ordered[low:high]).doc_id for low, high in itertools.pairwise(borders)}


def _named(batch: str, entries: list[Entry]) -> list[Entry]:
    return [replace(entry, batch=batch) for entry in entries]
