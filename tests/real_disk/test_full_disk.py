"""A disk that is really full: in the middle of a record, while a run is made, while a dataset is published."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_qa.store.run_directory import list_runs
from hpc_qa.store.segments import read_segment
from tests.made_runs import finished_run
from tests.projects import build_manifest, call, echo_process, make_project, wait_for
from tests.real_disk.workers import small_disk

pytestmark = pytest.mark.timeout(600)  # seconds only where the machine is busy


def test_a_disk_full_in_the_middle_of_a_record_ends_the_attempt_and_resume_completes(
    tmp_path: Path, model_folder: Path
) -> None:
    with echo_process() as socket, small_disk(tmp_path / "runs", 1_000_000) as disk:
        project = make_project(tmp_path, model=model_folder, socket=socket, key="echo-key", documents=12)
        assert call(project, "convert", str(project / "config.yaml")) == 0
        config = str(project / "config.yaml")
        words = (sys.executable, "-m", "hpc_qa", "--project", str(project), "submit", config)
        with subprocess.Popen(disk.command(*words), stderr=subprocess.PIPE, text=True) as submit:
            runs = disk.seen(project / "runs")
            wait_for(lambda: any(runs.glob("*/shards/0000/*/stages.jsonl")), 240)
            disk.fill(leave=44_000)  # the first flush has more than that
            assert submit.stderr is not None
            said = submit.stderr.read()
        (run,) = list_runs(disk.seen(project))
        (attempt,) = run.shard(0).attempts()
        segment, records = read_segment(attempt.segments()[0])
        assert segment.torn_bytes > 0  # it was struck here
        assert segment.damaged == []
        assert submit.returncode == 3
        log = attempt.worker_log.read_text()
        assert "bytes were written" in said
        assert f"hpc-qa resume {run.run_id} continues" in said
        assert "Traceback" not in said + log
        assert disk.hpc_qa(project, "verify", run.run_id).returncode == 3
        disk.make_room()
        resumed = disk.hpc_qa(project, "resume", run.run_id)
        assert resumed.returncode == 0, resumed.stderr
        proof = json.loads(disk.hpc_qa(project, "verify", run.run_id, "--json").stdout)
        assert (proof["status"], proof["documents"]["ok"], proof["doubles"]) == ("proven", 12, [])
        assert proof["records"] > len(records)


def test_a_disk_full_at_submit_leaves_no_run_and_the_next_submit_finds_none(tmp_path: Path, model_folder: Path) -> None:
    with small_disk(tmp_path / "runs", 262_144) as disk:
        socket = tmp_path / "no.sock"
        project = make_project(tmp_path, model=model_folder, socket=socket, key="echo-key", documents=2)
        config = (project / "config.yaml").read_text().replace("attach: ", "# attach: ").replace("attach_key", "# key")
        (project / "config.yaml").write_text(config)
        assert call(project, "convert", str(project / "config.yaml")) == 0
        for leave in (0, 4096, 12_288):  # the folder, its first files, all but the last
            disk.fill(leave)
            done = disk.hpc_qa(project, "submit", str(project / "config.yaml"), "--executor", "local", "--detach")
            assert done.returncode == 1, done.stderr
            assert "No space left on device" in done.stderr
            assert "  try: " in done.stderr
            assert "Traceback" not in done.stderr
            assert list_runs(disk.seen(project)) == []
            assert disk.hpc_qa(project, "status").returncode == 0
            disk.make_room()


def test_a_disk_full_while_a_dataset_is_published_leaves_the_old_one_and_collect_again_works(tmp_path: Path) -> None:
    with small_disk(tmp_path / "out", 524_288) as disk:
        first = finished_run(tmp_path, [["a"]], nonce="0001")
        large = finished_run(tmp_path, [[f"d{number}" for number in range(40)]], nonce="0002")
        target = str(tmp_path / "out" / "dataset")
        assert disk.hpc_qa(tmp_path, "collect", first.run_id, "-o", target).returncode == 0
        before = contents(disk.seen(Path(target)))
        for leave in (0, 40_000):
            disk.fill(leave)
            done = disk.hpc_qa(tmp_path, "collect", large.run_id, "-o", target)
            assert done.returncode == 1, (leave, done.stderr)
            assert "No space left on device" in done.stderr
            assert "nothing was published" in done.stderr
            assert "Traceback" not in done.stderr
            assert contents(disk.seen(Path(target))) == before
            assert [path.name for path in disk.seen(tmp_path / "out").iterdir() if path.name != "filler"] == ["dataset"]
            disk.make_room()
        assert disk.hpc_qa(tmp_path, "collect", large.run_id, "-o", target).returncode == 0
        assert contents(disk.seen(Path(target))) != before


def test_a_disk_full_in_the_middle_of_a_conversion_blames_no_document(tmp_path: Path, model_folder: Path) -> None:
    with small_disk(tmp_path / "cache", 4_000_000) as disk:
        project = make_project(tmp_path, model=model_folder, socket=tmp_path / "no.sock", key="echo-key", documents=1)
        [document] = (project / "documents").iterdir()
        document.write_text("# Top\n\n" + "The agency must decide within 45 days of the request. " * 4_500)
        build_manifest(project)
        config = str(project / "config.yaml")
        for leave in (0, 300_000, 500_000):  # for its bytes, its Markdown, its chunks
            disk.fill(leave)
            done = disk.hpc_qa(project, "convert", config, "--json")
            assert done.returncode == 1, (leave, done.stdout, done.stderr)
            assert "No space left on device" in done.stderr
            assert "  try: " in done.stderr
            assert "Traceback" not in done.stderr
            disk.make_room()
        done = disk.hpc_qa(project, "convert", config, "--json")
        [row] = json.loads(done.stdout)
        assert (done.returncode, row["status"], row["cached"]) == (0, "ok", False)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
