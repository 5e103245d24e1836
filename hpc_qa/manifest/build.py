"""Find documents and hash them: folders, ZIP archives and single files become entries.

The order is that of the sources, and within each that of the names, so that two builds of the same tree are equal.
Hidden files and folders are left out. What a file says is not looked at: the suffix decides.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hpc_qa.errors import DocumentError, ManifestError
from hpc_qa.manifest.entry import ARCHIVE_SUFFIX, MEMBER, Entry, make_entry, media_type, split_member, suffix
from hpc_qa.manifest.formats import unsupported
from hpc_qa.manifest.places import kind_of, why_not
from hpc_qa.manifest.source import hash_source, list_members

MAX_NAMED = 20
EXAMPLES = 5  # of a format that is not read
OUTPUTS = ("runs", "cache", "ledger", "projections")  # in a project folder: made from documents, so none of them


@dataclass(slots=True)
class Build:
    """What was found: entries, what has a suffix that we do not read, and what was refused, with the reason."""

    entries: list[Entry] = field(default_factory=list)
    unsupported: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)  # the first of each such suffix
    refused: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # folders of the project that this program writes

    def leave(self, path: str) -> None:
        """Count a file whose format is not read."""
        name = suffix(path)
        self.unsupported[name] += 1
        if len(known := self.examples.setdefault(name, [])) < EXAMPLES:
            known.append(path)


@dataclass(frozen=True, slots=True)
class _Found:
    """A name that exists; not yet opened."""

    root: Path
    path: str
    fault: str | None = None


def build(sources: Iterable[Path | str], *, project: Path, root: Path | None = None) -> Build:
    """Every document under the sources, once, in a stable order.

    Paths count from the source when it is a folder, from its folder when it is a file, or from `root` when given.

    Raises:
        ManifestError: a source does not exist, or none of them holds a document. All such sources are named.
    """
    paths = [Path(source) for source in sources]
    missing = [f"{path}: {why_not(path)}" for path in paths if kind_of(path) not in ("file", "folder")]
    if missing:
        raise ManifestError(*missing, hint="name folders, ZIP archives or single documents")
    result = find(paths, project=project, root=root)
    if not result.entries:
        raise ManifestError(
            f"no document found in {', '.join(map(str, paths))}",
            *(f"{path}: {reason}" for path, reason in result.refused[:MAX_NAMED]),
            *(unsupported(name) for name in sorted(result.unsupported)[:MAX_NAMED]),
            hint="name PDF, DOCX, HTML, Markdown or text files, or folders and ZIP archives that hold some",
        )
    return result


def find(paths: Iterable[Path], *, project: Path, root: Path | None = None) -> Build:
    """As `build`, for sources that exist; finding nothing is no fault."""
    result = Build()
    seen: set[tuple[str, str]] = set()
    for source in paths:
        for found in _find(source, root, project, result):
            file, member = split_member(found.path)
            identity = (os.path.realpath(found.root / file), member)
            if identity not in seen:
                seen.add(identity)
                _add(found, project, result)
    result.entries = _with_distinct_ids(result.entries)
    return result


def describe_rest(result: Build) -> list[str]:
    """What a build left out, for people: one line per format, with what to do."""
    lines = [
        f"{count} x {unsupported(name)} ({_listed(result.examples.get(name, []), count)})"
        for name, count in sorted(result.unsupported.items())
    ]
    lines += (f"left out: {folder}, which this program writes" for folder in result.left_out)
    return [*lines, f"refused: {len(result.refused)}"] if result.refused else lines


def _listed(names: Sequence[str], count: int) -> str:
    more = [f"and {count - len(names)} more"] if count > len(names) else []
    return ", ".join([*names, *more])


def _find(source: Path, root: Path | None, project: Path, result: Build) -> Iterator[_Found]:
    start = root or (source if source.is_dir() else source.parent)
    files = _walk(source, project, result) if source.is_dir() else iter([source])
    for file in files:
        yield from _find_in_file(start, file.relative_to(start).as_posix(), result)


def _walk(root: Path, project: Path, result: Build) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        result.refused.append((str(error.filename), error.strerror or "cannot be read"))

    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=False):
        own = {name for name in OUTPUTS if name in folders and os.path.realpath(folder) == os.path.realpath(project)}
        result.left_out += (str(Path(folder, name)) for name in sorted(own))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in own | {"__MACOSX"})
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)


def _find_in_file(root: Path, path: str, result: Build) -> Iterator[_Found]:
    if not _is_unicode(path):
        yield _Found(root, _spelled(path), "the name is not UTF-8; rename the file")
    elif suffix(path) == ARCHIVE_SUFFIX:
        yield from _find_in_archive(root, path, result)
    elif media_type(path) is None:
        result.leave(path)
    else:
        yield _Found(root, path)


def _find_in_archive(root: Path, path: str, result: Build) -> Iterator[_Found]:
    try:
        members = list_members(root, path)
    except DocumentError as exc:
        result.refused.append((path, str(exc)))
        return
    for member in members:
        if "__MACOSX" in member.name or os.path.basename(member.name).startswith("."):
            continue
        if media_type(member.name) is None:
            result.leave(path + MEMBER + member.name)
            continue
        yield _Found(root, path + MEMBER + member.name, member.fault)


def _add(found: _Found, project: Path, result: Build) -> None:
    kind = media_type(found.path)
    if found.fault or kind is None:
        result.refused.append((found.path, found.fault or "not supported"))
        return
    try:
        sha256, size_bytes = hash_source(found.root, found.path)
    except DocumentError as exc:
        result.refused.append((found.path, str(exc)))
        return
    root = _root_text(found.root, project)
    result.entries.append(make_entry(path=found.path, root=root, sha256=sha256, size_bytes=size_bytes, kind=kind))


def _root_text(root: Path, project: Path) -> str:
    """A root as the manifest keeps it: from the project folder when inside, so that the project can be moved."""
    real, home = root.resolve(), project.resolve()
    return real.relative_to(home).as_posix() if real.is_relative_to(home) else real.as_posix()


def _with_distinct_ids(entries: list[Entry]) -> list[Entry]:
    """Number the entries whose names and contents are both equal: `a-1f2e3d4c`, `a-1f2e3d4c-2`."""
    seen: Counter[str] = Counter()
    distinct = []
    for entry in entries:
        seen[entry.doc_id] += 1
        count = seen[entry.doc_id]
        distinct.append(entry if count == 1 else replace(entry, doc_id=f"{entry.doc_id}-{count}"))
    return distinct


def _spelled(path: str) -> str:
    r"""A name that is not UTF-8, with its odd bytes spelled out.

    >>> _spelled(os.fsdecode(b"a\xff.txt"))
    'a\\xff.txt'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
