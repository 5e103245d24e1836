"""Prices and costs: strict reading, stale after 90 days, best to worst, and what is not comparable."""

from datetime import date
from pathlib import Path

import pytest

from hpc_qa.budget.cost import cost_table, per_accepted_pair
from hpc_qa.budget.prices import Price, load_prices
from hpc_qa.config import Charging
from hpc_qa.errors import ConfigError

TODAY = date(2026, 11, 23)
FORECAST = {"p05": 800.0, "p50": 1000.0, "p95": 1300.0}
ROW = """\
  - provider: aws
    instance: p4d.24xlarge
    region: us-east-1
    gpus: 8
    gpu_type: A100 SXM 40 GB
    usd_per_hour: 24.0
    tier: on_demand
    source: a catalogue
    observed_on: "2026-11-22"
    note: cards of 40 GB
"""


def project_with(folder: Path, *rows: str) -> Path:
    (folder / "configs").mkdir()
    (folder / "configs" / "prices.yaml").write_text("prices:\n" + "".join(rows))
    return folder


def price_of(folder: Path, row: str = ROW) -> Price:
    (price,) = load_prices(project_with(folder, row))
    return price


def test_without_a_file_of_its_own_a_project_has_the_prices_of_the_package(tmp_path):
    prices = load_prices(tmp_path)
    each = {(one.instance, one.region): one.usd_per_gpu_hour for one in prices if one.tier == "on_demand"}
    assert each["p4d.24xlarge", "us-east-1"] == pytest.approx(2.745, abs=5e-4)
    assert each["p4de.24xlarge", "us-east-1"] == pytest.approx(3.431, abs=5e-4)
    assert each["NC96ads_A100_v4", "southcentralus"] == pytest.approx(4.41, abs=5e-3)
    planning = {one.provider: one for one in prices if one.tier == "planning"}
    assert planning["aws"].usd_per_gpu_hour == 4.0
    assert (planning["gcp"].usd_per_gpu_hour, planning["azure"].usd_per_gpu_hour) == (3.67, 3.06)
    assert all(one.is_stale(TODAY) for one in planning.values())
    assert not any(one.is_stale(TODAY) for one in prices if one.tier != "planning")


def test_cards_that_are_not_those_of_the_campus_say_so(tmp_path):
    for one in load_prices(tmp_path):
        assert one.gpu_type == "A100 SXM 80 GB" or one.note
        assert "40 GB" not in one.gpu_type or "40 GB" in (one.note or "")


def test_all_faults_come_at_once_each_with_its_line(tmp_path):
    undated, unsourced = (
        ROW.replace('    observed_on: "2026-11-22"\n', ""),
        ROW.replace("    source: a catalogue\n", ""),
    )
    rows = [
        ROW,
        undated.replace("us-east-1", "a"),
        unsourced.replace("us-east-1", "b"),
        ROW.replace("24.0", "0").replace("us-east-1", "c"),
        ROW.replace("usd_per_hour", "usd_per_hr").replace("us-east-1", "d"),
        ROW.replace('"2026-11-22"', '"22.11.2026"').replace("us-east-1", "e"),
        ROW,
    ]
    with pytest.raises(ConfigError) as caught:
        load_prices(project_with(tmp_path, *rows))
    faults = "\n".join(caught.value.faults)
    for said in (
        "prices[1].observed_on is missing", "prices[2].source is missing",
        "prices[3].usd_per_hour must be more than 0.0, not 0", "usd_per_hr is not a setting; did you mean",
        "prices[5].observed_on: '22.11.2026' is not a day", "tier as in line 2",
    ):  # fmt: skip
        assert said in faults
    assert all(fault.startswith(f"{tmp_path / 'configs' / 'prices.yaml'}:") for fault in caught.value.faults)


