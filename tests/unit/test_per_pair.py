"""What an accepted pair took in total: of the same runs that gave the pairs, and known also where no GPU was held."""

import functools
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hpc_qa.campaign.sync import sync_runs
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.store.files import write_json_once
from hpc_qa.store.merge import commit_shard
from hpc_qa.units import iso
from tests import made_campaign
from tests.made_campaign import EPOCH, Campaign
from tests.made_runs import attempt, planned_run, whole


def report(capsys: pytest.CaptureFixture[str], project: Path) -> dict:
    capsys.readouterr()
    hpc_qa(["--project", str(project), "budget", "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def two_campaigns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    made = Campaign(tmp_path)
    for name, first, last, nonce in (("one", 0, 8, "0001"), ("two", 8, 12, "0002")):
        planned = functools.partial(planned_run, campaign=name)
        monkeypatch.setattr(made_campaign, "planned_run", planned)
        made.done(first, last, name=name, nonce=nonce)
        made.now += 36_000
    made.sync()
    return made


def test_the_total_is_of_the_same_runs_above_and_below_the_line_in_every_quantity(two_campaigns, capsys):
    said = report(capsys, two_campaigns.project)
    total = said["per_accepted_pair"]
    assert total["pairs"] == sum(one["accepted"] for one in said["runs"]) == 24
    for name in ("gpu_hours", "wall_hours", "tokens"):
        whole_of_runs = sum(one["per_accepted_pair"][name] * one["accepted"] for one in said["runs"])
        assert total[name] * total["pairs"] == pytest.approx(whole_of_runs), name


def test_other_jobs_and_clusters_that_are_not_charged_are_in_no_total(two_campaigns, capsys):
    before = report(capsys, two_campaigns.project)["per_accepted_pair"]
    two_campaigns.rows.append(f"8000|8000|COMPLETED|36000|1|{EPOCH}|{EPOCH + 36000}|gres/gpu=8")
    two_campaigns.sync()
    assert report(capsys, two_campaigns.project)["per_accepted_pair"] == before
    path = two_campaigns.project / "sacct.txt"
    header, *rows = path.read_text().splitlines()
    rows = [f"{row}|{'near' if number < 2 else 'far'}" for number, row in enumerate(rows)]
    path.write_text("\n".join((f"{header}|Cluster", *rows)) + "\n")
    (two_campaigns.project / "ledger").rename(two_campaigns.project / "before")
    assert hpc_qa(["--project", str(two_campaigns.project), "ledger", "sync", "--sacct-file", str(path)]) == 0
    project = two_campaigns.project / "project.yaml"
    project.write_text(project.read_text() + "  clusters: [near]\n")
    said = report(capsys, two_campaigns.project)
    (near,) = [one for one in said["runs"] if one["run"].startswith("one-")]
    assert said["per_accepted_pair"]["pairs"] == near["accepted"] == 16
    assert said["per_accepted_pair"]["tokens"] == near["per_accepted_pair"]["tokens"]


def test_a_project_of_runs_on_cpus_alone_has_time_core_hours_and_tokens_in_total_as_in_each_run(tmp_path, capsys):
    run = planned_run(tmp_path, [["a"]], hardware={"cpu_cores": 4})
    made = attempt(run.shard(0), whole("a"))
    moments = [iso(datetime.fromtimestamp(EPOCH + at, UTC)) for at in (0, 1800)]
    write_json_once(made.attempt_json, {"started_at": moments[0], "host": "elsewhere"})
    write_json_once(made.path / "progress.json", {"at": moments[1], "computed_tokens": 220})
    assert commit_shard(run.shard(0), made.name, ["a"])
    sync_runs(tmp_path, [run])
    said = report(capsys, tmp_path)
    total, (row,) = said["per_accepted_pair"], said["runs"]
    assert total == row["per_accepted_pair"]
    assert (total["pairs"], total["wall_hours"], total["core_hours"], total["tokens"]) == (4, 0.125, 0.5, 55.0)
    hpc_qa(["--project", str(tmp_path), "budget", "--html", str(tmp_path / "page.html")])
    assert "per pair   0.125 wall hours, 0.5 core-hours, 55 tokens; accepted: 4" in capsys.readouterr().out
    assert '<data value="0.125">' in (tmp_path / "page.html").read_text()
