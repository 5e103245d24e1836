"""Whole runs on faults of the server, of Ray and of the machine: typed reasons, and an end within bounded time."""

import json
import os
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpc_qa.campaign.attempts import read_view
from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, list_runs
from tests.kills import Chain, family, left_of, new_chain
from tests.projects import (
    call,
    document_named,
    echo_process,
    make_project,
    proof,
    put_faults,
    records,
    requests_seen,
    states,
    submit,
    wait_for,
)

FAULTS = {
    1: ("busy 2", "ok", None),
    2: ("error 1", "ok", None),
    3: ("error", "failed", "server_error"),
    4: ("torn", "failed", "bad_reply"),
    5: ("nothing", "failed", "bad_reply"),
    6: ("length", "failed", "truncated"),
    7: ("stall", "failed", "timeout"),
    8: ("drop", "failed", "unreachable"),
    9: ("refuse", "failed", "refused"),
    10: ("too_long", "failed", "too_long"),
}


@pytest.mark.timeout(900)
def test_every_fault_of_the_server_ends_in_its_own_reason_and_takes_no_other_document_with_it(
    tmp_path: Path, model_folder: Path
) -> None:
    with echo_process() as socket:
        project = make_project(
            tmp_path / "p", model=model_folder, socket=socket, key="echo-key", documents=12, rules_each=3,
            style="extractive", limit=8,
        )  # fmt: skip
        put_faults(project, {number: fault for number, (fault, _, _) in FAULTS.items()})
        config = project / "config.yaml"
        config.write_text(config.read_text() + "  request_timeout: '00:00:03'\n  max_retries: 1\n")
        code, run = submit(project)
        seen = requests_seen(socket)
    assert code == 0  # every document has a terminal state
    expected = {document_named(run, number): (state, reason) for number, (_, state, reason) in FAULTS.items()}
    expected |= {document_named(run, number): ("ok", None) for number in (0, 11)}
    assert states(run) == expected
    chunks = [record for record in records(run) if record["kind"] == "chunk"]
    assert all(chunk["asked"] == chunk["parsed"] + sum(chunk["lost"].values()) for chunk in chunks)
    struck = Counter(reason for chunk in chunks for reason in chunk["lost"])
    assert set(struck) == {reason for _, _, reason in FAULTS.values() if reason}
    assert seen > sum(chunk["asked"] for chunk in chunks)  # there were retries
    assert proof(project, run)["documents"] == {"ok": 4, "failed": 8, "skipped": 0, "left": 0}
    assert_the_host_was_sampled(project, run)


def assert_the_host_was_sampled(project: Path, run: RunDirectory) -> None:
    """Samples of the processes of the attempt, of no GPU, from one end to the other, and in the ledger."""
    (attempt,) = run.shard(0).attempts()
    lines = [json.loads(line) for line in attempt.gpu_samples.read_text().splitlines()]
    assert all(line["c"] > 0 and line["r"] > 0 and line["g"] == [] for line in lines)
    assert {"model_load", "serving"} <= {line["s"] for line in lines}
    stages = [json.loads(line) for line in attempt.stages.read_text().splitlines()]
    whole_s = sum(stage["duration_s"] for stage in stages)
    assert lines[-1]["t"] - lines[0]["t"] == pytest.approx(whole_s, abs=0.5)
    assert call(project, "ledger", "sync") == 0
    (row,) = as_rows(current(project).table)
    assert (row["sampled_gpus"], row["gpu_busy_s"], row["gpu_samples_share"]) == (0, None, None)
    assert row["host_cpu_s"] == lines[-1]["c"]
    assert row["host_memory_peak_bytes"] == max(line["r"] for line in lines)
    assert row["judge_token_share"] == 0  # no pair came so far


# -- Ray


def last_attempt(chain: Chain) -> AttemptDirectory:
    return chain.found.shard(0).attempts()[-1]


def serving(chain: Chain) -> psutil.Process:
    """The worker of a chain, once records are on disk and requests are out."""
    assert chain.call("submit", str(chain.project / "config.yaml"), "--detach") == 0
    wait_for(lambda: any(chain.shard.glob("*/seg-*.jsonl")), 300)
    return psutil.Process(read_view(last_attempt(chain).attempt_json)["pid"])


def actors_of(chain: Chain) -> list[int]:
    """The actors as the worker names them in its log."""
    (line,) = re.findall(r"through actors \[([\d, ]+)\]", last_attempt(chain).worker_log.read_text())
    return [int(pid) for pid in line.split(", ")]


