"""Benchmark records: read from what people write by hand, in whichever template."""

import json
import re
from pathlib import Path

import pytest
import yaml

from hpc_qa.bench.record import Issue, Record
from hpc_qa.bench.record_file import keep, read_records
from hpc_qa.bench.templates import IDS, TEMPLATES
from hpc_qa.cli.main import run
from hpc_qa.errors import ConfigError

# the sample of the document that groups fill in by hand
SAMPLE = """\
benchmark_run:
  id: "local_test_2025-11-04_001"
  date: "2025-11-04"
  environment: "local" # or "cluster"
  commit_sha: "abc123def456"
  config_file: "configs/medicaid_config.yaml"

  hardware: {gpu_model: "NVIDIA RTX 3090", gpu_count: 2, gpu_vram_gb: 24, cpu_cores: 16, ram_gb: 64}
  dataset: {pdfs_processed: 10, markdown_size_mb: 45}
  model: {name: "meta-llama/Llama-3.1-70B-Instruct", serving: "vLLM", tensor_parallel: 2}
  configuration: {chunk_size: 1500, questions_per_chunk: 5, concurrency_limit: 20}
  results:
    total_time_minutes: 87
    qa_pairs_generated: 52
    avg_time_per_pdf_minutes: 8.7
    throughput_pdfs_per_hour: 6.9
    gpu_hours: 2.9
    avg_gpu_utilization_percent: 78
    max_gpu_memory_gb: 21
    avg_cpu_memory_gb: 32
  quality:
    sample_size: 20
    avg_clarity_score: 4.2
    avg_accuracy_score: 4.5
    avg_relevance_score: 4.3
    overall_acceptance_rate: 0.95
  issues:
    - "Minor: 2 PDFs had encoding warnings"
    - "No critical issues"
"""
QUICK = """\
run_id: test_2025-11-04_1
date: 2025-11-04
pdfs: 10
time_minutes: 87
qa_pairs: 52
gpu_hours: 2.9
quality_ok: yes
issues: none
"""
DETAILED = """\
benchmark_run:
  id: local_first_2025-11-04
  date: "2025-11-04"
  environment: local
  configuration: {commit_sha: "abc123", config_file: configs/a.yaml, chunk_size: 1500, max_num_seqs: 64}
  results: {total_time_minutes: 87}
  quality_sample: {sample_size: 20, avg_clarity_score: 4.2, acceptance_rate: 0.9}
  issues: "none"
"""


def read(folder: Path, text: str, name: str = "r.yaml"):
    (folder / name).write_text(text)
    return read_records([folder / name])


def one(folder: Path, text: str) -> Record:
    found = read(folder, text)
    assert (found.faults, found.warnings) == ([], [])
    (record,) = found.records
    return record


def test_the_sample_of_the_benchmark_document_is_read_as_it_stands(tmp_path):
    record = one(tmp_path, SAMPLE)
    assert (record.id, record.environment, record.results.gpu_hours) == ("local_test_2025-11-04_001", "local", 2.9)
    assert record.hardware.gpu_model == "NVIDIA RTX 3090"
    assert record.issues == [Issue(text="2 PDFs had encoding warnings", severity="minor"), "No critical issues"]
    assert record.results.error_rate is None


def test_figures_that_follow_by_definition_are_filled_in_and_what_is_written_stays(tmp_path):
    results = one(tmp_path, SAMPLE).results
    assert (results.qa_pairs_per_pdf, results.gpu_hours_per_pdf) == (5.2, 0.29)
    assert results.throughput_pdfs_per_hour == 6.9
    assert one(tmp_path, SAMPLE).quality.quality_score == pytest.approx((3.2 + 3.5 + 3.3) / 12)


def test_the_quick_template_is_read_into_the_same_shape(tmp_path):
    record = one(tmp_path, QUICK)
    assert (record.id, record.date, record.dataset.pdfs_processed) == ("test_2025-11-04_1", "2025-11-04", 10)
    assert (record.results.total_time_minutes, record.results.qa_pairs_generated) == (87, 52)
    assert (record.quality.ok, record.issues) == (True, [])
    assert record.results.throughput_pdfs_per_hour == pytest.approx(60 * 10 / 87)


