"""Which documents were revoked: the file that says so, in the project and in each run.

`revoked/<sha256>.json` of the project is about a content, whatever it was called: no run takes it up again.
`runs/RUN/revoked/<16 hex>.json` is about a document of the run: from the moment it is there no reader of the run is
given what came from it. Both are written once and sealed; how the text itself is removed is in `redaction.py`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hpc_qa.errors import StoreError
from hpc_qa.store.files import exists, list_folder, make_folder_if_missing, read_sealed, write_sealed_once

FOLDER = "revoked"
REASON = "revoked"  # of a document that is skipped because of it


@dataclass(frozen=True, slots=True)
class Revocation:
    """One content that was revoked: what it was called, by whom, when and why."""

    sha256: str
    doc_ids: tuple[str, ...]
    paths: tuple[str, ...]
    by: str
    at: str  # ISO 8601, UTC
    reason: str | None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One document of a run that was revoked."""

    doc_id: str
    sha256: str
    by: str
    at: str
    reason: str | None


def revocations(project: Path) -> dict[str, Revocation]:
    """What was revoked in a project, by the SHA-256 of its content.

    Raises:
        StoreError: a file of it cannot be read, or is not as it was written.
    """
    found = {}
    for path in _files(project / FOLDER):
        content = read_sealed(path)
        try:
            lists = {name: tuple(content[name]) for name in ("doc_ids", "paths")}
            one = Revocation(**(content | lists))
        except (KeyError, TypeError) as exc:
            raise StoreError(f"{path}: was written by another version: {exc}") from exc
        found[one.sha256] = one
    return found


def revoke_content(project: Path, one: Revocation) -> Revocation:
    """Write down that a content is revoked; what is written already stays, and is what comes back."""
    make_folder_if_missing(project / FOLDER)
    path = project / FOLDER / f"{one.sha256}.json"
    if not exists(path):
        write_sealed_once(path, asdict(one))
    return revocations(project)[one.sha256]


def tombstones(run: Path) -> dict[str, Tombstone]:
    """The revoked documents of a run, by doc_id.

    Raises:
        StoreError: a file of them cannot be read, or is not as it was written.
    """
    found = {}
    for path in _files(run / FOLDER):
        try:
            one = Tombstone(**read_sealed(path))
        except TypeError as exc:
            raise StoreError(f"{path}: was written by another version: {exc}") from exc
        found[one.doc_id] = one
    return found


def bury(run: Path, one: Tombstone) -> None:
    """Write down that a document of a run is revoked; what is written already stays."""
    make_folder_if_missing(run / FOLDER)
    path = run / FOLDER / f"{hashlib.sha256(one.doc_id.encode()).hexdigest()[:16]}.json"
    if not exists(path):
        write_sealed_once(path, asdict(one))


def _files(folder: Path) -> list[Path]:
    entries = list_folder(folder)
    return [Path(entry.path) for entry in entries if entry.name.endswith(".json") and not entry.name.startswith(".")]


def described(found: Mapping[str, Tombstone]) -> list[str]:
    """One line for each, for people."""
    return [
        f"{one.doc_id} was revoked by {one.by} at {one.at}" + (f": {one.reason}" if one.reason else "")
        for _, one in sorted(found.items())
    ]