@pytest.mark.parametrize("text", ["", "prices: []\n", "prices: no\n", "prices:\n  - {}\n", "other: 1\n"])
def test_a_file_without_prices_is_a_fault_and_not_an_empty_table(tmp_path, text):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "prices.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_prices(tmp_path)


@pytest.mark.parametrize(
    ("day", "stale"), [("2026-11-23", False), ("2026-08-25", False), ("2026-08-24", True), ("2026-11-24", True)]
)
def test_a_price_is_stale_after_90_days_and_one_of_tomorrow_is_not_trusted(tmp_path, day, stale):
    price = price_of(tmp_path, ROW.replace("2026-11-22", day))
    assert price.is_stale(TODAY) is stale
    assert any(day in remark for remark in price.remarks(TODAY)) is stale


def test_best_expected_and_worst_are_the_percentiles_of_the_forecast(tmp_path):
    rate = Charging(rate_per_gpu_hour=1.5, rate_source="a page", rate_date="2026-10-01")
    campus, cloud = cost_table(FORECAST, rate, [price_of(tmp_path)], TODAY, charged_share=2.0, gpus_per_task=4)
    assert (campus.best, campus.expected, campus.worst) == (2400.0, 3000.0, 3900.0)
    assert (cloud.best, cloud.expected, cloud.worst, cloud.unpacked) == (2400.0, 3000.0, 3900.0, 6000.0)
    assert (cloud.savings, cloud.stale, campus.stale) == (0.0, False, False)
    assert cloud.notes == (
        "cards of 40 GB", "rented 8 GPUs at a time: full instances are assumed",
        "2 times as much with one array task on each instance",
    )  # fmt: skip
    assert "2,400 / 3,000 / 3,900" in cloud.line()


def test_where_the_campus_charges_nothing_all_of_the_price_is_saved(tmp_path):
    campus, cloud = cost_table(FORECAST, None, [price_of(tmp_path)], TODAY)
    assert (campus.per_gpu_hour, campus.expected, cloud.savings) == (None, None, 3000.0)
    assert campus.line() == "campus: not charged directly"


def test_rates_in_another_currency_are_not_subtracted(tmp_path):
    rate = Charging(rate_per_gpu_hour=1.5, currency="EUR", rate_source="a page", rate_date="2026-10-01")
    _, cloud = cost_table(FORECAST, rate, [price_of(tmp_path)], TODAY)
    assert cloud.savings is None
    assert "no savings: the campus rate is in EUR" in cloud.notes


def test_without_a_forecast_there_are_prices_and_no_costs(tmp_path):
    rate = Charging(rate_per_gpu_hour=1.5, rate_source="a page", rate_date="2026-10-01")
    for row in cost_table({"p05": None, "p50": None, "p95": None}, rate, [price_of(tmp_path)], TODAY):
        assert (row.best, row.expected, row.worst, row.savings) == (None, None, None, None)
        assert row.per_gpu_hour is not None
        assert row.to_json()["notes"] is not None


def test_a_run_without_a_gpu_shows_time_core_hours_and_tokens():
    per_pair = per_accepted_pair(
        gpu_hours=0.0, energy_kwh=None, money=0.0, wall_hours=2.0, core_hours=8.0, tokens=5_000, pairs=100
    )
    assert per_pair.lines() == ["per pair   0.02 wall hours, 0.08 core-hours, 50 tokens; accepted: 100"]
    assert (per_pair.to_json()["energy_kwh"], per_pair.to_json()["wall_hours"]) == (None, 0.02)


def test_where_no_pair_was_accepted_nothing_is_said_for_each():
    per_pair = per_accepted_pair(
        gpu_hours=9.0, energy_kwh=1.0, money=2.0, wall_hours=2.0, core_hours=8.0, tokens=5_000, pairs=0
    )
    assert {per_pair.gpu_hours, per_pair.energy_kwh, per_pair.money, per_pair.tokens} == {None}
    assert per_pair.lines() == ["per pair   no pair was accepted, so nothing can be said for each"]
