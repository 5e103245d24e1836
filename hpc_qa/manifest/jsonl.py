"""The lines of a manifest: JSONL with one entry a line, or any other text.

Nothing is kept: whoever asks gets one line after the other. What is wrong with a line is said with its number.
"""

import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hpc_qa.errors import ManifestError
from hpc_qa.manifest.entry import Entry, entry_from, plain_entry

MAX_LINE_BYTES = 1_000_000
MAX_DIGITS = 40
BOM = b"\xef\xbb\xbf"
FORMAT = "a manifest is a .jsonl file as `hpc-qa manifest build` writes it, or a .txt list with one path a line"


def numbered_entries(path: Path, faults: list[str]) -> Iterator[tuple[int, Entry, str | None]]:
    """The entries that are right, each with its line number, and its line where that is exactly what `write` writes.

    Raises:
        ManifestError: the file is something else altogether.
        OSError: it cannot be read.
    """
    first = True
    for number, text in _numbered_texts(path, faults):
        if entry := plain_entry(text):
            yield number, entry, text
        elif not (line := _stripped(number, text)):
            continue
        elif first and not faults and not line.startswith(("{", "[")):  # the other lines would say the same
            raise ManifestError(f"{path}:{number}: {_what_else(line)}", hint=FORMAT)
        else:
            try:
                yield number, plain_entry(f"{line}\n") or _parsed(line), None
            except ValueError as exc:
                faults.append(f"{path}:{number}: {exc}")
                continue
        first = False


def numbered_lines(path: Path, faults: list[str]) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers; BOM and CRLF are tolerated, lines that are not text are faults.

    Raises:
        OSError: the file cannot be read.
    """
    for number, text in _numbered_texts(path, faults):
        if line := _stripped(number, text):
            yield number, line


def _numbered_texts(path: Path, faults: list[str]) -> Iterator[tuple[int, str]]:
    """Every line that is text, as it stands in the file."""
    with path.open("rb") as stream:
        for number, line in enumerate(iter(partial(stream.readline, MAX_LINE_BYTES + 1), b""), 1):
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                faults.append(f"{path}: is UTF-16 text; save it as UTF-8")
                return
            if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                faults.append(f"{path}:{number}: the line is longer than {MAX_LINE_BYTES} bytes; the rest is not read")
                return
            try:
                text = line.decode()
            except UnicodeDecodeError as exc:
                start = exc.start - len(BOM) * (number == 1 and line.startswith(BOM))
                faults.append(f"{path}:{number}: not UTF-8 at byte {start}")
            else:
                yield number, text


def _stripped(number: int, text: str) -> str:
    return (text.removeprefix("\ufeff") if number == 1 else text).strip()


def _what_else(line: str) -> str:
    """What a file is that does not begin as JSON does."""
    separators = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
    for mark, name in separators.items():
        if line.count(mark) >= 2:
            return f"not JSON but a table ({name} separated)"
    return "not JSON"


def _parsed(line: str) -> Entry:
    """The entry of any line.

    Raises:
        ValueError: there is none in it; the message says why.
    """
    try:
        fields = json.loads(
            line, object_pairs_hook=_unique, parse_constant=_no_number, parse_int=_whole, parse_float=_number
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc.msg} at character {exc.pos + 1}") from exc
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    return entry_from(fields)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands in it twice")
    return fields


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value