def finished(chain: Chain) -> dict[str, Any]:
    """What verify says once the run is complete."""
    wait_for(lambda: not family(chain), 300)
    code, said = chain.said("verify", chain.found.run_id)
    assert code == said["exit_code"]
    return said


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "victims", [pytest.param("one", marks=[pytest.mark.long, pytest.mark.covers("worker", "client")]), "all"]
)
def test_actors_that_are_killed_between_request_and_answer_are_replaced_and_nothing_is_lost(
    tmp_path: Path, model_folder: Path, victims: str
) -> None:
    with new_chain(tmp_path / "p", model_folder, delay_s=0.1) as chain:
        serving(chain)
        actors = actors_of(chain)
        for pid in actors[: 1 if victims == "one" else None]:
            os.kill(pid, signal.SIGKILL)
        said = finished(chain)
        log = last_attempt(chain).worker_log.read_text()
        assert len(chain.found.shard(0).attempts()) == 1
        assert said["exit_code"] == 0
        assert said["documents"]["ok"] == 16
        assert not re.search(r" 0 retries", log)  # it struck: requests were out in them
        assert said["recomputed"] == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name", [pytest.param("gcs_server", marks=[pytest.mark.long, pytest.mark.covers("worker", "client")]), "raylet"]
)
def test_without_rays_own_processes_the_attempt_ends_soon_and_says_why_and_the_next_one_completes(
    tmp_path: Path, model_folder: Path, name: str
) -> None:
    with new_chain(tmp_path / "p", model_folder, delay_s=0.1) as chain:
        worker = serving(chain)
        known = family(chain)
        (victim,) = [child for child in worker.children(recursive=True) if child.name() == name]
        victim.kill()
        wait_for(lambda: not left_of(chain, known, set()), 60)
        attempt = last_attempt(chain)
        assert re.search(rf"ERROR Ray's {name} \(pid {victim.pid}\) has died", attempt.worker_log.read_text())
        assert f"try: is memory short on the node? hpc-qa resume {chain.found.run_id}" in attempt.worker_log.read_text()
        (result,) = chain.found.submit.glob("*_result.pkl")
        assert result.exists()
        code, said = chain.said("verify", chain.found.run_id)
        assert (code, said["documents"]["left"] > 0) == (3, True)
        assert chain.call("resume", chain.found.run_id) == 0
        assert finished(chain)["exit_code"] == 0


LEFT_OVER = {
    "RAY_ADDRESS": "ray://somebody-elses-cluster:10001",
    "RAY_TMPDIR": "/nonexistent",
    "RAY_NAMESPACE": "theirs",
    "VLLM_PORT": "1",
    "VLLM_USE_MODELSCOPE": "1",
    "HF_HOME": "/nonexistent",
    "HF_TOKEN": "canary",
    "HTTP_PROXY": "http://nowhere:1",
}


@pytest.mark.long
@pytest.mark.covers("worker", "client", "campaign", "slurm", "processes.py")
@pytest.mark.timeout(900)
def test_two_runs_at_once_know_nothing_of_each_other_nor_of_what_is_left_over_in_the_shell(
    tmp_path: Path, model_folder: Path
) -> None:
    with new_chain(tmp_path / "a", model_folder) as one, new_chain(tmp_path / "b", model_folder) as other:
        one.environment.update(LEFT_OVER)
        first = one.start("submit", str(one.project / "config.yaml"))
        serving(other)
        wait_for(lambda: one.run and one.run.shard(0).attempts(), 60)
        os.kill(read_view(last_attempt(other).attempt_json)["pid"], signal.SIGKILL)  # and all of its Ray goes with it
        wait_for(lambda: not family(other), 30)
        assert first.wait(400) == 0
        assert finished(one)["exit_code"] == 0
        assert len(one.found.shard(0).attempts()) == 1
        assert " 0 retries" in last_attempt(one).worker_log.read_text()
        assert other.call("resume", other.found.run_id) == 0
        assert finished(other)["exit_code"] == 0


@pytest.mark.long
@pytest.mark.covers("worker", "client", "campaign", "slurm", "processes.py")
@pytest.mark.timeout(900)
def test_on_one_cpu_ray_is_told_of_one(tmp_path: Path, model_folder: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    with new_chain(tmp_path / "p", model_folder, delay_s=0.1) as chain:
        code = f"import os, sys; os.sched_setaffinity(0, {{{cpu}}}); os.execv(sys.executable, sys.argv[1:])"
        command = [*chain.program("submit", str(chain.project / "config.yaml"), "--detach")]
        environment = os.environ | chain.environment
        assert subprocess.run([command[0], "-c", code, *command], env=environment, check=False).returncode == 0
        wait_for(lambda: any(chain.shard.glob("*/seg-*.jsonl")), 300)
        (raylet,) = [one for one in family(chain).values() if one.name() == "raylet"]
        assert any(re.search(r"\bCPU,1(\.0)?\b", word) for word in raylet.cmdline())
        assert finished(chain)["exit_code"] == 0


@pytest.mark.timeout(900)
def test_a_long_folder_for_temporary_files_is_refused_before_anything_starts(
    tmp_path: Path, model_folder: Path
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    with new_chain(tmp_path / "p", model_folder) as chain:
        chain.environment["TMPDIR"] = str(long)
        assert chain.call("submit", str(chain.project / "config.yaml")) == 2
        said = (chain.project / "calls.log").read_text()
        assert f"TMPDIR is {long}: too long a path" in said
        assert "set TMPDIR to a short folder" in said
        assert chain.run is None
        assert list(long.iterdir()) == []


def test_a_server_that_is_not_there_is_said_before_anything_starts(tmp_path: Path, model_folder: Path) -> None:
    project = make_project(tmp_path / "p", model=model_folder, socket=tmp_path / "no.sock", key="k", documents=1)
    assert call(project, "submit", str(project / "config.yaml")) == 2
    assert list_runs(project) == []
