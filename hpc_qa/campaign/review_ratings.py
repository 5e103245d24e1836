"""What people said of the pairs of a sample, on disk as soon as they said it.

`review/ratings-<reviewer>-<UTC time>-<4 hex>.jsonl` is one session of one reviewer, in the line format of segments. A
rating is added and synced before it is acknowledged, and nothing is ever changed: undoing is a line of its own that
takes back the reviewer's last word on a pair. So a torn last line loses itself and nothing else.
"""

import getpass
import re
import secrets
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.qa.judge import SCORES as JUDGED
from hpc_qa.store.files import list_folder, make_folder_if_missing
from hpc_qa.store.segments import Segment, SegmentWriter, read_batches
from hpc_qa.units import iso, utc_now

SCORES = (*JUDGED, "overall")
RATED, SKIPPED, UNDONE = "rated", "skipped", "undone"
FILE_NAME = re.compile(r"ratings-[a-z0-9-]+-\d{8}T\d{6}-[0-9a-f]{4}\.jsonl")
MOST_NAME_CHARS = 64
MOST_COMMENT_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Rating:
    """One word of a reviewer on a pair."""

    pair: str  # its key
    action: str
    at: str  # ISO 8601, UTC
    scores: dict[str, int] | None = None  # 1-5 by name; None when it was skipped
    comment: str | None = None


class Words:
    """What one reviewer said, in order; the last word on a pair that was not taken back is what holds."""

    def __init__(self, ratings: Iterable[Rating] = ()) -> None:
        self._said: dict[str, list[Rating]] = defaultdict(list)
        self._order: list[str] = []
        for one in ratings:
            self.add(one)

    def add(self, one: Rating) -> None:
        """Take the next word."""
        if one.action != UNDONE:
            self._said[one.pair].append(one)
            self._order.append(one.pair)
        elif self._said[one.pair]:
            self._said[one.pair].pop()
            del self._order[len(self._order) - 1 - self._order[::-1].index(one.pair)]

    def on(self, pair: str) -> Rating | None:
        """The word that holds on this pair."""
        said = self._said.get(pair)
        return said[-1] if said else None

    @property
    def last(self) -> str | None:
        """The pair of the last word, which can be taken back."""
        return self._order[-1] if self._order else None


@dataclass(slots=True)
class Ratings:
    """Every word of every reviewer, and what could not be read."""

    by_reviewer: dict[str, Words] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)  # FILE:LINE: what is wrong

    def rated(self, reviewer: str, pairs: Sequence[str]) -> dict[str, Rating]:
        """The ratings of this reviewer that hold, by pair, of these pairs."""
        words = self.by_reviewer.get(reviewer, Words())
        return {pair: one for pair in pairs if (one := words.on(pair)) is not None and one.scores is not None}


def read_ratings(folder: Path) -> Ratings:
    """What all reviewers of a run said; what one of them said in several sessions is ordered by its time.

    Raises:
        StoreError: a file cannot be read.
    """
    found = Ratings()
    sessions: dict[str, list[tuple[str, str, int, Rating]]] = defaultdict(list)
    for name in (entry.name for entry in list_folder(folder) if FILE_NAME.fullmatch(entry.name)):
        segment, latest = Segment(folder / name), ""
        for batch in read_batches(segment):
            for record in batch.records:
                rating = _rating(record)
                if rating is None:
                    found.damaged.append(f"{name}:{batch.line}: is no rating")
                    continue
                latest = max(latest, rating.at)  # a clock that was set back does not reorder a session
                sessions[record["reviewer"]].append((latest, name, batch.line, rating))
        found.damaged += [f"{name}:{line}: {why}" for line, why in segment.damaged]
    for reviewer, said in sorted(sessions.items()):
        found.by_reviewer[reviewer] = Words(rating for *_, rating in sorted(said, key=lambda one: one[:3]))
    return found


