"""Attempts of accounting, and the folders that their workers left: joined, or shown to be alone."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hpc_qa.campaign.attempt_folders import attempt_folders
from hpc_qa.campaign.sync import behind, sync_file, sync_runs
from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.ledger.samples import sum_up
from hpc_qa.store.run_directory import RunDirectory, attempt_name
from hpc_qa.units import iso
from tests.made_runs import finished_run, planned_run

EPOCH = 1_795_319_000
HEADER = "JobIDRaw|JobID|State|ElapsedRaw|Submit|Start|End|AllocTRES\n"


def at(seconds: float) -> str:
    return iso(datetime.fromtimestamp(EPOCH + seconds, UTC))


def worked(run: RunDirectory, restart: int, marks: dict[str, tuple[float, float]], job: str = "9") -> str:
    """The folder of an attempt at shard 0 that marked these stages, in seconds; its name."""
    made = run.shard(0).new_attempt(attempt_name(job, 0, restart))
    began = min(start for start, _ in marks.values())
    identity = {"job_id": job, "array_index": 0, "restart_count": restart, "started_at": at(began), "host": "elsewhere"}
    made.attempt_json.write_text(json.dumps(identity))
    lines = [{"stage": stage, "start": at(start), "end": at(end)} for stage, (start, end) in marks.items()]
    made.stages.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "serv')
    return made.name


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    one = planned_run(tmp_path, [["a"]], executor="slurm")
    one.add_submission({"executor": "slurm", "job_id": "9", "tasks": [{"shard": 0, "job_id": "9_0"}]})
    return one


def synced(project: Path, *rows: str) -> list[dict[str, object]]:
    (project / "sacct.txt").write_text(HEADER + "\n".join(rows) + "\n")
    sync_file(project, project / "sacct.txt")
    return as_rows(current(project).table)


def test_each_attempt_at_a_requeued_task_finds_its_own_folder_and_its_stages_sum_to_its_allocation(tmp_path, run):
    killed = worked(run, 0, {"setup": (5, 6), "model_load": (6, 50)})
    done = worked(run, 1, {"setup": (203, 204), "model_load": (204, 260), "warm_up": (260, 261), "serving": (261, 290),
                           "tail": (290, 294), "teardown": (294.5, 298)})  # fmt: skip
    rows = synced(
        tmp_path,
        f"16|9_0|REQUEUED|100|{EPOCH - 9}|{EPOCH}|{EPOCH + 100}|gres/gpu=4",
        f"16|9_0|COMPLETED|100|{EPOCH + 100}|{EPOCH + 200}|{EPOCH + 300}|gres/gpu=4",
    )
    assert [row["folder"] for row in rows] == [killed, done]
    first, second = (dict(row["stages_ms"]) for row in rows)
    assert first == dict.fromkeys(first, 0) | {"launch": 5_000, "setup": 1_000, "model_load": 44_000, "lost": 50_000}
    assert second == dict.fromkeys(second, 0) | {
        "launch": 3_000, "setup": 1_000, "model_load": 56_000, "warm_up": 1_000, "serving": 29_000, "tail": 4_000,
        "unattributed": 500, "teardown": 5_500,
    }  # fmt: skip
    assert sum(first.values()) == sum(second.values()) == 100_000
    assert [(row["run_id"], row["shard"], row["data_quality"]) for row in rows] == 2 * [(run.run_id, 0, [])]


def test_a_folder_without_a_row_and_a_row_without_a_folder_are_shown_as_such(tmp_path, run):
    alone = worked(run, 0, {"setup": (5, 6)})
    rows = synced(tmp_path, f"16|9_0|FAILED|50|{EPOCH - 9}|{EPOCH + 600}|{EPOCH + 650}|gres/gpu=4")
    assert [(row["state"], row["folder"], row["data_quality"]) for row in rows] == [
        ("FAILED", None, ["no_folder"]), ("UNKNOWN", alone, ["no_accounting"]),
    ]  # fmt: skip
    assert rows[1]["gpu_hours_allocated"] is None


def test_what_accounting_learns_later_takes_the_place_of_the_folder_alone(tmp_path, run):
    worked(run, 0, {"setup": (5, 6)})
    before = synced(tmp_path, f"15|9_7|PENDING|0|{EPOCH - 9}|Unknown|Unknown|")
    assert [row["state"] for row in before if row["run_id"]] == ["UNKNOWN"]
    rows = synced(tmp_path, f"16|9_0|FAILED|50|{EPOCH - 9}|{EPOCH}|{EPOCH + 50}|gres/gpu=4")
    assert [(row["state"], row["data_quality"]) for row in rows if row["run_id"]] == [("FAILED", [])]


def test_runs_of_this_machine_are_charged_from_the_first_mark_to_the_last(tmp_path):
    local = finished_run(tmp_path, [["a"]], executor="local", gpus=2)
    worked(local, 0, {"setup": (0, 10), "teardown": (10, 1800)}, job="4472")
    done = sync_runs(tmp_path, [local])
    rows = {row["job_id"]: row for row in as_rows(current(tmp_path).table)}
    row = rows["4472_0"]
    assert (row["source"], row["state"], row["elapsed_s"], row["gpu_hours_allocated"]) == (
        "local",
        "COMPLETED",
        1800,
        1.0,
    )
    assert dict(row["stages_ms"])["teardown"] == 1_790_000
    assert done.written == 2
    assert rows["4471_0"]["data_quality"] == ["no_elapsed"]  # it left records, and no word of itself
    assert sync_runs(tmp_path, [local]).written == 0


LINE = (
    '{{"t": {at}, "s": "{stage}", "c": {cpu}, "r": 9, "g": [{{"id": "GPU-a", "u": 50, "m": 7, "w": 300, "e": null}}]}}'
)
TOKENS = {
    "computed_tokens": 1000,
    "judge_prompt_tokens": 500,
    "judge_cached_tokens": 450,
    "judge_completion_tokens": 150,
}


def put_samples(folder: str, run: RunDirectory, first: int, last: int) -> Path:
    """The lines of an attempt that sampled one GPU; their path."""
    path = run.shard(0).path / folder / "gpu.jsonl"
    stages = ["model_load" if at < 10 else "serving" for at in range(first, last + 1)]
    lines = [LINE.format(at=EPOCH + at, stage=stage, cpu=at) for at, stage in enumerate(stages, first)]
    path.write_text("\n".join(lines) + '\n{"t": 17')
    return path


ROW = f"16|9_0|FAILED|100|{EPOCH - 9}|{EPOCH}|{EPOCH + 100}|gres/gpu=4"


def test_what_a_killed_attempt_had_sampled_is_in_its_row(tmp_path, run):
    folder = worked(run, 0, {"setup": (5, 6)})
    put_samples(folder, run, 5, 45)
    (run.shard(0).path / folder / "progress.json").write_text(json.dumps(TOKENS))
    (row,) = synced(tmp_path, ROW)
    assert row["busy_ms"] == {"model_load": 2_500, "serving": 17_500}
    expected = {
        "sampled_gpus": 1, "gpu_busy_s": 20.0, "gpu_utilization": 0.5, "gpu_samples_share": 0.1,
        "energy_basis": "power", "gpu_energy_j": 12_000.0, "gpu_power_mean_w": 300.0, "gpu_memory_peak_bytes": 7,
        "host_cpu_s": 45.0, "host_memory_peak_bytes": 9, "host_memory_mean_bytes": 9, "judge_token_share": 0.2,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_samples_that_are_found_later_are_news_and_the_same_again_are_not(tmp_path, run):
    folder = worked(run, 0, {"setup": (5, 6)})
    (before,) = synced(tmp_path, ROW)
    assert (before["gpu_busy_s"], before["gpu_samples_share"], before["busy_ms"]) == (None, None, None)
    assert before["judge_token_share"] is None
    put_samples(folder, run, 5, 45)
    assert sync_file(tmp_path, tmp_path / "sacct.txt").written == 1
    assert sync_file(tmp_path, tmp_path / "sacct.txt").written == 0
    (row,) = as_rows(current(tmp_path).table)
    assert row["gpu_busy_s"] == 20.0


def test_the_sum_that_the_worker_left_is_believed_before_its_lines_are_read(tmp_path, run):
    folder = worked(run, 0, {"setup": (5, 6)})
    lines = put_samples(folder, run, 5, 45)
    found = sum_up(lines.read_bytes().splitlines())
    assert found is not None
    sums = lines.with_name("samples.json")
    sums.write_text(json.dumps(found.to_json() | {"gpu_busy_s": 1.0}))
    assert synced(tmp_path, ROW)[0]["gpu_busy_s"] == 1.0
    sums.write_text("{}")
    assert synced(tmp_path, ROW)[0]["gpu_busy_s"] == 20.0


@pytest.mark.parametrize(
    "changes", [{"computed_tokens": 0}, {"judge_completion_tokens": None}, {"judge_completion_tokens": "x"},
                {"judge_prompt_tokens": 5000}, {"computed_tokens": -1}],
)  # fmt: skip
def test_a_share_of_the_judge_that_cannot_be_known_is_null(tmp_path, run, changes):
    folder = worked(run, 0, {"setup": (5, 6)})
    (run.shard(0).path / folder / "progress.json").write_text(json.dumps(TOKENS | changes))
    assert synced(tmp_path, ROW)[0]["judge_token_share"] is None


def test_damaged_marks_are_left_out(tmp_path, run):
    worked(run, 0, {"setup": (5, 6)})
    (folder,) = attempt_folders([run])
    folder.attempt.directory.stages.write_text('null\n[]\n{"stage": "x"}\n{"stage": "setup", "start": 1, "end": 2}\n')
    (again,) = attempt_folders([run])
    assert again.spans == ()


def test_accounting_is_asked_again_only_about_runs_of_which_it_may_know_more(tmp_path, run):
    def asked(living: set[str] | None) -> bool:
        return behind(tmp_path, [run], living) == [run]

    assert asked(set())  # nothing is known
    synced(tmp_path, f"16|9_0|NODE_FAIL|50|{EPOCH - 9}|{EPOCH}|{EPOCH + 50}|gres/gpu=4")
    assert asked(set())  # it may have been started again
    synced(tmp_path, f"16|9_0|COMPLETED|50|{EPOCH + 60}|{EPOCH + 70}|{EPOCH + 120}|gres/gpu=4")
    assert not asked(set())
    assert asked({"9_0"})
    assert asked(None)  # the queue did not answer
