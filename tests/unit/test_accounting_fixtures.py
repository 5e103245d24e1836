"""Accounting as clusters print it in their odd hours: every case has a typed row, and what is not known is null."""

from pathlib import Path

import pytest

from hpc_qa.slurm.allocation import Allocation, allocations
from hpc_qa.slurm.sacct_text import read_rows

DATA = Path(__file__).resolve().parent.parent / "data" / "sacct"
T = 1_795_319_000
HEADER = "JobIDRaw|JobID|State|ElapsedRaw|Submit|Start|End|AllocTRES|TotalCPU|MaxRSS"


def read(*rows: str, header: str = HEADER) -> list[Allocation]:
    return allocations(read_rows("\n".join((header, *rows)).encode()))


def states(found: list[Allocation]) -> list[tuple[str, float | None]]:
    return [(one.state, None if one.gpu_hours_allocated is None else 3600 * one.gpu_hours_allocated) for one in found]


def test_a_job_that_was_requeued_twice_has_three_attempts():
    rows = [f"9|9|{state}|100|{T + n}|{T + n}|{T + n + 100}|gres/gpu=2||"
            for n, state in ((0, "REQUEUED"), (200, "NODE_FAIL"), (400, "COMPLETED"))]  # fmt: skip
    found = read(*rows)
    assert states(found) == [("REQUEUED", 200), ("NODE_FAIL", 200), ("COMPLETED", 200)]
    assert len({one.attempt_id for one in found}) == 3


def test_a_preempted_attempt_and_the_one_that_completed_both_count():
    found = read(
        f"9|9|PREEMPTED|50|{T}|{T}|{T + 50}|gres/gpu=4||", f"9|9|COMPLETED|70|{T + 60}|{T + 60}|{T + 130}|gres/gpu=4||"
    )
    assert states(found) == [("PREEMPTED", 200), ("COMPLETED", 280)]


def test_what_was_cancelled_before_it_started_used_nothing_and_held_nothing_that_is_known():
    (one,) = read(f"9|9|CANCELLED by 1000|0|{T}|None|{T + 5}|||")
    assert (one.state, one.state_detail, one.elapsed_s, one.gpu_hours_allocated) == ("CANCELLED", "by 1000", 0, 0.0)
    assert (one.gpu_count, one.cpu_efficiency, one.memory_efficiency) == (None, None, None)


