"""Convert the documents of a manifest, in parallel, each at most once.

What the cache knows is not done again. The rest is read and checked here, handed to children with limits, and published
to the cache. Every entry ends with one `Conversion`: ok, or failed with a reason.
"""

import itertools
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpc_qa.config import Config
from hpc_qa.documents import facts as facts_json
from hpc_qa.documents.cache import cache_of, engine_versions, read_facts, storage_fault
from hpc_qa.documents.conversion import FACTS, MARKDOWN, USAGES, Job, Settings, failed, kind_of
from hpc_qa.documents.converters import registered
from hpc_qa.documents.facts import Facts, counts
from hpc_qa.documents.ocr import look_for
from hpc_qa.documents.publishing import Publisher
from hpc_qa.documents.sandbox import Ended, Limits, Sandbox
from hpc_qa.documents.stage_record import Measured, StageRecord
from hpc_qa.documents.tokens import tokenizer_file
from hpc_qa.documents.usage import Meter, Usage, read_usages, together
from hpc_qa.errors import DocumentError
from hpc_qa.manifest import Entry, open_bytes
from hpc_qa.units import parse_clock

ADVICE = {
    "malformed": "; saving it anew from a program that shows it may help",
    "timeout": "; documents.limits.timeout allows more, and OCR of a long scan needs it",
    "interrupted": "; convert again, with more memory for the job or fewer documents.processes where it was short",
}
# May be otherwise next time, by no fault of the document: not kept.
PASSING = frozenset({"timeout", "interrupted", "ocr_failed", "not_found", "changed", "denied"})


@dataclass(frozen=True, slots=True)
class Conversion:
    """How one entry of a manifest ended."""

    doc_id: str
    status: str  # ok, failed
    reason: str | None
    detail: str
    pages: int | None
    tokens: int | None
    chunks: int | None
    word_coverage: float | None
    structure: bool | None  # this and the next four: None where the document was not converted
    low_pages: int | None  # None too where the format has no pages
    raw_pages: int | None
    repaired: bool | None
    undecodable: int | None
    markdown_path: Path | None
    cached: bool
    seconds: float
    size_bytes: int
    scanned_pages: int
    ocr_pages: int
    language: str | None
    unworthy: dict[str, int]  # chunks by kind, see `worthiness`
    suspicious: dict[str, int]  # chunks by flag, see `suspicion`
    removed_characters: int
    hidden_words: int


def _content(entry: Entry) -> tuple[str, str]:
    """What a conversion depends on: the bytes, and what they are read as."""
    return entry.sha256, kind_of(entry.media_type)


OnDone = Callable[[Conversion], None]


def convert_all(
    entries: Sequence[Entry],
    config: Config,
    *,
    project: Path,
    on_done: OnDone | None = None,
    record: StageRecord | None = None,
) -> list[Conversion]:
    """One conversion per entry, in their order; `on_done` sees each as soon as it is known.

    What it took is left in the cache (`stage_record`) when there was something to convert, and always when `record` is
    given, which is filled then.

    Raises:
        ConfigError: the tokenizer is missing.
        StoreError: the cache cannot be written.
        SandboxError: the process that converts died.
    """
    began, asked = time.monotonic(), record is not None
    work = _Work(config, project, on_done, record or StageRecord())
    try:
        work.run(entries)
    finally:  # what was converted before a stop took its time as well
        if asked or work.record.fresh:
            work.record.wall_s = round(time.monotonic() - began, 3)
            work.record.write(project / config.documents.cache)
    return [work.done[entry.doc_id] for entry in entries]


def limits_of(config: Config) -> dict[str, float]:
    """The limits that a failure by a limit is kept with, see `facts.counts`."""
    limits = config.documents.limits
    return {"max_file_mb": limits.max_file_mb, "max_pages": limits.max_pages, "memory_gib": limits.memory_gib}


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise storage_fault(folder, exc) from exc


