"""The figures of a run: by hand from a run that was made up, and null for what nobody measured."""

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hpc_qa.campaign.figures import COLUMNS, RunFigures, attempt_rows, critical_seen, figures, spent_of
from hpc_qa.campaign.sync import sync_file, sync_runs
from hpc_qa.store.files import write_json_once
from hpc_qa.store.merge import commit_shard
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory
from hpc_qa.units import iso
from tests.made_runs import attempt, chunk, document, pair, planned_run, rejected, submission, whole

T0 = 1_795_319_000
HEADER = (
    "JobIDRaw|JobID|State|ElapsedRaw|Submit|Start|End|AllocTRES|TotalCPU|TRESUsageInTot\n"
    f"16|4471_0|REQUEUED|600|{T0}|{T0 + 60}|{T0 + 660}|cpu=8,mem=10G,gres/gpu=2|00:20:00|mem=5G\n"
    f"16|4471_0|COMPLETED|1800|{T0 + 660}|{T0 + 720}|{T0 + 2520}|cpu=8,mem=10G,gres/gpu=2|01:00:00|mem=8G\n"
    f"17|4471_1|COMPLETED|1200|{T0}|{T0 + 60}|{T0 + 1260}|cpu=8,mem=10G,gres/gpu=2|00:40:00|mem=6G\n"
)


def at(seconds: float) -> str:
    return iso(datetime.fromtimestamp(T0 + seconds, UTC))