@pytest.mark.parametrize("state", ["TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "FAILED"])
def test_an_end_without_a_sample_of_memory_leaves_it_unknown(state):
    (one,) = read(f"9|9|{state}|100|{T}|{T}|{T + 100}|cpu=2,gres/gpu=1,mem=4G|00:10|")
    assert (one.state, one.memory_peak_bytes, one.memory_efficiency) == (state, None, None)
    assert one.cpu_efficiency == pytest.approx(10 / 200)
    assert one.ended


def test_a_slice_of_a_gpu_counts_as_one_as_accounting_counts_it():
    (one,) = read(f"9|9|COMPLETED|3600|{T}|{T}|{T + 3600}|cpu=8,gres/gpu:a100_1g.5gb=2,mem=4G||")
    assert (one.gpu_count, one.gpu_type, one.gpu_hours_allocated) == (2, "a100_1g.5gb", 2.0)


def test_several_nodes_count_all_their_gpus_once():
    (one,) = read(f"9|9|COMPLETED|3600|{T}|{T}|{T + 3600}|cpu=16,gres/gpu=8,gres/gpu:a100=8,node=2||")
    assert (one.gpu_count, one.gpu_hours_allocated) == (8, 8.0)


def test_a_job_id_that_is_used_again_after_a_reset_is_another_attempt():
    found = read(
        f"9|9|COMPLETED|10|{T}|{T}|{T + 10}|gres/gpu=1||",
        f"9|9|COMPLETED|20|{T + 9_000_000}|{T + 9_000_000}|{T + 9_000_020}|gres/gpu=1||",
    )
    assert len({one.attempt_id for one in found}) == 2
    assert states(found) == [("COMPLETED", 10), ("COMPLETED", 20)]


def test_a_night_in_which_clocks_are_put_back_has_as_many_seconds_as_it_has():
    header = "JobIDRaw|State|Elapsed|Submit|Start|End|AllocTRES"
    began, ended = "2026-10-24T22:00:00+02:00", "2026-10-25T22:00:00+01:00"
    (one,) = read(f"9|COMPLETED|1-01:00:00|{began}|{began}|{ended}|gres/gpu=1", header=header)
    assert (one.elapsed_s, one.end_s - one.start_s) == (25 * 3600, 25 * 3600)


def test_suspended_time_is_beside_the_elapsed_one():
    header = HEADER + "|Suspended"
    (one,) = read(f"9|9|COMPLETED|100|{T}|{T}|{T + 160}|gres/gpu=1|||00:01:00", header=header)
    assert (one.elapsed_s, one.suspended_s) == (100, 60)


@pytest.mark.parametrize("column", ["Planned", "Reserved"])
def test_columns_of_one_version_alone_are_kept_as_they_are(column):
    (one,) = read(f"9|9|COMPLETED|100|{T}|{T}|{T + 100}|gres/gpu=1|||00:00:07", header=f"{HEADER}|{column}")
    assert one.gpu_count == 1
    assert "00:00:07" in one.raw[0]


@pytest.mark.parametrize(("sluid", "attempt_id"), [("sMA1B2C3D4E5F6", "sMA1B2C3D4E5F6"), ("", f"9:{T}")])
def test_slurms_own_id_of_an_attempt_is_used_where_there_is_one(sluid, attempt_id):
    (one,) = read(f"9|9|COMPLETED|100|{T}|{T}|{T + 100}|gres/gpu=1|||{sluid}", header=f"{HEADER}|SLUID")
    assert one.attempt_id == attempt_id


@pytest.mark.parametrize(
    ("row", "job", "state", "elapsed"),
    [
        (f"31|31_[4-10%2]|PENDING|0|{T}|Unknown|Unknown|||", "31_[4-10%2]", "PENDING", 0),
        (f"12|12+1|RUNNING|77|{T}|{T}|Unknown|gres/gpu=1||", "12+1", "RUNNING", 77),
        (f"40|40|COMPLETED|100|{T}|{T}|{T + 100}|gres/gpu:a100=3||", "40", "COMPLETED", 100),
    ],
)
def test_pending_ranges_components_and_typed_gpus_are_rows_like_others(row, job, state, elapsed):
    (one,) = read(row)
    assert (one.job_id, one.state, one.elapsed_s) == (job, state, elapsed)
    assert one.data_quality == []


@pytest.mark.parametrize(
    ("usage", "step", "cpu_s", "peak", "amiss"),
    [
        ("NODE_FAIL|{}|00:00:00|0", None, None, None, ["no_cpu_time", "no_memory_peak"]),
        ("NODE_FAIL|{}|00:00:00|", "CANCELLED|{}|00:00:00|0", None, None, ["no_cpu_time", "no_memory_peak"]),
        ("NODE_FAIL|{}|00:10|512M", None, 10.0, 2**29, []),
        ("COMPLETED|{}|00:00:00|", "COMPLETED|{}|00:00:00|0", None, None, ["no_cpu_time", "no_memory_peak"]),
        ("COMPLETED|{}|00:00:00|", "COMPLETED|{}|00:00:00|4M", 0.0, 2**22, []),  # it slept, and was seen to
        ("COMPLETED|{}|00:00:00|", None, 0.0, None, []),  # steps were not asked for
        ("COMPLETED|{}|00:05|", "COMPLETED|{}|00:05|0", 5.0, 0, []),
    ],
)
def test_a_zero_that_nobody_measured_is_unknown_and_says_so(usage, step, cpu_s, peak, amiss):
    held = f"100|{T}|{T}|{T + 100}|cpu=2,gres/gpu=1,mem=4G"
    rows = [f"{name}|{name}|{said.format(held)}" for name, said in (("9", usage), ("9.batch", step)) if said]
    (one,) = read(*rows)
    assert (one.cpu_s, one.memory_peak_bytes, one.data_quality) == (cpu_s, peak, amiss)


def test_an_attempt_of_a_lost_node_is_as_slurm_printed_it():
    found = allocations(read_rows((DATA / "steps.psv").read_bytes()))
    assert [(one.job_id, one.cpu_s) for one in found if "no_cpu_time" in one.data_quality] == [
        (one.job_id, None) for one in found if one.state == "NODE_FAIL"
    ]


@pytest.mark.parametrize("count", [4294967294, 4294967295])
def test_a_count_of_gpus_that_is_not_set_is_no_count(count):
    (one,) = read(f"9|9|COMPLETED|3600|{T}|{T}|{T + 3600}|cpu=2,gres/gpu={count},mem=4G||")
    assert (one.gpu_count, one.gpu_hours_allocated, one.data_quality) == (None, None, ["bad_alloc_tres"])
