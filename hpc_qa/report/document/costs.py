"""Cost estimates: on the campus and at cloud providers, best, expected and worst, and what the campus saves."""

from hpc_qa.budget.cost import CAMPUS, NOT_CHARGED, CostRow
from hpc_qa.report.document.markdown import chapter, number, table, to_be_filled, words
from hpc_qa.report.document.material import Material

SCENARIOS = (("Best Case (p05)", "p05", "best"), ("Expected Case (p50)", "p50", "expected"),
             ("Worst Case (p95)", "p95", "worst"))  # fmt: skip


def costs(material: Material) -> str:
    """Costs of the whole corpus by the forecast; without one, the prices alone cannot be applied to anything."""
    rows = material.budget.costs
    if not rows:
        return chapter(
            "Cost Estimates", to_be_filled("there is a forecast (hpc-qa ledger sync after a batch on the cluster)")
        )
    campus = next(row for row in rows if row.provider == CAMPUS)
    return chapter("Cost Estimates", _campus(campus, material), _cloud([row for row in rows if row is not campus]))


def _campus(row: CostRow, material: Material) -> str:
    found, total = material.budget.projection.forecast.to_json(), number(material.documents_total)
    scenarios = [
        [name, total, number(found[percentile]), _money(getattr(row, column), row) if row.per_gpu_hour else NOT_CHARGED]
        for name, percentile, column in SCENARIOS
    ]
    rate = f"{number(row.per_gpu_hour, digits=2)} {row.currency}/hour" if row.per_gpu_hour else NOT_CHARGED
    source = f" ({words(row.source)}, read on {words(row.observed_on)})" if row.source else ""
    headings = ["Scenario", "PDFs", "GPU-Hours", "Cost"]
    return chapter("Campus Cluster Costs", f"**GPU-Hour Rate**: {rate}{source}\n", table(headings, scenarios), level=3)


def _cloud(rows: list[CostRow]) -> str:
    lines = [
        [
            words(" ".join(part for part in (row.provider, row.instance, row.region, row.tier) if part)),
            words(row.gpu_type), number(row.per_gpu_hour, digits=2), _money(row.best, row), _money(row.expected, row),
            _money(row.worst, row), _money(row.savings, row), words(row.observed_on), words("; ".join(row.notes)),
        ]
        for row in sorted(rows, key=lambda one: (bool(one.stale), one.provider, one.per_gpu_hour or 0.0))
    ]  # fmt: skip
    headings = ["Provider", "GPU", "USD per GPU-hour", "Best", "Expected", "Worst", "Campus Cluster Savings", "Read on",
                "Not comparable because"]  # fmt: skip
    said = "Prices that nobody looked at for 90 days are called stale, and stand last.\n"
    return chapter("Commercial Cloud Alternatives", table(headings, lines), said, level=3)


def _money(value: float | None, row: CostRow) -> str:
    return number(value, row.currency, digits=0)
