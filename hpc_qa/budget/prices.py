"""Prices of GPU-hours elsewhere, each with its source and its day, and what a number of GPU-hours costs at one.

The file is read strictly: a price without a date or a source, one of zero or below, one that stands there twice and a
key that is none are faults, all told in one pass with their lines.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hpc_qa.config import Day, Section
from hpc_qa.config_file import read_section
from hpc_qa.strict_yaml import Fault, YamlFile
from hpc_qa.units import plural

FILE = "configs/prices.yaml"
PACKAGED = "prices.yaml"  # the same, which a test holds equal
STALE_AFTER = timedelta(days=90)
KEY = ("provider", "instance", "region", "tier")
Words = Annotated[str, Field(min_length=1, max_length=500)]


class Price(Section):
    """What one instance costs."""

    provider: Words
    instance: Words
    region: Words | None
    gpus: int = Field(ge=1, le=1_024)  # rented as a whole
    gpu_type: Words
    usd_per_hour: float = Field(gt=0, le=1e6)
    tier: Literal["on_demand", "spot", "reserved", "planning"]
    source: Words
    observed_on: Day  # when it was read there
    note: Words | None = None  # what is not comparable

    @property
    def usd_per_gpu_hour(self) -> float:
        """With every GPU of the instance in use."""
        return self.usd_per_hour / self.gpus

    def is_stale(self, today: date) -> bool:
        """Whether nobody looked for more than 90 days."""
        return is_stale(self.observed_on, today)

    def usd(self, gpu_hours: float, *, gpus_per_task: int | None = None) -> float:
        """What these GPU-hours cost: on full instances, or with one array task of so many GPUs on each.

        >>> p4d = Price(provider="aws", instance="p4d", region=None, gpus=8, gpu_type="A100", usd_per_hour=24,
        ...             tier="on_demand", source="x", observed_on="2026-01-31")
        >>> p4d.usd(100), p4d.usd(100, gpus_per_task=4)
        (300.0, 600.0)
        """
        paid = 1.0 if gpus_per_task is None else -(-gpus_per_task // self.gpus) * self.gpus / gpus_per_task
        return gpu_hours * paid * self.usd_per_gpu_hour

    def remarks(self, today: date) -> list[str]:
        """What keeps it from being compared like for like."""
        found = [self.note] if self.note else []
        if self.gpus > 1:
            found.append(f"rented {plural(self.gpus, 'GPU')} at a time: full instances are assumed")
        if self.is_stale(today):
            found.append(f"stale: read on {self.observed_on}")
        return found


def is_stale(day: str, today: date) -> bool:
    """Whether what was read on that day was read more than 90 days ago, or after today.

    >>> is_stale("2026-01-01", date(2026, 4, 1)), is_stale("2026-01-01", date(2026, 4, 2))
    (False, True)
    """
    observed = date.fromisoformat(day)
    return observed > today or today - observed > STALE_AFTER


class PriceList(Section):
    """All prices of a file."""

    prices: list[Price] = Field(min_length=1)


def load_prices(project: Path) -> list[Price]:
    """The prices of the project, or those that come with the package.

    Raises:
        ConfigError: with all faults of the file.
    """
    own = project / FILE
    if own.exists():
        return read_section(own, PriceList, _doubles).prices
    with as_file(files("hpc_qa.budget") / PACKAGED) as path:
        return read_section(path, PriceList, _doubles).prices


def check_prices(project: Path) -> None:
    """Read the prices of the project where it has some: they may be wrong before anything is compared with them.

    Raises:
        ConfigError: with all faults of the file.
    """
    if (project / FILE).exists():
        load_prices(project)


def _doubles(file: YamlFile) -> Iterator[Fault]:
    """Prices of the same thing."""
    first: dict[tuple[object, ...], int | None] = {}
    rows = file.data.get("prices")
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        if not isinstance(row, dict) or not set(KEY) <= row.keys():
            continue
        path = ("prices", index)
        line = file.lines.get(path)
        what = tuple(str(row[name]) for name in KEY)
        if what in first:
            yield Fault(
                line, path, f"prices[{index}]: the same provider, instance, region and tier as in line {first[what]}"
            )
        else:
            first[what] = line
