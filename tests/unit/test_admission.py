"""Runs are let in when what is used, what is promised to others and what they may take fits into the budget."""

import json
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.budget.admission import Admission, Demanded, Lien, sum_of
from hpc_qa.campaign.admission import demanded_by, demanded_of, largest_that_fits, lien_of
from hpc_qa.campaign.cluster import ClusterView
from hpc_qa.campaign.plan import plan_run
from hpc_qa.config_file import load
from hpc_qa.ledger.usage import used_by_living
from hpc_qa.manifest import Entry
from hpc_qa.slurm.queue import QueuedTask
from hpc_qa.store.merge import commit_shard
from tests.made_campaign import Campaign
from tests.made_runs import attempt, document, planned_run
from tests.projects import call

CONFIG = """
name: x
manifest: m.jsonl
qa: {judge: false, questions_per_chunk: 1, chunk_size: 1000}
vllm: {model: model, pipeline_parallel_size: 2}
slurm: {time: "01:00:00", array_parallelism: 4, stop_before_end: "00:01:00"}
"""


@pytest.fixture
def project(tmp_path: Path, model_folder: Path) -> Path:
    """20 documents that a run on two GPUs would do in four array tasks of at most an hour."""
    (tmp_path / "model").symlink_to(model_folder)
    (tmp_path / "config.yaml").write_text(CONFIG)
    entries = [
        Entry(doc_id=f"d{number:03}", path=f"nowhere/{number}.txt", root=".", sha256=f"{number:064x}", bytes=4_000_000,
              media_type="text/plain", pages=None, size_class="medium", tokens=10_000)
        for number in range(20)
    ]  # fmt: skip
    manifest.write(tmp_path / "m.jsonl", entries)
    return tmp_path


def measure(project: Path, attempts: int) -> None:
    """Servers on two GPUs that started in 60 s and did 1,000 tokens a second, more or less."""
    for number in range(attempts):
        run = planned_run(project, [["a"]], nonce=f"{number:04x}", name="earlier")
        summary = {"model": "model", "gpus_per_server": 2, "serving_s": 10.0, "startup_s": 60.0 + number}
        (attempt(run.shard(0), []).path / "summary.json").write_text(json.dumps(summary | {"predicted_tokens": 10_000}))


def admission(budget: float | None, *, p90: float | None = 5.0, worst: float = 20.0, used: float = 10.0) -> Admission:
    return Admission(budget, used, (Lien("r", 3.0, "p90", 2),), Demanded(4.0, p90, worst))


@pytest.mark.parametrize(
    ("budget", "p90", "verdict"),
    [(17, 5, "refused"), (18, 5, "warned"), (33, 5, "admitted"), (32, None, "refused"), (33, None, "admitted"),
     (None, None, "no budget")],
)  # fmt: skip
def test_used_and_liens_and_p90_or_the_worst_case_are_held_against_the_budget(budget, p90, verdict):
    assert admission(budget, p90=p90).verdict == verdict


def test_a_percentile_of_several_parts_is_known_when_that_of_each_is():
    assert sum_of([Demanded(1, 2, 3), Demanded(1, None, 3)]) == Demanded(2, None, 6)
    assert sum_of([]) == Demanded(0, 0, 0)


def test_until_three_attempts_were_measured_the_time_limit_of_every_array_task_counts(project, capsys):
    arguments = ["plan", str(project / "config.yaml"), "--budget-gpu-hours"]
    assert call(project, *arguments, "8", "--json") == 0
    said = json.loads(capsys.readouterr().out)["admission"]
    assert (said["verdict"], said["gpu_hours_p90"], said["gpu_hours_worst"], said["basis"]) == (
        "admitted", None, 8.0, "worst case",
    )  # fmt: skip
    assert call(project, *arguments, "7.9") == 4
    assert "this run up to 8 GPU-hours (worst case), of 7.9: 0.1 too many" in capsys.readouterr().out
    measure(project, 3)
    assert call(project, *arguments, "1.5", "--json") == 0
    said = json.loads(capsys.readouterr().out)["admission"]
    assert (said["verdict"], said["basis"]) == ("warned", "p90")
    assert 0 < said["gpu_hours_p90"] < 1


def test_a_refusal_names_the_largest_batch_that_fits(project, capsys):
    arguments = ["plan", str(project / "config.yaml"), "--budget-gpu-hours", "7.9"]
    assert call(project, *arguments) == 4
    assert "--limit 3 is the largest batch that fits" in capsys.readouterr().out
    assert call(project, *arguments, "--limit", "3") == 0
    assert call(project, "plan", str(project / "config.yaml"), "--budget-gpu-hours", "1") == 4
    assert "no batch of it fits; a shorter slurm.time" in capsys.readouterr().out
    measure(project, 3)
    config = load(project / "config.yaml", project=project)
    plan = plan_run(config, project=project)
    most = largest_that_fits(plan, 0.9 * plan.gpu_hours.p90, project)
    assert 10 < most < 20
    assert plan_run(config, project=project, limit=most).gpu_hours.p90 <= 0.9 * plan.gpu_hours.p90
    assert plan_run(config, project=project, limit=most + 1).gpu_hours.p90 > 0.9 * plan.gpu_hours.p90


