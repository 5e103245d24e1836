"""The forecast of a project, from its ledger and its corpus."""

import json
from pathlib import Path

import pytest

from hpc_qa.budget.backtest import replay
from hpc_qa.budget.costs import DocumentCost, read_costs
from hpc_qa.campaign.kept_forecasts import keep, kept
from hpc_qa.campaign.measured import measured
from hpc_qa.campaign.projection import project_forecast
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.config_file import load_project
from tests.made_campaign import GPUS, LAUNCH_S, STARTUP_S, TEARDOWN_S, Campaign

BESIDE = GPUS * (LAUNCH_S + STARTUP_S + TEARDOWN_S) / 3600  # GPU-hours of an array task beside its work


def projection(project: Path):
    return project_forecast(project, load_project(project))


def test_work_is_divided_among_the_documents_of_a_shard_by_the_tokens_that_they_took(tmp_path):
    campaign = Campaign(tmp_path)
    run = campaign.run([campaign.names(0, 3)])
    work = campaign.work(run, 0, campaign.names(0, 3))
    campaign.sync()
    seen = measured(tmp_path)
    assert seen is not None
    costs = [one.gpu_hours for one in seen.documents.values()]
    assert sum(costs) == pytest.approx(work, rel=1e-3)
    tokens = list(campaign.tokens.values())
    assert costs[0] / costs[1] == pytest.approx(tokens[0] / tokens[1], rel=0.01)
    assert seen.attempts.startups == pytest.approx([BESIDE], rel=0.01)
    assert [one.accepted for one in seen.documents.values()] == [2, 2, 2]


def test_the_total_is_what_is_spent_and_the_rest_in_proportion_to_its_size_with_its_start_ups(tmp_path):
    campaign = Campaign(tmp_path)
    campaign.done(0, 20)
    campaign.sync()
    made = projection(tmp_path)
    found = made.forecast
    assert (found.documents_done, found.documents_total, found.tasks_done) == (20, 40, 5)
    used = made.inputs["used_gpu_hours"]
    assert found.spent_gpu_hours == pytest.approx(used)
    left = {cost.task_id for cost in made.costs if cost.gpu_hours is None}
    done = [cost for cost in made.costs if cost.gpu_hours is not None]
    rate = sum(cost.gpu_hours for cost in done) / sum(cost.size for cost in done)
    rest = rate * sum(cost.size for cost in made.costs if cost.gpu_hours is None)
    again = 0.5 / 6 * BESIDE  # no attempt of five was interrupted: half of one in six, each for a start-up
    assert found.p50 == pytest.approx(used + rest + len(left) * (BESIDE + again), rel=1e-3)
    assert found.p05 < found.p50 < found.p95
    assert found.qa_pairs["p50"] == pytest.approx(80, rel=0.5)
    assert found.wall_hours["p50"] > made.inputs["hours_held"] > 0
    assert found.status == "within"


def test_when_the_whole_corpus_is_done_the_total_is_what_was_charged(tmp_path):
    campaign = Campaign(tmp_path, 12)
    campaign.done(0, 12)
    campaign.sync()
    made = projection(tmp_path)
    assert made.forecast.p05 == made.forecast.p50 == made.forecast.p95 == pytest.approx(made.inputs["used_gpu_hours"])
    assert made.forecast.qa_pairs == {"p05": 24, "p50": 24, "p95": 24}


def test_interruptions_are_no_cost_of_documents_and_are_expected_again(tmp_path):
    calm, broken = (Campaign(tmp_path / name) for name in ("calm", "broken") if not (tmp_path / name).mkdir())
    for campaign in (calm, broken):
        run = campaign.run([campaign.names(0, 10)])
        if campaign is broken:
            campaign.work(run, 0, campaign.names(0, 10), commits=False)
        campaign.work(run, 0, campaign.names(0, 10))
        campaign.sync()
    seen = measured(broken.project)
    assert (len(seen.attempts.startups), len(seen.attempts.lost)) == (1, 1)
    costs = [next(iter(measured(one.project).documents.values())).gpu_hours for one in (calm, broken)]
    assert costs[0] == pytest.approx(costs[1], rel=1e-3)
    assert projection(broken.project).forecast.p50 > projection(calm.project).forecast.p50


