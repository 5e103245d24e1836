"""What a cluster denies an array task: memory beyond slurm.mem, and room on the disk of its run.

Memory is held by cgroups (task/cgroup with ConstrainRAMSpace), as on most clusters: on a cluster of its own, as that
takes root, and as Slurm names its cgroups by the node alone.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc_qa.store.run_directory import RunDirectory, list_runs
from tests.projects import call, keys, records, states
from tests.real_disk.workers import SmallDisk, small_disk
from tests.real_slurm.cluster import Cluster, Shape, running_cluster
from tests.real_slurm.runs import (
    assert_same_as_quiet,
    finish,
    job_of,
    served_project,
    status_of,
    under_way,
    wait_for_end,
    wait_for_records,
    wait_until,
)
from tests.tiny_model import tiny_model

SIZE = {"documents": 6, "rules_each": 60}
KV_GIB = "4"  # taken at once: a limit that is passed slowly makes the whole node slow
# Python runs this as it starts. Above 4 GiB it stops: then nobody holds the limit, and the test says so
GREEDY = """
import os, sys, threading, time

def eat():
    while not os.path.exists({sign!r}):
        time.sleep(0.1)
    held = [bytearray(b"x") * (64 << 20) for _ in range(64)]

if "hpc_qa.worker" in sys.orig_argv and sys.orig_argv[-1] == "0":
    threading.Thread(target=eat, daemon=True).start()
"""

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]


@pytest.fixture
def echo_delay_s() -> float:
    return 0.3


@pytest.fixture(scope="module")
def strict(cluster: Cluster) -> Iterator[Cluster]:
    """A node that ends what takes more memory than its job asked for."""
    with running_cluster(Shape(name="strict", nodes=1, prefix=f"strict{os.getpid()}n", enforce_memory=True)) as one:
        yield one


@pytest.fixture
def on_strict(strict: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Slurm's programs reach that cluster."""
    for name, value in strict.environment.items():
        monkeypatch.setenv(name, value)
    return strict


def steps(cluster: Cluster, run: RunDirectory, shard: int = 0) -> list[str]:
    """How the job steps of an array task ended, as Slurm has it."""
    rows = cluster.run("sacct", "-n", "-P", f"--jobs={job_of(run)}_{shard}", "-o", "JobID,State")
    return [row.partition("|")[2] for row in rows.splitlines() if row.partition("|")[0].endswith(".0")]


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_a_worker_that_is_killed_for_memory_is_called_so_and_resume_completes(
    project, on_strict, model_folder, tmp_path, capfd
):
    sign, hook = tmp_path / "eat", tmp_path / "hook" / "sitecustomize.py"
    hook.parent.mkdir()
    hook.write_text(GREEDY.format(sign=str(sign)))
    folder = project(slurm=f"  setup: ['export PYTHONPATH={hook.parent}']\n", **SIZE)
    run = under_way(folder)
    sign.touch()
    wait_for_end(folder, run)
    said = wait_until(lambda: (now := status_of(folder, run))["shards"][0]["detail"] and now, "how it ended in Slurm")
    assert steps(on_strict, run) == ["OUT_OF_MEMORY"]
    assert [shard["state"] for shard in said["shards"]] == ["interrupted", "done", "done"]
    assert said["shards"][0]["detail"] == f"OUT_OF_MEMORY on {on_strict.nodes[0]}"
    assert "SIGKILL ended the worker" in (run.logs / f"{job_of(run)}_0.log").read_text()
    capfd.readouterr()
    assert call(folder, "status", run.run_id) == 0
    assert f"hpc-qa resume {run.run_id} --mem SIZE" in capfd.readouterr().err
    sign.unlink()
    written = len(records(run))
    finish(folder, run, resumes=1)
    assert len(records(run)) > written > 0
    assert_same_as_quiet(run, model_folder, **SIZE)


