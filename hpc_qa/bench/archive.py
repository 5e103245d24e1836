"""Runs as one file that lasts: record, config, manifest, logs, rows of the ledger, and checksums of all of it.

`RUN/...` as in its folder, `RUN/record.yaml`, `RUN/config.yaml`, `RUN/ledger/*.jsonl`, `archive.json` and `SHA256SUMS`,
as `sha256sum --check` reads it. Pairs are not in it: they are what `collect` publishes. The same runs give the same
bytes. Only files that we know by name go in, without their secrets; links are left out. The archive is read back before
it gets its name, and never replaces a file.
"""

import hashlib
import json
import os
import re
import secrets
import stat
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import yaml

import hpc_qa
from hpc_qa.bench.record_file import FOLDER, path_of, read_records
from hpc_qa.bench.record_ids import id_of
from hpc_qa.bench.redaction import redacted
from hpc_qa.bench.run_record import record_of
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.ledger import documents
from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.store.files import FILE_MODE, storage_error, sync_folder
from hpc_qa.store.run_directory import RunDirectory

ENDING = ".tar.zst"
SUMS = "SHA256SUMS"
IN_MEMORY_BYTES = 16_000_000  # of one member
CHUNK_BYTES = 1_000_000
# what is taken of the folder of a run, by its path from there
WANTED = re.compile(
    r"(?:run\.json|manifest\.jsonl|plan\.json|prompts\.json|issues\.yaml"
    r"|submissions/\d+\.json|logs/[^/]+|submit/[^/]+(?:\.out|\.err|\.log|\.sh)"
    r"|shards/\d+/COMMIT\.json"
    r"|shards/\d+/[^/]+/(?:attempt|started|progress|summary|samples|failure)\.json"
    r"|shards/\d+/[^/]+/(?:stages|gpu)\.jsonl|shards/\d+/[^/]+/(?:worker|server)\.log)"
)


@dataclass(slots=True)
class Archived:
    """What an archive holds."""

    path: str
    runs: list[str]
    sha256: dict[str, str] = field(default_factory=dict)  # of each member
    redacted: dict[str, int] = field(default_factory=dict)  # secrets that were left out, by member
    left_out: list[str] = field(default_factory=list)  # links, what is no file, a record that cannot be used

    def to_json(self) -> dict[str, object]:
        """As `bench archive --json` prints it."""
        return asdict(self) | {"members": len(self.sha256)}


def archive(runs: Sequence[RunDirectory], project: Path, out: Path) -> Archived:
    """Write the archive of these runs, whole or not at all.

    Raises:
        ConfigError: the name is no .tar.zst, or is taken.
        StoreError: a run or the ledger cannot be read, or the archive cannot be written or not read back.
    """
    if not out.name.endswith(ENDING):
        raise ConfigError(f"{out}: is not called *{ENDING}", hint=f"name it {out.name.partition('.')[0]}{ENDING}")
    taken = ConfigError(f"{out}: is there already, and no archive is replaced", hint="give it another name")
    if os.path.lexists(out):
        raise taken
    made = Archived(str(out), sorted({run.run_id for run in runs}))
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            _write(made, {run.run_id: run for run in runs}, project, temporary)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        verify(temporary)
        os.link(temporary, out)
        sync_folder(out.parent)
    except FileExistsError:
        raise taken from None
    except (OSError, pa.ArrowException, tarfile.TarError) as exc:
        error = exc if isinstance(exc, OSError) else OSError(str(exc))
        raise storage_error(out, "the archive cannot be written", error) from exc
    finally:
        with suppress(OSError):
            temporary.unlink()
    return made


