"""Which contents a word of the user means: a doc_id, the beginning of one, or the path of a source.

A doc_id means its content, under whatever names it came; a path means every content that was ever found there. Looked
for in the manifests of the runs, in `manifests/`, and among what was revoked before.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc_qa.documents.tokens import file_sha256
from hpc_qa.errors import ConfigError
from hpc_qa.store.files import read_jsonl
from hpc_qa.store.revocation import revocations
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.units import plural

MOST_SHOWN = 5


@dataclass(slots=True)
class Target:
    """One content, and what it is called."""

    sha256: str
    doc_ids: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Targets:
    """What is meant, and the runs that have it."""

    contents: Mapping[str, Target]  # by SHA-256
    runs: Mapping[RunDirectory, Mapping[str, str]]  # of each run the doc_ids that are meant, with their SHA-256


def find_targets(project: Path, text: str) -> Targets:
    """The contents that are meant, and where they were used.

    Raises:
        ConfigError: nothing is meant, or several documents are.
        StoreError: a manifest cannot be read.
    """
    runs = list_runs(project)
    manifests = [run.manifest for run in runs] + sorted((project / "manifests").glob("*.jsonl"))
    wanted = _meant(project, text, manifests)
    contents = {sha256: Target(sha256) for sha256 in sorted(wanted)}
    for sha256, known in revocations(project).items():
        if sha256 in contents:
            contents[sha256].doc_ids.update(known.doc_ids)
            contents[sha256].paths.update(known.paths)
    found: dict[RunDirectory, dict[str, str]] = {}
    for manifest, run in [*((run.manifest, run) for run in runs), *((path, None) for path in manifests[len(runs) :])]:
        for entry in _entries(manifest, wanted):
            contents[entry["sha256"]].doc_ids.add(entry["doc_id"])
            contents[entry["sha256"]].paths.add(entry["path"])
            if run is not None:
                found.setdefault(run, {})[entry["doc_id"]] = entry["sha256"]
    return Targets(contents, found)


def _meant(project: Path, text: str, manifests: list[Path]) -> set[str]:
    """The SHA-256 of every content that the text means."""
    by_id: dict[str, set[str]] = {}
    by_path: set[str] = set()
    for sha256, known in revocations(project).items():
        for doc_id in known.doc_ids:
            by_id.setdefault(doc_id, set()).add(sha256)
        if text in known.paths:
            by_path.add(sha256)
    here = os.path.realpath(text)
    for manifest in manifests:
        for entry in _entries(manifest, {json.dumps(os.path.basename(text.rstrip("/")))[1:-1]}):
            if entry["doc_id"].startswith(text):
                by_id.setdefault(entry["doc_id"], set()).add(entry["sha256"])
            place = project / entry.get("root", ".") / entry["path"]
            if entry["path"] == text or os.path.realpath(place) == here:
                by_path.add(entry["sha256"])
    ids = [text] if text in by_id else sorted(doc_id for doc_id in by_id if doc_id.startswith(text))
    if len(ids) > 1 and not by_path:
        more = f" and {len(ids) - MOST_SHOWN} more" if len(ids) > MOST_SHOWN else ""
        raise ConfigError(
            f"{text!r} is the beginning of {plural(len(ids), 'document')}: {', '.join(ids[:MOST_SHOWN])}{more}",
            hint="give more of the doc_id, or the path",
        )
    if by_path and os.path.isfile(text):  # what stands there now may be in no manifest yet
        by_path.add(file_sha256(Path(text)))
    meant = by_path or (by_id[ids[0]] if ids else set())
    if not meant:
        raise ConfigError(
            f"no document is called {text!r}",
            hint="give a doc_id of a manifest, the beginning of one, or the path of a source as its manifest has it",
        )
    return meant


def _entries(manifest: Path, words: set[str]) -> Iterator[dict[str, Any]]:
    """The lines of a manifest that hold one of these words; the others are not parsed."""
    wanted = [word.encode() for word in words]
    for entry in read_jsonl(manifest, lambda line: any(word in line for word in wanted)):
        if {"doc_id", "path", "sha256"} <= entry.keys():
            yield entry
