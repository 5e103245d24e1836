"""What two arms were and gave, side by side, and in what they are unlike."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from hpc_qa.bench.arm import Arm, change_percent
from hpc_qa.bench.record import Configuration, Results, Scores
from hpc_qa.units import plural

KEYS = (
    "hardware.gpu_model", "hardware.gpu_count", "model.name", "model.revision", "model.tensor_parallel",
    *(f"configuration.{name}" for name in Configuration.model_fields),
)  # fmt: skip
RESULTS = (
    "dataset.pdfs_processed", *(f"results.{name}" for name in Results.model_fields),
    *(f"quality.{name}" for name in Scores.model_fields),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that has more than one value."""

    key: str
    baseline: tuple[Any, ...]
    current: tuple[Any, ...]

    def shown(self) -> str:
        """For people.

        >>> Difference("model.name", ("a",), ("a", "b")).shown()
        'a against a, b'
        """
        return " against ".join(", ".join(map(str, values)) for values in (self.baseline, self.current))


def compared_keys(*arms: Arm) -> list[str]:
    """The keys that have to be alike: hardware, model, and every setting that a record has."""
    settings = {
        f"configuration.{name}" for arm in arms for one in arm.records for name in one.configuration.model_dump()
    }
    return [*KEYS, *sorted(settings - set(KEYS))]


def differences(baseline: Arm, current: Arm) -> list[Difference]:
    """The keys of which more than one value is known, in one arm or in both."""
    found = (Difference(key, _values(baseline, key), _values(current, key)) for key in compared_keys(baseline, current))
    return [one for one in found if len({_alike(value) for value in (*one.baseline, *one.current)}) > 1]


def unknown_keys(*arms: Arm) -> list[str]:
    """A warning: keys that some records do not have, so that nobody knows whether they are alike."""
    records = [record for arm in arms for record in arm.records]
    unknown = {key: sum(record.value(key) is None for record in records) for key in compared_keys(*arms)}
    said = ", ".join(f"{key} of {count} of {plural(len(records), 'run')}" for key, count in unknown.items() if count)
    return [f"not known, so that nobody can say whether it is alike: {said}"] if said else []


def side_by_side(first: Arm, second: Arm) -> dict[str, Any]:
    """What `bench compare --json` prints: what the arms were, what differs, and the means of what they gave."""
    found = differences(first, second)
    unlike = {one.key for one in found}
    keys = [
        {"key": key, "a": _said(_values(first, key)), "b": _said(_values(second, key)), "differs": key in unlike}
        for key in compared_keys(first, second)
    ]
    results = [row for key in RESULTS if (row := _row(key, first, second))]
    return {"keys": keys, "differs": [asdict(one) for one in found], "results": results}


def _row(key: str, first: Arm, second: Arm) -> dict[str, Any] | None:
    values = first.known(key), second.known(key)
    if not any(values):
        return None
    a, b = (math.fsum(known) / len(known) if known else None for known in values)
    change = change_percent(a, b)
    return {
        "name": key.partition(".")[2], "a": a, "b": b, "n_a": len(values[0]), "n_b": len(values[1]),
        "change_percent": change,
    }  # fmt: skip


def _values(arm: Arm, key: str) -> tuple[Any, ...]:
    """The values of a key in an arm, each once."""
    return tuple(sorted({_alike(value): value for value in arm.known(key)}.values(), key=str))


def _alike(value: Any) -> Any:
    """What two values have in common that count as the same."""
    if isinstance(value, int | float):
        return float(value)
    return " ".join(value.split()).casefold() if isinstance(value, str) else repr(value)


def _said(values: Iterable[Any]) -> Any:
    """One value as it is, several as a list, none as null."""
    found = list(values)
    return found if len(found) > 1 else next(iter(found), None)
