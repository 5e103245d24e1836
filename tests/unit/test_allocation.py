"""Rows of accounting to what an attempt held and used: unknown is None with a reason, never zero."""

from pathlib import Path

import pytest

from hpc_qa.slurm.allocation import Allocation, allocations
from hpc_qa.slurm.sacct_text import read_rows

DATA = Path(__file__).resolve().parent.parent / "data" / "sacct"
TRES = "billing=2,cpu=2,gres/gpu:a100=2,gres/gpu=2,mem=500M,node=1"


def captured(name: str) -> list[Allocation]:
    return allocations(read_rows((DATA / name).read_bytes()))


def of(**fields: str) -> Allocation:
    """One allocation that ran for an hour, with these columns changed; an empty name takes a column away."""
    row = {
        "JobID": "9", "JobIDRaw": "9", "State": "COMPLETED", "Submit": "1795319000", "Start": "1795319600",
        "End": "1795323200", "ElapsedRaw": "3600", "AllocTRES": TRES, "NCPUS": "2",
    } | fields  # fmt: skip
    text = f"{chr(31).join(row)}\n{chr(31).join(row.values())}\n"
    (one,) = allocations(read_rows(text.encode()))
    return one


def test_every_attempt_at_a_job_is_a_row_of_its_own_and_ids_are_unique():
    found = captured("attempts.psv")
    assert len(found) == len({one.attempt_id for one in found}) == 28
    requeued = [one for one in found if one.job_id_raw == 15]
    assert [(one.attempt_id, one.state, one.elapsed_s) for one in requeued] == [
        ("15:1795319596", "REQUEUED", 5), ("15:1795319603", "COMPLETED", 6),
    ]  # fmt: skip
    preempted = [one for one in found if one.job_id_raw == 24]
    assert [one.state for one in preempted] == ["PREEMPTED", "COMPLETED"]
    assert [one.state for one in found if one.job_id_raw == 22] == ["NODE_FAIL", "COMPLETED"]


def test_gpu_seconds_are_those_that_slurms_own_report_adds_up():
    found = captured("attempts.psv")  # sreport of the same cluster, in TRES seconds
    seconds = {"audio": 84, "vision": 276}
    for account, expected in seconds.items():
        ended = [one for one in found if one.state != "RUNNING"]  # it knows of the others an hour later
        hours = [one.gpu_hours_allocated for one in ended if one.account == account]
        assert sum(3600 * (value or 0) for value in hours) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("job", "cpu", "memory"),
    # job 2 had four tasks in one step: older versions of seff take the largest of them four times
    [("1", 7 / 18, 0.4294), ("2", 7 / 28, pytest.approx(0.9881, abs=2e-3)), ("3", 0.0, 0.0502), ("5", 0.0, 0.0330)],
)
def test_efficiencies_are_those_of_seff_which_counts_whole_seconds(job, cpu, memory):
    (one,) = [one for one in captured("steps.psv") if one.job_id == job]
    assert one.cpus is not None
    assert one.elapsed_s is not None
    assert one.cpu_efficiency == pytest.approx(cpu, abs=1.01 / (one.cpus * one.elapsed_s))
    assert one.memory_efficiency == (pytest.approx(memory, abs=5e-5) if isinstance(memory, float) else memory)
    assert one.mem_basis == "step_total"


def test_array_tasks_components_and_pending_ranges_keep_their_names():
    assert [(one.job_id, one.job_id_raw, one.array_job_id, one.array_task_id) for one in captured("attempts.psv")][
        12:14
    ] == [("9_0", 16, 9, 0), ("9_1", 17, 9, 1)]
    waiting = of(JobID="31_[4-10%2]", JobIDRaw="31", State="PENDING", ElapsedRaw="0", AllocTRES="", Start="Unknown")
    assert (waiting.job_id, waiting.array_job_id, waiting.array_task_id) == ("31_[4-10%2]", 31, None)
    assert (waiting.gpu_hours_allocated, waiting.gpu_count, waiting.data_quality) == (0.0, None, [])
    assert waiting.cpu_efficiency is None
    component = of(JobID="12+1", JobIDRaw="13")
    assert (component.job_id, component.job_id_raw, component.component) == ("12+1", 13, 1)


def test_array_tasks_that_are_known_by_their_text_alone_are_told_apart():
    text = "JobID|State|Elapsed|Submit|TotalCPU\n"
    text += "".join(
        f"9_{task}|COMPLETED|00:01:00|1795319000|\n9_{task}.batch|COMPLETED|00:01:00||00:30\n" for task in (1, 2)
    )
    found = allocations(read_rows(text.encode()))
    assert [(one.attempt_id, one.job_id_raw, one.cpu_s) for one in found] == [
        ("9_1:1795319000", None, 30.0), ("9_2:1795319000", None, 30.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tres", "count", "kind"),
    [
        (TRES, 2, "a100"),
        ("cpu=2,gres/gpu:a100=3,mem=1G", 3, "a100"),
        ("cpu=2,gres/gpu:a100=1,gres/gpu:h100=2", 3, "a100,h100"),
        ("cpu=2,gres/gpu:1g.5gb=2,gres/gpu=2,gres/gpumem=9", 2, "1g.5gb"),
        ("cpu=2,mem=64M,node=1", 0, None),
    ],
)
def test_gpus_are_counted_once_whether_their_type_is_said_or_not(tres, count, kind):
    one = of(AllocTRES=tres)
    assert (one.gpu_count, one.gpu_type, one.gpu_hours_allocated) == (count, kind, count)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"AllocTRES": ""}, "no_alloc_tres"),
        ({"AllocTRES": "cpu=2,mem=1G", "ReqTRES": "cpu=2,gres/gpu=4"}, "gpus_not_accounted"),
        ({"AllocTRES": "cpu=2,gres/gpu=many"}, "bad_alloc_tres"),
        ({"ElapsedRaw": ""}, "no_elapsed"),
    ],
)
def test_what_is_not_known_is_none_with_a_reason(fields, reason):
    one = of(**fields)
    assert one.gpu_hours_allocated is None
    assert reason in one.data_quality


