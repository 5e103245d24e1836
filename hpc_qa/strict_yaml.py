"""Read one YAML file without YAML's surprises, and remember on which line every key stands.

YAML 1.1 turns `no` into false, 0777 into 511 and 12:30:45 into 45045, lets the last of two equal keys win, and builds
millions of nodes from a few hundred bytes of aliases. All of that is a fault here, with its line; faults are
collected, so that a reader sees them in one pass. What the keys mean is not known here: see `config_file.py`.
"""

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NUMBER_CHARS = 40

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
KeyPath: TypeAlias = "tuple[str | int, ...]"

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_TAG = "tag:yaml.org,2002:"
_TRUE_FALSE = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, where it stands."""

    line: int | None  # counted from 1
    path: KeyPath
    text: str


@dataclass(slots=True)
class YamlFile:
    """What a file holds. A value with a fault is left out of `data`; its line is in `lines` all the same."""

    data: dict[str, Value] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class _Refused(Exception):
    """Reading cannot go on: the structure itself is broken or hostile."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(line, (), text)


def read(path: Path) -> YamlFile:
    """The file's mapping, with lines and faults. Raises nothing: an unreadable file is a fault as well."""
    text = read_text(path)
    return text if isinstance(text, YamlFile) else parse(text)


def read_text(path: Path) -> str | YamlFile:
    """What a file holds as text, or, when that is none, nothing with its fault."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # opening a FIFO waits, reading a device never ends
            return YamlFile(faults=[Fault(None, (), "is a FIFO, a socket or a device, not a file")])
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            return YamlFile(faults=[Fault(None, (), f"is larger than {MAX_BYTES} bytes; that is no settings file")])
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        other = "UTF-16; save it as UTF-8" if exc.object[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte {exc.start}"
        return YamlFile(faults=[Fault(None, (), f"is not UTF-8 text ({other})")])
    except OSError as exc:
        return YamlFile(faults=[Fault(None, (), f"cannot be read: {exc.strerror}")])


def parse(text: str) -> YamlFile:
    """The mapping that the text holds.

    >>> parse("time: 12:30:45").faults[0].text
    'time: YAML reads 12:30:45 as the number 45045; write "12:30:45" in quotes'
    """
    result = YamlFile()
    try:
        _Builder(_events(text), result).document()
    except _Refused as exc:
        result.faults.append(exc.fault)
    except RecursionError:
        result.faults.append(Fault(None, (), f"is nested deeper than {MAX_DEPTH} levels"))
    return result


def _events(text: str) -> Iterator[yaml.events.Event]:
    """What libyaml sees; its own errors become ours."""
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        problem = exc.problem or "cannot be read"
        line = mark.line + 1 if mark else None
        if line and "\t" in text.splitlines()[min(line, len(text.splitlines())) - 1]:
            problem += "; indent with spaces, tabs are not allowed"
        raise _Refused(line, f"is not YAML: {problem}") from exc
    except yaml.YAMLError as exc:
        raise _Refused(None, f"is not YAML: {' '.join(str(exc).split())}") from exc


def _line(event: yaml.events.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


class _Builder:
    """Builds values from events, one document, no references."""

    def __init__(self, events: Iterator[yaml.events.Event], result: YamlFile) -> None:
        self._events = events
        self._result = result

    def document(self) -> None:
        """Fill the result from the only document of the file."""
        next(self._events)  # StreamStart
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise _Refused(None, "is empty")
        event = next(self._events)
        if not isinstance(event, yaml.MappingStartEvent):
            raise _Refused(_line(event), "must hold settings, one `key: value` a line")
        self._refuse_references(event, ())
        self._result.data = self._mapping((), depth=1)
        next(self._events)  # DocumentEnd
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _Refused(_line(event), "holds a second document (`---`); one file is one document")

    def _fault(self, event: yaml.events.Event, path: KeyPath, text: str) -> None:
        self._result.faults.append(Fault(_line(event), path, text))

    def _refuse_references(self, event: yaml.events.Event, path: KeyPath) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(_line(event), f"*{event.anchor}: aliases are not allowed; write the value again")
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            raise _Refused(_line(event), f"&{event.anchor}: anchors are not allowed; write the value where it is used")
        if isinstance(event, yaml.CollectionStartEvent) and event.tag is not None:
            self._fault(event, path, f"{dotted(path) or 'the file'}: the tag {event.tag} is not allowed")

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Value]:
        values: dict[str, Value] = {}
        seen: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._refuse_references(event, path)
            if not isinstance(event, yaml.ScalarEvent):
                raise _Refused(_line(event), f"{dotted(path)}: a key must be a plain word")
            key, line = event.value, _line(event)
            here = (*path, key)
            self._check_key(event, here)
            repeated = key in seen
            if repeated:
                self._fault(event, here, f"{dotted(here)} stands here and on line {seen[key]}; keep one")
            else:
                seen[key] = line
                self._result.lines[here] = line
            self._value(values if not repeated else {}, key, here, depth)
        return values

    def _check_key(self, event: yaml.ScalarEvent, here: KeyPath) -> None:
        if event.value == "<<":
            raise _Refused(_line(event), "<<: merging is not allowed; write the settings out")
        if event.implicit[0] and _tag_of(event.value) != "str":
            self._fault(event, here, f'{dotted(here)}: YAML does not read this key as text; write "{event.value}"')

    def _value(self, into: dict[str, Value], key: str, path: KeyPath, depth: int) -> None:
        found = self._node(next(self._events), path, depth)
        if found is not _BROKEN:
            into[key] = found  # type: ignore[assignment]  # the sentinel is excluded one line above

    def _node(self, event: yaml.events.Event, path: KeyPath, depth: int) -> object:
        self._refuse_references(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if depth >= MAX_DEPTH:
            raise _Refused(_line(event), f"{dotted(path)} is nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth + 1)
        items: list[object] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            here = (*path, len(items))
            self._result.lines[here] = _line(inner)
            items.append(self._node(inner, here, depth + 1))
        return _BROKEN if any(item is _BROKEN for item in items) else items

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> object:
        if event.tag not in (None, "!", _TAG + "str"):
            self._fault(event, path, f"{dotted(path)}: the tag {event.tag} is not allowed")
            return _BROKEN
        if event.tag is not None or not event.implicit[0]:
            return event.value
        try:
            return plain(event.value)
        except ValueError as exc:
            self._fault(event, path, f"{dotted(path)}: {exc}")
            return _BROKEN


_BROKEN = object()


def plain(text: str) -> str | int | float | bool | None:
    """The value of a scalar without quotes.

    Raises:
        ValueError: YAML 1.1 would read it as something that few people mean.

    >>> plain("true"), plain("1_000"), plain("0.5"), plain("gpu:1"), plain("~")
    (True, 1000, 0.5, 'gpu:1', None)
    """
    kind = _tag_of(text)
    quoted = f'write "{text}" in quotes'
    if kind in ("str", "value"):
        return text
    if kind == "null":
        return None
    if kind == "bool":
        if text.lower() in _TRUE_FALSE:
            return _TRUE_FALSE[text.lower()]
        meant = "true" if text.lower() in ("yes", "on") else "false"
        raise ValueError(f"YAML reads {text} as {meant}; write {meant}, or for the word {quoted}")
    if kind not in ("int", "float"):
        raise ValueError(f"YAML reads {text} as a {kind}; {quoted}")
    if len(text) > MAX_NUMBER_CHARS:
        raise ValueError(f"a number of {len(text)} characters; for text, write it in quotes")
    value: int | float = _CONSTRUCTOR.construct_object(yaml.ScalarNode(f"{_TAG}{kind}", text))
    if ":" in text or re.fullmatch(r"[-+]?0[0-7_]+", text):
        raise ValueError(f"YAML reads {text} as the number {value}; {quoted}")
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number that can be used here")
    return value


def _tag_of(text: str) -> str:
    """`str`, `int`, `bool`, ... as YAML 1.1 resolves a scalar without quotes."""
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag.removeprefix(_TAG)


def dotted(path: KeyPath) -> str:
    """A path of keys as people write it.

    >>> dotted(("slurm", "setup", 0))
    'slurm.setup[0]'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
