"""Which pairs of a run people are asked about: a seeded sample, drawn once and kept.

Drawn from the pairs that passed every deterministic check, whatever the judge said of them. Of a chunk one pair is
taken, because its pairs are too much alike. Chunks are drawn with a chance in proportion to their pairs, at most 1, and
then one of its pairs: so every pair has the same chance, unless nearly as many are asked for as there are chunks. The
chance of each drawn pair is kept, and figures are weighted by its inverse.

Chunks lie in a row, those with the largest share of accepted pairs first, documents in an order that the seed decides,
and are taken at equal steps of their chances (systematic sampling with unequal probabilities: W. G. Madow, Annals of
Mathematical Statistics 20 (1949) 333-354). So accepted and rejected pairs and documents have about their shares. The
order in which they are shown tells nothing.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from hpc_qa.campaign.batches import batch_of, rank
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.store.files import exists, make_folder_if_missing, read_sealed, write_sealed_once
from hpc_qa.store.merge import merge_shard
from hpc_qa.store.records import Record
from hpc_qa.store.revocation import tombstones
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.store.segments import Batch, read_batch
from hpc_qa.units import plural

SMALL, LARGE = 20, 50  # pairs; the large sample from batch_500 on
LARGE_FROM = "batch_500"


class Place(NamedTuple):
    """A pair, and where it stands."""

    key: str
    doc_id: str
    chunk_id: str
    segment: str  # below the run directory
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The pairs of a review, in the order in which they are shown."""

    seed: int
    asked: int
    population: dict[str, int]  # pairs that passed the checks, their chunks and documents, accepted and rejected
    complete: bool  # whether the run was
    pairs: tuple[Place, ...]  # which of them were accepted is not kept, so that nobody who rates them can look
    chances: Mapping[str, float] = field(default_factory=dict)  # by key, of being drawn; none in one of before

    def weight(self, key: str) -> float:
        """What a pair counts in a mean over all that could have been drawn: 1 / its chance."""
        return 1 / self.chances.get(key, 1.0)

    @property
    def equal_chances(self) -> bool:
        """Whether all pairs had the same; else figures are weighted."""
        return len(set(self.chances.values())) < 2

    def to_json(self) -> dict[str, Any]:
        return {"seed": self.seed, "asked": self.asked, "pairs": len(self.pairs), "population": self.population,
                "equal_chances": self.equal_chances}  # fmt: skip


def default_size(batch: str | None) -> int:
    """How many pairs of a batch are rated.

    >>> default_size("batch_200"), default_size("batch_500"), default_size("production"), default_size(None)
    (20, 50, 50, 20)
    """
    place, large = rank(batch), rank(LARGE_FROM)
    return LARGE if place is not None and large is not None and place >= large else SMALL


def draw(accepted: Iterable[Place], rejected: Iterable[Place], size: int, seed: int) -> dict[Place, float]:
    """So many of these pairs, one of a chunk, each with the chance that it had; fewer where there are fewer chunks."""
    chunks: dict[str, _Chunk] = {}
    for accepts, pairs in ((True, accepted), (False, rejected)):
        for pair in pairs:
            chunks.setdefault(pair.chunk_id, _Chunk(pair.doc_id, pair.chunk_id)).add(pair, accepts=accepts)
    row = sorted(chunks.values(), key=lambda one: (-one.share, _order(seed, one.doc_id), _order(seed, one.chunk_id)))
    chances = _chances([one.size for one in row], min(size, len(row)))
    found: dict[Place, float] = {}
    reached, mixed = Fraction(str(_order(seed, "start"))), _order(seed, "side")
    for one, chance in zip(row, chances, strict=True):
        before, reached = reached, reached + chance
        if math.floor(reached) == math.floor(before):
            continue
        accepts = one.share == 1
        if 0 < one.share < 1:  # at equal steps as well, so that the accepted ones have their share
            accepts = math.floor(mixed + one.share) > math.floor(mixed)
            mixed += one.share
        taken = min(one.pairs[accepts], key=lambda pair: _order(seed, "pair", pair.key))
        found[taken] = float(chance / one.size)
    return dict(sorted(found.items(), key=lambda item: _order(seed, "shown", item[0].key)))


@dataclass(slots=True)
class _Chunk:
    """The pairs of one chunk."""

    doc_id: str
    chunk_id: str
    pairs: dict[bool, list[Place]] = field(default_factory=lambda: {True: [], False: []})  # by whether accepted

    def add(self, one: Place, *, accepts: bool) -> None:
        self.pairs[accepts].append(one)

    @property
    def size(self) -> int:
        return len(self.pairs[True]) + len(self.pairs[False])

    @property
    def share(self) -> float:
        """Of accepted pairs."""
        return len(self.pairs[True]) / self.size