def test_slurms_own_words_for_states_ends_and_limits_are_read():
    one = of(
        State="CANCELLED by 1000",
        ExitCode="0:15",
        TimelimitRaw="240",
        Restarts="2",
        SLUID="s9RE7",
        Suspended="00:10:00",
    )
    assert (one.state, one.state_detail, one.exit_code, one.exit_signal) == ("CANCELLED", "by 1000", 0, 15)
    assert (one.timelimit_s, one.restarts, one.attempt_id, one.suspended_s) == (14_400, 2, "s9RE7", 600)
    assert of(State="OUT_OF_MEMORY", ExitCode="0:125").exit_signal == 125


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("1795319000", 1_795_319_000), ("2026-11-22T03:43:20", 1_795_319_000),
        ("2026-11-22T05:43:20+02:00", 1_795_319_000),
        ("2026-10-25T02:30:00", 1_792_895_400), ("Unknown", None), ("", None), ("None", None),
    ],
)  # fmt: skip
def test_times_are_epoch_seconds_or_iso_which_is_utc_without_a_zone(text, epoch):
    assert of(Start=text).start_s == epoch


def test_a_time_that_is_none_is_said_to_be():
    one = of(Start="yesterday", End="25:00", Submit="")
    assert (one.start_s, one.end_s, one.submit_s) == (None, None, None)
    assert one.data_quality == ["no_submit_time", "bad_start", "bad_end"]


def test_a_running_job_has_used_gpus_and_its_cpu_time_is_not_known_yet():
    one = of(State="RUNNING", End="Unknown", TotalCPU="00:00:00", ElapsedRaw="600")
    assert (one.gpu_hours_allocated, one.cpu_efficiency, one.end_s) == (pytest.approx(1 / 3), None, None)


def test_cpu_time_comes_from_the_steps_and_memory_from_the_largest_of_them():
    header = "JobIDRaw|JobID|State|ElapsedRaw|NCPUS|AllocTRES|TotalCPU|TRESUsageInTot|MaxRSS|Submit\n"
    steps = "7.batch|7.batch|COMPLETED|100|4||01:00.5|cpu=1,mem=1G|1G|\n7.0|7.0|COMPLETED|90|4||02:00|mem=2048M|512M|\n"
    text = header + "7|7|COMPLETED|100|4|cpu=4,mem=4G|||| 1795319000\n" + steps
    (one,) = allocations(read_rows(text.encode()))
    assert (one.cpu_s, one.memory_peak_bytes, one.mem_basis) == (180.5, 2**31, "step_total")
    assert one.memory_efficiency == 0.5
    (one,) = allocations(read_rows(text.replace("cpu=1,mem=1G", "").replace("mem=2048M", "").encode()))
    assert (one.memory_peak_bytes, one.mem_basis) == (2**30, "task_max")


def test_steps_belong_to_the_attempt_before_them_when_a_job_was_requeued():
    header = "JobIDRaw|State|ElapsedRaw|Submit|TotalCPU\n"
    rows = "7|REQUEUED|10|100|\n7.batch|CANCELLED|10||00:05\n7|COMPLETED|20|200|\n7.batch|COMPLETED|20||00:09\n"
    found = allocations(read_rows((header + rows).encode()))
    assert [(one.attempt_id, one.cpu_s) for one in found] == [("7:100", 5.0), ("7:200", 9.0)]


def test_a_text_that_was_captured_twice_gives_every_attempt_once():
    text = (DATA / "steps.psv").read_text().splitlines(keepends=True)
    once = allocations(read_rows("".join(text).encode()))
    twice = allocations(read_rows("".join(text + text[1:]).encode()))
    assert [(one.job_id, one.cpu_s) for one in twice] == [(one.job_id, one.cpu_s) for one in once]


def test_rows_that_share_an_attempt_id_and_differ_are_both_kept_and_say_so():
    text = "JobIDRaw|State|ElapsedRaw|Submit\n7|RESIZING|10|100\n7|COMPLETED|20|100\n"
    found = allocations(read_rows(text.encode()))
    assert [(one.attempt_id, one.data_quality) for one in found] == [
        ("7:100", ["no_alloc_tres"]), ("7:100+", ["no_alloc_tres", "double"]),
    ]  # fmt: skip


def test_bytes_that_are_no_text_and_rows_that_cannot_be_cut_say_so():
    found = captured("attempts.psv")
    assert [(one.job_id, one.data_quality) for one in found if one.data_quality] == [("8", ["unreadable"])]
    text = b"JobIDRaw|JobName|State|ElapsedRaw|AllocTRES|Submit\n7|a\xff|COMPLETED|10|cpu=1|100\n"
    (one,) = allocations(read_rows(text))
    assert one.data_quality == ["bad_utf8"]
