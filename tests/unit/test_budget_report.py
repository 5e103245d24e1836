"""What `budget` shows beside what was used: batches, what a pair took, remedies, costs, the site's rule."""

import json
from pathlib import Path

import pytest

from hpc_qa.cli.main import run as hpc_qa
from tests.made_campaign import GPUS, Campaign
from tests.made_runs import finished_run

NODE = "name: here\ngpu: {per_node: 8}\ncharging: {unit: node, factor: 0.5}\n"


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """Twenty of forty documents are done, in two runs."""
    made = Campaign(tmp_path)
    made.done(0, 12)
    made.done(12, 20, nonce="0002")
    made.sync()
    return made


def report(capsys: pytest.CaptureFixture[str], campaign: Campaign, *options: str):
    """(what it prints as JSON, its exit code)"""
    capsys.readouterr()
    code = hpc_qa(["--project", str(campaign.project), "budget", "--json", *options])
    return json.loads(capsys.readouterr().out), code


def test_the_status_is_that_of_the_forecast(campaign, capsys):
    said, code = report(capsys, campaign)
    assert (said["status"], code) == ("within", 0)
    assert said["forecast"]["documents_done"] == 20
    said, code = report(capsys, campaign, "--budget-gpu-hours", "20")
    assert (said["status"], code) == ("over", 4)
    assert said["left"] == pytest.approx(20 - said["used"]["gpu_hours"])


def test_what_is_over_says_by_how_much_which_settings_save_how_much_and_how_large_an_extension_is(campaign, capsys):
    assert report(capsys, campaign)[0]["remedies"] is None
    said, _ = report(capsys, campaign, "--budget-gpu-hours", "30")
    found, forecast = said["remedies"], said["forecast"]
    assert found["over_by_p50"] == pytest.approx(forecast["p50"] - 30)
    assert found["extension"] == pytest.approx(forecast["p95"] - 30)
    saved = {one["setting"]: one for one in found["savings"]}
    assert saved["qa.max_pairs_per_document: 5"]["gpu_hours"] > saved["qa.max_pairs_per_document: 50"]["gpu_hours"] > 0
    assert 0 < saved["qa.judge: false"]["gpu_hours"] < forecast["p50"] - said["used"]["gpu_hours"]
    assert saved["qa.judge: false"]["enough"] == (saved["qa.judge: false"]["gpu_hours"] >= found["over_by_p50"])
    assert hpc_qa(["--project", str(campaign.project), "budget", "--budget-gpu-hours", "30"]) == 4
    assert "an extension of" in capsys.readouterr().out


def test_batches_sum_to_what_is_allocated_and_runs_of_this_machine_leave_the_budget_as_it_is(campaign, capsys):
    finished_run(campaign.project, [["a"]], executor="local", name="here")
    campaign.rows.append(f"8000|8000|COMPLETED|3600|1|{campaign.now}|{campaign.now + 3600}|gres/gpu=1")
    campaign.sync()
    said, _ = report(capsys, campaign)
    ours, other = said["batches"]
    assert (len(ours["runs"]), ours["documents"], other["batch"], other["gpu_hours"]) == (
        2, 20, "other jobs", pytest.approx(1.0),
    )  # fmt: skip
    assert other["cumulative"] == pytest.approx(said["allocated"]["gpu_hours"])
    assert other["remaining"] == pytest.approx(100 - said["used"]["gpu_hours"])


def test_an_accepted_pair_took_its_share_of_everything_and_what_is_not_known_is_null(campaign, capsys):
    said, _ = report(capsys, campaign)
    each = said["per_accepted_pair"]
    assert each["pairs"] == 40
    assert each["gpu_hours"] == pytest.approx(said["allocated"]["gpu_hours"] / 40)
    assert (each["money"], each["energy_kwh"], each["core_hours"]) == (None, None, None)
    assert said["energy_kwh"] is None


def test_a_site_that_charges_whole_nodes_is_followed_in_what_is_used_forecast_and_admitted(campaign, capsys):
    plain, _ = report(capsys, campaign)
    (campaign.project / "site.yaml").write_text(NODE)
    project = campaign.project / "project.yaml"
    project.write_text(project.read_text() + "site: site.yaml\n")
    campaign.rows = [row + "|1" for row in campaign.rows]
    with_nodes = "JobIDRaw|JobID|State|ElapsedRaw|Submit|Start|End|AllocTRES|NNodes\n"
    (campaign.project / "sacct.txt").write_text(with_nodes + "".join(f"{row}\n" for row in campaign.rows))
    assert hpc_qa(["--project", str(campaign.project), "ledger", "sync", "--sacct-file",
                   str(campaign.project / "sacct.txt")]) == 0  # fmt: skip
    said, _ = report(capsys, campaign)
    factor = 8 * 0.5 / GPUS
    assert said["used"]["gpu_hours"] == pytest.approx(factor * plain["used"]["gpu_hours"])
    assert said["allocated"]["gpu_hours"] == pytest.approx(plain["used"]["gpu_hours"])
    assert said["forecast"]["p50"] == pytest.approx(factor * plain["forecast"]["p50"])
    assert said["reconciliation"]["gpu_hours_charged"] == pytest.approx(said["used"]["gpu_hours"])


