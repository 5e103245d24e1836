"""What an attempt says of itself while it runs: Prometheus text, for `hpc-qa metrics`, the dashboard and scrapers.

Records are counted on their way to the segments; a thread writes the sums to `metrics.prom`, at most a second after a
document has ended, and what the server says of itself to `vllm.prom`. Both are replaced whole. They are figures and no
more: whatever happens to them is said once in the log, and the attempt goes on. `docs/live.md` has their names.
"""

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc_qa.errors import ServerError, StoreError
from hpc_qa.store.exposition import COUNTER, HISTOGRAM, Family, gauge, labelled, parse, to_text
from hpc_qa.store.files import HeldFolder
from hpc_qa.store.run_directory import AttemptDirectory

log = logging.getLogger("hpc_qa.worker")

LOOK_S = 1.0
REFRESH_S = 15.0  # also without news, so that readers see that we live; the server is asked as often
LONGEST_END_S = 5.0
WINDOW_S = 1800.0  # of documents per hour: at 20 an hour ten of them
KNOWN_AFTER_S = 60.0  # what the first seconds give is no pace
SERVING = ("serving", "tail")
BUCKETS_MS = (
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
)
STATES = ("ok", "failed", "skipped")
TOKENS = ("prompt", "cached", "completion")


@dataclass(slots=True)
class Counts:
    """The records of an attempt, counted."""

    documents: Counter[str] = field(default_factory=Counter)  # by terminal state
    times_ms: Counter[int] = field(default_factory=Counter)  # documents by the place of their bucket
    time_ms: float = 0.0
    pairs: int = 0
    accepted: int = 0
    judged: int = 0
    quality: float = 0.0  # sum over what was judged
    tokens: Counter[str] = field(default_factory=Counter)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one more record."""
        match record["kind"]:
            case "document":
                self.documents[record["state"]] += 1
                if record["seconds"] > 0:  # else it was settled, and nothing was asked about it
                    spent = 1000 * record["seconds"]
                    self.times_ms[sum(spent > bound for bound in BUCKETS_MS)] += 1
                    self.time_ms += spent
            case "pair":
                self.pairs += 1
                self.accepted += record["accepted"]
                if record["quality_score"] is not None:
                    self.judged += 1
                    self.quality += record["quality_score"]
            case "chunk":
                self.tokens.update({kind: record[f"{kind}_tokens"] for kind in TOKENS})

    @property
    def processed(self) -> int:
        """Documents in a terminal state."""
        return self.documents.total()


class Pace:
    """Documents per hour over the last half hour, or since serving began where that is less."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._ends_s: deque[float] = deque(maxlen=100_000)

    def note(self, serving: bool, now_s: float) -> None:
        """Whether documents are served now."""
        if self._began_s is None and serving:
            self._began_s = now_s

    def add(self, now_s: float) -> None:
        """A document has ended."""
        self._ends_s.append(now_s)

    def per_hour(self, now_s: float) -> float | None:
        """None while too little is known."""
        if self._began_s is None:
            return None
        span_s = min(WINDOW_S, now_s - self._began_s)
        if span_s < KNOWN_AFTER_S:
            return None
        if len(self._ends_s) == self._ends_s.maxlen:  # more of them than are remembered
            span_s = min(span_s, now_s - self._ends_s[0])
        return 3600 * sum(end > now_s - span_s for end in self._ends_s) / span_s if span_s > 0 else None


