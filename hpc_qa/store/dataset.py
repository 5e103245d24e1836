"""The published dataset: Parquet and JSON Lines in a folder that `datasets.load_dataset` opens.

It is written beside its final place and renamed there when every byte is synced, so a reader sees the old one or the
new one. The same rows give the same bytes. Which rows there are is decided in `campaign.collect`.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from hpc_qa.errors import StoreError
from hpc_qa.store.exports import Export
from hpc_qa.store.files import json_bytes, sync_folder

ROW_GROUP = 1_000  # rows that are held at once, each with its context
TRAIN, VALIDATION, REJECTED = "train", "validation", "rejected"
FILES = {
    TRAIN: "data/train-00000-of-00001.parquet",
    VALIDATION: "data/validation-00000-of-00001.parquet",
    REJECTED: "rejected.parquet",
}
FORMAT = "hpc-qa-dataset/1"


def schema(checks: Sequence[str]) -> pa.Schema:
    """The columns of a row; `checks` names the deterministic checks, Parquet has no struct without a field."""
    texts = pa.list_(pa.string())
    return pa.schema(
        [
            ("id", pa.string()),
            ("question", pa.string()),
            ("answer", pa.string()),
            ("evidence", texts),
            ("context", pa.string()),
            ("table_header", pa.string()),  # of the table that the context begins in the middle of
            ("doc_id", pa.string()),
            ("source_path", pa.string()),
            ("source_sha256", pa.string()),
            ("pages", pa.list_(pa.int64())),
            ("headings", texts),
            ("question_type", pa.string()),
            ("difficulty", pa.string()),
            ("clarity", pa.int64()),
            ("accuracy", pa.int64()),
            ("relevance", pa.int64()),
            ("grounded", pa.bool_()),
            ("answerable", pa.bool_()),
            ("self_contained", pa.bool_()),
            ("quality_score", pa.float64()),
            ("round_trip_answer", pa.string()),
            ("checks", pa.struct([(name, pa.bool_()) for name in checks or ("evidence_exists",)])),
            ("reject_reason", pa.string()),
            ("model", pa.string()),
            ("model_revision", pa.string()),
            ("prompt_sha256", pa.string()),
            ("seed", pa.int64()),
            ("converter", pa.string()),
            ("run_id", pa.string()),
            ("created_at", pa.string()),
            ("contaminated_with", pa.string()),  # the benchmark that has the question; null: none that was given
            ("duplicate_of", pa.string()),  # the pair with nearly the same question that stays; null: none
            ("split_group", pa.string()),  # near-identical documents, which are all of one split
            ("flags", texts),  # what is suspicious about the passage; null: nobody looked
            ("page_fidelity", pa.string()),  # low: lines torn apart; raw: no headings and tables; null: neither
        ]
    )


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of a published dataset."""

    path: str
    sha256: str
    rows: int | None  # None: not a table
    bytes: int


class DatasetWriter:
    """Takes rows in their final order and publishes them; leaving the `with` block without `publish` leaves nothing.

    A folder that is there already is replaced if it is a dataset of ours, and refused otherwise.
    """

    def __init__(self, out: Path, *, checks: Sequence[str], exports: Sequence[Export] = ()) -> None:
        self._out = out
        self._exports = exports
        self._schema = schema(checks)
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows: dict[str, list[Mapping[str, Any]]] = {name: [] for name in FILES}
        self.counts = dict.fromkeys(FILES, 0)
        _check_replaceable(out)
        self._folder = out.parent / f".{out.name}.{secrets.token_hex(4)}.tmp"
        try:
            (self._folder / "data").mkdir(parents=True)
            self._jsonl: IO[bytes] = (self._folder / "qa.jsonl").open("xb")
            for export in exports:
                export.open(self._folder)
        except OSError as exc:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise _error(out, exc) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for content in (self._jsonl, *self._exports, *self._writers.values()):
            with suppress(OSError, pa.ArrowException):  # the folder is thrown away
                content.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, row: Mapping[str, Any], split: str) -> None:
        """Append one row to `train`, `validation` or `rejected`."""
        row = well_formed(row)
        self.counts[split] += 1
        self._rows[split].append(row)
        try:
            if split != REJECTED:
                text = json.dumps({**row, "split": split}, ensure_ascii=False, allow_nan=False)
                self._jsonl.write(text.encode() + b"\n")
                for export in self._exports:
                    export.add(row, split)
            if len(self._rows[split]) >= ROW_GROUP:
                self._write_group(split)
        except (OSError, pa.ArrowException) as exc:
            raise _error(self._out, exc) from exc

    def publish(
        self, card: str, facts: Mapping[str, Any], *, stats: Mapping[str, Any] | None = None,
        described: Callable[[Sequence[PublishedFile]], Mapping[str, Any]] | None = None,
    ) -> list[PublishedFile]:  # fmt: skip
        """Write what is left, sync everything, and put the folder in its place.

        `card` becomes README.md, `stats` stats.json; `facts` go into manifest.json beside the files, and what
        `described` makes of the data files becomes croissant.json.
        """
        try:
            tables = [name for name in FILES if self.counts[name] or name != VALIDATION]
            for name in tables:
                self._write_group(name)
                self._writers.pop(name).close()
            self._jsonl.close()
            rows: dict[str, int | None] = {FILES[name]: self.counts[name] for name in tables}
            rows["qa.jsonl"] = self.counts[TRAIN] + self.counts[VALIDATION]
            for export in self._exports:
                rows |= export.close()
            files = self._describe(rows)
            written = {"README.md": card.encode()}
            if stats is not None:
                written["stats.json"] = json_bytes(stats)
            if described is not None:
                written["croissant.json"] = json_bytes(described(files))
            for name, content in written.items():
                (self._folder / name).write_bytes(content)
            files = sorted([*files, *self._describe(dict.fromkeys(written))], key=lambda file: file.path)
            manifest = {"format": FORMAT, **facts, "files": [asdict(file) for file in files]}
            (self._folder / "manifest.json").write_bytes(json_bytes(manifest))
            _sync_tree(self._folder)
            _put_in_place(self._folder, self._out)
        except (OSError, pa.ArrowException) as exc:
            raise _error(self._out, exc) from exc
        return files

    def _write_group(self, name: str) -> None:
        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(self._folder / FILES[name], self._schema, compression="zstd")
        rows, self._rows[name] = self._rows[name], []
        if rows:
            self._writers[name].write_table(pa.Table.from_pylist(rows, schema=self._schema))

    def _describe(self, rows: Mapping[str, int | None]) -> list[PublishedFile]:
        found = []
        for name, count in sorted(rows.items()):
            path = self._folder / name
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            found.append(PublishedFile(name, digest, count, path.stat().st_size))
        return found


