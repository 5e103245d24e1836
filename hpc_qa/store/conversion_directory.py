"""The folder of a conversion on the cluster: which array task converts which lines of a manifest, and what came of it.

It lies in the run that waits for it, `runs/RUN/conversion`, or alone in `cache/conversions/ID`. What is converted goes
to the document cache; here stands only how each array task ended. An outcome is written once, when its task is through
with all its documents, and names those that failed: some failures are not kept in the cache, as they may pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.store.files import exists, make_folder, read_sealed, write_sealed_once
from hpc_qa.store.job_directory import JobDirectory

IN_RUN = "conversion"


@dataclass(frozen=True, slots=True)
class ConversionDirectory(JobDirectory):
    """The folder of one conversion."""

    @property
    def job_name(self) -> str:
        """The name of its job arrays in the queue: its own, or made of that of the run that waits for it."""
        return f"{self.path.parent.name}.convert" if self.path.name == IN_RUN else self.path.name

    @property
    def conversion_json(self) -> Path:
        return self.path / "conversion.json"

    @property
    def outcomes(self) -> Path:
        return self.path / "outcomes"

    def exists(self) -> bool:
        """Whether there is a conversion here.

        Raises:
            StoreError: that cannot be known.
        """
        return exists(self.conversion_json)

    def create(self) -> None:
        """Make the private folder, with empty ones in it."""
        for folder in (self.path, self.outcomes, self.logs, self.submit):
            make_folder(folder)

    def freeze(self, facts: Mapping[str, Any]) -> None:
        """Write conversion.json, the last file of a new conversion: with it the conversion exists."""
        write_sealed_once(self.conversion_json, facts)

    def facts(self) -> dict[str, Any]:
        """conversion.json: config, converter, manifest, and the lines of each array task.

        Raises:
            StoreError: it cannot be read, or is not as it was written.
        """
        return read_sealed(self.conversion_json)

    def outcome(self, task: int) -> Path:
        """Where array task number `task` says how its documents ended."""
        return self.outcomes / f"{task:04}.json"

    def progress(self, task: int) -> Path:
        """Where it says how far it is; nothing relies on it."""
        return self.outcomes / f"{task:04}.progress"

    def add_outcome(self, task: int, facts: Mapping[str, Any]) -> None:
        """Write how the documents of an array task ended; of two attempts at it the first counts."""
        write_sealed_once(self.outcome(task), facts)

    def failures(self) -> dict[str, str]:
        """Why documents could not be converted, by doc_id, as far as array tasks have ended.

        Raises:
            StoreError: an outcome is not as it was written.
        """
        found: dict[str, str] = {}
        for task in range(len(self.facts()["tasks"])):
            if exists(self.outcome(task)):
                found |= read_sealed(self.outcome(task))["failed"]
        return found
