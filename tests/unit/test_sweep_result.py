"""What is said of a sweep: means over repeats, the optimal setting, and "no data" where nothing was measured."""

import json
from pathlib import Path

import pytest

from hpc_qa.bench.grid import load_sweep, schedule
from hpc_qa.bench.record import Quality, Record, Results
from hpc_qa.bench.record_file import read_records
from hpc_qa.bench.sweep import left_to_do, of_cell
from hpc_qa.bench.sweep_state import Outcome, SweepState, held
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.errors import ConfigError
from hpc_qa.report.document.sweeps import cells_of, optimal, varied_settings
from hpc_qa.report.sweep_result import SweepResult

ROOT = Path(__file__).resolve().parents[2]


def result(name, hours, *, quality=0.7):
    """Two repeats of each cell, which took so many GPU-hours for 100 accepted pairs; None: they failed."""
    sweep, cells = load_sweep(ROOT / "configs" / "sweeps" / f"{name}.yaml", ROOT)
    outcomes, records = [], {}
    for cell, spent in zip(cells, hours, strict=True):
        for repeat in (1, 2):
            if spent is None:
                outcomes.append(Outcome(cell.name, repeat, "failed", failure="does not fit", why="140 GB of 80"))
                continue
            made = Record(
                id=f"{cell.name}_{repeat}",
                results=Results(
                    throughput_pdfs_per_hour=10.0 * repeat,
                    gpu_hours=spent,
                    qa_pairs_accepted=100,
                    error_rate=0.25,
                    qa_pairs_per_pdf=4.5,
                    avg_gpu_utilization_percent=60,
                ),
                quality=Quality(quality_score=quality),
            )
            records[made.id] = of_cell(made, sweep, cell)
            outcomes.append(Outcome(cell.name, repeat, "done", record=made.id, seconds=60.0, prefix_cache="reset"))
    return SweepResult(sweep, cells, outcomes, records)


def test_the_cheapest_cell_is_optimal_and_a_failed_one_has_no_data_and_its_class():
    found = result("concurrency", [3.0, 2.0, 1.0, None])
    rows = {row["cell"]: row for row in found.rows()}
    assert found.optimal()[0].startswith("Optimal Setting: concurrency_limit 50: 0.01 GPU-hours for each accepted pair")
    assert rows["Benchmark_10"]["pdfs_per_hour"] == 15.0
    assert rows["Benchmark_100"]["cost"] is None
    assert [one["failure"] for one in rows["Benchmark_100"]["failures"]] == ["does not fit"] * 2


def test_a_tie_is_said():
    assert any("tie" in line for line in result("concurrency", [3.0, 1.01, 1.0, 4.0]).optimal())


def test_nothing_measured_is_no_data_and_has_no_plot():
    found = result("concurrency", [None] * 4)
    assert found.optimal() == ["Optimal Setting: no data, no cell was measured."]
    assert found.plot() is None


@pytest.mark.parametrize(("name", "cells"), [("concurrency", 4), ("ran_matrix", 36)])
def test_the_export_is_read_by_import_and_the_plot_is_a_picture(tmp_path, name, cells):
    hours = [1.0 + number for number in range(cells - 1)]
    rows, picture = result(name, [*hours, None]).write(tmp_path)
    assert len(json.loads(rows.read_text())) == 2 * cells
    read = read_records([rows])
    assert (read.faults, len(read.records), len(read.warnings)) == ([], 2 * cells, 0)
    assert picture.read_text().startswith("<?xml")


@pytest.mark.parametrize(("name", "cells"), [("concurrency", 4), ("ran_matrix", 36)])
def test_what_is_imported_of_an_export_has_the_same_figures_and_the_same_optimum(tmp_path, name, cells):
    measured = result(name, [None, *(2.0 + abs(number - 1) for number in range(cells - 1))])
    rows, _ = measured.write(tmp_path)
    read = read_records([rows])
    done = [record for record in read.records if record.failure is None]
    assert [record.failure for record in read.records[:2]] == ["does not fit: 140 GB of 80"] * 2
    assert len(done) == 2 * cells - 2
    for made in done:
        found = made.results
        assert (found.qa_pairs_accepted, found.qa_pairs_per_pdf, found.error_rate) == (100, 4.5, 0.25)
        assert found.avg_gpu_utilization_percent == 60
    again = list(optimal(cells_of(done, varied_settings(done))))
    assert [line.replace("**", "").replace("\\", "") for line in again] == measured.optimal()


def test_the_record_of_a_cell_has_what_is_swept_among_its_settings():
    (first, *_) = result("ran_matrix", [1.0] * 36).records.values()
    assert first.sweep == "ran_matrix"
    assert first.configuration.model_dump().items() >= {"batch_size": 10, "document_set": "small"}.items()


def test_done_cells_are_not_left_and_failed_ones_only_when_asked_for(tmp_path):
    sweep, cells = load_sweep(ROOT / "configs" / "sweeps" / "concurrency.yaml", ROOT)
    with held(tmp_path, sweep):
        state, order = SweepState(tmp_path, sweep), schedule(sweep, cells)
        for one, how in zip(order, ("done", "failed", "running"), strict=False):
            state.put(Outcome(one.cell.name, one.repeat, how))
    again = SweepState(tmp_path, sweep)
    assert left_to_do(order, again, retry_failed=False) == order[2:]
    assert left_to_do(order, again, retry_failed=True) == order[1:]


def test_two_processes_do_not_work_on_one_sweep(tmp_path):
    sweep, _ = load_sweep(ROOT / "configs" / "sweeps" / "concurrency.yaml", ROOT)
    with held(tmp_path, sweep), pytest.raises(ConfigError, match="another process"), held(tmp_path, sweep):
        pass


def test_a_sweep_that_is_worked_on_is_not_begun_a_second_time_and_can_be_looked_at(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("name: a\nmanifest: m.jsonl\nvllm:\n  model: model\n")
    (tmp_path / "sweep.yaml").write_text(
        "name: small\nconfig: config.yaml\ngrid:\n  client.concurrency_limit: [2, 4]\n"
    )
    sweep, _ = load_sweep(tmp_path / "sweep.yaml", tmp_path)
    command = ["--project", str(tmp_path), "bench", "sweep", str(tmp_path / "sweep.yaml")]
    with held(tmp_path, sweep):
        assert hpc_qa(command) == 2
        assert "another process works on this sweep" in capsys.readouterr().err
        assert hpc_qa([*command, "--dry-run"]) == 0
    assert not (tmp_path / "sweeps" / "small" / "state.json").exists()