def test_submit_refuses_before_anything_is_made(project, capsys):
    assert call(project, "submit", str(project / "config.yaml"), "--budget-gpu-hours", "2", "--json") == 4
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert (said["run"], said["job_ids"], said["admission"]["verdict"]) == (None, [], "refused")
    assert "the run does not fit into the budget" in captured.err
    assert "--over-budget" in captured.err
    assert not (project / "runs").exists()
    assert call(project, "submit", str(project / "config.yaml"), "--budget-gpu-hours", "2", "--dry-run") == 4


def test_a_lien_is_what_was_promised_to_shards_that_wait_or_run_less_what_they_have_used(tmp_path):
    campaign = Campaign(tmp_path)
    names = campaign.names(0, 6)
    run = campaign.run([names[:2], names[2:4], names[4:]])
    campaign.work(run, 0, names[:2])
    campaign.rows.append(f"7|100_1|RUNNING|1800|{campaign.now}|{campaign.now}|Unknown|gres/gpu=4")
    campaign.sync()
    so_far = used_by_living(tmp_path)
    assert so_far == {(run.run_id, 1): 2.0}
    queued = {"100_1": QueuedTask("100_1", "RUNNING", None, "n1"), "100_2": QueuedTask("100_2", "PENDING", "x", None)}
    lien = lien_of(run, ClusterView(queued, {}), so_far, None)
    assert (lien.tasks, lien.basis, lien.gpu_hours) == (2, "worst case", 2 * 4 * 4.0 - 2.0)
    assert demanded_by(run, [2], None).worst == 4 * 4.0
    assert lien_of(run, ClusterView({}, {}), so_far, None) is None
    assert lien_of(run, ClusterView(None, None), so_far, None).tasks == 2  # Slurm is silent: they may run


def test_submit_of_the_next_batch_asks_for_the_gate_of_the_one_before(project, capsys):
    config = project / "config.yaml"
    config.write_text(config.read_text() + "campaign: c\nbatch: batch_200\n")
    before = planned_run(project, [["a"]], name="before", batch="batch_50", campaign="c")
    made = attempt(before.shard(0), [[document("a", state="failed")]])
    assert commit_shard(before.shard(0), made.name, ["a"])
    assert call(project, "submit", str(config), "--json") == 4
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert (said["run"], said["gate"]["verdict"]) == (None, "no-go")
    assert "error_rate 1: 1 of 1 document failed" in captured.err
    assert "--despite-gate" in captured.err
    assert call(project, "submit", str(config), "--despite-gate") == 2  # and it comes to the next: nothing is converted
    said = capsys.readouterr().err
    assert f"note: the gate after batch_50 ({before.run_id}) says no-go" in said
    assert "20 documents are not converted yet" in said


@pytest.mark.parametrize(
    ("slurm", "held"),
    [
        ("", 2), ("gres: 'gpu:2'", 2), ("gres: 'gpu:a100:4'", 4), ("gres: 'gpu:a100:4,nvme:1'", 4),
        ("gres: 'gpu:a100:2,gpu:h100:1'", 3), ("gres: 'gpu:2', nodes_per_task: 2", 4), ("gres: 'nvme:8'", 2),
        ("additional_parameters: {gpus-per-node: 8}", 8), ("additional_parameters: {gpus_per_node: 'a100:8'}", 8),
        ("additional_parameters: {gpus: 6}, nodes_per_task: 2", 6), ("additional_parameters: {gpus_per_task: 4}", 4),
        ("additional_parameters: {exclusive: true}", 2), ("additional_parameters: {nodelist: gpu01}", 2),
    ],
)  # fmt: skip
def test_an_array_task_is_charged_for_every_gpu_that_slurm_gives_it(project, capsys, slurm, held):
    (project / "config.yaml").write_text(CONFIG.replace("slurm: {", f"slurm: {{{slurm}, " if slurm else "slurm: {"))
    config = load(project / "config.yaml", project=project)
    plan = plan_run(config, project=project)
    assert config.gpus_allocated == held
    assert demanded_of(plan, None).worst == pytest.approx(len(plan.shards) * held)
    measure(project, 3)
    plan = plan_run(config, project=project)
    assert demanded_of(plan, None).p90 == pytest.approx(plan.gpu_hours.p90)
    assert plan.gpu_hours.p90 == pytest.approx(sum(one.p90 for one in plan.shard_s) * held / 3600)


def test_an_exclusive_array_task_holds_the_gpus_of_the_whole_node(project):
    (project / "slurm").mkdir()
    (project / "slurm" / "a.yaml").write_text("name: a\ngpu: {per_node: 8}\n")
    (project / "project.yaml").write_text("site: slurm/a.yaml\n")
    (project / "config.yaml").write_text(
        CONFIG.replace("slurm: {", "slurm: {additional_parameters: {exclusive: true}, ")
    )
    assert load(project / "config.yaml", project=project).gpus_allocated == 8
