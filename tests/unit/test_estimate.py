"""Demand of documents, and seconds from measured attempts or the config's word."""

import json
from pathlib import Path

from hpc_qa.campaign import estimate
from hpc_qa.campaign.schedule import Pace
from hpc_qa.config import Controls, Plan, Qa, Regenerate, RoundTrip


def test_a_cap_per_document_bounds_the_pairs_and_the_chunks_that_are_sent() -> None:
    qa = Qa(questions_per_chunk=5, max_pairs_per_document=5)
    capped, every = estimate.demand(100, 100_000, qa), estimate.demand(100, 100_000, qa, every_chunk=True)
    assert capped.pairs == 5
    assert every.pairs == 500
    assert capped.tokens < every.tokens


def test_a_run_without_a_judge_sends_half_of_the_extractive_requests() -> None:
    extractive = Qa(answer_style="extractive", controls=Controls(share=0))
    with_judge = estimate.demand(10, 1_000, extractive)
    without = estimate.demand(10, 1_000, extractive.model_copy(update={"judge": False}))
    assert with_judge.requests == 2 * without.requests


def test_round_trips_repeats_controls_and_what_is_asked_again_are_predicted() -> None:
    plain = {"questions_per_chunk": 5, "controls": Controls(share=0)}
    least = estimate.demand(10, 10_000, Qa(**plain))
    assert least.requests == 10 + 50
    added = {
        "round_trip": (RoundTrip(enabled=True), 50),
        "controls": (Controls(share=0.1), 5),
        "judge_repeats": (3, 30),  # three of ten pairs are close, each is judged twice more
        "regenerate": (Regenerate(attempts=1), 3 + 15),  # three of ten pairs once more, and their judgements
    }
    for name, (setting, more) in added.items():
        found = estimate.demand(10, 10_000, Qa(**plain | {name: setting}))
        assert found.requests == least.requests + more, name
        assert found.tokens > least.tokens
        assert found.pairs == least.pairs


def test_no_measured_run_gives_no_hours() -> None:
    interval = estimate.shard_seconds(10_000, [])
    assert (interval.p10, interval.p50, interval.p90) == (None, None, None)
    assert estimate.middle([]) is None


def test_one_measured_run_gives_a_middle_but_no_interval() -> None:
    interval = estimate.shard_seconds(10_000, [Pace(startup_s=60, tokens_per_s=100)])
    assert interval.p50 == 160
    assert interval.p10 is None


def test_the_pace_of_several_runs_is_the_median_of_each_figure() -> None:
    assert estimate.middle([Pace(60, 300), Pace(90, 100), Pace(600, 200)]) == Pace(90, 200)


def test_the_config_says_a_pace_only_when_it_says_both_figures() -> None:
    assert estimate.configured(Plan(startup="00:10:00", tokens_per_s=50.0)) == [Pace(600, 50)]
    assert estimate.configured(Plan(startup="00:10:00")) == []
    assert estimate.configured(Plan(tokens_per_s=50.0)) == []


def test_only_attempts_with_the_same_model_and_gpus_count(tmp_path: Path) -> None:
    attempt = tmp_path / "shards" / "0000" / "1_0_r0_00000000"
    attempt.mkdir(parents=True)
    summary = {"model": "m", "gpus_per_server": 0, "predicted_tokens": 1_000, "serving_s": 10.0, "startup_s": 30.0}
    (attempt / "summary.json").write_text(json.dumps(summary))
    assert estimate.measured_attempts([tmp_path], model="m", gpus_per_server=0) == [Pace(30.0, 100.0)]
    assert estimate.measured_attempts([tmp_path], model="m", gpus_per_server=2) == []
    assert estimate.measured_attempts([tmp_path], model="other", gpus_per_server=0) == []


def test_a_half_written_summary_measures_nothing(tmp_path: Path) -> None:
    attempt = tmp_path / "shards" / "0000" / "1_0_r0_00000000"
    attempt.mkdir(parents=True)
    (attempt / "summary.json").write_text('{"model": "m", "gpus')
    assert estimate.measured_attempts([tmp_path], model="m", gpus_per_server=0) == []