def verify(path: Path) -> dict[str, str]:
    """The SHA-256 of every member, read back and found to be what the archive says.

    Raises:
        StoreError: it cannot be read, or is not what it says.
    """
    found: dict[str, str] = {}
    said = ""
    try:
        with pa.input_stream(str(path), compression="zstd") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None:
                    raise StoreError(f"{path}: {member.name} is no file")
                if member.name == SUMS:
                    said = content.read().decode()
                else:
                    found[member.name] = _sha256(content)
    except (OSError, pa.ArrowException, tarfile.TarError, UnicodeDecodeError) as exc:
        raise StoreError(f"{path}: cannot be read back: {exc}", hint="make the archive anew") from exc
    if said != _sums(found):
        raise StoreError(f"{path}: {SUMS} does not say what is in it", hint="make the archive anew")
    return found


def _write(made: Archived, runs: dict[str, RunDirectory], project: Path, path: Path) -> None:
    with (
        pa.output_stream(str(path), compression="zstd") as compressed,
        tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for run_id in made.runs:
            run = runs[run_id]
            for name, data in _made_of(run, project, made):
                _add(made, tar, f"{run_id}/{name}", BytesIO(data))
            for file in _files(run, made):
                with file.open("rb") as content:
                    _add(made, tar, f"{run_id}/{file.relative_to(run.path)}", content)
        about = {"hpc_qa": hpc_qa.__version__, "runs": made.runs, "redacted": made.redacted, "left_out": made.left_out}
        _add(made, tar, "archive.json", BytesIO(json.dumps(about, indent=2).encode() + b"\n"))
        sums = _sums(made.sha256).encode()
        tar.addfile(_header(SUMS, len(sums)), BytesIO(sums))


def _made_of(run: RunDirectory, project: Path, made: Archived) -> Iterator[tuple[str, bytes]]:
    """What is put together for the archive: config, record, rows of the ledger."""
    yield "config.yaml", yaml.safe_dump(run.facts()["config"], sort_keys=False, allow_unicode=True).encode()
    yield "record.yaml", _record(run, project, made)
    attempts = current(project).table
    attempts = attempts.filter(pc.equal(attempts.column("run_id"), run.run_id))
    for name, table in (("attempt", attempts), ("document", documents.of_runs(project, [run.run_id]).table)):
        order = "doc_id" if name == "document" else "attempt_id"
        rows = sorted(as_rows(table), key=lambda row: str(row[order]))
        yield f"ledger/{name}.jsonl", b"".join(json.dumps(row, default=str).encode() + b"\n" for row in rows)


def _record(run: RunDirectory, project: Path, made: Archived) -> bytes:
    """The record that was kept of a run; where there is none that can be used, one that is made now."""
    record_id = id_of(run, project)
    kept = path_of(record_id, project / FOLDER)
    if kept.is_file():
        found = read_records([kept])
        if found.records:
            return kept.read_bytes()
        name = f"{FOLDER}/{kept.name}"
        faults = "; ".join(fault.replace(str(kept), name) for fault in found.faults)
        made.left_out.append(f"{faults}; record.yaml was made anew")
    return record_of(run, project, record_id).to_yaml().encode()


def _files(run: RunDirectory, made: Archived) -> Iterator[Path]:
    """The files of a run that are wanted, in the order of their names; nothing is looked for behind a link."""
    for folder, folders, names in os.walk(run.path):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            inside = path.relative_to(run.path).as_posix()
            if WANTED.fullmatch(inside):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path
                else:
                    made.left_out.append(f"{run.run_id}/{inside}: is no file of its own")


def _add(made: Archived, tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    """Add a member without its secrets; it may grow meanwhile, so it is copied first."""
    digest, secrets_found = hashlib.sha256(), 0
    with SpooledTemporaryFile(IN_MEMORY_BYTES) as copy:
        for line, count in redacted(content):
            copy.write(line)
            digest.update(line)
            secrets_found += count
        size = copy.tell()
        copy.seek(0)
        tar.addfile(_header(name, size), copy)
    made.sha256[name] = digest.hexdigest()
    if secrets_found:
        made.redacted[name] = secrets_found


def _header(name: str, size: int) -> tarfile.TarInfo:
    """Nothing of who wrote it and when."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o644
    return header


def _sums(sha256: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sha256.items()))


def _sha256(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while data := content.read(CHUNK_BYTES):
        digest.update(data)
    return digest.hexdigest()
