"""A campaign under a budget on a real cluster: a forecast after its first batch, refusals, and the score at its end."""

import json

import pytest

from hpc_qa import manifest
from tests.projects import call
from tests.real_slurm.runs import status_of, submitted, wait_for_end, wait_until

HOUR = '  time: "01:00:00"\n'

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def said(capsys, folder, *arguments: str, code: int = 0):
    """What a command prints as JSON."""
    capsys.readouterr()
    assert call(folder, *arguments, "--json") == code
    return json.loads(capsys.readouterr().out)


def test_a_run_that_does_not_fit_is_refused_and_a_forecast_is_scored_when_the_corpus_is_done(project, capsys):
    folder = project(documents=12, slurm=HOUR)
    corpus = manifest.read(folder / "m.jsonl", project=folder)
    for name, part in (("corpus", corpus), ("first", corpus[:6]), ("rest", corpus[6:])):
        manifest.write(folder / f"{name}.jsonl", part)
    (folder / "project.yaml").write_text("corpus: corpus.jsonl\nbudget: {gpu_hours: 3.5, clusters: [lab]}\n")

    first = submitted(folder, "--manifest", str(folder / "first.jsonl"))
    assert first.facts()["admission"]["verdict"] == "admitted"  # three array tasks of an hour on one GPU each
    waits = said(capsys, folder, "plan", str(folder / "config.yaml"), "--manifest", str(folder / "rest.jsonl"), code=4)
    assert waits["admission"]["liens"][0]["run"] == first.run_id
    wait_for_end(folder, first)
    wait_until(lambda: said(capsys, folder, "ledger", "sync")["read"] == 3, "accounting knows every array task")
    made = said(capsys, folder, "budget", "forecast")
    assert (made["documents_done"], made["documents_total"]) == (6, 12)
    assert 0 < made["p05"] <= made["p50"] <= made["p95"]

    small = ("--manifest", str(folder / "rest.jsonl"), "--budget-gpu-hours", str(made["spent_gpu_hours"] + 1e-4))
    refused = said(capsys, folder, "submit", str(folder / "config.yaml"), *small, code=4)
    assert (refused["job_ids"], refused["admission"]["verdict"]) == ([], "refused")
    rest = submitted(folder, *small, "--over-budget")
    assert rest.facts()["admission"]["over_budget"]
    wait_for_end(folder, rest)

    def ended() -> bool:
        assert call(folder, "ledger", "sync") == 0
        return {row["state"] for row in said(capsys, folder, "ledger", "show")} == {"COMPLETED"}

    wait_until(ended, "accounting knows how every array task ended")
    scored = said(capsys, folder, "budget", "backtest")
    (score,) = scored["forecasts"]
    assert score["since"]["documents"] == 6
    shown = said(capsys, folder, "budget", "--budget-gpu-hours", "3.5")
    assert (shown["status"], shown["forecast"]["documents_done"]) == ("within", 12)
    assert score["total"] == pytest.approx(shown["used"]["gpu_hours"])
    assert sum(one["gpu_hours"] for one in shown["stages"]) == pytest.approx(shown["used"]["gpu_hours"])
    unattributed = sum(one["gpu_hours"] for one in shown["stages"] if one["stage"] in ("unattributed", "not marked"))
    assert unattributed < 0.02 * shown["used"]["gpu_hours"]
    print(json.dumps(score))  # noqa: T201 - how good it was is of interest when something fails


def test_guard_takes_back_what_waits_and_would_cross_the_budget(project, capsys):
    folder = project(documents=6, slurm=HOUR + "  array_parallelism: 1\nplan:\n  shards: 3\n")
    run = submitted(folder)  # three array tasks of at most an hour, one at a time
    (folder / "project.yaml").write_text("budget: {gpu_hours: 1.5}\n")
    wait_until(lambda: status_of(folder, run)["shards"][0]["state"] == "running", "the first array task runs")
    found = said(capsys, folder, "budget", "guard", "--once", code=4)
    (drained,) = found["drained"]
    assert (drained["run"], drained["shards"], drained["running"]) == (run.run_id, [1, 2], False)
    now = wait_for_end(folder, run)
    assert [shard["state"] for shard in now["shards"]] == ["done", "interrupted", "interrupted"]
    assert "budget guard drained 2 shards" in now["notes"][-1]
    assert said(capsys, folder, "budget", "guard", "--once")["open_runs"] == 0
    refused = said(capsys, folder, "resume", run.run_id, code=4)
    assert refused["admission"]["basis"] == "worst case"
    assert call(folder, "resume", run.run_id, "--over-budget") == 0
    guarded = said(capsys, folder, "budget", "guard", "--once")
    assert (guarded["open_runs"], guarded["drained"]) == (1, [])
    assert "was started with --over-budget" in guarded["notes"][-1]
    wait_for_end(folder, run)
