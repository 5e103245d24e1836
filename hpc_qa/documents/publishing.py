"""Finished conversions on their way into the cache: on disk first, then under their names.

A node that loses power may keep a rename and lose what the renamed folder held. So a conversion is synced before it is
renamed, with one `syncfs` for all that have queued up meanwhile: alone it costs what the disk takes, among many a
fraction of that. That is done in a thread, and conversions go on beside it.
"""

import ctypes
import os
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from hpc_qa.documents.cache import DocumentCache, storage_fault
from hpc_qa.errors import StoreError


@dataclass(frozen=True, slots=True)
class _Finished:
    staged: Path  # its files are in the folder `out` of this one, which is private and goes
    sha256: str
    media_type: str
    replace: bool
    published: Future[None] = field(default_factory=Future)


class Publisher:
    """Publishes conversions in the order in which they finish; at its end all of them are published."""

    def __init__(self, cache: DocumentCache) -> None:
        self._cache = cache
        self._waiting: deque[_Finished] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def add(self, staged: Path, sha256: str, media_type: str, *, replace: bool) -> Future[None]:
        """Publish what lies in `staged / "out"`; the future ends when it is done, or with the StoreError."""
        finished = _Finished(staged, sha256, media_type, replace)
        self._waiting.append(finished)
        self._thread.submit(self._publish_waiting)
        return finished.published

    def _publish_waiting(self) -> None:
        group = [self._waiting.popleft() for _ in range(len(self._waiting))]
        fault = _synced(self._cache.root) if group else None
        for one in group:
            try:
                if fault is not None:
                    raise fault
                self._cache.publish(one.staged / "out", one.sha256, one.media_type, replace=one.replace)
            except StoreError as exc:
                one.published.set_exception(exc)
            else:
                one.published.set_result(None)
            finally:
                shutil.rmtree(one.staged, ignore_errors=True)


def _synced(folder: Path) -> StoreError | None:
    """Write everything on the file system of a folder to its disk, see syncfs(2); what went wrong, if anything did."""
    descriptor = -1
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    except OSError as exc:
        return storage_fault(folder, exc)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return None
