"""BENCHMARKS.md is the filled document of the records beside the benchmarks, and nobody has changed it by hand."""

from pathlib import Path

from hpc_qa.bench.record_file import read_records
from hpc_qa.report.document.remarks import read_remarks

ROOT = Path(__file__).parent.parent.parent
RECORDS = ROOT / "benchmarks" / "records"
DOCUMENT = ROOT / "BENCHMARKS.md"


def test_the_records_of_its_runs_are_whole() -> None:
    found = read_records(sorted(RECORDS.glob("*.yaml")))
    assert (list(found.faults), list(found.warnings)) == ([], [])
    assert len({record.id for record in found.records}) == len(found.records) >= 3
    assert len({record.config_file for record in found.records if record.sweep is None}) == 2
    assert all(record.results.total_time_minutes for record in found.records)


def test_what_stands_outside_of_its_remarks_is_as_the_program_left_it() -> None:
    read_remarks(DOCUMENT)  # refuses what was changed


def test_every_run_and_the_sweep_stand_in_it() -> None:
    text = DOCUMENT.read_text()
    for record in read_records(sorted(RECORDS.glob("*.yaml"))).records:
        assert record.id in text or (record.sweep is not None and record.sweep in text)
