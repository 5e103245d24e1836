"""Targets and critical thresholds: what was not measured never passes."""

import json

import pytest

from hpc_qa.bench.record import Record
from hpc_qa.bench.record_file import keep
from hpc_qa.bench.run_record import record_of
from hpc_qa.bench.targets import MEASURED, against, exit_code, load_targets, profile_of
from hpc_qa.cli.main import run
from hpc_qa.errors import ConfigError
from tests.made_runs import planned_run

GOOD = {
    "id": "good", "hardware": {"ram_gb_allocated": 100, "gpu_vram_gb": 80},
    "results": {"throughput_pdfs_per_hour": 25, "max_cpu_memory_gb": 90, "max_gpu_memory_gb": 72, "error_rate": 0.01,
                "avg_gpu_utilization_percent": 70, "cpu_efficiency_percent": 75,
                "cpu_over_95_percent_longest_s": 30},
    "quality": {"quality_score": 0.742}, "stages": [{"name": "model_switch", "duration_s": 4}],
}  # fmt: skip


def verdicts(project, profile="medicaid", **results):
    record = Record.model_validate(GOOD | {"results": GOOD["results"] | results})
    return {one.metric: one.verdict for one in against([record], load_targets(project, profile))}


def test_a_record_that_reaches_all_of_it_is_met(tmp_path):
    assert set(verdicts(tmp_path).values()) == {"met"}


@pytest.mark.parametrize(
    ("profile", "results", "metric", "verdict"),
    [
        ("medicaid", {"throughput_pdfs_per_hour": 40}, "throughput_pdfs_per_hour", "met"),
        ("medicaid", {"throughput_pdfs_per_hour": 12}, "throughput_pdfs_per_hour", "missed"),
        ("medicaid", {"throughput_pdfs_per_hour": 9.9}, "throughput_pdfs_per_hour", "critical"),
        ("medicaid", {"max_cpu_memory_gb": 96}, "host_memory_percent", "critical"),
        ("medicaid", {"max_cpu_memory_gb": 50}, "host_memory_percent", "missed"),
        ("medicaid", {"error_rate": 0.03}, "error_rate", "missed"),
        ("medicaid", {"error_rate": 0.06}, "error_rate", "critical"),
        ("medicaid", {"avg_gpu_utilization_percent": 95}, "gpu_utilization_percent", "met"),
        ("ran", {"avg_gpu_utilization_percent": 95}, "gpu_utilization_percent", "critical"),
        ("ran", {"avg_gpu_utilization_percent": 19}, "gpu_utilization_percent", "critical"),
        ("medicaid", {"cpu_over_95_percent_longest_s": 301}, "cpu_over_95_percent_longest_s", "critical"),
        ("medicaid", {"error_rate": None}, "error_rate", "no data"),
    ],
)
def test_a_metric_is_met_missed_or_critical(tmp_path, profile, results, metric, verdict):
    assert verdicts(tmp_path, profile, **results)[metric] == verdict


def test_a_record_of_which_nothing_is_known_passes_nothing(tmp_path):
    found = against([Record(id="empty")], load_targets(tmp_path, "medicaid"))
    assert {one.verdict for one in found} == {"no data"}
    assert exit_code(found) == 5


def test_every_profile_asks_for_every_metric(tmp_path):
    for profile in ("medicaid", "ran"):
        assert set(load_targets(tmp_path, profile)) == set(MEASURED)


def test_the_config_of_a_record_names_its_profile(tmp_path):
    (tmp_path / "c.yaml").write_text("targets: ran\n")
    assert profile_of(Record(id="a", config_file="c.yaml"), tmp_path) == "ran"
    assert profile_of(Record(id="a", config_file="gone.yaml"), tmp_path) == "medicaid"


def test_a_run_is_held_against_the_profile_that_its_config_named_when_it_was_submitted(tmp_path):
    (tmp_path / "c.yaml").write_text("targets: ran\n")
    assert profile_of(Record(id="a", run="a-run", config_file="c.yaml"), tmp_path) == "medicaid"
    assert profile_of(Record(id="a", run="a-run", config_file="c.yaml", targets="mine"), tmp_path) == "mine"
    run_of_project = planned_run(tmp_path, [["a"]], targets="ran")
    assert record_of(run_of_project, tmp_path).targets == "ran"


def test_several_records_are_held_against_their_own_profiles_or_all_against_one(tmp_path, capsys):
    busy = GOOD | {"results": GOOD["results"] | {"avg_gpu_utilization_percent": 95}}
    for name in ("medicaid", "ran"):
        keep(Record.model_validate(busy | {"id": name, "targets": name}), tmp_path / "records")
    command = ["--project", str(tmp_path), "bench", "targets", str(tmp_path / "records"), "--json"]
    assert run(command) == 4
    said = json.loads(capsys.readouterr().out)
    utilization = {
        row["profile"]: row["verdict"] for row in said["targets"] if row["metric"] == "gpu_utilization_percent"
    }
    assert (said["profile"], utilization) == (None, {"medicaid": "met", "ran": "critical"})
    assert run([*command, "--profile", "medicaid"]) == 0
    assert json.loads(capsys.readouterr().out)["profile"] == "medicaid"


def test_the_file_of_a_project_goes_before_and_its_faults_come_with_their_lines(tmp_path):
    (tmp_path / "configs").mkdir()
    file = tmp_path / "configs" / "targets.yaml"
    file.write_text("profiles:\n  mine:\n    error_rate: {at_most: 0.5}\n")
    assert list(load_targets(tmp_path, "mine")) == ["error_rate"]
    with pytest.raises(ConfigError, match="no profile 'medicaid'"):
        load_targets(tmp_path, "medicaid")
    file.write_text("profiles:\n  mine:\n    speed: {at_most: 1}\n    error_rate: {at_most: -1}\n")
    with pytest.raises(ConfigError) as caught:
        load_targets(tmp_path, "mine")
    assert [fault.removeprefix(f"{file}:")[:32] for fault in caught.value.faults] == [
        "3: profiles.mine.speed is no met", "4: profiles.mine.error_rate.at_m",
    ]  # fmt: skip


def test_the_command_returns_4_when_something_is_critical(tmp_path, capsys):
    path = tmp_path / "r.yaml"
    path.write_text("run_id: r\npdfs: 5\ntime_minutes: 60\n")
    assert run(["--project", str(tmp_path), "bench", "targets", str(path), "--json"]) == 4
    rows = {row["metric"]: row for row in json.loads(capsys.readouterr().out)["targets"]}
    assert (rows["throughput_pdfs_per_hour"]["value"], rows["throughput_pdfs_per_hour"]["verdict"]) == (5, "critical")
    path.write_text("run_id: r\npdfs: 25\ntime_minutes: 60\n")
    assert run(["--project", str(tmp_path), "bench", "targets", str(path)]) == 0
    assert "no data" in capsys.readouterr().out