def test_work_on_shards_that_are_not_done_is_expected_whole_and_not_counted_twice(tmp_path):
    campaign = Campaign(tmp_path)
    campaign.done(0, 20)
    campaign.sync()
    before = projection(tmp_path)
    run = campaign.run([campaign.names(20, 24)], nonce="0002")
    campaign.rows.append(
        f"9|{run.list_submissions()[0]['job_id']}_0|RUNNING|36000|{campaign.now}|{campaign.now}|Unknown|gres/gpu=4"
    )
    campaign.sync()
    after = projection(tmp_path)
    assert after.inputs["repeated_gpu_hours"] == pytest.approx(40)
    assert after.inputs["used_gpu_hours"] == pytest.approx(before.inputs["used_gpu_hours"] + 40)
    assert after.forecast.p50 == pytest.approx(before.forecast.p50)


def test_a_document_that_was_done_twice_counts_once_and_its_gpu_hours_twice(tmp_path):
    campaign = Campaign(tmp_path, 8)
    campaign.done(0, 8)
    campaign.sync()
    once = projection(tmp_path).forecast
    campaign.done(0, 4, nonce="0002")
    campaign.sync()
    twice = projection(tmp_path).forecast
    assert (twice.documents_done, twice.documents_total) == (8, 8)
    assert twice.p50 > once.p50


def test_a_corpus_of_which_only_the_number_is_known_is_taken_to_be_like_what_is_done(tmp_path):
    campaign = Campaign(tmp_path)
    campaign.done(0, 20)
    campaign.sync()
    (tmp_path / "project.yaml").write_text("budget: {gpu_hours: 100, corpus_documents: 100}\n")
    made = projection(tmp_path)
    assert made.forecast.documents_total == 100
    assert made.inputs["sizes_by"] == "count"
    assert made.forecast.p50 == pytest.approx(5 * made.inputs["used_gpu_hours"], rel=0.05)
    assert "taken to be as large" in made.notes[0]


def test_before_anything_is_done_or_without_a_corpus_it_says_what_is_missing(tmp_path, capsys):
    campaign = Campaign(tmp_path)
    assert hpc_qa(["--project", str(tmp_path), "budget", "forecast", "--json"]) == 5
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert (said["p50"], said["status"], said["documents_total"]) == (None, "undecided", 40)
    assert "no document of a run on Slurm is in the ledger yet" in captured.err
    campaign.done(0, 8)
    campaign.sync()
    (tmp_path / "project.yaml").write_text("budget: {gpu_hours: 100}\n")
    assert hpc_qa(["--project", str(tmp_path), "budget", "forecast"]) == 5
    assert "--corpus F" in capsys.readouterr().err
    assert hpc_qa(["--project", str(tmp_path), "budget", "forecast", "--corpus", str(tmp_path / "corpus.jsonl")]) == 0
    assert not kept(tmp_path)[1:]


def test_a_forecast_is_kept_once_with_the_table_that_it_was_made_of(tmp_path, capsys):
    campaign = Campaign(tmp_path)
    campaign.done(0, 20)
    campaign.sync()
    first, again = (keep(tmp_path, projection(tmp_path)) for _ in range(2))
    assert first == again
    (one,) = kept(tmp_path)
    assert len(read_costs(one.costs)) == 40
    assert one.content["inputs"]["runs"] == [run.name for run in sorted((tmp_path / "runs").iterdir())]
    (tmp_path / "projections" / "forecast-x.json").write_text("{")
    campaign.done(20, 24, nonce="0002")
    campaign.sync()
    assert hpc_qa(["--project", str(tmp_path), "budget", "forecast"]) == 0
    assert "24 of 40 documents" in capsys.readouterr().out
    assert len(kept(tmp_path)) == 2


