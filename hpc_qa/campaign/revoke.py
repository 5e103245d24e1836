"""Revoke a document: remove everything that came from it, and let no run take it up again.

In this order, so that what is interrupted can be repeated: the project writes down who revoked what, when and why; each
run gets a tombstone, from which moment no reader sees anything of the document; its conversions are deleted; its
records are emptied in the segments, its ratings in the review; and every dataset that has a row of it is published
anew. The source itself is the user's own and stays where it is.
"""

import getpass
import json
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hpc_qa.campaign.collect import collect
from hpc_qa.campaign.publication import Publication, publications_of
from hpc_qa.campaign.review_ratings import FILE_NAME, UNDONE
from hpc_qa.campaign.revoke_targets import Targets
from hpc_qa.campaign.status import status
from hpc_qa.documents.cache import STAGING
from hpc_qa.documents.tokens import file_sha256
from hpc_qa.errors import ConfigError, ExitCode, HpcQaError, StoreError
from hpc_qa.store.dataset import FILES, is_published
from hpc_qa.store.files import list_folder, storage_error
from hpc_qa.store.redaction import emptied, readable_records, redact_shard, rewrite_lines, same_length
from hpc_qa.store.revocation import Revocation, Tombstone, bury, revocations, revoke_content, tombstones
from hpc_qa.store.run_directory import RunDirectory, ShardDirectory, list_runs
from hpc_qa.store.segments import decode_line
from hpc_qa.store.trust import check_run
from hpc_qa.strict_yaml import read
from hpc_qa.units import iso, plural, utc_now


