"""What the benchmark document does not put together: unknown and known, two batches, two kinds of GPU."""

from pathlib import Path
from typing import Any

from hpc_qa.bench.record import Record, completed
from hpc_qa.bench.record_file import keep
from hpc_qa.config_file import load_project
from hpc_qa.report.document.goals import checks
from hpc_qa.report.document.insights import found_pair
from hpc_qa.report.document.material import Material, material
from hpc_qa.report.document.usage import differences, usage_table
from hpc_qa.report.performance.settings import concurrency

CONCURRENCY = ("concurrency_limit",)


def record(name: str, limit: int, minutes: float, **sections: Any) -> Record:
    return completed(
        Record.model_validate(
            {
                "id": name, "environment": "cluster", "batch": "batch_50", "date": "2026-01-01",
                "hardware": {"gpu_model": "A100", "gpu_count": 4}, "model": {"name": "models/m"},
                "dataset": {"pdfs_processed": 50, "manifest": "m.jsonl"},
                "configuration": {"concurrency_limit": limit},
                "results": {
                    "total_time_minutes": minutes, "qa_pairs_accepted": 100, "gpu_hours": minutes / 15,
                },
            } | sections
        )
    )  # fmt: skip


def kept(project: Path, *records: Record) -> Material:
    for one in records:
        keep(one, project / "records")
    return material(project, load_project(project))


def test_a_strategy_is_shown_by_runs_of_the_same_work_alone() -> None:
    small, large = record("a", 10, 90.0), record("b", 20, 180.0, batch="batch_200", dataset={"pdfs_processed": 200})
    assert found_pair([small, large], CONCURRENCY) is None
    pair = found_pair([small, record("c", 20, 60.0)], CONCURRENCY)
    assert pair is not None
    assert [cell.records[0].id for cell in pair] == ["a", "c"]


def test_gpu_hours_that_are_not_known_make_a_total_the_least_that_it_can_be(tmp_path: Path) -> None:
    unknown = record("b", 10, 60.0, batch="batch_200", results={"total_time_minutes": 60.0})
    found = kept(tmp_path, record("a", 10, 90.0), unknown)
    assert "**at least 6.00**" in usage_table(found)
    assert differences(found)["not known"] == "GPU-hours of 1 record are not known: the sums are without them"
    (tmp_path / "records" / "b.yaml").unlink()
    known = material(tmp_path, load_project(tmp_path))
    assert "at least" not in usage_table(known)
    assert "not known" not in differences(known)


def test_throughput_of_other_hardware_is_on_another_line(tmp_path: Path) -> None:
    local = record(
        "c", 10, 600.0, environment="local", hardware={"gpu_count": 0}, results={"total_time_minutes": 600.0}
    )
    chart = concurrency(kept(tmp_path, record("a", 10, 50.0), record("b", 50, 25.0), local))
    assert chart.said == (
        "Mean throughput by concurrency limit: m, cluster, 4 x A100: 10.0: 60.0 documents an hour; "
        "50.0: 120.0 documents an hour / m, local, no GPU: 10.0: 5.00 documents an hour"
    )


def test_what_nobody_can_know_of_a_record_written_by_hand_is_not_ticked(tmp_path: Path) -> None:
    results = {"avg_gpu_utilization_percent": 78.0, "gpu_hours": 6.0}
    by_hand = record("a", 10, 90.0, commit_sha="0" * 40 + "+dirty", config_file="c.yaml", results=results)
    ours = record("b", 10, 90.0, run="r", commit_sha="0" * 40, config_file="c.yaml", results=results)
    found = kept(tmp_path, by_hand, ours)
    ticks = [
        {title: met for items in checks(one, found).values() for title, met, _ in items} for one in (by_hand, ours)
    ]
    for title in ("GPU utilization, each second", "Exact configuration (commit, config file)"):
        assert [tick[title] for tick in ticks] == [False, True]