def _error(out: Path, exc: Exception) -> StoreError:
    why = (exc.strerror if isinstance(exc, OSError) else None) or exc
    hint = "what was there before is untouched; look for a full disk or a quota (df, quota), then collect again"
    return StoreError(f"{out}: the dataset cannot be written: {why}; nothing was published", hint=hint)


def well_formed(value: Any) -> Any:
    r"""The value with every lone surrogate replaced by a question mark: a model can write half a character.

    >>> well_formed({"answer": ["a\ud800b"]})
    {'answer': ['a?b']}
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [well_formed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: well_formed(item) for key, item in value.items()}
    return value


def is_published(folder: Path) -> bool:
    """Whether this folder is a dataset that we published."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def read_back(folder: Path) -> dict[str, int]:
    """Open a published dataset as its readers will: rows by split.

    Raises:
        StoreError: a file is missing or not as it was published, a column differs, or JSON Lines has other rows.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        for file in manifest["files"]:
            with (folder / file["path"]).open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != file["sha256"]:
                    raise StoreError(f"{folder / file['path']}: is not as it was published (SHA-256)")
        tables = {name: pq.read_table(folder / path) for name, path in FILES.items() if (folder / path).exists()}
        lines: list[dict[str, Any]] = [
            dict(json.loads(line)) for line in (folder / "qa.jsonl").read_bytes().splitlines()
        ]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as exc:
        raise StoreError(f"{folder}: cannot be opened: {exc}") from exc
    for name, table in tables.items():
        checks = [field.name for field in table.schema.field("checks").type] if "checks" in table.column_names else []
        if not table.schema.equals(schema(checks)):
            raise StoreError(f"{folder / FILES[name]}: its columns are not those of a dataset")
    names = {*schema(()).names, "split"}
    published = {name: table.column("id").to_pylist() for name, table in tables.items() if name != REJECTED}
    written: dict[str, list[str]] = {name: [] for name in published}
    for line in lines:
        written.setdefault(str(line.get("split")), []).append(str(line.get("id")))
    if written != published or any(line.keys() != names for line in lines):
        raise StoreError(f"{folder / 'qa.jsonl'}: its rows are not those of the Parquet files")
    return {name: tables[name].num_rows if name in tables else 0 for name in FILES}


def _check_replaceable(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise StoreError(f"{out}: is not a folder", hint="name another place with -o")
    if out.is_dir() and any(out.iterdir()) and not is_published(out):
        raise StoreError(f"{out}: holds something else than a published dataset", hint="name another place with -o")


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(Path(parent) / name, "rb") as content:
                os.fsync(content.fileno())
        sync_folder(Path(parent))


def _put_in_place(folder: Path, out: Path, rename: Callable[[Path, Path], object] = os.rename) -> None:
    """Rename the new folder to its place, after moving the old one aside; the old one comes back if that fails."""
    aside = out.parent / f".{out.name}.{secrets.token_hex(4)}.old"
    replaced = out.is_dir()
    if replaced:
        rename(out, aside)
    try:
        rename(folder, out)
    except OSError:
        if replaced:
            os.rename(aside, out)
        raise
    sync_folder(out.parent)
    if replaced:
        shutil.rmtree(aside, ignore_errors=True)
