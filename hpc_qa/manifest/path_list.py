"""A `.txt` list of paths, one a line: each becomes the entry of one document, or those of a ZIP archive.

Paths count from the project folder, or are absolute; `#` begins a comment line. Documents are hashed here.
"""

import os
import re
from pathlib import Path

from hpc_qa.errors import ManifestError
from hpc_qa.manifest.build import find
from hpc_qa.manifest.entry import Entry, suffix
from hpc_qa.manifest.formats import unsupported
from hpc_qa.manifest.jsonl import numbered_lines
from hpc_qa.manifest.places import kind_of, why_not


def listed_entries(path: Path, project: Path, faults: list[str]) -> list[tuple[int, Entry]]:
    """The documents of a list, each with its line number.

    Raises:
        OSError: the list cannot be read.
    """
    entries: list[tuple[int, Entry]] = []
    for number, line in numbered_lines(path, faults):
        if line.startswith("#"):
            continue
        try:
            entries += ((number, entry) for entry in _listed(line, project))
        except ManifestError as exc:
            faults += (f"{path}:{number}: {fault}" for fault in exc.faults)
    return entries


def _listed(line: str, project: Path) -> list[Entry]:
    """The entries of one line of a list: one document, or those of a ZIP archive."""
    if "\0" in line:
        raise ManifestError("the path holds a NUL character")
    given, home = Path(line), project.resolve()
    inside = Path(os.path.normpath(home / given))
    if not given.is_absolute() and not inside.is_relative_to(home):
        raise ManifestError(f"{line} leads out of the project folder; write the absolute path if it is meant")
    if kind_of(inside) != "file":
        counted = "" if given.is_absolute() else f" (paths count from the project folder, {home})"
        raise ManifestError(f"{line}: {why_not(given if _is_no_path(line) else inside, wanted='file')}{counted}")
    root = home if inside.is_relative_to(home) else inside.parent
    found = find([inside], project=project, root=root)
    if found.refused:
        raise ManifestError(*(f"{name}: {reason}" for name, reason in found.refused))
    if not found.entries:
        raise ManifestError(f"{line}: {unsupported(suffix(line))}")
    return found.entries


def _is_no_path(line: str) -> bool:
    """A URL, or something that only a shell would expand."""
    return re.match(r"~|\$|[a-z][a-z0-9+.-]*://", line) is not None
