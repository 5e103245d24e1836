"""The benchmark record of a run: from its files and the ledger, null where nothing was measured."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from hpc_qa.bench.record_file import keep, read_records
from hpc_qa.bench.record_ids import id_of, ids_of
from hpc_qa.bench.run_record import record_of
from hpc_qa.campaign.sync import sync_runs
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.errors import ConfigError
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import RunDirectory
from tests.made_campaign import GPUS, STARTUP_S, Campaign
from tests.made_runs import CREATED_AT, attempt, leave_traces, planned_run, whole

SACCT = Path(__file__).resolve().parents[1] / "data" / "sacct" / "attempts.psv"


@pytest.fixture
def campaign(tmp_path) -> Campaign:
    """Two runs on a cluster, of which one attempt was killed."""
    made = Campaign(tmp_path, 12)
    made.done(0, 4)
    run = made.run([made.names(4, 8)], nonce="0002")
    made.work(run, 0, made.names(4, 8), commits=False)
    made.work(run, 0, made.names(4, 8))
    made.sync()
    return made


def test_a_record_has_what_the_files_and_the_ledger_say_and_null_elsewhere(campaign, capsys):
    assert hpc_qa(["--project", str(campaign.project), "bench", "record", "latest", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["id"] == "cluster_batch_2026-01-02_002"
    assert (said["environment"], said["dataset"]["pdfs_processed"], said["hardware"]["gpu_count"]) == (
        "cluster",
        4,
        GPUS,
    )
    assert said["results"]["qa_pairs_generated"] == 8
    assert said["results"]["gpu_hours_per_pdf"] == pytest.approx(said["results"]["gpu_hours"] / 4)
    assert said["results"]["avg_gpu_utilization_percent"] is None
    assert said["quality"]["rated_by"] == "judge"
    assert said["quality"]["quality_score_deviation"] == 0.0
    settings = said["configuration"]
    assert [settings[name] for name in ("max_pairs_per_document", "sample_chunks")] == ["every", "every"]
    assert [settings[name] for name in ("kv_cache_dtype", "quantization", "max_num_seqs")] == ["auto"] * 3
    assert [issue["text"] for issue in said["issues"]] == [
        "attempts that ended as NODE_FAIL: 1", "attempts whose GPUs were not sampled all the time: 2",
    ]  # fmt: skip
    stages = {stage["name"]: stage for stage in said["stages"] if stage["of"] == "allocation"}
    assert sum(stage["share_percent"] for stage in stages.values()) == pytest.approx(100)
    assert stages["model_load"]["duration_s"] == pytest.approx(2 * (STARTUP_S - 6), rel=0.01)
    assert said["job_ids"] == ["101"]


def test_the_file_is_read_back_as_it_was_and_is_not_replaced_unasked(campaign, capsys):
    project = ["--project", str(campaign.project)]
    assert hpc_qa([*project, "bench", "record", "latest"]) == 0
    (path,) = (campaign.project / "records").iterdir()
    (record,) = read_records([path]).records
    assert yaml.safe_load(path.read_text())["benchmark_run"]["id"] == record.id
    assert hpc_qa([*project, "bench", "record", "latest"]) == 0
    path.write_text(path.read_text().replace("issues:", "issues: # mine"))
    capsys.readouterr()
    assert hpc_qa([*project, "bench", "record", "latest"]) == 2
    assert "is there with other content" in capsys.readouterr().err
    assert hpc_qa([*project, "bench", "record", "latest", "--replace"]) == 0


def test_a_complete_run_leaves_its_record_and_one_that_nobody_changed_is_made_anew(campaign, capsys):
    project = ["--project", str(campaign.project)]
    unfinished = campaign.run([campaign.names(8, 12)], nonce="0003")
    assert hpc_qa([*project, "ledger", "sync", "--sacct-file", str(nothing(campaign.project)), "--json"]) == 0
    folder = campaign.project / "records"
    kept = {record.run: record for record in read_records([folder]).records}
    assert len(kept) == 2
    assert unfinished.run_id not in kept
    assert sorted(json.loads(capsys.readouterr().out)["records"]) == sorted(map(str, folder.iterdir()))
    assert hpc_qa([*project, "ledger", "sync", "--sacct-file", str(nothing(campaign.project)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == []
    (campaign.project / "runs" / next(iter(kept)) / "issues.yaml").write_text(
        "issues:\n  - somebody tripped over the cable\n"
    )
    assert hpc_qa([*project, "bench", "record", next(iter(kept))]) == 0
    anew = {record.run: record for record in read_records([folder]).records}[next(iter(kept))]
    assert "somebody tripped over the cable" in {issue.text for issue in anew.issues}


def test_a_record_that_cannot_be_kept_is_a_note_and_the_sync_is_done(campaign, capsys):
    (campaign.project / "records").write_text("no folder")
    project = ["--project", str(campaign.project)]
    assert hpc_qa([*project, "ledger", "sync", "--sacct-file", str(nothing(campaign.project))]) == 0
    said = capsys.readouterr()
    assert "attempt" in said.out
    assert "no record" in said.err


def nothing(project):
    """What sacct prints of no job at all: the ledger has everything already."""
    path = project / "sacct.txt"
    path.write_text(SACCT.read_text().splitlines()[0] + "\n")
    return path


def test_runs_are_compared_by_their_ids_and_held_against_targets(campaign, capsys):
    project = ["--project", str(campaign.project)]
    names = sorted(path.name for path in (campaign.project / "runs").iterdir())
    assert hpc_qa([*project, "bench", "compare", names[0], names[1]]) == 0
    assert "throughput_pdfs_per_hour" in capsys.readouterr().out
    assert hpc_qa([*project, "bench", "check", names[0], names[1]]) == 5  # of fewer than three runs nothing is said
    assert hpc_qa([*project, "bench", "targets", names[0]]) in (0, 4)
    assert hpc_qa([*project, "bench", "check", "nothing", names[1]]) == 2
    assert "and no run" in capsys.readouterr().err


def test_each_run_of_a_day_has_a_number(campaign):
    runs = sorted((campaign.project / "runs").iterdir())
    assert [record_of(RunDirectory(run), campaign.project).id[-3:] for run in runs] == ["001", "002"]


def test_a_record_stays_that_of_its_run_when_the_folder_of_another_goes_away(campaign, capsys):
    project = ["--project", str(campaign.project)]
    first, second = sorted((campaign.project / "runs").iterdir())
    for run in (first, second):
        assert hpc_qa([*project, "bench", "record", run.name]) == 0
    shutil.rmtree(first)
    assert hpc_qa([*project, "bench", "record", second.name]) == 0
    assert id_of(RunDirectory(second), campaign.project)[-3:] == "002"
    shutil.rmtree(campaign.project / "records")
    assert hpc_qa([*project, "bench", "record", second.name]) == 0
    assert id_of(RunDirectory(second), campaign.project)[-3:] == "001"


def test_a_run_that_was_recorded_later_gets_a_number_that_no_kept_record_has(campaign):
    runs = [RunDirectory(path) for path in sorted((campaign.project / "runs").iterdir())]
    kept = keep(record_of(runs[1], campaign.project, "cluster_batch_2026-01-02_001"), campaign.project / "records")
    assert list(ids_of(campaign.project, runs).values()) == [
        "cluster_batch_2026-01-02_002", "cluster_batch_2026-01-02_001",
    ]  # fmt: skip
    kept.write_text(kept.read_text() + "{ no longer YAML")
    assert ids_of(campaign.project, runs)[runs[1].run_id][-3:] == "001"


def test_a_record_of_another_run_is_never_replaced(campaign):
    runs = [RunDirectory(path) for path in sorted((campaign.project / "runs").iterdir())]
    made = [record_of(run, campaign.project, "one") for run in runs]
    path = keep(made[0], campaign.project / "records", replace=True)
    with pytest.raises(ConfigError, match=f"is the record of {runs[0].run_id}"):
        keep(made[1], campaign.project / "records", replace=True)
    assert read_records([path]).records == [made[0]]


def test_the_memory_of_a_gpu_is_that_of_the_newest_attempt_which_saw_its_own(campaign):
    run = RunDirectory(sorted((campaign.project / "runs").iterdir())[1])
    assert record_of(run, campaign.project).hardware.gpu_vram_gb is None
    for made in run.shard(0).attempts():
        device = {"id": "GPU-a", "name": "NVIDIA A100-SXM4-80GB", "memory_bytes": 85_899_345_920}
        made.samples_json.write_text(json.dumps({"devices": [device, {"id": "GPU-b"}]}))
    found = record_of(run, campaign.project).hardware
    assert (found.gpu_vram_gb, found.gpu_model) == (85.9, "NVIDIA A100-SXM4-80GB")


@pytest.mark.parametrize("foreign", [True, False])
def test_of_a_server_of_somebody_else_memory_cpu_and_bottleneck_are_null(tmp_path, foreign):
    vllm = {"attach": "their.sock", "attach_pid": None if foreign else 1}
    run = planned_run(tmp_path, [["a"]], hardware={"cpu_cores": 4}, vllm=vllm)
    made = attempt(run.shard(0), whole("a"))
    leave_traces(made)
    stage = {"stage": "serving", "start": CREATED_AT, "end": CREATED_AT.replace("05.000", "08.000")}
    made.stages.write_text(json.dumps(stage) + "\n")
    assert commit_shard(run.shard(0), made.name, ["a"])
    sync_runs(tmp_path, [run])
    found = record_of(run, tmp_path)
    (serving,) = (stage for stage in found.stages if stage.name == "serving")
    figures = found.results.max_cpu_memory_gb, found.results.avg_cpu_memory_gb, serving.cpu_percent
    assert [figure is None for figure in (*figures, serving.bottleneck)] == [foreign] * 4


def test_a_run_of_a_sweep_says_so_in_its_record_whoever_makes_it(campaign):
    run = RunDirectory(sorted((campaign.project / "runs").iterdir())[1])
    facts = run.facts() | {"sweep": {"name": "sizes", "labels": {"document_set": "small", "chunk_size": "ignored"}}}
    run.run_json.unlink()
    run.freeze(facts)
    record = record_of(RunDirectory(run.path), campaign.project)
    settings = record.configuration.model_dump()
    assert (record.sweep, settings["document_set"], settings["chunk_size"]) == (
        "sizes", "small", facts["config"]["qa"]["chunk_size"],
    )  # fmt: skip
