"""Commits: the file that closes a shard, which only one attempt can write.

A commit names the segments of all attempts that count, up to which byte and with which SHA-256, and the counts that
follow from them. What is written to a segment afterwards, by an attempt that was thought dead, does not count. Which
records win is decided in `merge.py`; whether a commit is true is checked by `campaign.verify`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError
from hpc_qa.store.files import exists, read_sealed, storage_error, sync_folder, write_sealed_once
from hpc_qa.store.run_directory import ShardDirectory
from hpc_qa.store.segments import SegmentInfo

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Commit:
    """What one attempt committed for its shard."""

    attempt: str
    segments: tuple[SegmentInfo, ...]
    counts: dict[str, Any]
    known_damage: tuple[str, ...]  # lines that were damaged when it was written, and recomputed
    settled_conflicts: dict[str, str]  # documents with two terminal states, and the one that holds


def commit(
    shard: ShardDirectory,
    attempt: str,
    segments: Sequence[SegmentInfo],
    counts: Mapping[str, Any],
    *,
    known_damage: Sequence[str] = (),
    settled_conflicts: Mapping[str, str] | None = None,
) -> bool:
    """Close the shard with these segments; False if another attempt was first, and then its commit holds."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "attempt": attempt,
        "segments": [asdict(info) for info in segments],
        "counts": dict(counts),
        "known_damage": list(known_damage),
        "settled_conflicts": dict(settled_conflicts or {}),
    }
    return write_sealed_once(shard.commit, content)


def read_commit(shard: ShardDirectory) -> Commit | None:
    """The commit of a shard, None if it is still open.

    Raises:
        StoreError: there is one and it is not as it was written.
    """
    if not exists(shard.commit):
        return None
    content = read_sealed(shard.commit)
    return Commit(
        content["attempt"],
        tuple(SegmentInfo(**info) for info in content["segments"]),
        content["counts"],
        tuple(content["known_damage"]),
        content["settled_conflicts"],
    )


def seems_damaged(shard: ShardDirectory) -> bool:
    """Whether a committed shard is certainly not as it was committed, from the sizes of its files alone.

    Cheap enough to ask whenever somebody looks. A changed byte keeps the size: `campaign.verify` reads everything.
    """
    try:
        committed = read_commit(shard)
    except StoreError:
        return True
    return committed is not None and any(not _holds(shard.path / info.path, info.bytes) for info in committed.segments)


def _holds(segment: Path, size: int) -> bool:
    """A segment may have grown since: an attempt that was thought dead went on, and that does not count."""
    try:
        return segment.stat().st_size >= size
    except OSError:
        return False


def set_aside(shard: ShardDirectory) -> Path | None:
    """Rename a commit that verify found untrue, so that the shard is open again; the damaged file is kept."""
    number = 1
    while (aside := shard.path / f"COMMIT.damaged-{number}.json").exists():
        number += 1
    try:
        shard.commit.rename(aside)
        sync_folder(shard.path)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise storage_error(shard.commit, "cannot be renamed", exc) from exc
    return aside
