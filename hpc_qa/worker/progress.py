"""The progress file of an attempt: a view for people, replaced whole, that nothing relies on.

`status` and the progress bar read it; what counts is in segments and commits. Unlike those it is not synced.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.store.files import HeldFolder, storage_error

WRITE_EVERY_S = 1.0


@dataclass(slots=True)
class Progress:
    """Counts of this attempt, for the progress file."""

    documents_todo: int = 0
    documents_fed: int = 0
    chunks_fed: int = 0
    chunks_done: int = 0
    documents_ok: int = 0
    documents_failed: int = 0
    documents_skipped: int = 0
    pairs: int = 0
    accepted: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    judge_prompt_tokens: int = 0
    judge_cached_tokens: int = 0
    judge_completion_tokens: int = 0

    @property
    def documents(self) -> int:
        """Documents in a terminal state."""
        return self.documents_ok + self.documents_failed + self.documents_skipped

    @property
    def computed_tokens(self) -> int:
        """Prompt tokens without cache hits, plus completion tokens."""
        return self.prompt_tokens - self.cached_tokens + self.completion_tokens


class ProgressFile:
    """Replaces one small JSON file at most once a second."""

    def __init__(self, path: Path, *, clock: Callable[[], float], every_s: float = WRITE_EVERY_S) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._folder = HeldFolder(path.parent)
        self._clock = clock
        self._every_s = every_s
        self._last = float("-inf")

    def write_if_due(self, content: Callable[[], dict[str, Any]]) -> None:
        """Write what `content` gives, unless the last writing was a moment ago."""
        if self._clock() - self._last >= self._every_s:
            self.write(content())

    def write(self, content: dict[str, Any]) -> None:
        """Write this now.

        Raises:
            StoreError: it cannot be written: the disk is full or lost, or the folder is not ours any more. Records
                would fare no better, so the attempt may as well end here.
        """
        self._last = self._clock()
        self._folder.check()
        try:
            self._temporary.write_text(json.dumps(content))
            os.replace(self._temporary, self._path)
        except OSError as exc:
            raise storage_error(self._path, "cannot be written", exc) from exc