def said(made: AttemptDirectory, *, began: float, tokens: int, serving_s: float, startup_s: float | None) -> None:
    """What an attempt left of itself and its speed; one that was killed has left no summary."""
    write_json_once(made.attempt_json, {"started_at": at(began), "host": "elsewhere"})
    write_json_once(made.path / "progress.json", {"computed_tokens": tokens, "serving_s": serving_s + 7})
    if startup_s is not None:
        write_json_once(made.path / "summary.json", {"startup_s": startup_s, "serving_s": serving_s})


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Two shards; of four documents two are ok, one failed, one was skipped before the start."""
    settled = [{"doc_id": "d", "state": "skipped", "reason": "duplicate_of"}]
    one = planned_run(tmp_path, [["a"], ["b", "c"]], settled=settled, executor="slurm", gpus=2)
    tasks = [{"shard": shard, "job_id": f"4471_{shard}"} for shard in (0, 1)]
    one.add_submission(submission([]) | {"executor": "slurm", "job_id": "4471", "tasks": tasks})
    good = chunk("a", 0, [pair("a", 0, 0, quality_score=1.0), pair("a", 0, 1, quality_score=0.5), rejected("a", 0, 2)])
    killed = attempt(one.shard(0), [good])
    said(killed, began=61, tokens=1000, serving_s=93, startup_s=None)
    last = attempt(one.shard(0), [[document("a", [good])]], restart=1)
    said(last, began=721, tokens=3000, serving_s=300, startup_s=40.0)
    # accepted without a score, and judged although a check failed: neither has a say in the quality
    odd = {"clarity": None, "accuracy": None, "relevance": None, "quality_score": None}
    failed_check = pair("b", 0, 1, accepted=False, checks={"evidence_exists": False}, quality_score=0.0)
    other = chunk("b", 0, [pair("b", 0, 0, quality_score=0.25), failed_check, pair("b", 0, 2, **odd)])
    made = attempt(one.shard(1), [other, [document("b", [other])], [document("c", state="failed")]])
    said(made, began=61, tokens=2000, serving_s=200, startup_s=60.0)
    for index, documents in enumerate((["a"], ["b", "c"])):
        assert commit_shard(one.shard(index), last.name if index == 0 else made.name, documents)
    return one


def account_for(project: Path) -> None:
    (project / "sacct.txt").write_text(HEADER)
    sync_file(project, project / "sacct.txt")


def test_every_figure_follows_from_records_attempts_and_the_ledger(tmp_path, run):
    account_for(tmp_path)
    found = figures(run, tmp_path).to_json()
    assert {name: found[name] for name in ("documents", "ok", "failed", "skipped", "left", "pdfs_processed")} == {
        "documents": 4, "ok": 2, "failed": 1, "skipped": 1, "left": 0, "pdfs_processed": 3,
    }  # fmt: skip
    assert (found["error_rate"], found["success_rate"]) == (0.25, 0.5)
    assert (found["qa_pairs_generated"], found["qa_pairs_accepted"], found["qa_pairs_per_pdf"]) == (6, 4, 2.0)
    minutes = 41.0  # the second attempt ends 2,460 s after the first has begun
    gpu_hours = 2 * (600 + 1800 + 1200) / 3600
    core_hours = 8 * (600 + 1800 + 1200) / 3600
    expected = {
        "total_time_minutes": minutes,
        "queue_minutes": 1.0,
        "avg_time_per_pdf_minutes": minutes / 3,
        "throughput_pdfs_per_hour": 3 * 60 / minutes,
        "gpu_hours": gpu_hours,
        "gpu_hours_per_pdf": gpu_hours / 3,
        "core_hours": core_hours,
        "cpu_efficiency_percent": 100 * 7200 / (8 * 3600),
        "job_efficiency_percent": 25.0,
        "memory_efficiency_percent": 100 * (0.5 * 600 + 0.8 * 1800 + 0.6 * 1200) / 3600,
        "max_cpu_memory_gb": 8 * 2**30 / 1e9,
        "startup_s": 50.0,
        "computed_tokens": 6000,
        "tokens_per_s": 6000 / 600,
        "gpu_hours_per_accepted_pair": gpu_hours / 4,
        "wall_hours_per_accepted_pair": minutes / 60 / 4,
        "core_hours_per_accepted_pair": core_hours / 4,
        "tokens_per_accepted_pair": 1500.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert (found["attempts"], found["states"]) == (3, {"COMPLETED": 2, "REQUEUED": 1})
    unknown = ("energy_kwh", "kwh_per_accepted_pair", "avg_gpu_utilization_percent", "max_gpu_memory_gb")
    assert [found[name] for name in (*unknown, "sampled_gpus")] == [None] * 5
    assert found["allocated_gpus"] == 2


def test_quality_is_of_judged_pairs_that_passed_every_check_and_spreads_between_documents(tmp_path, run):
    found = figures(run, tmp_path).quality
    assert found.judged_pairs == 3
    assert found.quality_score == pytest.approx(1.75 / 3)
    assert found.quality_score_deviation == pytest.approx(0.5 / 2**0.5)  # of the means 0.75 and 0.25
    assert (found.avg_clarity_score, found.avg_accuracy_score, found.avg_relevance_score) == (5, 4, 4)


def test_what_no_attempt_of_the_ledger_says_is_null_and_json_has_no_other_unknown(tmp_path, run):
    found = figures(run, tmp_path).to_json()
    times = ("total_time_minutes", "gpu_hours", "core_hours", "gpu_hours_per_pdf", "throughput_pdfs_per_hour")
    assert [found[name] for name in times] == [None] * 5
    assert (found["attempts"], found["allocated_gpus"], found["ok"]) == (0, None, 2)
    assert "NaN" not in json.dumps(found, allow_nan=False)
    names = {field.name for field in fields(RunFigures)} - {"spent"}
    assert names <= found.keys()


def test_one_attempt_that_still_runs_or_is_not_known_leaves_time_and_hours_unknown(tmp_path, run):
    running = HEADER.replace(
        f"17|4471_1|COMPLETED|1200|{T0}|{T0 + 60}|{T0 + 1260}", f"17|4471_1|RUNNING|9|{T0}|{T0}|Unknown"
    )
    (tmp_path / "sacct.txt").write_text(running)
    sync_file(tmp_path, tmp_path / "sacct.txt")
    assert figures(run, tmp_path).spent.total_time_minutes is None
    (tmp_path / "sacct.txt").write_text(HEADER.replace("cpu=8,mem=10G,gres/gpu=2|00:40:00", "|00:40:00"))
    sync_file(tmp_path, tmp_path / "sacct.txt")
    found = figures(run, tmp_path).spent
    assert (found.gpu_hours, found.core_hours, found.allocated_gpus) == (None, None, 2)
    assert found.total_time_minutes == 41.0


def test_a_run_of_nothing_divides_by_nothing(tmp_path):
    settled = [{"doc_id": "a", "state": "skipped", "reason": "duplicate_of"}]
    found = figures(planned_run(tmp_path, [], settled=settled), tmp_path).to_json()
    assert (found["pdfs_processed"], found["qa_pairs_per_pdf"], found["tokens_per_s"]) == (0, None, None)
    assert found["quality"]["quality_score"] is None


def test_samples_count_where_the_ledger_has_them(tmp_path, run, monkeypatch):
    account_for(tmp_path)
    names = ("gpu_utilization", "gpu_memory_peak_bytes", "gpu_energy_j", "sampled_gpus")
    samples = {600: (0.2, 60e9, 1.2e6, 2), 1800: (0.6, 70e9, 6.0e6, 2), 1200: (0.4, 65e9, 3.6e6, 1)}
    rows = [row | dict(zip(names, samples[row["elapsed_s"]], strict=True)) for row in attempt_rows(tmp_path, run)]
    monkeypatch.setattr("hpc_qa.campaign.figures.attempt_rows", lambda _project, _run: rows)
    found = figures(run, tmp_path).spent
    assert found.avg_gpu_utilization_percent == pytest.approx(100 * (0.2 * 600 + 0.6 * 1800 + 0.4 * 1200) / 3600)
    assert (found.max_gpu_memory_gb, found.energy_kwh) == (pytest.approx(70.0), pytest.approx(3.0))
    assert (found.allocated_gpus, found.sampled_gpus) == (2, 1)


@pytest.mark.parametrize(("known_s", "percent"), [(1, None), (899, None), (901, 90.0)])
def test_a_mean_of_little_is_null_and_says_of_how_much_it_would_have_been(known_s, percent):
    none = dict.fromkeys(COLUMNS) | {"source": "sacct", "is_final": True, "cpus": 8, "gpu_count": 1}
    long, short = (
        none | {"elapsed_s": seconds, "gpu_hours_allocated": seconds / 3600} for seconds in (1000 - known_s, known_s)
    )
    found = spent_of([long, short | {"gpu_utilization": 0.9, "cpu_efficiency": 0.9}], None)
    assert found.avg_gpu_utilization_percent == (None if percent is None else pytest.approx(percent))
    assert found.cpu_efficiency_percent == found.avg_gpu_utilization_percent
    names = set() if percent else {"avg_gpu_utilization_percent", "cpu_efficiency_percent"}
    assert found.partly_known == {name: pytest.approx(known_s / 1000) for name in names}
    unknown = none | {"elapsed_s": 1, "gpus_asked": 4}
    assert spent_of([unknown, short | {"gpu_utilization": 0.9}], None).avg_gpu_utilization_percent is None


def test_a_local_run_without_a_gpu_has_wall_and_core_hours_of_its_machine(tmp_path):
    run = planned_run(tmp_path, [["a"]], hardware={"cpu_cores": 4})
    batches = whole("a")
    made = attempt(run.shard(0), batches)
    write_json_once(made.attempt_json, {"started_at": at(0), "host": "elsewhere"})
    write_json_once(made.path / "progress.json", {"at": at(1800)})
    assert commit_shard(run.shard(0), made.name, ["a"])
    assert figures(run, tmp_path).spent.core_hours is None  # the ledger knows nothing yet
    sync_runs(tmp_path, [run])
    found = figures(run, tmp_path)
    assert (found.spent.core_hours, found.spent.gpu_hours, found.spent.queue_minutes) == (2.0, 0.0, None)
    assert (found.spent.total_time_minutes, found.spent.allocated_gpus) == (30.0, 0)
    assert (found.wall_hours_per_accepted_pair, found.core_hours_per_accepted_pair) == (0.5 / 4, 2.0 / 4)


def test_what_failed_before_the_start_was_not_processed_and_pairs_of_unfinished_documents_are_of_no_pdf(tmp_path):
    settled = [{"doc_id": f"s{number}", "state": "failed", "reason": "encrypted"} for number in range(3)]
    run = planned_run(tmp_path, [["a", "b"]], settled=settled)
    done = chunk("a", 0, [pair("a", 0, 0)])
    attempt(run.shard(0), [done, [document("a", [done])], chunk("b", 0, [pair("b", 0, 0), pair("b", 0, 1)])])
    found = figures(run, tmp_path)
    assert (found.failed, found.left, found.pdfs_processed) == (3, 1, 1)
    assert (found.qa_pairs_generated, found.qa_pairs_per_pdf) == (3, 1.0)
    assert critical_seen(found) == ["documents that failed: 3 of 5"]