def test_other_campaigns_say_nothing_of_costs_but_are_spent(tmp_path):
    campaign = Campaign(tmp_path)
    campaign.done(0, 8)
    campaign.rows.append(f"8000|8000|COMPLETED|36000|1|{campaign.now}|{campaign.now + 36000}|gres/gpu=1")
    campaign.sync()
    made = projection(tmp_path)
    assert made.forecast.spent_gpu_hours == pytest.approx(made.inputs["used_gpu_hours"])
    assert made.inputs["overhead_spent_gpu_hours"] == pytest.approx(10 + 2 * BESIDE, rel=0.02)


def test_a_forecast_is_scored_when_the_truth_is_known_and_drift_is_said_before(tmp_path, capsys):
    campaign = Campaign(tmp_path)
    campaign.done(0, 20, per_task=2)
    campaign.sync()
    assert hpc_qa(["--project", str(tmp_path), "budget", "forecast"]) == 0
    campaign.done(20, 30, nonce="0002")
    campaign.sync()
    capsys.readouterr()
    assert hpc_qa(["--project", str(tmp_path), "budget", "forecast", "--json"]) == 0
    since = json.loads(capsys.readouterr().out)["drift"]["since"]
    assert (since["documents"], since["inside"]) == (10, True)
    campaign.noise = {name: 5 * noise for name, noise in campaign.noise.items()}
    campaign.done(30, 40, nonce="0003")
    campaign.sync()
    capsys.readouterr()
    assert hpc_qa(["--project", str(tmp_path), "budget", "forecast"]) == 0
    assert "drift, do not rely on it" in capsys.readouterr().err
    assert hpc_qa(["--project", str(tmp_path), "budget", "backtest", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["replays"]["tasks"] == 16
    assert said["replays"]["kappa"] > 0
    assert [score["total"] is not None for score in said["forecasts"]] == [True, True, True]
    assert [score["inside"] for score in said["forecasts"]][-1]
    assert hpc_qa(["--project", str(tmp_path), "budget", "backtest"]) == 0
    assert "the total is" in capsys.readouterr().out


def test_a_backtest_of_too_little_is_undecided_and_damaged_or_foreign_forecasts_are_named(tmp_path, capsys):
    campaign = Campaign(tmp_path)
    campaign.done(0, 8)
    campaign.sync()
    assert hpc_qa(["--project", str(tmp_path), "budget", "backtest"]) == 5
    assert "replays need 8 array tasks that are done, there are 2" in capsys.readouterr().err
    keep(tmp_path, projection(tmp_path))
    (one,) = kept(tmp_path)
    one.costs.write_text("nothing\n")
    changed = one.content | {"inputs": one.content["inputs"] | {"corpus_sha256": "other"}}
    one.path.with_name("forecast-20200101T000000.000Z.json").write_text(json.dumps(changed))
    one.path.with_name("forecast-20210101T000000.000Z.json").write_text('{"made_at": 1}')
    assert hpc_qa(["--project", str(tmp_path), "budget", "backtest"]) == 5
    said = capsys.readouterr().err
    assert "of another corpus" in said
    assert said.count("damaged, so that it is not scored") == 2


def test_a_backtest_in_which_no_forecast_can_be_scored_yet_is_undecided(tmp_path, capsys):
    campaign = Campaign(tmp_path)
    campaign.done(0, 8)
    campaign.sync()
    keep(tmp_path, projection(tmp_path))
    assert hpc_qa(["--project", str(tmp_path), "budget", "backtest"]) == 5
    assert "nothing was done since the forecasts were made" in capsys.readouterr().err
    campaign.done(8, 12, nonce="0002")
    campaign.sync()
    assert hpc_qa(["--project", str(tmp_path), "budget", "backtest"]) == 0


def test_replays_of_costs_that_follow_their_sizes_hold_as_often_as_they_say():
    costs = [DocumentCost(f"d{n}", 1.0 + n % 5, f"t{n // 4}", (1.0 + n % 5) * (1 + 0.1 * (-1) ** n)) for n in range(80)]
    found = replay(costs)
    assert found.coverage >= 0.85
    assert found.median_error < 0.1
    assert replay(costs[:8]) is None
