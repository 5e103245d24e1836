"""What somebody else could have written is refused before it is loaded: pickles, runs, caches, conversions.

Each refusal comes with its counterpart: the same thing, private, is accepted.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_qa.documents.cache import DocumentCache
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.slurm.submission import LOADER
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.store.trust import check_project, check_run
from tests.made_runs import finished_run
from tests.projects import call
from tests.security.outsider import UID

JOB = {
    "SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "77", "SUBMITIT_LOCAL_NTASKS": "1",
    "SUBMITIT_LOCAL_JOB_NUM_NODES": "1", "SUBMITIT_LOCAL_NODEID": "0", "SUBMITIT_LOCAL_GLOBALID": "0",
    "SUBMITIT_LOCAL_LOCALID": "0",
}  # fmt: skip


class Payload:
    """A pickle that does something when it is loaded."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return finished_run(tmp_path, [["a"], ["b"]])


@pytest.fixture
def pickled(run: RunDirectory) -> Path:
    """A pickle in the run's folder, as submitit would find it."""
    path = run.submit / "77_submitted.pkl"
    path.touch(mode=0o600)
    path.write_bytes(pickle.dumps(Payload(run.path / "it-was-loaded")))
    return path


def load(run: RunDirectory) -> tuple[bool, str]:
    """Whether the pickle was loaded, and what was said, when the array task is started as submitit does."""
    words = [*LOADER.split(), "-u", "-m", "submitit.core._submit", str(run.submit)]
    done = subprocess.run(words, env=dict(os.environ) | JOB, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode != 0  # even a payload that is loaded is no task
    return (run.path / "it-was-loaded").exists(), done.stderr


def opened(path: Path, mode: int = 0o777) -> None:
    path.chmod(mode)


def given_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail("only root can give a file to somebody else: run these tests as root", pytrace=False)
    os.chown(path, UID, UID)


def test_a_private_pickle_is_loaded(run, pickled):
    assert load(run)[0]


@pytest.mark.parametrize("spoil", [opened, given_away])
@pytest.mark.parametrize("part", ["pickle", "folder", "run"])
def test_a_pickle_that_somebody_else_could_have_written_is_never_loaded(run, pickled, part, spoil):
    path = {"pickle": pickled, "folder": run.submit, "run": run.path}[part]
    spoil(path)
    loaded, said = load(run)
    assert not loaded
    assert str(path) in said
    assert "try:" in said


def test_a_group_that_may_write_is_others_too(run, pickled):
    opened(run.submit, 0o770)
    assert not load(run)[0]


def test_a_pickle_that_is_a_link_is_never_loaded(run, pickled, tmp_path):
    elsewhere = tmp_path / "elsewhere.pkl"
    pickled.rename(elsewhere)
    pickled.symlink_to(elsewhere)
    loaded, said = load(run)
    assert not loaded
    assert "is a link" in said


@pytest.mark.parametrize("spoil", [opened, given_away])
@pytest.mark.parametrize("part", ["", "submit", "shards", "logs"])
def test_a_run_that_is_not_ours_alone_is_not_gone_on_with(run, tmp_path, capsys, part, spoil):
    run.shard(0).commit.unlink()
    spoil(run.path / part)
    before = sorted(path for path in run.path.rglob("*") if path.name != "it-was-loaded")
    for command in (["resume", run.run_id], ["cancel", run.run_id], ["collect", run.run_id, "--partial"]):
        assert call(tmp_path, *command) == 2
        said = capsys.readouterr().err
        assert str(run.path / part) in said
        assert said.splitlines()[-1].startswith("  try: ")
    assert sorted(run.path.rglob("*")) == before


def test_what_only_reads_works_on_the_run_of_somebody_else(run, tmp_path, capsys):
    given_away(run.path)
    for command in ("status", "verify"):
        assert call(tmp_path, command, run.run_id) == 0
    assert call(tmp_path, "collect", run.run_id, "-o", str(tmp_path / "mine")) == 0


def test_the_way_out_is_one_line_and_works(run, tmp_path, capsys):
    opened(run.path)
    opened(run.submit, 0o770)
    assert call(tmp_path, "resume", run.run_id) == 2
    command = capsys.readouterr().err.splitlines()[-1].removeprefix("  try: ")
    assert command.startswith("chmod go-w ")
    subprocess.run(command.split(), check=True)
    assert call(tmp_path, "resume", run.run_id) == 0  # nothing is missing


def test_a_folder_of_runs_that_others_can_write_is_refused(run, tmp_path):
    check_run(run)
    opened(run.path.parent)
    with pytest.raises(ConfigError, match="others can write it") as refusal:
        check_run(run)
    assert refusal.value.hint == f"chmod go-w {run.path.parent}"
    opened(run.path.parent, 0o1777)  # like /tmp: nobody can move a folder of ours away
    check_run(run)


@pytest.mark.parametrize("spoil", [opened, given_away])
@pytest.mark.parametrize("name", ["runs", "cache/documents", "cache/vllm", "cache/vllm/vllm/torch_compile_cache/k.so"])
def test_a_project_whose_runs_or_caches_others_can_write_starts_nothing(tmp_path, name, spoil):
    for folder in ("runs", "cache/documents", "cache/vllm/vllm/torch_compile_cache"):
        (tmp_path / folder).mkdir(parents=True, mode=0o700, exist_ok=True)
        for part in (tmp_path / folder, *(tmp_path / folder).parents):
            if part.is_relative_to(tmp_path):
                part.chmod(0o700)
    kernel = tmp_path / "cache" / "vllm" / "vllm" / "torch_compile_cache" / "k.so"
    kernel.touch(mode=0o600)
    check_project(tmp_path, tmp_path / "cache" / "documents")
    spoil(tmp_path / name)
    with pytest.raises(ConfigError) as refusal:
        check_project(tmp_path, tmp_path / "cache" / "documents")
    assert str(tmp_path / name) in str(refusal.value)
    assert refusal.value.hint


def test_a_cache_may_hold_links_within_itself_and_none_that_leads_out(tmp_path):
    inside = tmp_path / "cache" / "vllm" / "hub"
    inside.mkdir(parents=True, mode=0o700)
    (inside / "blob").touch(mode=0o600)
    (inside / "model.safetensors").symlink_to("blob")  # as the hub's own cache does it
    check_project(tmp_path, tmp_path / "cache" / "documents")
    (inside / "evil.so").symlink_to(__file__)
    with pytest.raises(ConfigError, match="leads out of"):
        check_project(tmp_path, tmp_path / "cache" / "documents")


def test_a_worker_refuses_a_run_that_was_opened_after_submit(run, tmp_path):
    run.shard(0).commit.unlink()
    attempts = [one.name for one in run.shard(0).attempts()]
    opened(run.path)
    command = [sys.executable, "-P", "-m", "hpc_qa.worker", str(run.path), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 1
    assert "others can write it" in done.stderr
    assert [one.name for one in run.shard(0).attempts()] == attempts


@pytest.mark.parametrize("spoil", [opened, given_away])
@pytest.mark.parametrize("name", ["chunks.jsonl", "."])
def test_a_conversion_that_somebody_else_could_have_written_is_refused(tmp_path, name, spoil):
    cache = DocumentCache(tmp_path, "key")
    folder = cache.folder("ab" * 32, "text/markdown")
    folder.mkdir(parents=True, mode=0o700)
    (folder / "chunks.jsonl").touch(mode=0o600)
    spoil(folder / name)
    with pytest.raises(StoreError, match=r"others can write|belongs to") as refusal:
        cache.chunks("ab" * 32, "text/markdown")
    assert refusal.value.hint == f"rm -r {folder}, and it is converted again"
