"""What the review of a run says: means, how many pairs are good enough, and agreement with the judge and among people.

A pair that several people rated counts once, with the lower median of each score. What a pair needs is what the config
asks of the judge (`qa.accept`): the same minima; where it asks for none, an overall score of 4. Where pairs had unequal
chances to be drawn, means and shares are weighted (`review_sample`); agreement is that of the rated pairs as they are.
"""

import itertools
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hpc_qa.campaign.review_ratings import SCORES, Rating, Ratings, read_ratings
from hpc_qa.campaign.review_sample import Sample, kept_sample, records_of
from hpc_qa.qa.agreement import Estimate, effective_n, mean_score, weighted_kappa, weighted_share
from hpc_qa.qa.judge import SCORES as JUDGED
from hpc_qa.qa.judge import Verdict, quality_score
from hpc_qa.store.records import Record
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.units import plural

OVERALL_WITHOUT_MINIMA = 4
ENOUGH = 10  # rated pairs that count for a benchmark record although the sample was not finished

Scores = Mapping[str, int]


@dataclass(frozen=True)
class Review:
    """The ratings of a run's sample that hold."""

    run: RunDirectory
    sample: Sample
    ratings: Ratings
    minima: dict[str, int]  # what a pair needs, by score

    @cached_property
    def reviewers(self) -> dict[str, dict[str, Rating]]:
        """Who rated, and what each of them said of which pair."""
        keys = [pair.key for pair in self.sample.pairs]
        found = {name: self.ratings.rated(name, keys) for name in self.ratings.by_reviewer}
        return {name: rated for name, rated in found.items() if rated}

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """The scores of each pair that was rated, in the order of the sample."""
        found: dict[str, Scores] = {}
        for pair in self.sample.pairs:
            given = [rated[pair.key].scores for rated in self.reviewers.values() if pair.key in rated]
            if said := [scores for scores in given if scores]:
                found[pair.key] = {name: statistics.median_low(scores[name] for scores in said) for name in SCORES}
        return found

    @property
    def enough(self) -> bool:
        """Whether a benchmark record takes its quality from here: ten pairs, or all that were not skipped."""
        words = self.ratings.by_reviewer.values()
        seen = all(any(one.on(pair.key) for one in words) for pair in self.sample.pairs)
        return len(self.scores) >= ENOUGH or (seen and bool(self.scores))

    def quality(self) -> dict[str, Any]:
        """The figures of a benchmark record, under its names."""
        return {
            "rated_by": "human",
            "sample_size": len(self.scores),
            **{f"avg_{name}_score": one.value for name, one in self.means().items()},
            "overall_acceptance_rate": self.good_enough().value,
            "quality_score": self._quality_score(),
        }

    def means(self) -> dict[str, Estimate]:
        """The mean of each score over the rated pairs."""
        return means(list(self.scores.values()), self._weights(self.scores))

    def good_enough(self, only: Collection[str] | None = None) -> Estimate:
        """The share of the rated pairs, or of `only` these of them, that have what a pair needs."""
        said = self.scores if only is None else {key: one for key, one in self.scores.items() if key in only}
        return share_good(list(said.values()), self.minima, self._weights(said))

    def _weights(self, keys: Iterable[str]) -> list[float]:
        return [self.sample.weight(key) for key in keys]

    def _quality_score(self) -> float | None:
        weights = self._weights(self.scores)
        found = [quality_of(scores) for scores in self.scores.values()]
        return statistics.fmean(found, weights) if found else None

    def words(self, published: Collection[str] | None = None) -> str:
        """The figures in one sentence, for a dataset card; with the interval at 95 %. `published` are keys of pairs."""
        found, good = self.means(), self.good_enough()
        scores = ", ".join(f"{name} {one.value:.1f}" for name, one in found.items() if one.value is not None)
        who = plural(len(self.scores), "pair that passed the checks was", "pairs that passed the checks were")
        said = f"{who} rated: {scores} of 5"
        if not self.scores:
            return said
        said += f"; {_percent(good, ' good enough')}"
        if published is None:
            return said
        of_these = self.good_enough(published)
        if not of_these.n:
            return f"{said}; none of them is published"
        return f"{said}; of the {of_these.n} that are published here {_percent(of_these)}"

    def to_json(self) -> dict[str, Any]:
        """As `review --json` prints it."""
        verdicts = {key: verdict for key in self.scores if (verdict := self._verdicts.get(key)) is not None}
        return {
            "run": self.run.run_id,
            "sample": self.sample.to_json(),
            "rated": len(self.scores),
            "effective_n": round(effective_n(self._weights(self.scores)), 2),
            "means": {name: one.to_json() for name, one in self.means().items()},
            "quality_score": self._quality_score(),
            "acceptance": {"minima": self.minima} | self.good_enough().to_json(),
            "acceptance_by_outcome": {name: self.good_enough(keys).to_json() for name, keys in self._outcomes.items()},
            "judge": {"pairs": len(verdicts), "kappa": _agreement(self.scores, verdicts, JUDGED)},
            "reviewers": [self._of_reviewer(name, rated) for name, rated in self.reviewers.items()],
            "agreement": list(self._between_reviewers()),
            "damaged": self.ratings.damaged,
        }

    @cached_property
    def _records(self) -> dict[str, Record]:
        """The records of the pairs that were rated, by key."""
        return {one.key: records_of(self.run, one)[0] for one in self.sample.pairs if one.key in self.scores}

    @property
    def _outcomes(self) -> dict[str, set[str]]:
        """The pairs that were rated, by what the run made of them."""
        accepted = {key for key, record in self._records.items() if record["accepted"]}
        return {"accepted": accepted, "rejected": self._records.keys() - accepted}

    @cached_property
    def _verdicts(self) -> dict[str, Scores]:
        """What the judge said of each pair that was rated, where it has a verdict."""
        scores = {key: {name: record[name] for name in JUDGED} for key, record in self._records.items()}
        return {key: said for key, said in scores.items() if None not in said.values()}

    def _of_reviewer(self, name: str, rated: Mapping[str, Rating]) -> dict[str, Any]:
        scores = {key: one.scores for key, one in rated.items() if one.scores}
        weights = self._weights(scores)
        words = self.ratings.by_reviewer[name]
        said = [word for pair in self.sample.pairs if (word := words.on(pair.key)) is not None]
        comments = [{"pair": one.pair, "comment": one.comment} for one in said if one.comment]
        return {
            "reviewer": name,
            "rated": len(scores),
            "skipped": len(said) - len(scores),
            "means": {score: one.to_json() for score, one in means(list(scores.values()), weights).items()},
            "acceptance": share_good(list(scores.values()), self.minima, weights).to_json(),
            "judge": _agreement(scores, self._verdicts, JUDGED),
            "comments": comments,
        }

    def _between_reviewers(self) -> Iterator[dict[str, Any]]:
        for (one, ours), (other, theirs) in itertools.combinations(self.reviewers.items(), 2):
            left, right = ({key: word.scores for key, word in said.items() if word.scores} for said in (ours, theirs))
            both = left.keys() & right.keys()
            if both:
                kappa = _agreement(left, right, SCORES)
                yield {"reviewers": [one, other], "pairs": len(both), "kappa": kappa}


