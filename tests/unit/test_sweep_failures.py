"""Cells that cannot be measured: each has its class, a record that says so, and its place in what is left to do."""

import json
from dataclasses import replace

import pytest

from hpc_qa.bench.grid import load_sweep, schedule
from hpc_qa.bench.record_file import read_records
from hpc_qa.bench.sweep import Runner, left_to_do
from hpc_qa.bench.sweep_failures import CellFailed, of_error, of_run
from hpc_qa.bench.sweep_records import keep_failure
from hpc_qa.bench.sweep_state import Outcome, SweepState, held
from hpc_qa.campaign.status import status
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.errors import ConfigError, ManifestError, ServerError, SlurmError, StoreError
from hpc_qa.report.sweep_result import SweepResult
from tests.made_runs import attempt, finished_run, planned_run, submission, whole

SWEEP = """\
name: small
config: base.yaml
grid:
  client.concurrency_limit: [2, 4]
repeats: 2
seed: 1
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "base.yaml").write_text("name: base\nmanifest: m.jsonl\nexecutor: local\nvllm: {model: models/x}\n")
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServerError("vLLM ended with status 1 before it was ready (after 9 s): out of GPU memory"), "out of memory"),
        (ServerError("vLLM ended before it was ready", log_tail=["torch.OutOfMemoryError: CUDA ..."]), "out of memory"),
        (ServerError("vLLM was not ready after 600 s (still loading)"), "server did not start"),
        (ServerError("/tmp/s: no answer to /reset_prefix_cache: refused"), "server did not start"),
        (ServerError("vLLM died, and no restart is left (vllm.max_restarts: 2)"), "server died"),
        (SlurmError("sbatch: invalid partition"), "refused by Slurm"),
        (ManifestError("m.jsonl: a document changed"), "manifest"),
        (ConfigError("vllm.attach: x is not a socket"), "wrong settings"),
        (StoreError("runs: disk full"), "storage"),
    ],
)
def test_an_error_is_put_into_its_class_with_its_words(error, kind):
    failed = of_error(error)
    assert failed.kind == kind
    assert error.faults[0] in failed.why


def broken(project, *, fault=None, detail=None):
    """A run of which one shard is left, as its worker and Slurm tell of it."""
    run = planned_run(project, [["a"], ["b"]])
    run.add_submission(submission([0, 1]))
    made = attempt(run.shard(1), [])
    if fault:
        (made.path / "failure.json").write_text(json.dumps({"faults": [fault]}))
    now = status(run)
    shards = (replace(now.shards[0], state="done"), replace(now.shards[1], detail=detail))
    return run, replace(now, state="incomplete", shards=shards)


@pytest.mark.parametrize(
    ("fault", "detail", "death", "kind"),
    [
        (None, "OUT_OF_MEMORY on node1", None, "out of memory"),
        ("vLLM died: vLLM ended with signal 9", "OUT_OF_MEMORY on node1", None, "out of memory"),
        ("the kernel killed 1 processes of this task for memory", "FAILED on node1", None, "out of memory"),
        (None, "TIMEOUT on node1", None, "timed out"),
        (None, "NODE_FAIL on node1", None, "interrupted"),
        (None, "CANCELLED by 1000", None, "interrupted"),
        ("vLLM ended with status 1 before it was ready (after 9 s)", "FAILED", None, "server did not start"),
        (None, None, "vLLM ended with signal 9", "server died"),
        ("Ray did not start", None, None, "run incomplete"),
        (None, None, None, "run incomplete"),
    ],
)
def test_a_run_that_broke_is_put_into_the_class_of_what_broke_it(project, fault, detail, death, kind):
    run, last = broken(project, fault=fault, detail=detail)
    failed = of_run(run, last, death)
    assert failed.kind == kind
    assert failed.why.startswith(run.run_id)
    assert fault is None or fault in failed.why or death


def test_a_complete_run_is_a_measurement_unless_none_of_its_documents_is_done(project):
    run = finished_run(project, [["a"]])
    now = status(run)
    assert of_run(run, now, None) is None
    none = replace(now, shards=(replace(now.shards[0], ok=0, failed=1),))
    assert of_run(run, none, None).kind == "no document done"


def test_a_cell_that_never_ran_has_a_record_with_its_settings_and_the_failure(project, capsys):
    sweep, cells = load_sweep(project / "sweep.yaml", project)
    state = SweepState(project, sweep)
    todo = schedule(sweep, cells)
    with held(project, sweep):
        Runner(sweep, project, state, say=print, show=lambda _: None).run(todo)  # there is no model and no manifest
    assert {one.failure for one in state.outcomes.values()} == {"wrong settings"}
    found = read_records([project / "records"])
    assert (found.faults, len(found.records)) == ([], 4)
    assert {record.failure.partition(":")[0] for record in found.records} == {"wrong settings"}
    assert {(record.sweep, record.configuration.concurrency_limit) for record in found.records} == {
        ("small", 2), ("small", 4),
    }  # fmt: skip
    result = SweepResult(sweep, cells, list(state.outcomes.values()), {one.id: one for one in found.records})
    assert [(row["runs"], row["pdfs_per_hour"], len(row["failures"])) for row in result.rows()] == [(0, None, 2)] * 2
    assert result.winner() is None
    rows, *_ = result.write(project / "sweeps" / "small")
    again = read_records([rows]).records
    assert all(record.failure.startswith("wrong settings: ") for record in again)
    assert hpc_qa(["--project", str(project), "bench", "targets", str(project / "records")]) == 2
    assert "is no measurement, wrong settings" in capsys.readouterr().err


def test_the_record_of_a_cell_that_broke_has_what_its_run_gave_and_is_replaced_when_it_fails_again(project):
    sweep, (cell, _) = load_sweep(project / "sweep.yaml", project)
    run = planned_run(project, [["a"], ["b"]])
    attempt(run.shard(0), whole("a"))
    outcome = Outcome(cell.name, 1, "running", run.run_id)
    first = keep_failure(sweep, cell, outcome, CellFailed("timed out", "after an hour"), project)
    assert (first.failure, first.results.qa_pairs_generated) == ("timed out: after an hour", 4)
    second = keep_failure(sweep, cell, outcome, CellFailed("server died", "x" * 5000), project)
    assert second.id == first.id
    assert len(second.failure) == 1000
    (kept,) = read_records([project / "records"]).records
    assert kept.failure.startswith("server died")


def test_a_record_of_a_cell_that_is_made_anew_stays_that_of_a_cell(project):
    sweep, (cell, _) = load_sweep(project / "sweep.yaml", project)
    run = planned_run(project, [["a"]])
    outcome = Outcome(cell.name, 1, "running", run.run_id)
    failed = keep_failure(sweep, cell, outcome, CellFailed("timed out", "x"), project)
    attempt(run.shard(0), whole("a"))
    assert hpc_qa(["--project", str(project), "bench", "record", run.run_id, "--replace"]) == 0
    (kept,) = read_records([project / "records"]).records
    assert (kept.id, kept.sweep, kept.failure) == (failed.id, "small", "timed out: x")
    assert kept.results.qa_pairs_generated == 4


def test_a_cell_that_was_cut_off_is_left_and_the_others_that_failed_are_not(project):
    sweep, cells = load_sweep(project / "sweep.yaml", project)
    state, order = SweepState(project, sweep), schedule(sweep, cells)
    ends = (
        {"state": "failed", "failure": "interrupted"}, {"state": "failed", "failure": "timed out"},
        {"state": "running", "run": "r"}, {"state": "done"},
    )  # fmt: skip
    with held(project, sweep):
        for one, how in zip(order, ends, strict=True):
            state.put(Outcome(one.cell.name, one.repeat, **how))
    again = SweepState(project, sweep)
    assert left_to_do(order, again, retry_failed=False) == [order[0], order[2]]
    assert left_to_do(order, again, retry_failed=True) == order[:3]