class LiveMetrics:
    """Counts the records of an attempt and keeps both files fresh while `kept` is open."""

    def __init__(
        self,
        directory: AttemptDirectory,
        *,
        run: str,
        shard: int,
        documents: int,
        stage: Callable[[], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`documents`: how many this attempt has to do; `stage` tells what it does now."""
        self._directory = directory
        self._folder = HeldFolder(directory.path)
        self._labels = {"run": run, "shard": str(shard), "attempt": str(directory.order())}
        self._documents = documents
        self._stage = stage
        self._clock = clock
        self._lock = threading.Lock()
        self._counts, self._pace = Counts(), Pace()
        self._changed = False
        self._failed = False
        self.server: Callable[[], str] | None = None  # what the server says of itself, once there is one

    def take(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Count these records; called for every batch that is written."""
        self._safely(lambda: self._take(records))

    def _take(self, records: Iterable[Mapping[str, Any]]) -> None:
        self._note_stage()
        with self._lock:
            before = self._counts.processed
            for record in records:
                self._counts.add(record)
            for _ in range(self._counts.processed - before):
                self._pace.add(self._clock())
                self._changed = True

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the files fresh meanwhile; at the end they say that it has ended."""
        stop = threading.Event()
        thread = threading.Thread(target=self._keep, args=(stop,), name="live-metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(LONGEST_END_S)
            self.write(running=False)

    def _keep(self, stop: threading.Event) -> None:
        due_s, serving = float("-inf"), False
        while not stop.is_set():
            self._note_stage()
            before, serving = serving, self._stage() in SERVING
            if self._clock() >= due_s or serving != before:
                self.write_server()
                due_s, self._changed = self._clock() + REFRESH_S, True
            if self._changed and not stop.is_set():  # the server may have taken longer than there was to live
                self.write()
            stop.wait(LOOK_S)

    def write(self, *, running: bool = True) -> None:
        """Write our own metrics now."""
        self._safely(lambda: self._write(running=running))

    def _note_stage(self) -> None:
        self._pace.note(self._stage() in SERVING, self._clock())

    def _write(self, *, running: bool) -> None:
        self._note_stage()
        with self._lock:
            self._changed = False
            families = labelled(self._families(running=running), self._labels)
        self._replace(self._directory.metrics, to_text(families))

    def write_server(self) -> None:
        """Write what the server says of itself now, once it serves."""
        self._safely(self._write_server)

    def _write_server(self) -> None:
        if self.server is None or self._stage() not in SERVING:
            return
        try:
            said = self.server()
        except ServerError:  # a busy server may miss a reading, a dead one is somebody else's news
            return
        self._replace(self._directory.server_metrics, to_text(labelled(parse(said), self._labels)))

    def _safely(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (OSError, StoreError, ValueError) as error:
            if not self._failed:
                log.warning("live metrics are lost, and the attempt goes on: %s", error)
            self._failed = True
        except Exception:  # no figure is worth an attempt
            if not self._failed:
                log.exception("live metrics are lost, and the attempt goes on")
            self._failed = True

    def _replace(self, path: Path, text: str) -> None:
        self._folder.check()
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(text)
        os.replace(temporary, path)

    def _families(self, *, running: bool) -> Iterator[Family]:
        """What is known now; a family of which nothing is known is left out, and never zero."""
        counts = self._counts
        yield gauge("hpc_qa_task_running", "1 while the attempt runs, 0 once it has ended.", running)
        yield gauge("hpc_qa_task_updated_timestamp_seconds", "When this was written.", time.time())
        yield gauge("hpc_qa_task_documents", "Documents that the attempt has to do.", self._documents)
        documents = Family("hpc_qa_documents_processed_total", COUNTER, "Documents in a terminal state.")
        for state in STATES:
            documents.add(counts.documents[state], state=state)
        yield documents
        yield _histogram(counts)
        yield _counter("hpc_qa_pairs_total", "Question-answer pairs, accepted or not.", counts.pairs)
        yield _counter("hpc_qa_pairs_accepted_total", "Accepted pairs.", counts.accepted)
        yield _counter("hpc_qa_pairs_judged_total", "Pairs that have a quality score.", counts.judged)
        about = "Tokens of finished chunks; cached are those of the prompt ones that took no computing."
        tokens = Family("hpc_qa_tokens_total", COUNTER, about)
        for kind in TOKENS:
            tokens.add(counts.tokens[kind], kind=kind)
        yield tokens
        if counts.judged:
            yield gauge("hpc_qa_quality_score", "Mean over judged pairs, 0 to 1.", counts.quality / counts.judged)
        if counts.processed:
            share = counts.documents["failed"] / counts.processed
            yield gauge("hpc_qa_error_rate", "Failed of all processed documents, 0 to 1.", share)
        if (pace := self._pace.per_hour(self._clock())) is not None:
            about = "Documents that ended in the last half hour, or since serving began, per hour."
            yield gauge("hpc_qa_documents_per_hour", about, pace)


def _counter(name: str, about: str, value: float) -> Family:
    return Family(name, COUNTER, about).add(value)


def _histogram(counts: Counts) -> Family:
    """Buckets as Prometheus has them: each counts what is in those before it."""
    times = Family("hpc_qa_processing_time_ms", HISTOGRAM, "From the first request about a document to its end, in ms.")
    total = 0
    for place, bound in enumerate((*map(float, BUCKETS_MS), "+Inf")):
        total += counts.times_ms[place]
        times.add(total, "_bucket", le=str(bound))
    return times.add(counts.time_ms, "_sum").add(total, "_count")