def test_the_detailed_template_is_read_into_the_same_shape(tmp_path):
    record = one(tmp_path, DETAILED)
    assert (record.commit_sha, record.config_file, record.issues) == ("abc123", "configs/a.yaml", [])
    assert (record.quality.sample_size, record.quality.overall_acceptance_rate) == (20, 0.9)
    assert record.configuration.model_dump()["max_num_seqs"] == 64


def with_own_id(template: str) -> str:
    (written,) = (name for name in IDS if f"id: {name}\n" in template)
    return template.replace(written, "test_2026-01-31_1")


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_without_values_is_a_record_of_which_nothing_is_known(tmp_path, kind):
    record = one(tmp_path, with_own_id(TEMPLATES[kind]()))
    assert {value for section in (record.results, record.hardware) for value in section.model_dump().values()} == {None}


def test_the_full_template_has_every_key(tmp_path):
    data = yaml.safe_load(TEMPLATES["full"]())["benchmark_run"]
    assert list(data) == list(Record.model_fields)


@pytest.mark.parametrize("written", ['"Critical: the disk was full"', "Critical: the disk was full"])
def test_a_severity_in_front_of_an_issue_is_its_severity(tmp_path, written):
    record = one(tmp_path, f"benchmark_run:\n  id: a\n  issues:\n    - {written}\n    - 'MINOR : slow'\n    - odd\n")
    assert record.issues == [
        Issue(text="the disk was full", severity="critical"), Issue(text="slow", severity="minor"), "odd",
    ]  # fmt: skip
    assert read_records([keep(record, tmp_path / "records")]).records == [record]


def test_what_is_kept_reads_back_as_the_same(tmp_path):
    record = one(tmp_path, SAMPLE)
    path = keep(record, tmp_path / "records")
    assert path.name == "local_test_2025-11-04_001.yaml"
    assert read_records([path]).records == [record]
    assert keep(record, tmp_path / "records") == path
    other = record.model_copy(update={"batch": "smoke"})
    with pytest.raises(ConfigError, match="other content"):
        keep(other, tmp_path / "records")


def test_an_id_leads_to_no_other_folder(tmp_path):
    path = keep(Record(id="../../etc/x y"), tmp_path / "records")
    assert path.parent == tmp_path / "records"
    assert path.name == "_.._etc_x_y.yaml"


def test_several_documents_and_a_folder_are_several_records(tmp_path):
    (tmp_path / "a.yaml").write_text(f"---\n{SAMPLE}---\n{QUICK}")
    (tmp_path / "b.json").write_text(json.dumps({"benchmark_run": {"id": "j"}}))
    (tmp_path / "notes.txt").write_text("mine")
    found = read_records([tmp_path])
    assert [record.id for record in found.records] == ["local_test_2025-11-04_001", "test_2025-11-04_1", "j"]