@dataclass(slots=True)
class Revoked:
    """What was removed; a repeated call removes nothing."""

    contents: list[Revocation] = field(default_factory=list)
    known_before: bool = False  # everything that was meant was revoked before
    runs: list[str] = field(default_factory=list)  # that have it
    segments: int = 0
    ratings: int = 0  # files of ratings
    caches: int = 0  # folders of conversions
    datasets: list[str] = field(default_factory=list)  # that were published anew
    failed: list[str] = field(default_factory=list)  # what could not be done, and why

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.OUTSIDE if self.failed else ExitCode.DONE

    def to_json(self) -> dict[str, Any]:
        return {
            "revoked": [
                {"sha256": one.sha256, "doc_ids": list(one.doc_ids), "paths": list(one.paths), "by": one.by,
                 "at": one.at, "reason": one.reason}
                for one in self.contents
            ],
            "runs": self.runs,
            "segments": self.segments,
            "ratings": self.ratings,
            "caches": self.caches,
            "datasets": self.datasets,
            "failed": self.failed,
            "exit_code": int(self.exit_code),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The result for people."""
        lines = [
            f"revoked      {', '.join(one.doc_ids) or one.sha256}, by {one.by} at {one.at}" for one in self.contents
        ]
        if not (self.segments or self.ratings or self.caches or self.datasets or self.failed):
            why = "it was done before" if self.known_before else "there was nothing"
            return [*lines, f"removed      nothing: {why}"]
        counts = (
            plural(self.segments, "segment"),
            plural(self.ratings, "file of ratings", "files of ratings"),
            plural(self.caches, "conversion"),
        )
        lines.append(f"removed      from {', '.join(counts)}")
        lines += [f"published    {path}, without it" for path in self.datasets]
        return lines + [f"FAILED       {what}" for what in self.failed]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a revocation would touch, for the question before it."""

    targets: Targets
    datasets: list[Publication]
    is_settled: (
        bool  # it was revoked before, everywhere that is known now: what is left of it may go without a question
    )

    def lines(self) -> list[str]:
        """What stands before the question."""
        lines = []
        for one in self.targets.contents.values():
            lines.append(f"content      {one.sha256[:16]}: {', '.join(sorted(one.doc_ids)) or 'in no manifest'}")
            lines += [f"             {path}" for path in sorted(one.paths)]
        lines += [f"run          {run.run_id}: its text is removed for good" for run in self.targets.runs]
        lines += [f"dataset      {one.path}: published anew without it" for one in self.datasets]
        return lines


def prospect(project: Path, targets: Targets) -> Prospect:
    """What a revocation would touch.

    Raises:
        ConfigError: a run that has the document goes on, or is not ours to change.
        StoreError: a run cannot be read.
    """
    faults = []
    for run in targets.runs:
        check_run(run)
        now = status(run)
        if now.goes_on:
            faults.append(f"{run.run_id} goes on, and has the document")
        elif now.state == "unknown":
            faults.append(f"{run.run_id} has the document, and Slurm does not say whether it goes on")
    if faults:
        raise ConfigError(*faults, hint="wait for its end or stop it with hpc-qa cancel, then the same command again")
    held = [one for one in publications_of(targets.runs) if _holds(one.path, targets.contents)]
    known = targets.contents.keys() <= revocations(project).keys()
    buried = all(documents.keys() <= tombstones(run.path).keys() for run, documents in targets.runs.items())
    return Prospect(targets, held, is_settled=known and buried and not held)


def revoke(project: Path, asked: Prospect, *, reason: str | None) -> Revoked:
    """Remove everything that came from these contents. Safe to repeat; what is done is not done again.

    Raises:
        StoreError: something cannot be written; what was done until then stays done, and the same call continues.
    """
    targets, now, me = asked.targets, iso(utc_now()), getpass.getuser()
    known = revocations(project)
    found = Revoked(known_before=targets.contents.keys() <= known.keys(), runs=[run.run_id for run in targets.runs])
    for target in targets.contents.values():
        ids, paths = tuple(sorted(target.doc_ids)), tuple(sorted(target.paths))
        found.contents.append(revoke_content(project, Revocation(target.sha256, ids, paths, me, now, reason)))
    said = {one.sha256: one for one in found.contents}
    for run, documents in targets.runs.items():
        for doc_id, sha256 in sorted(documents.items()):
            one = said[sha256]
            bury(run.path, Tombstone(doc_id, sha256, one.by, one.at, one.reason))
    found.caches = _forget_conversions(_caches(project), targets.contents)
    for run, documents in targets.runs.items():
        pairs: set[str] = set()
        for planned in run.frozen_plan()["shards"]:
            shard = run.shard(int(planned["index"]))
            here = documents.keys() & set(planned["documents"])
            if here:
                pairs |= _keys_of(shard, here)
                found.segments += redact_shard(shard, here)
        found.ratings += _forget_ratings(run, pairs)
    for publication in publications_of(targets.runs):
        _forget_left_over(publication.path)
    for publication in asked.datasets:
        _publish_anew(publication, found)
    return found


def _caches(project: Path) -> list[Path]:
    """The folders of conversions that runs of this project, or configs in it, name: each may have the document."""
    named = {"cache/documents"}
    for run in list_runs(project):
        with suppress(StoreError):  # status and verify say that it cannot be read
            named.add(str(run.facts()["config"]["documents"]["cache"]))
    for path in (*project.glob("*.yaml"), *project.glob("configs/*.yaml")):
        documents = read(path).data.get("documents")
        if isinstance(documents, dict) and isinstance(cache := documents.get("cache"), str):
            named.add(cache)
    return sorted(project / name for name in named)


def _forget_conversions(caches: Iterable[Path], contents: Collection[str]) -> int:
    """Delete every conversion of these contents; how many folders there were."""
    removed = 0
    for cache in caches:
        # a conversion that was killed leaves a copy of its source
        left = [path.parent for path in cache.glob(f"{STAGING}/*/source") if file_sha256(path) in contents]
        for folder in (*(cache / sha256[:2] / sha256 for sha256 in contents), *left):
            if folder.is_dir():
                try:
                    shutil.rmtree(folder)
                except OSError as exc:
                    raise storage_error(folder, "cannot be removed", exc) from exc
                removed += 1
    return removed


def _keys_of(shard: ShardDirectory, documents: Collection[str]) -> set[str]:
    """The keys of the pairs of these documents, in all segments."""
    return {
        record["key"]
        for attempt in shard.attempts()
        for path in attempt.segments()
        for record in readable_records(path)
        if record.get("kind") == "pair" and record.get("doc_id") in documents
    }


def _forget_ratings(run: RunDirectory, pairs: Collection[str]) -> int:
    """Empty what people said of these pairs; how many files were changed."""

    def change(line: bytes) -> bytes:
        try:
            batch, number, lines, record = decode_line(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            return line
        if not isinstance(record, dict) or record.get("pair") not in pairs or record.get("action") == UNDONE:
            return line
        taken_back = emptied(record) | {"scores": None, "comment": None, "action": UNDONE}
        return same_length(line, batch, number, lines, taken_back)

    if not pairs:
        return 0
    names = [entry.name for entry in list_folder(run.review) if FILE_NAME.fullmatch(entry.name)]
    return sum(rewrite_lines(run.review / name, change) for name in names)


def _holds(dataset: Path, contents: Collection[str]) -> bool:
    """Whether a published dataset has a row of these contents, or names one."""
    if not is_published(dataset):
        return False
    try:
        for name in FILES.values():
            if (dataset / name).exists():
                column = pq.read_table(dataset / name, columns=["source_sha256"]).column(0)
                if pc.any(pc.is_in(column, value_set=pa.array(sorted(contents), pa.string()))).as_py():
                    return True
        named = json.loads((dataset / "stats.json").read_bytes()).get("documents", [])
    except FileNotFoundError:  # of a version without it: its card may name the content
        named = [{"source_sha256": sha256} for sha256 in contents if _on_card(dataset, sha256)]
    except (OSError, ValueError, pa.ArrowException) as exc:
        raise StoreError(f"{dataset}: cannot be read: {exc}", hint="delete it, or publish it again") from exc
    return any(one.get("source_sha256") in contents for one in named)


def _on_card(dataset: Path, sha256: str) -> bool:
    return sha256[:16] in (dataset / "README.md").read_text(encoding="utf-8", errors="replace")


def _forget_left_over(dataset: Path) -> None:
    """Remove what killed publications left beside a dataset."""
    for pattern in (f".{dataset.name}.*.old", f".{dataset.name}.*.tmp"):
        for folder in dataset.parent.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


def _publish_anew(publication: Publication, found: Revoked) -> None:
    """Publish a dataset again as it was asked for."""
    path = publication.path
    try:
        runs = [RunDirectory(run) for run in publication.runs]
        result = collect(runs, out=path, options=publication.options, keep_note=False)
    except HpcQaError as error:
        found.failed.append(f"{path} still has it: {error}" + (f"; {error.hint}" if error.hint else ""))
        return
    if result.path is None:
        found.failed.append(
            f"{path} still has it: of its runs {plural(result.documents_left, 'document is', 'documents are')} left"
        )
        return
    found.datasets.append(str(path))
