"""What is known of the documents of a manifest before a run is planned.

What conversion left of them stands in the cache. Where they are not converted yet, their lines may say how many tokens
they have; else they are converted on the way, or, when a job array does that later, compared with those that are.
"""

import os
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hpc_qa.campaign.shards import Converted, predicted
from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.documents.convert import Conversion, convert_all, limits_of
from hpc_qa.documents.facts import Facts, counts
from hpc_qa.errors import ConfigError
from hpc_qa.manifest import Entry
from hpc_qa.store.revocation import REASON, revocations
from hpc_qa.units import plural


class TokensPerByte:
    """How many tokens a byte of a file gives, by media type: sums over sums of what is converted, a ratio estimator."""

    def __init__(self) -> None:
        self._tokens, self._bytes = Counter[str](), Counter[str]()
        self.documents = 0

    def add(self, entry: Entry, outcome: Converted) -> None:
        """Count a converted document; one that failed says nothing."""
        if outcome.status == "ok" and entry.bytes:
            self._tokens[entry.media_type] += outcome.tokens
            self._bytes[entry.media_type] += entry.bytes
            self.documents += 1

    def tokens_of(self, entry: Entry) -> int:
        """The tokens of a document that is like these; of another type, like all of them together."""
        kind = entry.media_type
        seen_tokens, seen_bytes = self._tokens[kind], self._bytes[kind]
        if not seen_bytes:
            seen_tokens, seen_bytes = self._tokens.total(), self._bytes.total()
        return round(entry.bytes * seen_tokens / seen_bytes) if seen_bytes else 0

    def describe(self) -> str:
        """The ratios, for people."""
        each = (
            f"{self._tokens[kind] / size:.3g} tokens a byte of {kind}" for kind, size in sorted(self._bytes.items())
        )
        return f"{', '.join(each)}, as in the {self.documents:,} that are converted"


def without_revoked(entries: Sequence[Entry], project: Path) -> tuple[list[Entry], list[Entry]]:
    """(entries that may be used, entries whose content was revoked)."""
    known = revocations(project).keys()
    return [one for one in entries if one.sha256 not in known], [one for one in entries if one.sha256 in known]


class Known:
    """What conversion left of an entry, or what will be predicted for it; called once for each, in their order.

    After a loop over the manifest `complete` says whether something was missing, and sees to it: then the loop has to
    be made again. With `convert_first` nothing is converted here.
    """

    def __init__(self, config: Config, project: Path, cache: DocumentCache, *, convert_first: bool = False) -> None:
        """Nothing is looked at yet.

        Raises:
            ConfigError: documents of this run cannot be converted by a job array after the plan.
        """
        self._config, self._project, self._convert_first = config, project, convert_first
        if convert_first:
            _check_convert_first(config)
        self._limits = limits_of(config)
        self._look = _looker(cache)
        # which chunks a sample takes is not known before they are there
        self._by_tokens = config.executor == "slurm" and config.documents.sample_chunks is None
        self._missing: list[Entry] = []
        self._just_now: dict[str, Converted] = {}
        self._revoked = revocations(project).keys()
        self._compared = TokensPerByte()
        self._unsaid = 0  # documents that are only predicted by comparison
        self._completed = False
        self.to_convert = array("q")  # bytes of each line that a job array has to convert, 0 for what is converted

    def __call__(self, entry: Entry) -> Converted:
        if entry.sha256 in self._revoked:
            if self._convert_first:
                self.to_convert.append(0)
            return Converted("skipped", REASON, 0, 0)
        if entry.doc_id in self._just_now:
            return self._just_now[entry.doc_id]
        facts = self._look(entry)
        if facts and counts(facts, self._limits):
            outcome = Converted(facts.status, facts.reason, facts.chunks, facts.tokens)
            if self._convert_first:
                self.to_convert.append(0)
                if not self._completed:
                    self._compared.add(entry, outcome)
            return outcome
        tokens = entry.tokens
        if self._convert_first:
            self.to_convert.append(max(1, entry.bytes))
            if tokens is None:
                self._unsaid += not self._completed
                tokens = self._compared.tokens_of(entry)
        elif not self._by_tokens or tokens is None:
            self._missing.append(entry)
        return predicted(tokens or 0, self._config.qa.chunk_size)

    @property
    def notes(self) -> list[str]:
        """What is to be said about documents that were compared with others."""
        if not self._unsaid:
            return []
        whose = f"the tokens of {plural(self._unsaid, 'document')}"
        return [f"{whose} are predicted by their bytes: {self._compared.describe()}"]

    def complete(self, on_converted: Callable[[Conversion], None] | None) -> bool:
        """See to what was missing in the loop that has ended; whether there was anything.

        Raises:
            ConfigError: that is too much to be converted on the way, or there is nothing to compare with.
        """
        self._completed = True
        if self._unsaid and not self._compared.documents:
            raise self._nothing_to_compare_with()
        if self._unsaid:
            self.to_convert = array("q")
            return True
        if not self._missing:
            return False
        config = self._config
        fresh = [entry for entry in self._missing if self._look(entry) is None]
        fresh_mb = sum(entry.bytes for entry in fresh) / 1e6
        are = "is" if len(fresh) == 1 else "are"
        if fresh_mb > config.documents.convert_on_submit_mb:
            raise ConfigError(
                f"{plural(len(fresh), 'document')} ({fresh_mb:,.0f} MB) {are} not converted yet, "
                f"more than documents.convert_on_submit_mb ({config.documents.convert_on_submit_mb:g})",
                hint=f"hpc-qa convert {config._source or 'CONFIG'}, here or with --executor slurm",
            )
        for done in convert_all(self._missing, config, project=self._project, on_done=on_converted):
            self._just_now[done.doc_id] = Converted(done.status, done.reason, done.chunks or 0, done.tokens or 0)
        return True

    def _nothing_to_compare_with(self) -> ConfigError:
        config = self._config
        return ConfigError(
            f"the tokens of {plural(self._unsaid, 'document')} cannot be predicted: their lines in {config.manifest} "
            "do not say them, and no document of it is converted yet that they could be compared with",
            hint=f"hpc-qa convert {config._source or 'CONFIG'} --limit 20, then the same again",
        )


def _check_convert_first(config: Config) -> None:
    faults = []
    if config.executor != "slurm":
        faults.append("--convert is for Slurm; on this machine documents are converted before a run starts")
    if config.documents.sample_chunks is not None:
        faults.append(
            "documents.sample_chunks draws from chunks, so that documents have to be converted before the plan"
        )
    if faults:
        raise ConfigError(*faults, hint=f"hpc-qa convert {config._source or 'CONFIG'}, then submit without --convert")


def _looker(cache: DocumentCache) -> Callable[[Entry], Facts | None]:
    """What the cache knows of an entry; its folders are listed once, so that what is not there costs nothing."""
    listed: dict[str, frozenset[str]] = {}

    def look(entry: Entry) -> Facts | None:
        shelf = entry.sha256[:2]
        if shelf not in listed:
            try:
                listed[shelf] = frozenset(os.listdir(cache.root / shelf))
            except OSError:
                listed[shelf] = frozenset()
        return cache.known(entry.sha256, entry.media_type) if entry.sha256 in listed[shelf] else None

    return look