def test_the_cells_of_a_sweep_are_records(tmp_path):
    cell = {"model": "qwen3_7b", "batch_size": 25, "document_set": "small", "duration_seconds": 600,
            "metrics": {"pipeline": {"documents_per_hour": 30.5, "quality_score_avg": 0.75}}}  # fmt: skip
    found = read(tmp_path, json.dumps([cell, cell]), "benchmark_results.json")
    assert (found.faults, found.warnings) == ([], [])
    assert [record.id for record in found.records] == ["Benchmark_qwen3_7b_25_small_1", "Benchmark_qwen3_7b_25_small_2"]
    first = found.records[0]
    assert (first.results.throughput_pdfs_per_hour, first.quality.quality_score) == (30.5, 0.75)
    assert first.results.total_time_minutes == 10


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("results: {gpu_hours: -3}", "results.gpu_hours must be at least 0.0, not -3"),
        ("results: {gpu_hours: many}", "results.gpu_hours must be a number, not 'many'"),
        ("results: {gpu_hours: .nan}", "benchmark_run.results.gpu_hours: .nan is not a number that can be used here"),
        ("results: {error_rate: 5}", "results.error_rate must be at most 1"),
        ("quality: {avg_clarity_score: 9}", "quality.avg_clarity_score must be at most 5"),
        ("dataset: {pdfs_processed: 1.5}", "dataset.pdfs_processed must be a whole number, not 1.5"),
        ("date: '2025-02-30'", "date: 2025-02-30 is no day of a calendar"),
        ("environment: cloud", "environment must be 'local' or 'cluster', not 'cloud'"),
        ("results: fast", "results must be a section with keys, not 'fast'"),
        ("stages: [{name: a, duration_s: -1}]", "stages[0].duration_s must be at least 0.0, not -1"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_key_and_other_records_are_read(tmp_path, line, said):
    found = read(tmp_path, f"benchmark_run:\n  id: bad\n  {line}\n---\n{QUICK}")
    (fault,) = found.faults
    assert fault.startswith(f"{tmp_path / 'r.yaml'}:3: {said}")
    assert [record.id for record in found.records] == ["test_2025-11-04_1"]


def test_a_fault_in_a_short_template_is_named_by_the_key_that_stands_there(tmp_path):
    assert read(tmp_path, QUICK.replace("87", "long")).faults == [
        f"{tmp_path / 'r.yaml'}:4: time_minutes must be a number, not 'long'"
    ]
    (fault,) = read(tmp_path, DETAILED.replace("0.9", "90")).faults
    assert "quality_sample.acceptance_rate must be at most 1" in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is empty"), ("--- \n---\n", "is empty"), ("- a\n", "must hold"), ("color: red\n", "is no benchmark"),
     ("benchmark_run: 3\n", "is no benchmark"), ("benchmark_run: {id: [\n", "is not YAML"), ("[1, 2]", "no cell"),
     ("[{]", "is not JSON"), ("[]", "holds no record")],
)  # fmt: skip
def test_what_is_no_record_is_said_to_be_none(tmp_path, text, said):
    found = read(tmp_path, text)
    assert found.records == []
    assert said in found.faults[0]


def test_a_record_that_was_read_before_is_a_fault_with_both_files(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(QUICK)
    found = read_records([tmp_path])
    assert len(found.records) == 1
    assert found.faults == [
        f"{tmp_path / 'b.yaml'}: id: test_2025-11-04_1 is that of a record in {tmp_path / 'a.yaml'} as well"
    ]


def test_keys_that_are_none_are_warnings_and_a_record_without_an_id_is_called_like_its_file(tmp_path):
    found = read(tmp_path, "benchmark_run:\n  results: {gpu_hours: 1, speed: 3}\n  mood: good\n", "first.yaml")
    assert [record.id for record in found.records] == ["first"]
    assert found.warnings == [
        f"{tmp_path / 'first.yaml'}: a record without an id is called first",
        f"{tmp_path / 'first.yaml'}:2: results.speed is no key of a record",
        f"{tmp_path / 'first.yaml'}:3: mood is no key of a record",
    ]


def test_import_keeps_what_is_right_and_names_what_is_not(tmp_path, capsys):
    (tmp_path / "good.yaml").write_text(SAMPLE)
    (tmp_path / "bad.yaml").write_text("run_id: x\npdfs: -1\n")
    command = ["--project", str(tmp_path), "bench", "import"]
    assert run([*command, str(tmp_path / "good.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == [str(tmp_path / "records/local_test_2025-11-04_001.yaml")]
    assert run([*command, str(tmp_path / "bad.yaml"), str(tmp_path / "good.yaml")]) == 2
    assert "bad.yaml:2: pdfs must be at least 0, not -1" in capsys.readouterr().err
    assert len(list((tmp_path / "records").iterdir())) == 1


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_is_printed_as_it_is_imported(tmp_path, capsys, kind):
    assert run(["bench", "template", kind]) == 0
    assert read(tmp_path, with_own_id(capsys.readouterr().out)).faults == []


@pytest.mark.parametrize("kind", TEMPLATES)
def test_an_untouched_template_is_refused_with_what_to_fill_in(tmp_path, capsys, kind):
    (tmp_path / "t.yaml").write_text(TEMPLATES[kind]())
    assert run(["--project", str(tmp_path), "bench", "import", str(tmp_path / "t.yaml")]) == 2
    said = capsys.readouterr().err
    assert re.search(r"t\.yaml:\d: (run_id|benchmark_run\.id|id): .* is the template's; write one of your own", said)
    assert "and fill in what was measured: PDFs, time, pairs, GPU-hours" in said
    assert not (tmp_path / "records").exists()