@pytest.mark.long
@pytest.mark.vllm
@pytest.mark.covers("worker", "client", "store", "serving", "campaign", "slurm")
def test_a_server_that_is_killed_for_memory_is_called_so_and_resume_gives_it_more(
    on_strict, model_folder, tmp_path, capfd
):
    folder = tmp_path / "p"
    tiny = tiny_model(model_folder, model_folder.parent / "tiny-random-llama")
    settings = {"model": str(tiny), "max_restarts": 0, "env": {"VLLM_CPU_KVCACHE_SPACE": KV_GIB}}
    served_project(folder, documents=1, vllm=settings, slurm={"mem": "4G"})
    assert call(folder, "submit", str(folder / "config.yaml"), "--wait") == 3
    said = capfd.readouterr().err
    (run,) = list_runs(folder)
    assert steps(on_strict, run) == ["OUT_OF_MEMORY"]
    assert re.search(r"the kernel killed \d+ process(es)? of this task for memory", said)
    assert f"shard 0 | OUT_OF_MEMORY on {on_strict.nodes[0]}" in said
    assert f"try: an array task needs more memory than slurm.mem: hpc-qa resume {run.run_id} --mem SIZE" in said
    assert call(folder, "resume", run.run_id, "--mem", "lots") == 2
    assert call(folder, "resume", run.run_id, "--mem", "9G", "--wait") == 0
    finish(folder, run, resumes=0)
    assert set(keys(run).values()) == {1}
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("mem: 4G", "mem: 9G"))
    assert call(folder, "submit", str(folder / "config.yaml"), "--wait") == 0
    quiet = list_runs(folder)[-1]
    assert (states(run), keys(run)) == (states(quiet), keys(quiet))


@pytest.fixture
def disk(cluster: Cluster, tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of a few megabytes below `runs`, which the last node sees and no other one."""
    node = cluster.nodes[-1]
    with small_disk(tmp_path / "p" / "runs", 4 << 20) as small:
        cluster.stop_daemon(node)
        cluster.start_node(node, *small.command())
        cluster.wait_idle()
        try:
            yield small
        finally:
            cluster.stop_daemon(node)
            cluster.start_node(node)
            cluster.wait_idle()


@pytest.mark.long
@pytest.mark.covers("worker", "client", "store", "campaign", "slurm")
def test_a_disk_that_is_full_ends_array_tasks_with_one_message_each_and_resume_completes(
    project, cluster, disk, model_folder
):
    folder = project(slurm=f"  additional_parameters: {{nodelist: {cluster.nodes[-1]}}}\n", **SIZE)
    config = str(folder / "config.yaml")
    assert call(folder, "convert", config) == 0
    submit = disk.hpc_qa(folder, "submit", config)
    assert submit.returncode == 0, submit.stderr
    (run,) = list_runs(disk.seen(folder))
    wait_for_records(run, 8)
    disk.fill()

    def ended():
        now = json.loads(disk.hpc_qa(folder, "status", run.run_id, "--json").stdout)
        return None if now["state"] in ("queued", "running") else now

    failed = {f"FAILED on {cluster.nodes[-1]}"}
    wait_until(lambda: (now := ended()) and {one["detail"] for one in now["shards"]} == failed, "their end in Slurm")
    logs = [run.logs / f"{job_of(run)}_{shard}.log" for shard in range(3)]
    for text in (path.read_text() for path in logs):
        assert re.search(r"bytes were written|No space left on device", text)  # it was struck here
        assert text.count("  try: look for a full disk") == 1
        assert f"hpc-qa resume {run.run_id} continues" in text
        assert "Traceback" not in text
    written = len(records(run))
    assert written > 0
    refused = disk.hpc_qa(folder, "resume", run.run_id)
    assert (refused.returncode, refused.stderr.count("error: ")) == (1, 1)
    assert "No space left on device" in refused.stderr
    assert cluster.run("squeue", "-h", f"--name={run.run_id}") == ""
    disk.make_room()
    assert disk.hpc_qa(folder, "resume", run.run_id).returncode == 0
    assert wait_until(ended, "the end of the run")["state"] == "complete"
    said = json.loads(disk.hpc_qa(folder, "verify", run.run_id, "--json").stdout)
    assert (said["exit_code"], said["doubles"]) == (0, [])
    assert len(records(run)) > written
    assert_same_as_quiet(run, model_folder, **SIZE)
