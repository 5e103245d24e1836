"""Places of the benchmark document that belong to people: what stands in one survives the next filling byte for byte.

    <!-- remarks: lessons -->
    written by hand
    <!-- end of remarks: lessons -->

All else in the document is written anew. The last line holds the hash of it, so that what somebody wrote outside of a
place is not lost unseen. A remark whose place went away, as its batch did, is kept at the end of the document.
"""

import difflib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hpc_qa.errors import ConfigError

# places that every document has; those of a batch or a sweep come and go with it
FIXED = (
    "environments", "bottlenecks", "concurrency tuning", "memory management", "batch sizing", "best practices",
    "lessons", "trade-offs", "questions", "next steps",
)  # fmt: skip
FAMILIES = ("batch ", "runs ", "sweep ")
NOTHING, LESSONS = "_Nothing noted._", "_Lessons learned: nothing noted._"  # what stands in their places at first
_KEY = r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}"
_MARK = re.compile(rf"<!-- (end of )?remarks: ({_KEY}) -->")
_LIKE_A_MARK = re.compile(r"\s*<!.*\bremarks\b|.*\bremarks:.*-->\s*$", re.IGNORECASE)
_SEAL = re.compile(r"^<!-- without remarks: sha256 ([0-9a-f]{64}) -->\r?\n?\Z", re.MULTILINE)


@dataclass(slots=True)
class Remarks:
    """What people wrote, by place; a document that is put together asks for each place once."""

    written: dict[str, str] = field(default_factory=dict)
    _placed: set[str] = field(default_factory=set)

    def place(self, key: str, prompt: str) -> str:
        """The marked place of this key with what was written there, else with the prompt."""
        if key in self._placed:
            raise ValueError(f"two places are called {key!r}")
        self._placed.add(key)
        return _marked(key, self.written.get(key, f"{prompt}\n"))

    def homeless(self) -> Iterator[str]:
        """The places of remarks that no chapter asked for; what was never touched is no remark."""
        for key, text in self.written.items():
            if key not in self._placed and text.strip() not in ("", NOTHING, LESSONS):
                yield _marked(key, text)


def key_of(family: str, name: str) -> str:
    r"""The key of a place that belongs to something with a name, whatever characters that has.

    >>> key_of("batch", "batch_50"), key_of("batch", "a-->b")
    ('batch batch_50', 'batch a--_b-a842076b')
    """
    slug = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:60]
    return f"{family} {slug}" if slug == name else f"{family} {slug}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def sealed(text: str) -> str:
    """The document with its last line, by which a change outside of its places is seen."""
    return f"{text}<!-- without remarks: sha256 {_outside_sha256(text)} -->\n"


def read_remarks(path: Path) -> Remarks:
    """What people wrote in the document that is there; nothing where there is none.

    Raises:
        ConfigError: it is no document of ours, a mark is damaged or unknown, or something was written elsewhere.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return Remarks()
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder", hint="name a file") from None
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is not UTF-8: {exc}", hint="name another file") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    if not text.strip():
        return Remarks()
    seal = _SEAL.search(text)
    if not seal and not _MARK.search(text):
        raise ConfigError(
            f"{path}: was not written by hpc-qa report: it has no places for remarks",
            hint="name another file; copy what is to stay into its places by hand",
        )
    remarks = _remarks_of(text[: seal.start()] if seal else text, path)
    if seal and seal[1] != _outside_sha256(text[: seal.start()]):
        raise ConfigError(
            f"{path}: was changed outside of the places for remarks, and would be written anew there",
            hint="move what is to stay into a place; then delete the last line of the file, and say it again",
        )
    return remarks


def _remarks_of(text: str, path: Path) -> Remarks:
    found: dict[str, str] = {}
    faults: list[str] = []
    inside: tuple[str, int, int] | None = None  # key, its line, where the remark begins
    at = 0
    for number, line in enumerate(_lines(text), 1):
        mark = _MARK.fullmatch(line.rstrip("\r\n"))
        if mark is None:
            if _LIKE_A_MARK.match(line):
                faults.append(f"{path}:{number}: a mark is damaged: {line.strip()[:80]}")
        elif mark[1]:
            if inside is None or inside[0] != mark[2]:
                faults.append(f"{path}:{number}: remarks: {mark[2]} ends, and did not begin")
            else:
                found[mark[2]] = text[inside[2] : at]
            inside = None
        else:
            if inside is not None:
                faults.append(f"{path}:{inside[1]}: remarks: {inside[0]} begins, and does not end")
            faults += [f"{path}:{number}: {fault}" for fault in _faults_of_key(mark[2], found)]
            inside = mark[2], number, at + len(line)
        at += len(line)
    if inside is not None:
        faults.append(f"{path}:{inside[1]}: remarks: {inside[0]} begins, and does not end")
    if faults:
        raise ConfigError(
            *faults, hint="mend the marks: each place begins and ends with its own line; nothing was written"
        )
    return Remarks(found)


def _faults_of_key(key: str, found: dict[str, str]) -> Iterator[str]:
    if key in found:
        yield f"remarks: {key} is there twice"
    elif key not in FIXED and not key.startswith(FAMILIES):
        near = difflib.get_close_matches(key, FIXED, n=1)
        yield f"remarks: {key} is no place" + (
            f"; did you mean {near[0]}?" if near else f"; there is {', '.join(FIXED)}"
        )


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends; a line ends with a line feed and nothing else, as a remark may hold any character."""
    yield from re.findall(r"[^\n]*\n|[^\n]+\Z", text)


def _marked(key: str, text: str) -> str:
    return f"<!-- remarks: {key} -->\n{text}<!-- end of remarks: {key} -->\n"


def _outside_sha256(text: str) -> str:
    """The hash of a document without its remarks; how lines end does not count."""
    kept: list[str] = []
    inside = False
    for line in _lines(text):
        mark = _MARK.fullmatch(line.rstrip("\r\n"))
        inside = inside and not (mark and mark[1])
        if not inside:
            kept.append(line.rstrip("\r\n"))
        inside = inside or bool(mark and not mark[1])
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()
