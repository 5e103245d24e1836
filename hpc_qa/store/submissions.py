"""What was submitted: one sealed file each, numbered, in a folder of the run or conversion that it belongs to."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError
from hpc_qa.store.files import list_folder, make_folder_if_missing, read_sealed, write_sealed_once


def add_submission(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Write the facts of one more submission.

    Raises:
        StoreError: the file could not be written.
    """
    make_folder_if_missing(folder)
    number = len(list_folder(folder)) + 1
    while not write_sealed_once(path := folder / f"{number:03}.json", facts):
        number += 1
    return path


def list_submissions(folder: Path) -> list[dict[str, Any]]:
    """The facts of every submission, oldest first.

    One that is damaged is left out: it only helps to find processes, and no result depends on it.
    """
    found = []
    for entry in list_folder(folder):
        if entry.name.endswith(".json") and not entry.name.startswith("."):
            with suppress(StoreError):
                found.append(read_sealed(folder / entry.name))
    return found
