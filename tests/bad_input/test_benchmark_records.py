"""Wrong records in a folder of good ones: the document names each with file and key, and is filled all the same."""

import pytest

from hpc_qa.cli.main import run as hpc_qa

GOOD = """\
benchmark_run:
  id: local_good_2026-01-31
  date: "2026-01-31"
  environment: local
  batch: local_5
  dataset: {pdfs_processed: 5}
  results: {total_time_minutes: 40, qa_pairs_generated: 27, gpu_hours: 1.3}
"""
WRONG = {
    "negative": ("results: {gpu_hours: -3}", "results.gpu_hours must be at least 0"),
    "text": ("results: {gpu_hours: many}", "results.gpu_hours must be a number, not 'many'"),
    "nan": ("results: {gpu_hours: .nan}", "results.gpu_hours: .nan is not a number"),
    "infinite": ("results: {gpu_hours: .inf}", "results.gpu_hours: .inf is not a number"),
    "share": ("results: {error_rate: 5}", "results.error_rate must be at most 1"),
    "empty": (None, "is empty"),
    "double": ("id: local_good_2026-01-31", "is that of a record in"),
    "stage": ("stages: [{name: a, of: nothing}]", "stages[0].of must be 'documents' or 'allocation'"),
    "slow": ("slowest_documents: [{seconds: soon}]", "slowest_documents[0].seconds must be a number"),
    "other": ("{id: newer, schema: 7}", "is no key of a record"),
}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a_good.yaml").write_text(GOOD)
    return tmp_path


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_record_is_named_with_file_and_key_and_the_document_is_filled(project, capsys, kind):
    line, said = WRONG[kind]
    (project / "records" / f"{kind}.yaml").write_text("" if line is None else f"benchmark_run:\n  {line}\n")
    assert hpc_qa(["--project", str(project), "report", "--markdown", str(project / "B.md")]) == 0
    (note,) = [line for line in capsys.readouterr().err.splitlines() if said in line]
    assert f"{kind}.yaml" in note
    text = (project / "B.md").read_text()
    assert "| Avg time per PDF | 8.00 minutes |" in text
    assert f"{kind}.yaml" in text.partition("## Notes")[2]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("NaN", "number, not nan"),
        ("-1", "must be at least 0"),
        ('"soon"', "must be a number"),
        ("1e999", "number, not inf"),
    ],
)
def test_a_cell_of_a_sweep_with_a_wrong_number_is_left_out_and_the_others_are_shown(project, capsys, number, said):
    cells = [f'{{"model": "m", "batch_size": {size}, "document_set": "small", "duration_seconds": {seconds}}}'
             for size, seconds in ((10, 600), (25, number), (50, 300))]  # fmt: skip
    (project / "records" / "benchmark_results_20260131_120000.json").write_text(f"[{', '.join(cells)}]")
    assert hpc_qa(["--project", str(project), "report", "--markdown", str(project / "B.md")]) == 0
    assert said in capsys.readouterr().err
    found = (project / "B.md").read_text().partition("Experiment: benchmark_results_20260131_120000")[2]
    assert found.index("| 10 |") < found.index("| 50 |")


def test_a_record_of_which_nothing_is_known_is_shown_as_not_known(project):
    (project / "records" / "bare.yaml").write_text("benchmark_run: {id: bare, environment: cluster, batch: batch_50}\n")
    assert hpc_qa(["--project", str(project), "report", "--markdown", str(project / "B.md")]) == 0
    text = (project / "B.md").read_text().partition("### Cluster test 2: batch 50")[2]
    assert "| Avg time per PDF | not known |" in text
    assert "error_rate: undecided, unknown; there is no document" in text
    assert "| batch_50 | 0 | not known | 0 |" in text
