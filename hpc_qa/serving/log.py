"""The log file of a server: written by its processes, read on by us while it starts.

Several starts append to one file; only the lines of the last one are kept here. What they mean is in `phases.py` and
`causes.py`.
"""

import os
from pathlib import Path

_KEPT_LINES = 2_000
_MOST_BYTES = 4_000_000  # in one look


class ServerLog:
    """The log of the last start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = ""
        self.lines: list[str] = []

    def begin(self) -> int:
        """Open the file for a new start; the descriptor is the caller's to close."""
        log = os.open(
            self._path,
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
        )
        self._offset, self._rest, self.lines = os.fstat(log).st_size, "", []
        return log

    def read(self) -> list[str]:
        """The lines that were written since the last look."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read(_MOST_BYTES)
        except OSError:  # the log is for people; a start does not fail because it cannot be read
            return []
        self._offset += len(new)
        *lines, self._rest = (self._rest + new.decode("utf-8", "replace")).split("\n")
        self.lines = (self.lines + lines)[-_KEPT_LINES:]
        return lines
