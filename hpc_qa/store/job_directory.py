"""What the folder of a run and that of a conversion have in common: jobs work for them, and what was submitted is kept.

What was submitted is one sealed file each, numbered, in `submissions/`.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError
from hpc_qa.store.files import list_folder, make_folder_if_missing, read_sealed, write_sealed_once


@dataclass(frozen=True, slots=True)
class JobDirectory:
    """A folder that job arrays work for."""

    path: Path

    @property
    def job_name(self) -> str:
        """The name of its job arrays in the queue."""
        return self.path.name

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def submit(self) -> Path:
        """The folder of submitit: whoever can write there runs code as us, so it is private like the rest."""
        return self.path / "submit"

    @property
    def submissions(self) -> Path:
        return self.path / "submissions"

    def add_submission(self, facts: Mapping[str, Any]) -> Path:
        """Write the facts of one more submission; what was frozen is written once and never again.

        Raises:
            StoreError: the file could not be written.
        """
        make_folder_if_missing(self.submissions)
        number = len(list_folder(self.submissions)) + 1
        while not write_sealed_once(path := self.submissions / f"{number:03}.json", facts):
            number += 1
        return path

    def list_submissions(self) -> list[dict[str, Any]]:
        """The facts of every submission, oldest first.

        One that is damaged is left out: it only helps to find processes, and no result depends on it.
        """
        found = []
        for entry in list_folder(self.submissions):
            if entry.name.endswith(".json") and not entry.name.startswith("."):
                with suppress(StoreError):
                    found.append(read_sealed(self.submissions / entry.name))
        return found
