"""Shells and machines that are not as they should be: doctor says so with the fix, and a plan is not disturbed."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from tests.bad_input.conftest import Call

LEFT_OVER = {
    "RAY_ADDRESS": "ray://10.0.0.1:10001",
    "VLLM_API_KEY": "CANARY",
    "VLLM_USE_V1": "0",
    "HF_TOKEN": "CANARY",
    "LD_PRELOAD": "",
    "PYTHONOPTIMIZE": "2",
    "PYTHONUSERBASE": "/nowhere",
}


@pytest.fixture
def ready(project: Path, call: Call) -> Path:
    """A project whose manifest is built."""
    assert call("manifest", "build", "docs", "-o", "m.jsonl")[0] == 0
    return project


def doctor(call: Call) -> dict[str, dict[str, str]]:
    """What doctor says about the config, by name; every line that is not ok has a fix."""
    _, out, _ = call("doctor", "config.yaml", "--json")
    lines = json.loads(out)
    assert all(line["fix"] for line in lines if line["state"] != "ok")
    return {line["name"]: line for line in lines}


def test_doctor_reads_the_manifest_and_the_prompts(ready: Path, call: Call) -> None:
    found = doctor(call)
    assert found["manifest"]["state"] == found["prompts"]["state"] == "ok"
    assert "1 document, all there" in found["manifest"]["text"]
    (ready / "docs" / "a.txt").unlink()
    assert "1 of 1 document not there: a.txt" in doctor(call)["manifest"]["text"]
    (ready / "m.jsonl").write_text("{broken\n")
    assert doctor(call)["manifest"]["state"] == "fail"
    (ready / "p.yaml").write_text("no_such_prompt: x\n")
    (ready / "config.yaml").write_text((ready / "config.yaml").read_text() + "qa: {prompts: p.yaml}\n")
    assert "p.yaml" in doctor(call)["prompts"]["text"]


def test_what_is_left_over_in_the_shell_is_named_and_changes_no_plan(ready: Path) -> None:
    command = [sys.executable, "-m", "hpc_qa", "plan", "config.yaml", "--json"]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    odd = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | LEFT_OVER)
    without_home = {name: value for name, value in os.environ.items() if name != "HOME"}
    homeless = subprocess.run(command, capture_output=True, text=True, check=False, env=without_home)
    assert plain.returncode == odd.returncode == homeless.returncode
    assert plain.stdout == odd.stdout == homeless.stdout
    command[3] = "doctor"
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | LEFT_OVER).stdout
    (line,) = [line for line in json.loads(told) if line["name"] == "environment"]
    assert line["state"] == "warn"
    assert all(name in line["text"] for name in LEFT_OVER)
    assert "CANARY" not in told


@pytest.mark.parametrize("free", [0, 10**9])
def test_a_file_system_that_is_full_is_a_failure_and_one_that_is_nearly_full_a_warning(
    ready: Path, call: Call, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - free, free))
    found = doctor(call)
    assert {found["scratch space"]["state"], found["runs space"]["state"]} == {"warn" if free else "fail"}
    assert ready


def test_without_slurm_and_home_doctor_says_what_to_do(
    ready: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("HOME")
    found = doctor(call)
    assert (found["slurm"]["state"], found["home"]["state"]) == ("warn", "warn")
    assert "sbatch" in found["slurm"]["text"]
    assert ready


def test_a_project_that_cannot_be_written_is_a_failure(
    ready: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != ready and real(path, mode))  # root writes all
    assert "cannot be written by you" in doctor(call)["places"]["text"]
    code, _, err = call("plan", "config.yaml")
    assert code == 2
    assert "cannot be written by you" in err
