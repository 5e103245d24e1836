"""The ledger over time: a curve that ends at what was charged, and histograms of efficiency that leave nothing out."""

from datetime import UTC, datetime

import numpy as np
import pytest

from hpc_qa.budget.charging import Charging
from hpc_qa.campaign.sync import sync_file
from hpc_qa.config import Site
from hpc_qa.ledger.history import MOMENTS, cumulative, history
from hpc_qa.ledger.usage import usage
from tests.made_budget import made_budget

ROWS = """\
JobIDRaw|JobID|Cluster|State|ElapsedRaw|Submit|Start|End|NNodes|AllocTRES
1|1|a100|COMPLETED|3600|100|200|3800|1|gres/gpu=4
2|2|a100|FAILED|1800|100|2000|3800|1|gres/gpu=4
3|3|other|COMPLETED|3600|100|200|3800|1|gres/gpu=8
4|4|a100|COMPLETED|3600|100|200|3800|1|
5|5|a100|RUNNING|900|100|3800|Unknown|1|gres/gpu=4
6|6|a100|COMPLETED|3600|100|Unknown|Unknown|1|gres/gpu=1
"""


def test_the_curve_is_what_every_attempt_had_used_by_then():
    draw = np.random.default_rng(5)
    start = 1.79e9 + draw.uniform(0, 1e6, 500)
    end = start + draw.exponential(40_000, 500)
    hours = draw.exponential(10, 500)
    start[::7] = np.nan  # of these the end alone is known
    moments, until, undated = cumulative(start, end, hours)
    spread = np.nan_to_num((moments[:, None] - start) / (end - start)).clip(0, 1)
    step = (moments[:, None] >= end) & np.isnan(start)
    assert until == pytest.approx((np.where(np.isnan(start), step, spread) * hours).sum(axis=1), abs=1e-6)
    assert (until[-1], undated) == (hours.sum(), 0)
    assert (np.diff(until) >= 0).all()
    assert len(moments) == MOMENTS


def test_the_curve_ends_at_what_is_charged_and_what_has_no_time_counts_from_the_beginning(tmp_path):
    (tmp_path / "sacct.txt").write_text(ROWS)
    sync_file(tmp_path, tmp_path / "sacct.txt")
    found = history(tmp_path)
    assert found.charged[-1] == pytest.approx(usage(tmp_path).charged.gpu_hours) == pytest.approx(4 + 2 + 8 + 1 + 1)
    assert (found.undated, found.charged[0]) == (1.0, 1.0)
    assert (found.times_s[0], found.times_s[-1]) == (200.0, 4700.0)  # what still runs is known up to then
    assert found.now_s == pytest.approx(datetime.now(UTC).timestamp(), abs=600)
    assert history(tmp_path, ["other"]).charged[-1] == 8.0
    twice = Site.model_validate({"name": "x", "charging": Charging(factor=2)})
    assert history(tmp_path, ["other"], twice).charged[-1] == 16.0


def test_an_empty_ledger_has_no_history(tmp_path):
    found = history(tmp_path)
    assert (found.times_s, found.charged, found.captured_at) == ((), (), None)
    assert found.efficiencies == {"cpu_efficiency": {}, "memory_efficiency": {}, "gpu_utilization": {}}


def test_histograms_hold_the_hours_of_every_attempt_whose_efficiency_is_known(tmp_path):
    report, found = made_budget(tmp_path)
    hours = {row["state"]: row["gpu_hours"] for row in report["states"]}
    assert {state: sum(bins) for state, bins in found.efficiencies["gpu_utilization"].items()} == pytest.approx(hours)
    core_hours = {state: 8 * spent for state, spent in hours.items()}  # 32 CPUs beside 4 GPUs
    assert {state: sum(bins) for state, bins in found.efficiencies["cpu_efficiency"].items()} == pytest.approx(
        core_hours
    )
