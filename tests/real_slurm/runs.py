"""Runs on the cluster of the tests: start one, wait for a moment in it, let it end, and hold it against a quiet one."""

import functools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hpc_qa.store.run_directory import RunDirectory, list_runs
from tests.projects import (
    ROOT,
    build_manifest,
    call,
    echo_process,
    keys,
    look,
    make_project,
    proof,
    records,
    states,
    write_documents,
)
from tests.real_slurm.cluster import Cluster

ENDS_WITHIN_S = 300.0
PROFILE = "slurm/test_cluster.yaml"


def served_project(folder: Path, *, documents: int, vllm: Mapping[str, Any], slurm: Mapping[str, Any]) -> None:
    """A project whose array tasks start servers of their own; `vllm` and `slurm` name what differs."""
    write_documents(folder / "documents", documents, rules_each=6)
    build_manifest(folder)
    use_test_cluster(folder)
    config = {
        "name": "served",
        "manifest": "m.jsonl",
        "executor": "slurm",
        "qa": {
            "answer_style": "extractive", "questions_per_chunk": 2, "chunk_size": 96, "max_tokens": 48, "judge": False,
        },
        "vllm": {"max_model_len": 2048, "max_num_seqs": 8, "enforce_eager": True, **vllm},
        "slurm": {"site": PROFILE, "cpus_per_task": 2, **slurm},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def use_test_cluster(folder: Path) -> None:
    """Give a project the profile of the cluster of the tests."""
    (folder / PROFILE).parent.mkdir()
    (folder / PROFILE).write_bytes((ROOT / PROFILE).read_bytes())


def submitted(folder: Path, *options: str) -> RunDirectory:
    """The run that `submit` has made and given to Slurm."""
    before = {run.run_id for run in list_runs(folder)}
    assert call(folder, "submit", str(folder / "config.yaml"), *options) == 0
    (run,) = [run for run in list_runs(folder) if run.run_id not in before]
    return run


def under_way(folder: Path) -> RunDirectory:
    """A run on the cluster that has written some records and has more to do."""
    run = submitted(folder)
    wait_for_records(run, 8)
    return run


def node_of(cluster: Cluster, run: RunDirectory, shard: int = 0) -> str:
    """The node on which the array task of this shard runs."""
    ask = ("squeue", "-h", "-j", f"{job_of(run)}_{shard}", "-o", "%N")
    return str(wait_until(lambda: cluster.run(*ask).strip(), "a node"))


def job_of(run: RunDirectory) -> str:
    """The job id of its last job array."""
    return str(run.list_submissions()[-1]["job_id"])


def status_of(folder: Path, run: RunDirectory) -> dict[str, Any]:
    """What `status --json` says, from a process of its own, as a user would ask."""
    command = [sys.executable, "-m", "hpc_qa", "--project", str(folder), "status", run.run_id, "--json"]
    said: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return said


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = ENDS_WITHIN_S) -> Any:
    """What the condition says once it holds."""
    deadline = time.monotonic() + timeout_s
    while not (found := look(condition, 0.2)):
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
    return found


def wait_for_records(run: RunDirectory, count: int = 1) -> None:
    """Until so many records are on disk, while there is more to do."""
    wait_until(lambda: len(records(run)) >= count, f"{count} records")
    assert not all(run.shard(int(one["index"])).commit.exists() for one in run.frozen_plan()["shards"])


def queued(run: RunDirectory) -> bool:
    """Whether Slurm has any of its array tasks waiting or running."""
    jobs = ",".join(str(one["job_id"]) for one in run.list_submissions())
    asked = subprocess.run(["squeue", "-h", f"--jobs={jobs}"], capture_output=True, text=True, check=False)
    return bool(asked.stdout.strip())  # nothing either when the controller is away


def wait_for_end(folder: Path, run: RunDirectory) -> dict[str, Any]:
    """The status once nothing of the run waits or runs any more."""

    def ended() -> dict[str, Any] | None:
        if queued(run):  # before `status`, which takes a second of a CPU
            return None
        now = status_of(folder, run)
        return now if now["state"] not in ("queued", "running", "unknown") else None

    said: dict[str, Any] = wait_until(ended, f"the end of {run.run_id}")
    return said


def accounted(cluster: Cluster, run: RunDirectory) -> list[tuple[str, str]]:
    """(array task, state) of every allocation of its jobs, the earlier ones of a requeued task too."""
    jobs = ",".join(str(one["job_id"]) for one in run.list_submissions())
    text = cluster.run("sacct", "-n", "-P", "-X", "-D", f"--jobs={jobs}", "-o", "JobID,State")
    rows = [line.partition("|")[::2] for line in text.splitlines()]
    return [(task, re.split(r"\s", state)[0]) for task, state in rows]


def finish(folder: Path, run: RunDirectory, *, resumes: int = 4) -> dict[str, Any]:
    """Resume until it is complete, and prove it; what `verify` said."""
    for _ in range(resumes):
        if wait_for_end(folder, run)["state"] == "complete":
            break
        assert call(folder, "resume", run.run_id) == 0
    assert wait_for_end(folder, run)["state"] == "complete"
    said = proof(folder, run)
    assert said["exit_code"] == 0, said
    return said


@dataclass(frozen=True, slots=True)
class Quiet:
    """What a run comes to that nothing happens to."""

    keys: frozenset[str]
    states: dict[str, tuple[str, str | None]]


@functools.cache
def quiet(model: Path, documents: int, rules_each: int) -> Quiet:
    """Such a run of the made documents, on this machine and without Slurm."""
    with tempfile.TemporaryDirectory(prefix="hqq-", dir="/tmp") as name, echo_process() as socket:
        folder = make_project(
            Path(name) / "p", model=model, socket=socket, key="echo-key", documents=documents, rules_each=rules_each,
            limit=32,
        )  # fmt: skip
        assert call(folder, "submit", str(folder / "config.yaml")) == 0
        (run,) = list_runs(folder)
        return Quiet(frozenset(keys(run)), states(run))


def assert_same_as_quiet(run: RunDirectory, model: Path, *, documents: int, rules_each: int) -> None:
    """The same documents in the same terminal states and the same work keys as in a run that nothing happens to."""
    expected = quiet(model, documents, rules_each)
    assert states(run) == expected.states
    assert set(keys(run)) == expected.keys