def _rating(record: Mapping[str, Any]) -> Rating | None:
    """The rating in a record, if it is one."""
    try:
        rating = Rating(record["pair"], record["action"], record["at"], record["scores"], record["comment"])
        scored = rating.scores is None or check_scores(rating.scores) == rating.scores
        texts = (rating.pair, rating.at, record["reviewer"])
        known = rating.action in (RATED, SKIPPED, UNDONE) and all(isinstance(text, str) for text in texts)
        return rating if scored and known and (rating.action == RATED) == (rating.scores is not None) else None
    except (KeyError, TypeError, ValueError):
        return None


def check_scores(scores: object) -> dict[str, int]:
    """The four scores, if that is what they are.

    Raises:
        ValueError: one is missing or is no whole number from 1 to 5, or there are others.
    """
    if not isinstance(scores, dict) or set(scores) != set(SCORES):
        raise ValueError(f"the scores are {', '.join(SCORES)}, all of them")
    for name, score in scores.items():
        if type(score) is not int or not 1 <= score <= 5:
            raise ValueError(f"{name} is a whole number from 1 to 5")
    return {name: scores[name] for name in SCORES}


def check_comment(comment: object) -> str | None:
    """The comment without the space around it; None when nothing is left.

    Raises:
        ValueError: it is no text, or too long.
    """
    if comment is not None and not isinstance(comment, str):
        raise ValueError("a comment is text")
    if comment and len(comment) > MOST_COMMENT_CHARS:
        raise ValueError(f"a comment has at most {MOST_COMMENT_CHARS:,} characters")
    return comment.strip() or None if comment else None


def check_reviewer(name: str | None) -> str:
    """The name under which ratings are kept; that of the user when none is given.

    Raises:
        ConfigError: it is empty, too long, or has characters that cannot be seen.
    """
    try:
        found = (getpass.getuser() if name is None else name).strip()
    except (KeyError, OSError) as exc:
        raise ConfigError("this user has no name", hint="say one with --reviewer NAME") from exc
    if not found or len(found) > MOST_NAME_CHARS or not found.isprintable():
        raise ConfigError(
            f"{found[:MOST_NAME_CHARS]!r} cannot be the name of a reviewer",
            hint=f"--reviewer takes up to {MOST_NAME_CHARS} visible characters",
        )
    return found


class RatingsFile:
    """Adds the words of one reviewer to a file of this session, which is made by the first of them."""

    def __init__(self, folder: Path, reviewer: str) -> None:
        self._folder, self._reviewer = folder, reviewer
        self._writer: _Writer | None = None

    def add(self, rating: Rating) -> None:
        """Put this word on disk. After an error the next one goes to a new file: behind a torn line nothing is read.

        Raises:
            StoreError: it is not known to be on disk.
        """
        scores = rating.scores
        record = {
            "kind": "rating",
            "reviewer": self._reviewer,
            "pair": rating.pair,
            "action": rating.action,
            "at": rating.at,
            "scores": scores,
            "comment": rating.comment,
        }
        make_folder_if_missing(self._folder)
        writer, self._writer = self._writer or _Writer(self._folder, _file_name(self._reviewer)), None
        try:
            writer.add([record])
        except StoreError as error:
            raise StoreError(
                *error.faults, hint="look for a full disk or a quota (df, quota), then rate it again"
            ) from error
        self._writer = writer

    def close(self) -> None:
        """Let go of the file; everything is on disk."""
        if self._writer is not None:
            self._writer.close()


class _Writer(SegmentWriter):
    """A segment of one line per flush, under a name of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        super().__init__(folder, max_records=1)

    @property
    def path(self) -> Path:
        return self._folder / self._name


def _file_name(reviewer: str) -> str:
    """Letters and digits of the name, for people; who it was stands in every line."""
    plain = unicodedata.normalize("NFKD", reviewer).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32] or "reviewer"
    return f"ratings-{slug}-{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}.jsonl"


def now() -> str:
    """The time of a rating."""
    return iso(utc_now())