class _Work:
    """The state of one call: what is known, what waits, what runs."""

    def __init__(self, config: Config, project: Path, on_done: OnDone | None, record: StageRecord) -> None:
        limits = config.documents.limits
        self._project = project
        self._on_done = on_done
        self._max_bytes = int(limits.max_file_mb * 1e6)
        self._processes = config.documents.processes or len(os.sched_getaffinity(0))
        self._tokenizer = tokenizer_file(config, project)
        self._limits = Limits(int(limits.memory_gib * 2**30), parse_clock(limits.timeout))
        self._settings = Settings(
            chunk_size=config.qa.chunk_size,
            max_pages=limits.max_pages,
            min_word_coverage=limits.min_word_coverage,
            versions=engine_versions(config),
            limits=limits_of(config),
            ocr=look_for(config.documents.ocr_language) if config.documents.ocr == "auto" else None,
            converters=registered(),
        )
        self._cache = cache_of(config, project)
        self._running: dict[int, tuple[Entry, Path]] = {}
        self._publisher = Publisher(self._cache)
        self._publishing: deque[tuple[Future[None], Entry, Facts]] = deque()  # settled when it is done
        self._usages: dict[str, dict[str, Usage]] = {}  # what stages took so far, by doc_id
        self._same: dict[tuple[str, str], list[Entry]] = {}  # entries by content and kind
        self.done: dict[str, Conversion] = {}
        self.record = record
        record.memory_limit_bytes, record.processes = self._limits.memory_bytes, self._processes
        record.converter_key = self._cache.key

    def run(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._same.setdefault(_content(entry), []).append(entry)
        missing = []
        for same in self._same.values():
            facts = self._cache.known(same[0].sha256, same[0].media_type)
            if facts is None or not counts(facts, self._settings.limits):
                missing.append(same[0])
            else:
                self._settle(facts, same, cached=True)
        if missing:
            self._convert(missing)

    def _convert(self, missing: Sequence[Entry]) -> None:
        self._cache.sweep()
        # Large ones first: the last child to end should not be the longest.
        waiting = sorted(missing, key=lambda entry: (entry.bytes, entry.doc_id))
        job_ids = itertools.count()
        with self._publisher, Sandbox(self._settings, self._limits, self._tokenizer) as sandbox:
            try:
                while waiting or self._running:
                    while waiting and len(self._running) < self._processes:
                        self._begin(sandbox, next(job_ids), waiting.pop())
                    if self._running:
                        self._end(sandbox.wait())
                    self._settle_published()
            finally:
                for _, staged in self._running.values():
                    shutil.rmtree(staged, ignore_errors=True)
        self._settle_published()

    def _begin(self, sandbox: Sandbox, job_id: int, entry: Entry) -> None:
        """Check and copy the document's bytes, then hand them to a child; unless another process was quicker."""
        facts = self._cache.facts(entry.sha256, entry.media_type)
        if facts is not None and counts(facts, self._settings.limits):
            self._settle(facts, self._same[_content(entry)], cached=True)
            return
        meter = Meter(peaks=False)  # of this process, which does not begin anew with each document
        self._usages[entry.doc_id] = meter.stages
        try:
            with meter.stage("raw_input"):
                data = open_bytes(entry, self._project, max_bytes=self._max_bytes)
        except DocumentError as exc:
            self._fail(entry, None, exc.reason, exc.detail)
            return
        staged = self._cache.stage()
        self._running[job_id] = (entry, staged)
        source, out = staged / "source", staged / "out"
        with meter.stage("raw_input"), _writing(staged):
            out.mkdir()
            source.write_bytes(data)
        sandbox.start(job_id, Job(source, out, entry.sha256, entry.media_type))

    def _end(self, ended: Ended) -> None:
        entry, staged = self._running[ended.job_id]
        if ended.outcome == "storage":
            raise storage_fault(staged, OSError(0, ended.detail))
        del self._running[ended.job_id]
        usages = read_usages(staged / USAGES)
        if ended.outcome != "done":
            usages.setdefault("conversion", Usage(ended.seconds, ended.cpu_s, ended.memory_peak_bytes))
        self._usages[entry.doc_id] = together(self._usages[entry.doc_id], usages)
        if ended.outcome != "done":
            reason = "malformed" if ended.outcome == "crashed" else ended.outcome
            self._fail(entry, staged, reason, ended.detail)
            return
        try:
            facts = read_facts(staged / "out" / FACTS)
        except (OSError, ValueError) as exc:  # it wrote them last, and said that all went well
            self._fail(entry, staged, "interrupted", f"the converter left no readable facts: {exc}")
            return
        self._keep(entry, staged, facts)

    def _fail(self, entry: Entry, staged: Path | None, reason: str, detail: str) -> None:
        detail += ADVICE.get(reason, "")
        facts = failed(entry.sha256, entry.media_type, entry.bytes, reason, detail, self._settings)
        if reason not in PASSING:
            staged = staged or self._cache.stage()
            with _writing(staged):
                shutil.rmtree(staged / "out", ignore_errors=True)
                (staged / "out").mkdir()
                (staged / "out" / FACTS).write_text(facts_json.to_json(facts), encoding="ascii")
        self._keep(entry, staged, facts)

    def _keep(self, entry: Entry, staged: Path | None, facts: Facts) -> None:
        """Publish a conversion, and settle its document then; at once where there is nothing to be kept."""
        if staged is None or facts.reason in PASSING:
            if staged is not None:
                shutil.rmtree(staged, ignore_errors=True)
            self._settle(facts, self._same[_content(entry)], cached=False)
            return
        known = self._cache.facts(entry.sha256, entry.media_type)
        replace = known is not None and not counts(known, self._settings.limits)
        published = self._publisher.add(staged, entry.sha256, entry.media_type, replace=replace)
        self._publishing.append((published, entry, facts))

    def _settle_published(self) -> None:
        """Settle the documents that were published since the last look."""
        while self._publishing and self._publishing[0][0].done():
            published, entry, facts = self._publishing.popleft()
            published.result()
            self._settle(facts, self._same[_content(entry)], cached=False)

    def _settle(self, facts: Facts, entries: Sequence[Entry], *, cached: bool) -> None:
        ok = facts.status == "ok"
        for index, entry in enumerate(entries):
            conversion = Conversion(
                doc_id=entry.doc_id,
                status=facts.status,
                reason=facts.reason,
                detail=facts.detail,
                pages=facts.pages,
                tokens=facts.tokens if ok else None,
                chunks=facts.chunks if ok else None,
                word_coverage=facts.word_coverage,
                structure=facts.structure if ok else None,
                low_pages=len(facts.low_pages) if ok and facts.pages is not None else None,
                raw_pages=len(facts.raw_pages) if ok and facts.pages is not None else None,
                repaired=facts.repaired if ok else None,
                undecodable=facts.undecodable if ok else None,
                markdown_path=self._cache.folder(entry.sha256, entry.media_type) / MARKDOWN if ok else None,
                cached=cached or index > 0,
                seconds=0.0 if cached or index > 0 else facts.seconds,
                size_bytes=entry.bytes,
                scanned_pages=len(facts.scanned_pages),
                ocr_pages=len(facts.ocr_pages),
                language=facts.language,
                unworthy=facts.unworthy,
                suspicious=facts.suspicious,
                removed_characters=facts.removed_characters,
                hidden_words=facts.hidden_words,
            )
            self.done[entry.doc_id] = conversion
            stages = self._usages.pop(entry.doc_id, {})
            kind = kind_of(entry.media_type)
            self.record.documents.append(
                Measured(entry.doc_id, entry.sha256, kind, entry.bytes, conversion.cached, facts.reason, stages)
            )
            if self._on_done is not None:
                self._on_done(conversion)
