"""What sites charge, in figures: whole nodes, factors, suspension, billing; and what a profile may say of it."""

import json
from pathlib import Path

import pytest

from hpc_qa.budget.charging import Held, charged_gpu_hours
from hpc_qa.budget.reconciliation import reconcile_attempt
from hpc_qa.cli.main import run
from hpc_qa.config import Site
from hpc_qa.config_file import load_site
from hpc_qa.errors import ConfigError
from hpc_qa.ledger.reconciliation import reconcile

HEADER = "JobIDRaw|JobID|State|ElapsedRaw|Suspended|Submit|Start|End|NNodes|QOS|AllocTRES\n"
HOUR = Held(gpus=2, elapsed_s=3600, suspended_s=1800, nodes=1, billing=48.0, qos="low")


def site_of(**charging: object) -> Site:
    return Site.model_validate({"name": "x", "gpu": {"per_node": 4}, "charging": charging})


@pytest.mark.parametrize(
    ("charging", "hours", "gaps"),
    [
        ({}, 2.0, {}),
        ({"unit": "node"}, 4.0, {"whole_nodes": 2.0}),
        ({"suspended": True}, 3.0, {"suspended": 1.0}),
        ({"qos_factors": {"low": 0.5}}, 1.0, {"qos_factor": -1.0}),
        ({"unit": "billing", "factor": 0.0625}, 3.0, {"billing": 46.0, "factor": -45.0}),
        (
            {"unit": "node", "suspended": True, "qos_factors": {"low": 0.5, "high": 2.0}, "factor": 3.0}, 9.0,
            {"suspended": 1.0, "whole_nodes": 3.0, "qos_factor": -3.0, "factor": 6.0},
        ),
    ],
)  # fmt: skip
def test_each_step_of_a_rule_is_a_gap_of_its_own(charging, hours, gaps):
    charge = charged_gpu_hours(site_of(**charging), HOUR)
    assert (charge.gpu_hours, charge.gaps) == (hours, gaps)


def test_without_a_profile_what_was_allocated_is_charged():
    assert charged_gpu_hours(None, HOUR).gpu_hours == 2


def test_what_ran_without_a_gpu_or_never_began_or_on_this_machine_is_charged_nothing():
    node = site_of(unit="node")
    assert charged_gpu_hours(node, Held(gpus=0, elapsed_s=60, nodes=3)).gpu_hours == 0
    assert charged_gpu_hours(node, Held(gpus=None, elapsed_s=0)).gpu_hours == 0
    local = charged_gpu_hours(node, Held(gpus=2, elapsed_s=3600, local=True))
    assert (local.gpu_hours, local.gaps) == (0, {"local": -2})


@pytest.mark.parametrize(
    ("site", "held", "reason"),
    [
        (site_of(), Held(gpus=None, elapsed_s=9), "no_gpus"),
        (site_of(), Held(gpus=1, elapsed_s=None), "no_elapsed"),
        (site_of(unit="node"), Held(gpus=1, elapsed_s=9), "no_nodes"),
        (Site.model_validate({"name": "x", "charging": {"unit": "node"}}), HOUR, "no_per_node"),
        (site_of(unit="billing"), Held(gpus=1, elapsed_s=9), "no_billing"),
        (site_of(suspended=True), Held(gpus=1, elapsed_s=9), "no_suspended"),
        (site_of(qos_factors={"low": 0.5}), Held(gpus=1, elapsed_s=9), "no_qos"),
    ],
)
def test_what_accounting_does_not_have_makes_a_charge_unknown_with_a_reason(site, held, reason):
    charge = charged_gpu_hours(site, held)
    assert (charge.gpu_hours, charge.reason) == (None, reason)


def test_idle_time_is_that_of_the_stages_in_which_no_kernel_ran():
    stages = {"launch": 360_000, "model_load": 720_000, "serving": 2_160_000, "teardown": 360_000}
    found = reconcile_attempt(None, HOUR, busy_s=3600, samples_share=0.9, stages_ms=stages)
    gaps = {name: float(gap) for name, gap in found.to_busy.items()}
    assert gaps == pytest.approx(
        {"idle_serving": -0.2, "idle_start_up": -0.4, "idle_elsewhere": -0.2, "not_sampled": -0.2}
    )
    by_stage = {"model_load": 360_000, "serving": 3_240_000}
    told = reconcile_attempt(None, HOUR, busy_s=3600, samples_share=0.9, stages_ms=stages, busy_ms=by_stage)
    assert float(told.to_busy["idle_serving"]) == pytest.approx(-0.3)
    assert float(told.to_busy["idle_start_up"]) == pytest.approx(-0.3)


