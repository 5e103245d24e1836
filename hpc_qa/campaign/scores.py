"""How the forecasts of a project held: replays of what is done, and each that was kept against what came after it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.budget.backtest import Replays, Segment, replay, segment
from hpc_qa.budget.costs import read_costs
from hpc_qa.campaign.kept_forecasts import Kept, kept
from hpc_qa.campaign.projection import Projection
from hpc_qa.errors import ManifestError
from hpc_qa.units import number, plural


@dataclass(frozen=True, slots=True)
class Score:
    """A forecast that was kept, and the truth as far as it is known."""

    made_at: str
    documents_done: int  # when it was made
    p05: float
    p50: float
    p95: float
    status: str
    since: Segment | None  # documents that were done after it was made
    total: float | None  # GPU-hours of the corpus; None: it is not done yet

    @property
    def inside(self) -> bool | None:
        """Whether the total lies in the interval."""
        return None if self.total is None else self.p05 <= self.total <= self.p95

    @property
    def words(self) -> str:
        """For people."""
        said = f"{number(self.p50)} GPU-hours, {number(self.p05)} to {number(self.p95)}"
        if self.total is not None:
            held = "it held" if self.inside else "it did not hold"
            said += f"; the total is {number(self.total)}, {100 * (self.p50 / self.total - 1):+.0f} % off: {held}"
        if (since := self.since) is not None:
            held = "as expected" if since.inside else "drift, do not rely on it"
            said += f"; {plural(since.documents, 'document')} since took {number(since.took)}, "
            said += f"expected {number(since.p50)} ({number(since.p05)} to {number(since.p95)}): {held}"
        return said

    def to_json(self) -> dict[str, Any]:
        return {
            "made_at": self.made_at,
            "documents_done": self.documents_done,
            "p05": self.p05,
            "p50": self.p50,
            "p95": self.p95,
            "status": self.status,
            "since": self.since.to_json() if self.since else None,
            "total": self.total,
            "inside": self.inside,
            "error": self.p50 / self.total - 1 if self.total else None,
            "words": self.words,
        }


@dataclass(frozen=True, slots=True)
class Backtest:
    """What `budget backtest` found."""

    replays: Replays | None
    scores: tuple[Score, ...]
    notes: tuple[str, ...]

    @property
    def says_something(self) -> bool:
        """Whether anything was replayed, or a forecast held against documents that were done after it."""
        return self.replays is not None or any(one.total is not None or one.since is not None for one in self.scores)

    def to_json(self) -> dict[str, Any]:
        """As `budget backtest --json` prints it."""
        return {
            "replays": self.replays.to_json() if self.replays else None,
            "forecasts": [score.to_json() for score in self.scores],
            "notes": list(self.notes),
        }


def backtest(project: Path, now: Projection) -> Backtest:
    """The forecasts of this project against what is known `now`."""
    notes: list[str] = []
    scores = [score for one in kept(project) if (score := score_of(one, now, notes)) is not None]
    return Backtest(replay(now.costs), tuple(scores), tuple(notes))


def drift(project: Path, now: Projection) -> Score | None:
    """The newest forecast after which documents were done, to see whether they took what it expected."""
    since = (score for one in reversed(kept(project)) if (score := score_of(one, now, [])) and score.since)
    return next(since, None)


def score_of(one: Kept, now: Projection, notes: list[str]) -> Score | None:
    """None where its file or its table is damaged, or it was made of another corpus; that is said in `notes`."""
    content = one.content
    try:
        if content["inputs"]["corpus_sha256"] != now.inputs.get("corpus_sha256"):
            notes.append(f"{one.path.name}: of another corpus, so that it is not scored")
            return None
        whole = all(cost.gpu_hours is not None for cost in now.costs)
        return Score(
            made_at=str(content["made_at"]),
            documents_done=int(content["documents_done"]),
            p05=float(content["p05"]),
            p50=float(content["p50"]),
            p95=float(content["p95"]),
            status=str(content["status"]),
            since=segment(read_costs(one.costs), now.costs),
            total=now.forecast.p50 if whole else None,
        )
    except (KeyError, TypeError, ValueError, ManifestError) as error:
        notes.append(f"{one.path.name}: damaged, so that it is not scored: {error}")
        return None