def _chances(sizes: Sequence[int], wanted: int) -> list[Fraction]:
    """Of each chunk the chance to be drawn, in proportion to its size and at most 1; together as many as are wanted.

    >>> [str(chance) for chance in _chances([5, 1, 1, 1], 2)]
    ['1', '1/3', '1/3', '1/3']
    """
    certain: set[int] = set()
    while True:
        rest = sum(size for place, size in enumerate(sizes) if place not in certain)
        left = wanted - len(certain)
        more = {place for place, size in enumerate(sizes) if place not in certain and left * size >= rest}
        if not more or not left:
            return [
                Fraction(1) if place in certain else Fraction(left * size, rest) for place, size in enumerate(sizes)
            ]
        certain |= more


def _order(seed: int, *parts: str) -> float:
    """Where something stands in a random order, from 0 to 1, the same in every process."""
    digest = hashlib.sha256("\0".join([str(seed), *parts]).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def sample_of(run: RunDirectory, *, size: int | None = None, seed: int | None = None) -> Sample:
    """The sample of this run: the one that was drawn before, else a new one, which is kept.

    Raises:
        ConfigError: another size or seed is asked for than the one that it was drawn with, or there is no pair.
        StoreError: the run cannot be read, or the sample cannot be kept.
    """
    found = kept_sample(run)
    if found is None:
        facts = run.facts()
        wanted = size or default_size(batch_of(run))
        _keep(run, wanted, facts["config"]["seed"] if seed is None else seed)
        found = kept_sample(run)
    if found is None:
        raise StoreError(f"{_path(run)}: is gone", hint="the same command again draws the sample anew")
    others = [f"--sample {size}"] if size not in (None, found.asked) else []
    others += [f"--seed {seed}"] if seed not in (None, found.seed) else []
    if others:
        raise ConfigError(
            f"{' '.join(others)}: the sample of this run was drawn already: {plural(found.asked, 'pair')} "
            f"with seed {found.seed}",
            hint=f"leave them out to go on with it; for another sample first put {run.review} away",
        )
    return found


def kept_sample(run: RunDirectory) -> Sample | None:
    """The sample that was drawn before, if one was.

    Raises:
        StoreError: it is there, and not as it was written.
    """
    if not exists(_path(run)):
        return None
    content = read_sealed(_path(run))
    try:
        revoked = tombstones(run.path)
        kept = [one for one in content["pairs"] if one["doc_id"] not in revoked]
        pairs = tuple(Place(**{name: one[name] for name in Place._fields}) for one in kept)
        chances = {one["key"]: float(one["chance"]) for one in kept if "chance" in one}
        return Sample(content["seed"], content["asked"], content["population"], content["complete"], pairs, chances)
    except (KeyError, TypeError) as exc:
        raise StoreError(f"{_path(run)}: was written by another version: {exc}", hint=f"put {run.review} away") from exc


def records_of(run: RunDirectory, one: Place) -> tuple[Record, Record]:
    """The record of a sampled pair and that of its chunk.

    Raises:
        StoreError: they are no longer where they stood.
    """
    path = run.path / one.segment
    records = {record["key"]: record for record in read_batch(path, one.offset, one.size)}
    chunk = next((r for r in records.values() if r["kind"] == "chunk" and r["chunk_id"] == one.chunk_id), None)
    if one.key not in records or chunk is None:
        raise StoreError(f"{path}: pair {one.key[:12]} is not where it stood", hint=f"hpc-qa verify {run.run_id}")
    return records[one.key], chunk


def _path(run: RunDirectory) -> Path:
    return run.review / "sample.json"


def _keep(run: RunDirectory, size: int, seed: int) -> None:
    accepted, rejected, complete = _passed(run)
    passed = accepted + rejected
    if not passed:
        raise ConfigError(
            f"{run.run_id} has no pair that passed every check", hint=f"hpc-qa status {run.run_id} says how far it is"
        )
    content: Mapping[str, Any] = {
        "run": run.run_id,
        "seed": seed,
        "asked": size,
        "complete": complete,
        "population": {
            "pairs": len(passed),
            "chunks": len({one.chunk_id for one in passed}),
            "documents": len({one.doc_id for one in passed}),
            "accepted": len(accepted),
            "rejected": len(rejected),
        },
        "pairs": [one._asdict() | {"chance": chance} for one, chance in draw(accepted, rejected, size, seed).items()],
    }
    make_folder_if_missing(run.review)
    write_sealed_once(_path(run), content)


def _passed(run: RunDirectory) -> tuple[list[Place], list[Place], bool]:
    """The pairs that passed every check, accepted and rejected by the judge's scores; whether the run has ended."""
    accepted: list[Place] = []
    rejected: list[Place] = []

    def look(batch: Batch) -> None:
        where = str(batch.path.relative_to(run.path)), batch.offset, batch.size
        for one in batch.records:
            if one["kind"] == "pair" and all(one["checks"].values()):
                place = Place(one["key"], one["doc_id"], one["chunk_id"], *where)
                (accepted if one["accepted"] else rejected).append(place)

    left = 0
    for shard in run.frozen_plan()["shards"]:
        merged = merge_shard(run.shard(int(shard["index"])), look)
        left += len(shard["documents"]) - len(merged.done.keys() & set(shard["documents"]))
    return accepted, rejected, left == 0