def test_costs_have_the_campus_first_and_every_price_and_the_short_table_says_that_there_are_more(campaign, capsys):
    said, _ = report(capsys, campaign)
    assert said["costs"][0]["provider"] == "campus"
    assert all(row["best"] < row["expected"] < row["worst"] for row in said["costs"][1:])
    assert hpc_qa(["--project", str(campaign.project), "budget"]) == 0
    assert "; --json and --html have all" in capsys.readouterr().out


def prices(campaign: Campaign, *days: str) -> None:
    """Prices of the project, one of a provider each, that were read on these days."""
    path = campaign.project / "configs" / "prices.yaml"
    path.parent.mkdir(exist_ok=True)
    rows = [
        f"- {{provider: p{number}, instance: i, region: null, gpus: 1, gpu_type: A100, usd_per_hour: 2, "
        f"tier: on_demand, source: a page, observed_on: {json.dumps(day)}}}\n"
        for number, day in enumerate(days)
    ]
    path.write_text("prices:\n" + "".join(rows))


def test_prices_that_are_all_stale_are_shown_as_stale_and_not_dropped(campaign, capsys):
    prices(campaign, "2020-01-31", "2020-02-01")
    assert hpc_qa(["--project", str(campaign.project), "budget"]) == 0
    said = capsys.readouterr().out
    assert "p0" in said
    assert "p1" in said
    assert "2020-01-31, stale" in said
    assert "2020-02-01, stale" in said


def test_stale_prices_that_are_left_for_the_page_are_counted(campaign, capsys):
    assert hpc_qa(["--project", str(campaign.project), "budget"]) == 0
    assert "of them stale; --json and --html have all" in capsys.readouterr().out


def test_wrong_prices_are_refused_before_there_is_a_forecast(tmp_path, capsys):
    early = Campaign(tmp_path)
    prices(early, "")
    assert hpc_qa(["--project", str(tmp_path), "budget"]) == 2
    assert "observed_on" in capsys.readouterr().err


def test_the_terminal_form_is_under_two_screens(campaign, capsys):
    assert hpc_qa(["--project", str(campaign.project), "budget", "--budget-gpu-hours", "30"]) == 4
    assert len(capsys.readouterr().out.splitlines()) < 80


def test_a_charge_that_is_not_known_counts_as_allocated_and_is_said(campaign, capsys):
    plain, _ = report(capsys, campaign)
    (campaign.project / "site.yaml").write_text("name: here\ncharging: {unit: node, rate_per_gpu_hour: 0.4, "
                                                "rate_source: a page, rate_date: \"2026-01-01\"}\n")  # fmt: skip
    project = campaign.project / "project.yaml"
    project.write_text(project.read_text() + "site: site.yaml\n")
    said, code = report(capsys, campaign)
    assert said["used"]["gpu_hours"] == pytest.approx(plain["used"]["gpu_hours"])
    assert said["forecast"]["p50"] == pytest.approx(plain["forecast"]["p50"])
    assert "they count as allocated" in said["notes"][0]
    assert said["batches"][-1]["cumulative"] == pytest.approx(said["used"]["gpu_hours"])
    assert code == 0
    money = sum(run["per_accepted_pair"]["money"] * run["accepted"] for run in said["runs"])
    assert money == pytest.approx(0.4 * said["used"]["gpu_hours"])


@pytest.mark.parametrize("budget", ["nan", "0", "-1", "inf", "many"])
def test_a_budget_that_is_no_number_of_gpu_hours_is_refused(campaign, capsys, budget):
    assert hpc_qa(["--project", str(campaign.project), "budget", "--budget-gpu-hours", budget]) == 2
    assert "budget-gpu-hours" in capsys.readouterr().err


def test_a_page_replaces_no_device_and_follows_a_link(campaign, capsys, tmp_path):
    project = ["--project", str(campaign.project), "budget", "--html"]
    assert hpc_qa([*project, "/dev/null"]) == 1
    assert "the page cannot be written" in capsys.readouterr().err
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    assert hpc_qa([*project, str(tmp_path / "link.html")]) == 0
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text().startswith("<!DOCTYPE html>")
