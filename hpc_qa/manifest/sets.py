"""Document sets for benchmarks: so many documents of about one size, whatever the mix of the manifest is.

The documents nearest to the size are taken, by the ratio of the sizes, ties by id: the same manifest gives the same
sets. MB = 10^6 bytes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hpc_qa.errors import ManifestError
from hpc_qa.manifest.entry import Entry
from hpc_qa.units import plural, size_class


@dataclass(frozen=True, slots=True)
class DocumentSet:
    """How many documents, of which size; a document outside of the bounds is never taken."""

    documents: int
    about_bytes: int
    at_least: int
    at_most: int

    def holds(self, entry: Entry) -> bool:
        """Whether a document may be in it."""
        return self.at_least <= entry.bytes <= self.at_most


SETS = {
    "small": DocumentSet(100, 250_000, 1, 999_999),
    "medium": DocumentSet(25, 3_500_000, 1_000_000, 9_999_999),
    "large": DocumentSet(5, 25_000_000, 10_000_000, 50_000_000),
}


def document_sets(entries: Sequence[Entry], wanted: Mapping[str, DocumentSet] = SETS) -> dict[str, list[Entry]]:
    """Each set, its documents in the manifest's order.

    Raises:
        ManifestError: of one or more sizes there are too few documents; all are named, with what is there.
    """
    found, faults = {}, []
    for name, one in wanted.items():
        there = [entry for entry in entries if one.holds(entry)]
        if len(there) < one.documents:
            faults.append(
                f"{name} needs {plural(one.documents, 'document')} of {_shown(one.at_least)} to {_shown(one.at_most)}, "
                f"the manifest has {len(there)}{_range(there)}"
            )
        nearest = sorted(there, key=lambda entry: (_distance(entry, one), entry.doc_id))[: one.documents]
        chosen = {entry.doc_id for entry in nearest}
        found[name] = [replace(entry, batch=name) for entry in entries if entry.doc_id in chosen]
    if faults:
        classes = [size_class(entry.bytes) for entry in entries]
        mix = ", ".join(f"{classes.count(name)} {name}" for name in ("small", "medium", "large"))
        raise ManifestError(
            *faults, hint=f"--sets small,medium for those that there are; the manifest has {len(entries)}: {mix}"
        )
    return found


def _distance(entry: Entry, wanted: DocumentSet) -> float:
    return abs(math.log(entry.bytes / wanted.about_bytes))


def _range(entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    sizes = [entry.bytes for entry in entries]
    return f" ({_shown(min(sizes))} to {_shown(max(sizes))})"


def _shown(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1_000_000 else f"{size_bytes / 1e3:.0f} KB"
