"""What GPU-hours and pairs cost: on the campus, elsewhere, and for each accepted pair. Numbers in, numbers out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from hpc_qa.budget.prices import Price, is_stale
from hpc_qa.config import Charging

USD = "USD"
CAMPUS = "campus"
NOT_CHARGED = "not charged directly"
QUANTITIES = {
    "gpu_hours": "GPU-hours", "energy_kwh": "kWh", "money": "", "wall_hours": "wall hours", "core_hours": "core-hours",
    "tokens": "tokens",
}  # fmt: skip
ON_CPUS = ("wall_hours", "core_hours", "tokens")


@dataclass(frozen=True, slots=True)
class PerPair:
    """What one accepted pair took; None where the quantity is not known, and all of it where no pair was accepted."""

    pairs: int
    gpu_hours: float | None
    energy_kwh: float | None
    money: float | None
    wall_hours: float | None
    core_hours: float | None
    tokens: float | None
    currency: str
    on_gpus: bool
    note: str | None  # why there is nothing to say

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For people; a run without a GPU shows time, core-hours and tokens."""
        if self.note:
            return [f"{'per pair':<11}{self.note}"]
        return [f"{'per pair':<11}{self.words()}; accepted: {self.pairs:,}"]

    def words(self) -> str:
        """What one took, in words; empty where no pair was accepted."""
        if self.note:
            return ""
        words = QUANTITIES | {"money": self.currency}
        shown = [name for name in words if self.on_gpus or name in ON_CPUS]
        values = [f"{_shown(getattr(self, name))} {words[name]}" for name in shown if getattr(self, name) is not None]
        return ", ".join(values) or "nothing is known"


def per_accepted_pair(
    *,
    gpu_hours: float | None,
    energy_kwh: float | None,
    money: float | None,
    wall_hours: float | None,
    core_hours: float | None,
    tokens: float | None,
    pairs: int,
    currency: str = USD,
) -> PerPair:
    """What every accepted pair took of it all, attempts that failed and start-ups included.

    >>> per_accepted_pair(gpu_hours=3.0, energy_kwh=None, money=6.0, wall_hours=1.5, core_hours=12.0, tokens=90_000,
    ...                   pairs=300).lines()
    ['per pair   0.01 GPU-hours, 0.02 USD, 0.005 wall hours, 0.04 core-hours, 300 tokens; accepted: 300']
    """
    whole = {
        "gpu_hours": gpu_hours, "energy_kwh": energy_kwh, "money": money, "wall_hours": wall_hours,
        "core_hours": core_hours, "tokens": tokens,
    }  # fmt: skip
    each = {name: None if value is None or not pairs else value / pairs for name, value in whole.items()}
    return PerPair(
        pairs=pairs,
        **each,
        currency=currency,
        on_gpus=gpu_hours != 0,
        note=None if pairs else "no pair was accepted, so nothing can be said for each",
    )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class CostRow:
    """What the forecast comes to in one place; None where it is not known, or not charged."""

    provider: str
    instance: str | None
    region: str | None
    gpu_type: str | None
    tier: str | None
    currency: str
    per_gpu_hour: float | None
    best: float | None  # at the 5th percentile of the forecast
    expected: float | None  # at its median
    worst: float | None  # at its 95th
    unpacked: float | None  # as expected, elsewhere, with one array task on each instance
    savings: float | None  # of the campus against it, at the median
    stale: bool | None  # None: there is no price
    observed_on: str | None
    source: str | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"notes": list(self.notes)}

    def line(self) -> str:
        """For people."""
        name = " ".join(part for part in (self.provider, self.instance, self.region) if part)
        if self.per_gpu_hour is None:
            return f"{name}: {'; '.join(self.notes)}"
        rate = f"{self.per_gpu_hour:,.2f} {self.currency} a GPU-hour"
        spread = (self.best, self.expected, self.worst)
        costs = "" if None in spread else ", " + " / ".join(f"{value:,.0f}" for value in spread)
        saved = "" if self.savings is None else f", saves {self.savings:,.0f}"
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{name}: {rate}{costs}{saved}{notes}"


def cost_table(
    forecast: Mapping[str, float | None],
    site_rate: Charging | None,
    prices: Sequence[Price],
    today: date,
    *,
    charged_share: float = 1.0,
    gpus_per_task: int | None = None,
) -> list[CostRow]:
    """Best, expected and worst cost on the campus, first, and at every price.

    `forecast` has GPU-hours under `p05`, `p50` and `p95`; `charged_share` is what the site charges for each that is
    allocated; `gpus_per_task` are the GPUs of an array task.
    """
    hours = [forecast.get(name) for name in ("p05", "p50", "p95")]
    campus = _campus(hours, site_rate or Charging(), today, charged_share)
    return [campus, *(_elsewhere(hours, price, campus, today, gpus_per_task) for price in prices)]


def _campus(hours: Sequence[float | None], rate: Charging, today: date, share: float) -> CostRow:
    each, read = rate.rate_per_gpu_hour, rate.rate_date
    best, expected, worst = (None if each is None or value is None else value * share * each for value in hours)
    notes = [NOT_CHARGED] if each is None else []
    if each is not None and share != 1:
        notes.append(f"{share:.3g} GPU-hours are charged for each that is allocated")
    stale = None
    if read is not None and each is not None:
        stale = is_stale(read, today)
        notes += [f"stale: read on {read}"] * stale
    return CostRow(
        CAMPUS, None, None, None, None, rate.currency, each, best, expected, worst, None, None, stale, read,
        rate.rate_source, tuple(notes),
    )  # fmt: skip


def _elsewhere(
    hours: Sequence[float | None], price: Price, campus: CostRow, today: date, gpus_per_task: int | None
) -> CostRow:
    best, expected, worst = (None if value is None else price.usd(value) for value in hours)
    unpacked = None if hours[1] is None or gpus_per_task is None else price.usd(hours[1], gpus_per_task=gpus_per_task)
    notes = price.remarks(today)
    if expected is not None and unpacked is not None and unpacked > expected * (1 + 1e-9):
        notes.append(f"{unpacked / expected:.3g} times as much with one array task on each instance")
    comparable = campus.per_gpu_hour is None or campus.currency == USD
    if not comparable:
        notes.append(f"no savings: the campus rate is in {campus.currency}")
    savings = None if expected is None or not comparable else expected - (campus.expected or 0.0)
    return CostRow(
        price.provider, price.instance, price.region, price.gpu_type, price.tier, USD, price.usd_per_gpu_hour, best,
        expected, worst, unpacked, savings, price.is_stale(today), price.observed_on, price.source, tuple(notes),
    )  # fmt: skip


def cheapest(rows: Sequence[CostRow]) -> list[CostRow]:
    """The campus, and of each provider the lowest price, of cards with 80 GB where it has them.

    Of a provider whose prices are all stale a stale one: it is shown as such, and not left out.
    """
    shown = [row for row in rows if row.provider == CAMPUS]
    elsewhere = [row for row in rows if row.provider != CAMPUS and row.per_gpu_hour is not None]
    for provider in dict.fromkeys(row.provider for row in elsewhere):
        every = [row for row in elsewhere if row.provider == provider]
        those = [row for row in every if not row.stale] or every
        large = [row for row in those if "80 GB" in (row.gpu_type or "")]
        shown.append(min(large or those, key=lambda row: row.per_gpu_hour or 0.0))
    return shown
