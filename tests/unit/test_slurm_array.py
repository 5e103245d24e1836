"""Job arrays: their expression, their windows, the batch script and what goes along with a job."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hpc_qa.config import Slurm
from hpc_qa.slurm.array import ArrayRequest, array_expression, environment_of_jobs, setup_faults, windows

RUN = Path("/home/you/medicaid/runs/batch_50-20260101T000000-0a1b")


def script(
    gpus: int = 4, shards: tuple[int, ...] = (0, 1, 2), first_shard: int = 0, run: Path = RUN,
    exclude: Sequence[str] = (), **settings: object,
) -> list[str]:  # fmt: skip
    request = ArrayRequest(run.name, run, shards, Slurm(**settings), gpus, first_shard, exclude)
    return request.script().splitlines()


def options(lines: list[str]) -> dict[str, str]:
    found = [line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH")]
    return {name: shlex.split(value)[0] if value else "" for name, _, value in found}


@given(indices=st.sets(st.integers(0, 2_000), min_size=1), parallelism=st.integers(1, 3_000))
def test_an_array_expression_names_exactly_its_indices(indices, parallelism):
    spans, _, at_once = array_expression(indices, parallelism).partition("%")
    named = []
    for span in spans.split(","):
        low, _, high = span.partition("-")
        named += range(int(low), int(high or low) + 1)
    assert named == sorted(indices)
    assert int(at_once) == min(parallelism, len(indices))


@given(shards=st.sets(st.integers(0, 5_000), min_size=1), size=st.integers(1, 1_001))
def test_every_shard_is_in_one_window_with_an_index_below_the_limit(shards, size):
    found = windows(shards, size)
    assert sorted(shard for _, mine in found for shard in mine) == sorted(shards)
    assert all(0 <= shard - first < size for first, mine in found for shard in mine)


def test_the_batch_script_has_the_config_as_options_of_sbatch():
    found = options(
        script(
            partition="gpu", account="proj", qos="normal", time="04:00:00", gres="gpu:a100:4", constraint="nvlink",
            mem="240G", cpus_per_task=32, array_parallelism=2, mail_type="END,FAIL", mail_user="you@example.org",
            additional_parameters={"nodelist": "gpu01", "exclusive": True},
        )
    )  # fmt: skip
    expected = {
        "partition": "gpu", "account": "proj", "qos": "normal", "time": "240", "gres": "gpu:a100:4",
        "constraint": "nvlink", "mem": "240G", "cpus-per-task": "32", "array": "0-2%2", "mail-type": "END,FAIL",
        "mail-user": "you@example.org", "nodelist": "gpu01", "exclusive": "", "job-name": RUN.name,
        "chdir": str(RUN), "open-mode": "append", "requeue": "", "signal": "USR2@120",
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected


def test_without_a_gres_the_gpus_of_the_server_are_asked_for_by_number():
    assert options(script(gpus=4))["gpus-per-node"] == "4"
    assert "gpus-per-node" not in options(script(gpus=0))


def test_a_step_gets_all_cpus_of_its_job():
    (command,) = [line for line in script(cpus_per_task=32) if line.startswith("srun")]
    assert "--cpus-per-task 32" in command


def test_setup_lines_stand_before_the_command_and_a_prefix_in_front_of_python():
    lines = script(
        setup=["module load cuda"], command_prefix=["apptainer", "exec", "--nv", "a b.sif"], python="python3"
    )
    (command,) = [line for line in lines if line.startswith("srun")]
    assert "apptainer exec --nv 'a b.sif' python3 -P -m hpc_qa.slurm.loader" in command
    assert lines.index("module load cuda") < lines.index(command)


@pytest.mark.parametrize(
    "name", ["array", "output", "comment", "chdir", "job_name", "parsable", "mem", "cpus-per-task"]
)
def test_what_a_run_says_to_sbatch_itself_is_not_for_additional_parameters(name):
    with pytest.raises(ValidationError, match=r"this option is not for a config|a key of its own: slurm\."):
        Slurm(additional_parameters={name: "x"})


def test_a_per_cent_sign_in_the_path_is_no_pattern_of_sbatch():
    found = options(script(run=Path("/home/you/50% %x/runs/r")))
    assert found["output"] == "/home/you/50%% %%x/runs/r/logs/%A_%a.log"
    assert found["chdir"] == "/home/you/50% %x/runs/r"


def test_an_option_that_is_false_is_not_given():
    assert "exclusive" not in options(script(additional_parameters={"exclusive": False}))


def test_nodes_that_a_config_excludes_stay_excluded():
    assert options(script(exclude=["n7"], additional_parameters={"exclude": "n1,n2"}))["exclude"] == "n1,n2,n7"


def test_setup_lines_that_bash_does_not_understand_are_told_from_odd_ones():
    assert (
        setup_faults(['export A="it\'s \\"$HOME\\" 100%"', "cat <<'END' > f", "it's", "END", "module load cuda # x"])
        == []
    )
    assert setup_faults([]) == []
    for lines in (["echo it's"], ["if true", "then"], ["cat <<END", "x"]):
        (fault,) = setup_faults(lines)
        assert fault.startswith("slurm.setup: line ")


def test_a_second_window_tells_its_tasks_where_it_begins():
    lines = script(shards=(1_001, 1_003), first_shard=1_001)
    assert options(lines)["array"] == "0,2%2"
    assert "export HPC_QA_FIRST_SHARD=1001" in lines


@pytest.mark.parametrize("name", ["HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "RAY_ADDRESS"])
def test_secrets_and_steering_variables_stay_behind(name):
    assert environment_of_jobs({name: "x", "PATH": "/bin", "MODULEPATH": "/m"}) == {"PATH": "/bin", "MODULEPATH": "/m"}
