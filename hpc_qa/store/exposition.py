"""Prometheus text: families of metrics out of it, under labels of ours, and as one text again.

The format has rules that a text put together from several breaks: a family stands once, with all its samples, and a
sample once (https://prometheus.io/docs/instrumenting/exposition_formats/). What would break them is left out. Parsing
and writing are prometheus_client's, which is loaded inside functions: no other command needs it.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_qa.errors import StoreError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

PREFIXES = ("hpc_qa_", "vllm:")
MOST_BYTES = 4_000_000  # of one file; a vLLM with everything on says a tenth of that
CREATED = (
    "_created"  # when a counter began: OpenMetrics has it beside the counter, here it would be a family of its own
)


def parse(text: str) -> "list[Metric]":
    """The families of a text that are ours or vLLM's.

    Raises:
        ValueError: it is not Prometheus text.
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except (IndexError, KeyError, TypeError, AttributeError) as exc:  # the parser indexes into what it hopes to find
        raise ValueError(f"it is not Prometheus text: {exc}") from exc
    return [one for one in families if one.name.startswith(PREFIXES) and not one.name.endswith(CREATED)]


def read(path: Path) -> "list[Metric]":
    """The families of a file; none where there is no file.

    Raises:
        StoreError: it cannot be read, or is not what we write.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
        return parse(content.decode())
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise StoreError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise StoreError(f"{path}: {exc}", hint="it is written anew while its array task runs") from exc


def labelled(families: "Iterable[Metric]", labels: Mapping[str, str]) -> "list[Metric]":
    """The same families, every sample under these labels, which replace what it says itself."""
    from prometheus_client.metrics_core import Metric

    found = []
    for family in families:
        one = Metric(family.name, family.documentation, family.type)
        for sample in family.samples:
            one.add_sample(sample.name, {**sample.labels, **labels}, sample.value)
        found.append(one)
    return found


def merged(groups: "Iterable[Iterable[Metric]]") -> "list[Metric]":
    """One family of each name, with the samples of all groups; the first one says of which type it is."""
    from prometheus_client.metrics_core import Metric

    found: dict[str, Metric] = {}
    owner: dict[str, str] = {}  # of the name of a sample: x_count is of the histogram x, or a family of its own
    seen = set()
    for family in (family for group in groups for family in group):
        one = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for sample in family.samples if one.type == family.type else ():
            key = (sample.name, *sorted(sample.labels.items()))
            if key not in seen and owner.setdefault(sample.name, family.name) == family.name:
                seen.add(key)
                one.add_sample(sample.name, sample.labels, sample.value)
    return [one for one in found.values() if one.samples]


def to_text(families: "Iterable[Metric]") -> str:
    """The text of these families."""
    from prometheus_client.exposition import generate_latest

    return generate_latest(_Families(families)).decode()


class _Families:
    """What prometheus_client takes for a registry."""

    def __init__(self, families: "Iterable[Metric]") -> None:
        self._families = families

    def collect(self) -> "Iterator[Metric]":
        yield from self._families


def value(families: "Iterable[Metric]", name: str, **labels: str) -> float | None:
    """The sum of the samples of this name that have these labels; None where there is none."""
    found = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None
