"""Whole runs that are killed with SIGKILL at seeded moments: what is left, what is lost, what is computed again."""

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.kills import MOMENTS, Outcome, Undisturbed, new_chain, run_chains, table, undisturbed

SEED = 20


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Undisturbed:
    with new_chain(tmp_path_factory.mktemp("undisturbed"), model_folder) as chain:
        return undisturbed(chain)


def _struck(outcomes: list[Outcome]) -> Counter[str]:
    """Kills by what the files say was going on; a flush and a commit are told by the moment that was waited for."""
    return Counter(strike.stage for outcome in outcomes for strike in outcome.strikes)


@pytest.mark.timeout(1200)
def test_twenty_kills_cost_time_and_nothing_else(
    tmp_path: Path, model_folder: Path, reference: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    outcomes = run_chains(tmp_path, model_folder, reference, seed=SEED, kills=20, per_chain=4, at_once=2)
    with capsys.disabled():
        sys.stdout.write(f"\n{table(outcomes)}\n{time.monotonic() - began:.0f} s\n")
    strikes = [strike for outcome in outcomes for strike in outcome.strikes]
    assert len(strikes) == 20
    assert sum(strike.unfinished for strike in strikes) >= 15
    assert {strike.moment for strike in strikes} == set(MOMENTS)
    assert sum(strike.target == "worker" for strike in strikes) == 10
    assert len(_struck(outcomes)) >= 5
    assert sum(outcome.requests for outcome in outcomes) <= sum(outcome.asked for outcome in outcomes)


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm", "processes.py")
@pytest.mark.timeout(3600)
def test_two_hundred_kills_cost_time_and_nothing_else(
    tmp_path: Path, model_folder: Path, reference: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    outcomes = run_chains(tmp_path, model_folder, reference, seed=SEED + 1, kills=200, per_chain=10, at_once=2)
    with capsys.disabled():
        sys.stdout.write(f"\n{table(outcomes)}\n{time.monotonic() - began:.0f} s\n")
    strikes = [strike for outcome in outcomes for strike in outcome.strikes]
    assert len(strikes) == 200
    assert sum(strike.unfinished for strike in strikes) >= 150
    assert {strike.moment for strike in strikes} == set(MOMENTS)
    assert sum(outcome.requests for outcome in outcomes) <= sum(outcome.asked for outcome in outcomes)
