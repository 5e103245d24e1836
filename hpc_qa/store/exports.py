"""The accepted pairs once more, in forms that other tools take: CSV for spreadsheets, messages for conversation tuning.

Both are written row by row into the folder of a dataset before it is published, and the same rows give the same bytes.
Conversations are there twice: JSON Lines is what programs for tuning read, and `load_dataset` takes the configs of one
folder in one format only, so that its config needs Parquet.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from hpc_qa.documents.facts import title_of
from hpc_qa.qa.control_tokens import harmless

CSV_FILE = "qa.csv"
CHAT_FILES = {split: f"data/chat-{split}-00000-of-00001.parquet" for split in ("train", "validation")}
CHAT_LINES = {split: f"chat/{split}.jsonl" for split in ("train", "validation")}
TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
CHAT_SCHEMA = pa.schema([("id", pa.string()), ("variant", pa.string()), ("messages", TURNS)])
ROW_GROUP = 1_000
CLOSED_BOOK, GROUNDED = "closed_book", "grounded"
GROUNDED_TURN = "Answer the question from this text.\n\n{context}\n\nQuestion: {question}"

# OWASP, CSV Injection; their full-width forms as well, which some spreadsheets take for the same.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Where a list is separated by semicolons, spreadsheets split there, and the quotes of the comma no longer hold a cell.
_SPLIT = re.compile(r"([;\t\r\n][\"' ]*)(?=[=+@＝＋－＠-])")
_JSON_SPLIT = re.compile(r";(?=(?:\\?[\"' ])*[=+@＝＋－＠-])")


class Export(Protocol):
    """A further form of the accepted pairs."""

    def open(self, folder: Path) -> None:
        """Begin in this folder; called once, before any row."""

    def add(self, row: Mapping[str, Any], split: str) -> None:
        """Take one accepted pair."""

    def close(self) -> dict[str, int]:
        """End it: the rows of every file, by its path in the folder."""


class CsvExport:
    """`qa.csv`: one line per pair with its split, lists and structs as JSON.

    What a spreadsheet would take for a formula has an apostrophe in front, which keeps it text: at the beginning of a
    cell, and where a spreadsheet that splits at semicolons, tabs or line breaks would begin one.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = [*columns, "split"]
        self._rows = 0
        self._stream: IO[str] | None = None

    def open(self, folder: Path) -> None:
        self._stream = (folder / CSV_FILE).open("x", encoding="utf-8", newline="")
        self._write(self._columns)

    def add(self, row: Mapping[str, Any], split: str) -> None:
        cells = {**row, "split": split}
        self._write([cell(cells[name]) for name in self._columns])
        self._rows += 1

    def close(self) -> dict[str, int]:
        if self._stream is not None:
            self._stream.close()
        return {CSV_FILE: self._rows}

    def _write(self, cells: Sequence[str]) -> None:
        if self._stream is None:
            raise ValueError("open comes first")
        csv.writer(self._stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(cells)


def cell(value: object) -> str:
    r"""A value as a CSV cell that no spreadsheet computes.

    >>> cell("=1+1"), cell(-0.5), cell(None), cell(["-1"])
    ("'=1+1", '-0.5', '', '["-1"]')
    >>> cell("a;=1+1"), cell(["a;=1+1"])
    ("a;'=1+1", '["a\\u003b=1+1"]')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        text = _SPLIT.sub(r"\1'", value)
        return f"'{text}" if text.startswith(FORMULA_STARTS) else text
    return _JSON_SPLIT.sub(r"\\u003b", json.dumps(value, ensure_ascii=False, allow_nan=False))


class ChatExport:
    """Every pair as turns of a conversation, closed book, with its passage, or both: `chat/<split>.jsonl` and Parquet.

    A row is {"id", "variant", "messages": [{"role", "content"}, ...]}. Where a pair comes from stands in the other
    files under the same id, not in the text that a model is tuned on. Control tokens that a document quotes are broken
    up, those of `tokens` and whatever else has their form: a chat template would take them for the ends of turns.
    """

    def __init__(self, variants: Sequence[str], tokens: Sequence[str] = ()) -> None:
        self._variants = variants
        self._tokens = tokens
        self._folder = Path()
        self._splits: dict[str, _ChatSplit] = {}

    def open(self, folder: Path) -> None:
        self._folder = folder
        (folder / "chat").mkdir()

    def add(self, row: Mapping[str, Any], split: str) -> None:
        if split not in self._splits:
            self._splits[split] = _ChatSplit(self._folder, split)
        for variant in self._variants:
            turns = messages(row, variant, self._tokens)
            self._splits[split].add({"id": row["id"], "variant": variant, "messages": turns})

    def close(self) -> dict[str, int]:
        for split in self._splits.values():
            split.close()
        if not self._splits:
            (self._folder / "chat").rmdir()
        return {path[name]: split.rows for name, split in self._splits.items() for path in (CHAT_FILES, CHAT_LINES)}


class _ChatSplit:
    """The two files of one split."""

    def __init__(self, folder: Path, split: str) -> None:
        self.rows = 0
        self._lines = (folder / CHAT_LINES[split]).open("xb")
        self._table = pq.ParquetWriter(folder / CHAT_FILES[split], CHAT_SCHEMA, compression="zstd")
        self._group: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._lines.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        self._group.append(row)
        self.rows += 1
        if len(self._group) >= ROW_GROUP:
            self._write_group()

    def close(self) -> None:
        if self._group:
            self._write_group()
        self._lines.close()
        self._table.close()

    def _write_group(self) -> None:
        self._table.write_table(pa.Table.from_pylist(self._group, schema=CHAT_SCHEMA))
        self._group = []


def messages(row: Mapping[str, Any], variant: str, tokens: Sequence[str] = ()) -> list[dict[str, str]]:
    """A pair as a conversation of two turns, without control tokens in them.

    Above the passage stand the name of its file, its headings and the head of its table, as its generator saw them.
    """
    where = " > ".join((title_of(row["source_path"], None), *(row["headings"] or ())))
    around = "\n".join(part for part in (f"{where}\n", row["table_header"], row["context"]) if part)
    question, answer, context = (harmless(text, tokens) for text in (row["question"], row["answer"], around))
    asked = GROUNDED_TURN.format(context=context, question=question) if variant == GROUNDED else question
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