def review_of(run: RunDirectory) -> Review | None:
    """The review of a run; None when no sample was drawn.

    Raises:
        StoreError: it cannot be read.
    """
    sample = kept_sample(run)
    if sample is None:
        return None
    return Review(run, sample, read_ratings(run.review), minima_of(run.facts()["config"]))


def minima_of(config: Mapping[str, Any]) -> dict[str, int]:
    """What a pair needs, by score."""
    accept = config["qa"]["accept"]
    asked = {name: accept[f"min_{name}"] for name in JUDGED if accept[f"min_{name}"] is not None}
    return asked or {"overall": OVERALL_WITHOUT_MINIMA}


def means(rated: Sequence[Scores], weights: Sequence[float] | None = None) -> dict[str, Estimate]:
    """The mean of each score over these pairs."""
    return {name: mean_score([scores[name] for scores in rated], weights) for name in SCORES}


def share_good(rated: Sequence[Scores], minima: Mapping[str, int], weights: Sequence[float] | None = None) -> Estimate:
    """The share of these pairs that have every score at its minimum or above."""
    good = [all(scores[name] >= least for name, least in minima.items()) for scores in rated]
    return weighted_share(good, weights)


def quality_of(scores: Scores) -> float:
    """Mean over clarity, accuracy and relevance of (score - 1) / 4, as of the judge."""
    return quality_score(Verdict(scores["clarity"], scores["accuracy"], scores["relevance"])) or 0.0


def _percent(one: Estimate, what: str = "") -> str:
    """A share with its interval; of nothing rated it is unknown."""
    if one.value is None or one.low is None or one.high is None:
        return f"unknown{what}"
    return f"{100 * one.value:.0f} %{what} ({100 * one.low:.0f} to {100 * one.high:.0f} %)"


def _agreement(ours: Mapping[str, Scores], theirs: Mapping[str, Scores], names: Sequence[str]) -> dict[str, Any]:
    """Weighted kappa of each of these scores over the pairs that both rated."""
    both = sorted(ours.keys() & theirs.keys())
    return {
        name: weighted_kappa([ours[key][name] for key in both], [theirs[key][name] for key in both]).to_json()
        for name in names
    }
