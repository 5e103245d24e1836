"""What the kernel says of its kills for memory, in both versions of its control groups."""

import pytest

from hpc_qa.processes import killed_for_memory

VERSION_1 = "4:memory:/slurm/job_7/step_0/task_0\n3:cpuset:/\n0::/\n"
VERSION_2 = "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n"


@pytest.mark.parametrize(
    ("groups", "place", "said", "kills"),
    [
        (VERSION_1, "memory/slurm/job_7/step_0/task_0/memory.oom_control", "oom_kill_disable 0\noom_kill 3\n", 3),
        (VERSION_1, "memory/slurm/job_7/step_0/task_0/memory.oom_control", "oom_kill_disable 0\n", 0),
        (VERSION_1, "memory/memory.oom_control", "oom_kill 3\n", 0),
        (VERSION_2, VERSION_2.strip()[4:] + "/memory.events", "oom 9\noom_kill 2\noom_group_kill 1\n", 2),
        ("", "memory.events", "oom_kill 2\n", 0),
    ],
)
def test_the_kills_of_our_own_control_group_are_counted(tmp_path, groups, place, said, kills):
    counters = tmp_path / "sys/fs/cgroup" / place
    counters.parent.mkdir(parents=True)
    counters.write_text(said)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    assert killed_for_memory(tmp_path) == kills


def test_where_the_kernel_does_not_say_nothing_was_killed(tmp_path):
    assert killed_for_memory(tmp_path) == 0
