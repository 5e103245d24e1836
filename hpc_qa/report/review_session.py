"""One reviewer at work on the sample of a run: what the page asks for, and what it is told to keep.

Blind to the judge: nothing that is handed out here says what the judge or the run thought of a pair.
"""

import threading
from collections.abc import Mapping
from typing import Any

from hpc_qa.campaign.review import means, minima_of, share_good
from hpc_qa.campaign.review_ratings import (
    RATED,
    SCORES,
    SKIPPED,
    UNDONE,
    Rating,
    RatingsFile,
    Words,
    check_comment,
    check_scores,
    now,
    read_ratings,
)
from hpc_qa.campaign.review_sample import Sample, records_of
from hpc_qa.report.passage import evidence_spans, passage, pieces, table_head
from hpc_qa.store.files import read_jsonl
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.units import plural


class ReviewSession:
    """The sample, what this reviewer said of it, and the file that takes what comes next. Calls are made in turn."""

    def __init__(self, run: RunDirectory, sample: Sample, reviewer: str) -> None:
        """Read what the reviewer said before.

        Raises:
            StoreError: the run or its ratings cannot be read.
        """
        self.run, self.sample, self.reviewer = run, sample, reviewer
        self.minima = minima_of(run.facts()["config"])
        self._words = read_ratings(run.review).by_reviewer.get(reviewer, Words())
        self._file = RatingsFile(run.review, reviewer)
        wanted = {pair.doc_id for pair in sample.pairs}
        self._paths = {e["doc_id"]: str(e["path"]) for e in read_jsonl(run.manifest) if e["doc_id"] in wanted}
        self._lock = threading.Lock()

    def state(self) -> dict[str, Any]:
        """How far the reviewer is."""
        with self._lock:
            return self._state()

    def pair(self, number: int) -> dict[str, Any]:
        """The pair at this place, from 0, and what the reviewer said of it.

        Raises:
            ValueError: there is no such place.
            StoreError: the records of the run cannot be read.
        """
        if not 0 <= number < len(self.sample.pairs):
            raise ValueError(f"the sample has {plural(len(self.sample.pairs), 'pair')}")
        place = self.sample.pairs[number]
        record, chunk = records_of(self.run, place)
        marks, missing = evidence_spans(chunk["context"], record["evidence"])
        head = table_head(chunk.get("table_header"))
        marks = [(start + len(head), end + len(head)) for start, end in marks]
        with self._lock:
            said = self._words.on(place.key)
        return {
            "number": number,
            "pair": place.key,
            "question": pieces(record["question"]),
            "answer": pieces(record["answer"]),
            "document": pieces(self._paths.get(place.doc_id, place.doc_id)),
            "pages": chunk["pages"],
            "headings": [pieces(heading) for heading in (record if "headings" in record else chunk)["headings"]],
            "passage": passage(head + chunk["context"], marks),
            "missing": [pieces(text) for text in missing],
            "given": {"scores": said.scores, "comment": said.comment} if said else None,
        }

    def rate(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the scores of a pair; they are on disk when this returns.

        Raises:
            ValueError: there is no such pair, or these are no scores.
            StoreError: they could not be kept.
        """
        scores, comment = check_scores(asked.get("scores")), check_comment(asked.get("comment"))
        return self._keep(Rating(self._key(asked), RATED, now(), scores, comment))

    def skip(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Leave a pair out.

        Raises:
            ValueError: there is no such pair.
            StoreError: that could not be kept.
        """
        return self._keep(Rating(self._key(asked), SKIPPED, now(), comment=check_comment(asked.get("comment"))))

    def undo(self, _asked: Mapping[str, Any]) -> dict[str, Any]:
        """Take back the last word; `undone` says where it was and what it said, None when there was none.

        Raises:
            StoreError: that could not be kept.
        """
        keys = [pair.key for pair in self.sample.pairs]
        with self._lock:
            last = self._words.last
            if last is None or last not in keys:
                return self._state() | {"undone": None}
            said = self._words.on(last)
            self._add(Rating(last, UNDONE, now()))
            draft = {"scores": said.scores, "comment": said.comment} if said else None
            return self._state() | {"undone": {"number": keys.index(last), "draft": draft}}

    def summary(self) -> dict[str, Any]:
        """What this reviewer said, in figures of their own."""
        with self._lock:
            rated = [
                (one.scores, self.sample.weight(pair.key))
                for pair in self.sample.pairs
                if (one := self._words.on(pair.key)) and one.scores
            ]
            state = self._state()
        said, weights = [scores for scores, _ in rated], [weight for _, weight in rated]
        return state | {
            "means": {name: one.to_json() for name, one in means(said, weights).items()},
            "good": share_good(said, self.minima, weights).to_json(),
            "minima": self.minima,
        }

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._file.close()

    def _key(self, asked: Mapping[str, Any]) -> str:
        key = asked.get("pair")
        if not any(pair.key == key for pair in self.sample.pairs):
            raise ValueError("no such pair is in the sample")
        return str(key)

    def _keep(self, rating: Rating) -> dict[str, Any]:
        with self._lock:
            self._add(rating)
            return self._state()

    def _add(self, rating: Rating) -> None:
        self._file.add(rating)
        self._words.add(rating)

    def _state(self) -> dict[str, Any]:
        said = [self._words.on(pair.key) for pair in self.sample.pairs]
        return {
            "run": self.run.run_id,
            "reviewer": self.reviewer,
            "total": len(said),
            "rated": sum(one is not None and one.scores is not None for one in said),
            "skipped": sum(one is not None and one.scores is None for one in said),
            "next": next((number for number, one in enumerate(said) if one is None), None),
            "scores": list(SCORES),
        }
