"""The manifest: which documents a run is about, each with its SHA-256.

`build` finds documents, `read` and `write` handle the file, `Manifest` reads it without keeping it in memory,
`batches` cuts it into samples, `open_bytes` reads one document and proves that it is still the same. What a document
says is the business of `hpc_qa.documents`.
"""

from hpc_qa.manifest.batches import batches
from hpc_qa.manifest.build import Build, build
from hpc_qa.manifest.entry import Entry, entry_from, entry_json
from hpc_qa.manifest.reader import Manifest, read, write
from hpc_qa.manifest.source import open_bytes

__all__ = [
    "Build", "Entry", "Manifest", "batches", "build", "entry_from", "entry_json", "open_bytes", "read", "write",
]  # fmt: skip
