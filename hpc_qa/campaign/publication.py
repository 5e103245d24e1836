"""What is asked of a published dataset beside its runs, and the note that each of its runs keeps of it.

`runs/RUN/collected/<16 hex>.json` names a dataset that was published from the run, and how: `revoke` finds it there
and publishes it anew. Only the last publication to a place is kept.
"""

import hashlib
import os
import secrets
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError
from hpc_qa.store.dataset import is_published
from hpc_qa.store.exports import CLOSED_BOOK, GROUNDED
from hpc_qa.store.files import (
    FILE_MODE,
    json_bytes,
    list_folder,
    make_folder_if_missing,
    read_json,
    storage_error,
    sync_folder,
    write_all,
)
from hpc_qa.store.run_directory import RunDirectory

CHAT = {"closed-book": (CLOSED_BOOK,), "grounded": (GROUNDED,), "both": (CLOSED_BOOK, GROUNDED)}
FOLDER = "collected"


@dataclass(frozen=True, slots=True)
class Options:
    """What `collect` was asked for."""

    partial: bool = False
    license: str | None = None
    source_licenses: Path | None = None
    csv: bool = False
    chat: str | None = None  # closed-book, grounded or both
    decontaminate: tuple[Path, ...] = ()

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants of the conversations that are written."""
        return CHAT[self.chat] if self.chat else ()

    def command(self, runs: Sequence[str]) -> str:
        """The command that publishes this again; files are named without their folders."""
        words = ["hpc-qa", "collect", *runs]
        words += ["--partial"] if self.partial else []
        words += ["--license", self.license] if self.license else []
        words += ["--source-licenses", self.source_licenses.name] if self.source_licenses else []
        words += ["--csv"] if self.csv else []
        words += ["--chat", self.chat] if self.chat else []
        for path in sorted(self.decontaminate, key=lambda path: path.name):
            words += ["--decontaminate", path.name]
        return shlex.join(words) + (" -o DIR" if len(runs) > 1 else "")

    def to_json(self) -> dict[str, Any]:
        return {
            "partial": self.partial,
            "license": self.license,
            "source_licenses": str(self.source_licenses.absolute()) if self.source_licenses else None,
            "csv": self.csv,
            "chat": self.chat,
            "decontaminate": [str(path.absolute()) for path in self.decontaminate],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Options":
        """What `to_json` wrote."""
        said = content["source_licenses"]
        paths = tuple(Path(path) for path in content["decontaminate"])
        known = {name: content[name] for name in ("partial", "license", "csv", "chat")}
        return cls(**known, source_licenses=Path(said) if said else None, decontaminate=paths)


@dataclass(frozen=True, slots=True)
class Publication:
    """A dataset that was published from runs."""

    path: Path
    runs: tuple[Path, ...]
    options: Options


def note(publication: Publication) -> None:
    """Keep in each of the runs that this dataset is, or will be, published from it.

    Raises:
        StoreError: a run cannot be written to.
    """
    content = {
        "path": str(publication.path),
        "runs": [str(run) for run in publication.runs],
        "options": publication.options.to_json(),
    }
    name = hashlib.sha256(os.fsencode(publication.path)).hexdigest()[:16]
    for run in publication.runs:
        make_folder_if_missing(run / FOLDER)
        _replace(run / FOLDER / f"{name}.json", json_bytes(content))


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_all(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), [data])
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as exc:
        raise storage_error(path, "cannot write", exc) from exc


def publications_of(runs: Iterable[RunDirectory]) -> list[Publication]:
    """The datasets that were published from these runs, in the order of their paths.

    Raises:
        StoreError: a note cannot be read.
    """
    found: dict[Path, Publication] = {}
    for run in runs:
        for entry in list_folder(run.path / FOLDER):
            if entry.name.startswith("."):
                continue
            content = read_json(Path(entry.path))
            try:
                # a run that was moved takes its own dataset along
                own = Path(content["path"]).parent.name == run.run_id and len(content["runs"]) == 1
                path, runs_of = Path(content["path"]), tuple(Path(one) for one in content["runs"])
                path, runs_of = (run.dataset, (run.path,)) if own else (path, runs_of)
                found[path] = Publication(path, runs_of, Options.from_json(content["options"]))
            except (KeyError, TypeError) as exc:
                raise StoreError(f"{entry.path}: was written by another version: {exc}") from exc
        if is_published(run.dataset) and run.dataset not in found:  # published before runs kept notes
            found[run.dataset] = Publication(run.dataset, (run.path,), Options(partial=True))
    return [found[path] for path in sorted(found)]
