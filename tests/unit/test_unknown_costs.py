"""What is done and of which it is not known what it cost: no zero, no forecast of it, and the reason is said."""

import json
from pathlib import Path

import pytest

from hpc_qa.campaign.admission import committed
from hpc_qa.campaign.cluster_checks import _gpus_accounted
from hpc_qa.cli.gate import forecast_of
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.config_file import load_project
from hpc_qa.ledger.attempts import as_rows, current
from tests.made_campaign import GPUS, Campaign


def campaign_with(project: Path, tres: str, *, last: int = 8) -> Campaign:
    """Eight documents of forty are done, in two array tasks, and accounting says this of what they held."""
    made = Campaign(project)
    made.done(0, last)
    made.rows = [row.replace(f"gres/gpu={GPUS}", tres) for row in made.rows]
    made.sync()
    return made


def told(capsys: pytest.CaptureFixture[str], project: Path, *command: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = hpc_qa(["--project", str(project), *command, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def no_gres(tmp_path: Path) -> Campaign:
    """A cluster whose AccountingStorageTRES lacks gres/gpu."""
    return campaign_with(tmp_path, "cpu=8,mem=4G,node=1")


def asked_hours(campaign: Campaign) -> float:
    return sum(GPUS * int(row.split("|")[3]) / 3600 for row in campaign.rows)


def test_gpus_that_accounting_does_not_keep_are_named_and_the_row_stays_as_accounting_has_it(no_gres, capsys):
    rows = as_rows(current(no_gres.project).table)
    assert [(one["gpu_count"], one["gpus_asked"], one["data_quality"]) for one in rows] == 2 * [
        (0, GPUS, ["gpus_not_accounted"])
    ]
    _, shown = told(capsys, no_gres.project, "ledger", "show")
    assert [one["gpus_asked"] for one in shown] == 2 * [GPUS]
    assert [(one["gpu_count"], one["gpu_hours_allocated"]) for one in shown] == 2 * [(0, 0.0)]
    assert [one["gpu_hours_charged"] for one in shown] == [None, None]


def test_without_gpus_in_accounting_nothing_is_forecast_and_reason_and_remedy_are_said(no_gres, capsys):
    code, said = told(capsys, no_gres.project, "budget", "forecast")
    assert (code, said["status"], said["p50"], said["p_within"]) == (5, "undecided", None, None)
    assert "no GPUs of 2 attempts" in said["reason"]
    assert "AccountingStorageTRES in slurm.conf has to name gres/gpu" in said["reason"]
    assert hpc_qa(["--project", str(no_gres.project), "budget", "forecast"]) == 5
    assert "AccountingStorageTRES" in capsys.readouterr().out
    assert forecast_of(no_gres.project).status == "undecided"


def test_what_accounting_has_no_gpus_of_counts_by_what_it_asked_for_in_budget_and_admission(no_gres, capsys):
    hours = pytest.approx(asked_hours(no_gres))
    code, said = told(capsys, no_gres.project, "budget")
    assert (code, said["used"]["gpu_hours"], said["counted_as_asked"]["attempts"]) == (5, hours, 2)
    assert said["left"] == pytest.approx(100 - asked_hours(no_gres))
    assert (said["allocated"]["gpu_hours"], said["allocated"]["attempts_unknown"]) == (None, 2)
    assert [one["gpu_hours"] for one in (*said["states"], *said["runs"], *said["batches"])] == [None, None, None]
    assert said["batches"][0]["cumulative"] == hours
    assert said["per_accepted_pair"]["gpu_hours"] is None
    assert any("they count by what they asked for" in note for note in said["notes"])
    settings = load_project(no_gres.project)
    found = committed(no_gres.project, settings.budget, None, fresh=False)
    assert found.used == hours
    assert any("AccountingStorageTRES" in note for note in found.notes)


def test_the_page_says_that_nothing_is_known_and_why(no_gres, capsys):
    page = no_gres.project / "budget.html"
    assert hpc_qa(["--project", str(no_gres.project), "budget", "--html", str(page)]) == 5
    assert "is not known: accounting has no GPUs of 2 attempts" in page.read_text()


def test_over_the_budget_by_what_was_asked_for_is_over(no_gres, capsys):
    code, said = told(capsys, no_gres.project, "budget", "forecast", "--budget-gpu-hours", "0.1")
    assert (code, said["status"], said["p50"]) == (4, "over", None)


def test_where_it_is_not_known_what_was_held_more_documents_are_not_asked_for(tmp_path, capsys):
    campaign_with(tmp_path, "")
    code, said = told(capsys, tmp_path, "budget", "forecast")
    assert (code, said["status"], said["more_documents_to_decide"]) == (5, "undecided", None)
    assert said["reason"].startswith("8 documents are done, and it is not known what they cost")
    code, said = told(capsys, tmp_path, "budget")
    assert [one["gpu_hours"] for one in (*said["states"], *said["runs"], *said["batches"])] == [None, None, None]
    assert said["per_accepted_pair"]["gpu_hours"] is None


def test_documents_that_all_failed_say_nothing_of_the_others_in_forecast_and_gate(tmp_path, capsys):
    made = Campaign(tmp_path)
    made.state = "failed"
    made.done(0, 8)
    made.sync()
    code, said = told(capsys, tmp_path, "budget", "forecast")
    assert (code, said["status"], said["p50"], said["qa_pairs"]) == (5, "undecided", None, None)
    assert "every document that is done has failed" in said["reason"]
    _, said = told(capsys, tmp_path, "gate", "latest")
    (projected,) = [one for one in said["criteria"] if one["name"] == "gpu_hours_projected"]
    assert (projected["verdict"], projected["value"]) == ("undecided", None)
    assert "has failed" in projected["why"]


def test_costs_of_which_none_is_above_zero_decide_nothing(tmp_path, capsys):
    table = tmp_path / "costs.csv"
    table.write_text("doc_id,size,task_id,gpu_hours\na,10,t1,0\nb,20,t1,0\nc,5,t2,\n")
    code, said = told(capsys, tmp_path, "budget", "forecast", "--costs", str(table), "--budget-gpu-hours", "10")
    assert (code, said["status"], said["p50"]) == (5, "undecided", None)
    assert "cost 0 GPU-hours" in said["reason"]
    table.write_text("doc_id,size,task_id,gpu_hours\na,10,t1,0\nb,20,t1,0\n")
    code, said = told(capsys, tmp_path, "budget", "forecast", "--costs", str(table), "--budget-gpu-hours", "10")
    assert (code, said["status"], said["p50"]) == (0, "within", 0.0)


@pytest.mark.parametrize(
    ("line", "state"),
    [("AccountingStorageTRES   = cpu,mem,energy,node,billing,fs/disk,vmem,pages,gres/gpu", "ok"),
     ("AccountingStorageTRES   = cpu,mem,gres/gpu:a100", "ok"), ("AccountingStorageTRES   = gres/gpumem", "warn"),
     ("ClusterName = x", "warn")],
)  # fmt: skip
def test_doctor_says_whether_the_cluster_accounts_for_gpus(line, state):
    found = _gpus_accounted(f"Configuration data as of now\n{line}\nAuthType = auth/munge\n")
    assert (found.state, bool(found.fix)) == (state, state == "warn")
