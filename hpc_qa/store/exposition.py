"""Prometheus text: families of metrics out of it, under labels of ours, and as one text again.

The format has rules that a text put together from several breaks: a family stands once, with all its samples, and a
sample once (https://prometheus.io/docs/instrumenting/exposition_formats/, 0.0.4). What would break them is left out.
Read is what prometheus_client writes, which is all that vLLM and we write, and nothing wider. Its own parser takes
0.1 ms a sample, ten seconds for a hundred vLLM servers; the tests hold us against it.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpc_qa.errors import StoreError

PREFIXES = ("hpc_qa_", "vllm:")
MOST_BYTES = 4_000_000  # of one file; a vLLM with everything on says a fortieth of that
CREATED = (
    "_created"  # when a counter began: OpenMetrics has it beside the counter, here it would be a family of its own
)
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
PARTS = {HISTOGRAM: ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
TYPES = {COUNTER, GAUGE, HISTOGRAM, "summary", "untyped"}
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"'
_ANY_LABEL = _LABEL.replace("(", "(?:").replace("(?:?:", "(?:")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_ANY_LABEL}(?:,{_ANY_LABEL})*)?)\}})? (\S+)")
_HEAD = re.compile(rf"# (HELP|TYPE) ({_NAME}) ?(.*)")


@dataclass(slots=True)
class Family:
    """One metric; its samples by name and labels as the text has them: `name{label="value"}`."""

    name: str
    type: str
    about: str = ""
    samples: dict[str, float] = field(default_factory=dict)

    def owns(self, sample: str) -> bool:
        """Whether a sample of this name can be of this family."""
        return any(sample == self.name + part for part in PARTS.get(self.type, ("",)))

    def add(self, value: float, part: str = "", **labels: str) -> "Family":
        """The family, with one more sample."""
        self.samples[_key(self.name + part, labels)] = float(value)
        return self


def gauge(name: str, about: str, value: float) -> Family:
    """A gauge of one sample."""
    return Family(name, GAUGE, about).add(value)


def parse(text: str) -> list[Family]:
    """The families of a text that are ours or vLLM's.

    Raises:
        ValueError: it is not Prometheus text; says which line is not.
    """
    found: dict[str, Family] = {}
    current: Family | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if head := _HEAD.fullmatch(line):
            what, name, rest = head.groups()
            current = found.setdefault(name, Family(name, "untyped"))
            if what == "HELP":
                current.about = rest
            elif rest not in TYPES or current.samples:
                raise ValueError(f"line {number}: a type that is none, or comes too late")
            else:
                current.type = rest
        elif sample := _SAMPLE.fullmatch(line):
            name, labels, value = sample.groups()
            if current is None or not current.owns(name):
                current = found.setdefault(name, Family(name, "untyped"))
            current.samples[f"{name}{{{labels}}}" if labels else name] = float(value)
        elif line and not line.startswith("#"):
            raise ValueError(f"line {number}: is not Prometheus text")
    return [one for one in found.values() if one.name.startswith(PREFIXES) and not one.name.endswith(CREATED)]


def read(path: Path) -> list[Family]:
    """The families of a file; none where there is no file.

    Raises:
        StoreError: it cannot be read, or is not what we write.
    """
    if not path.is_file():  # nor do we wait for what somebody may put into a pipe of this name
        return []
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
        return parse(content.decode())
    except OSError as exc:
        raise StoreError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise StoreError(f"{path}: {exc}", hint="it is written anew while its array task runs") from exc


def labelled(families: Iterable[Family], labels: Mapping[str, str]) -> list[Family]:
    """The same families, every sample under these labels, which replace what it says itself."""
    ours = ",".join(_label(*one) for one in labels.items())
    # an unescaped quote stands only where a value begins or ends, so this finds labels and nothing inside of a value
    replaced = re.compile(rf'(?:^|,)(?:{"|".join(map(re.escape, labels))})="(?:[^"\\]|\\.)*"')
    found = []
    for family in families:
        one = Family(family.name, family.type, family.about)
        for key, value in family.samples.items():
            name, _, own = key.partition("{")
            rest = replaced.sub("", own[:-1]).lstrip(",")
            one.samples[f"{name}{{{','.join(filter(None, (ours, rest)))}}}"] = value
        found.append(one)
    return found


def merged(groups: Iterable[Iterable[Family]]) -> list[Family]:
    """One family of each name, with the samples of all groups; the first one says of which type it is."""
    found: dict[str, Family] = {}
    for family in (family for group in groups for family in group):
        one = found.setdefault(family.name, Family(family.name, family.type, family.about))
        if one.type == family.type:
            one.samples.update(family.samples)
    # x_count is of the histogram x, or a family of its own; not both
    parts = {one.name + part for one in found.values() for part in PARTS.get(one.type, ()) if part}
    return [one for one in found.values() if one.samples and one.name not in parts]


def to_text(families: Iterable[Family]) -> str:
    """The text of these families."""
    lines = []
    for one in families:
        lines += [f"# HELP {one.name} {one.about}", f"# TYPE {one.name} {one.type}"]
        lines += [f"{key} {_number(value)}" for key, value in one.samples.items()]
    return "".join(f"{line}\n" for line in lines)


def value(families: Iterable[Family], name: str, **labels: str) -> float | None:
    """The sum of the samples of this name that have these labels; None where there is none, or it is no number."""
    wanted = [_label(*one) for one in labels.items()]
    found = [
        number
        for family in families
        if name.startswith(family.name)
        for key, number in family.samples.items()
        if key.partition("{")[0] == name and all(one in key for one in wanted)
    ]
    total = sum(found)
    return total if found and math.isfinite(total) else None


def _key(name: str, labels: Mapping[str, str]) -> str:
    return f"{name}{{{','.join(_label(*one) for one in labels.items())}}}" if labels else name


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{escaped}"'


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)
