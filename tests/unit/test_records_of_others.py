"""Records as groups print and fill them in, copied with their keys: each is read, and what has no place is named."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from hpc_qa.bench.record_file import read_records
from hpc_qa.cli.main import run as hpc_qa

DATA = Path(__file__).resolve().parents[1] / "data" / "records"
BASELINE = Path(__file__).resolve().parents[2] / "configs" / "baselines" / "ran_m3max.yaml"
FILLED = ("sample.yaml", "quick_filled.yaml", "detailed_filled.yaml")


def known(model, above=""):
    """Each value of a record that is not null, by its key."""
    found = {}
    for key, value in model:
        if isinstance(value, BaseModel):
            found |= known(value, f"{above}{key}.")
        elif value not in (None, []):
            found[above + key] = value
    return found


@pytest.mark.parametrize("name", FILLED)
def test_a_filled_form_is_imported_without_a_word(tmp_path, capsys, name):
    assert hpc_qa(["--project", str(tmp_path), "bench", "import", str(DATA / name)]) == 0
    assert capsys.readouterr().err == ""
    assert len(list((tmp_path / "records").iterdir())) == 1


def test_every_key_of_the_long_form_has_its_value_in_the_record():
    (record,) = read_records([DATA / "sample.yaml"]).records
    follows = {"results.qa_pairs_per_pdf", "results.gpu_hours_per_pdf", "quality.quality_score"}
    assert known(record).keys() - follows == {
        "id", "date", "environment", "commit_sha", "config_file", "hardware.gpu_model", "hardware.gpu_count",
        "hardware.gpu_vram_gb", "hardware.cpu_cores", "hardware.ram_gb", "dataset.pdfs_processed",
        "dataset.markdown_size_mb", "model.name", "model.serving", "model.tensor_parallel",
        "configuration.chunk_size", "configuration.questions_per_chunk", "configuration.concurrency_limit",
        "results.total_time_minutes", "results.qa_pairs_generated", "results.avg_time_per_pdf_minutes",
        "results.throughput_pdfs_per_hour", "results.gpu_hours", "results.avg_gpu_utilization_percent",
        "results.max_gpu_memory_gb", "results.avg_cpu_memory_gb", "quality.sample_size", "quality.avg_clarity_score",
        "quality.avg_accuracy_score", "quality.avg_relevance_score", "quality.overall_acceptance_rate", "issues",
    }  # fmt: skip


def test_the_detailed_form_lands_under_the_keys_of_the_long_one():
    (record,) = read_records([DATA / "detailed_filled.yaml"]).records
    found = known(record)
    assert found["commit_sha"] == "abc123def456"
    assert found["quality.overall_acceptance_rate"] == 0.95
    assert found["dataset.manifest"] == "data/processed/manifests/batch_50.txt"
    assert found["issues"] == ["one node was slow"]
    assert len(found) == 30  # 28 of the form; GPU-hours per PDF and the quality score follow


@pytest.mark.parametrize(("name", "places"), [("quick_unfilled.yaml", 8), ("detailed_unfilled.yaml", 28)])
def test_a_form_that_nobody_filled_in_is_a_record_of_which_nothing_is_known(name, places):
    found = read_records([DATA / name])
    assert found.faults == []
    (record,) = found.records
    assert known(record) == {"id": name.partition(".")[0]}
    said = [warning for warning in found.warnings if warning.endswith("is not filled in")]
    assert len(said) == places
    assert f"{DATA / name}:{3 if name.startswith('quick') else 4}: " in said[2]


def test_cells_are_read_from_a_reading_of_all_pipelines_and_from_the_answer_about_one():
    found = read_records([DATA / "benchmark_results_20251104_120000.json"])
    assert found.faults == []
    first, second = found.records
    assert first.id == "Benchmark_qwen3_7b_25_medium_1_20251104_120000"
    assert first.sweep == "benchmark_results_20251104_120000"
    assert known(first).items() >= {
        "results.total_time_minutes": 75.0, "results.throughput_pdfs_per_hour": 20.0, "quality.quality_score": 0.75,
        "results.max_cpu_memory_gb": 48.5, "configuration.batch_size": 25, "configuration.document_set": "medium",
    }.items()  # fmt: skip
    assert (second.results.throughput_pdfs_per_hour, second.quality.quality_score) == (52.2, 0.731)


def test_keys_of_cells_that_no_record_has_are_named_once():
    (said,) = read_records([DATA / "benchmark_results_20251104_120000.json"]).warnings
    assert said.endswith(
        "keys of cells that no record has: metrics.pipeline_id, metrics.status, metrics.metrics.documents"
    )


def test_the_published_figures_of_other_hardware_are_read_and_stand_beside_others(capsys):
    found = read_records([BASELINE])
    assert (found.faults, found.warnings, len(found.records)) == ([], [], 18)
    assert {record.hardware.gpu_model for record in found.records} == {"Apple M3 Max"}
    sample = str(DATA / "sample.yaml")
    assert hpc_qa(["bench", "compare", str(BASELINE), sample]) == 0
    assert hpc_qa(["bench", "check", str(BASELINE), sample]) == 2
    assert "hardware.gpu_model: Apple M3 Max against NVIDIA RTX 3090" in capsys.readouterr().err