def test_an_attempt_at_which_nobody_looked_has_no_busy_hours_and_not_zero():
    found = reconcile_attempt(None, HOUR).to_json()
    assert (found["gpu_hours_allocated"], found["gpu_hours_busy"], found["allocated_to_busy"]) == (2.0, None, {})


@pytest.fixture
def accounted(tmp_path: Path) -> Path:
    """A project whose ledger has three attempts; of the last it is not known on how many nodes."""
    rows = [
        "7|7|COMPLETED|3600|00:30:00|1795319000|1795319000|1795324400|1|low|gres/gpu=2",
        "8|8|FAILED|1800|00:00:00|1795319000|1795319000|1795320800|2|normal|gres/gpu=8",
        "9|9|COMPLETED|3600|00:00:00|1795319000|1795319000|1795322600||normal|gres/gpu=1",
    ]
    (tmp_path / "sacct.psv").write_text(HEADER + "\n".join(rows) + "\n")
    (tmp_path / "project.yaml").write_text("site: cluster.yaml\n")
    (tmp_path / "cluster.yaml").write_text("name: x\ngpu: {per_node: 4}\ncharging: {unit: node, suspended: true}\n")
    assert run(["--project", str(tmp_path), "ledger", "sync", "--sacct-file", str(tmp_path / "sacct.psv")]) == 0
    return tmp_path


def test_show_has_what_is_charged_and_says_of_what_it_is_not_known(accounted, capsys):
    capsys.readouterr()
    assert run(["--project", str(accounted), "ledger", "show", "--json"]) == 0
    captured = capsys.readouterr()
    rows = {row["job_id"]: row for row in json.loads(captured.out)}
    assert {name: row["gpu_hours_charged"] for name, row in rows.items()} == {"7": 6.0, "8": 4.0, "9": None}
    assert {row["gpu_hours_busy"] for row in rows.values()} == {None}
    assert {name: row["gpu_hours_gaps"] for name, row in rows.items()} == {
        "7": {"suspended": 1.0, "whole_nodes": 3.0}, "8": None, "9": None,
    }  # fmt: skip
    assert "not known of 1 attempt: accounting has no number of nodes" in captured.err


def test_the_whole_ledger_is_reconciled_and_what_is_not_known_is_a_gap_too(accounted):
    found = reconcile(accounted, load_site(accounted))
    said = found.to_json()
    assert (said["gpu_hours_allocated"], said["gpu_hours_charged"], said["gpu_hours_busy"]) == (7.0, 10.0, None)
    assert said["allocated_to_charged"] == {"suspended": 1.0, "whole_nodes": 3.0, "not_known": -1.0}
    assert said["charge_unknown"] == {"no_nodes": 1}
    assert found.lines() == [
        "allocated  7 GPU-hours; attempts: 3",
        "charged    10.0 GPU-hours",
        "           +1 time in suspension",
        "           +3 GPUs of whole nodes that were not asked for",
        "           -1 attempts whose charge is not known",
        "           of 1 attempt: accounting has no number of nodes",
        "busy       unknown",
    ]


def test_an_empty_ledger_comes_to_nothing(tmp_path):
    said = reconcile(tmp_path, None).to_json()
    assert (said["attempts"], said["gpu_hours_allocated"], said["gpu_hours_charged"]) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("charging", "fault"),
    [
        (
            "{unit: nodes}",
            "cluster.yaml:1: charging.unit must be 'gpu', 'node' or 'billing', not 'nodes'; did you mean",
        ),
        ("{factor: 0}", "charging.factor must be more than 0"),
        ("{rate_per_gpu_hour: 0, rate_source: a, rate_date: '2026-01-31'}", "rate_per_gpu_hour must be more than 0"),
        ("{rate_per_gpu_hour: 1.0}", "rate_per_gpu_hour needs rate_source"),
        ("{rate_date: 'May'}", "'May' is not a day; write"),
        ("{qos_factors: {low: -1}}", "qos_factors.low must be at least 0"),
        ("{currency: dollars}", "must be three capital letters"),
        ("{factors: 1}", "charging.factors is not a setting; did you mean"),
    ],
)
def test_a_rule_that_cannot_be_is_a_fault_with_its_line(tmp_path, charging, fault):
    (tmp_path / "project.yaml").write_text("site: cluster.yaml\n")
    (tmp_path / "cluster.yaml").write_text(f"charging: {charging}\nname: x\n")
    with pytest.raises(ConfigError) as caught:
        load_site(tmp_path)
    assert fault in "\n".join(caught.value.faults)


def test_a_profile_that_is_not_there_is_said_and_none_is_none(tmp_path):
    assert load_site(tmp_path) is None
    (tmp_path / "project.yaml").write_text("site: cluster.yaml\n")
    with pytest.raises(ConfigError, match=r"site: there is no file cluster\.yaml"):
        load_site(tmp_path)
