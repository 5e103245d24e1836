"""Several processes, as those of several nodes, convert into one cache at the same time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hpc_qa import manifest
from hpc_qa.documents.cache import STAGING, DocumentCache, converter_key
from hpc_qa.documents.facts import Facts, to_json
from tests import made_documents as made

PROCESSES = 4
CONVERT = """
import json, sys
from pathlib import Path
from hpc_qa import manifest
from hpc_qa.documents.convert import convert_all
from tests import made_documents as made
project = Path(sys.argv[1])
entries = manifest.read(project / "m.jsonl", project=project)
while not (project / "go").exists():
    pass
found = convert_all(entries, made.config(processes=2), project=project)
print(json.dumps([[one.doc_id, one.status, one.reason, one.chunks, one.cached] for one in found]))
"""


def start(project: Path) -> "subprocess.Popen[str]":
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", CONVERT, str(project)]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True)


def make_project(folder: Path, documents: int) -> list[manifest.Entry]:
    made.write_tokenizer(folder / "model")
    (folder / "docs").mkdir()
    for number in range(documents):
        (folder / "docs" / f"{number}.md").write_text(f"# Part {number}\n\n" + made.SENTENCES * 20)
    (folder / "docs" / "bad.pdf").write_bytes(made.encrypted())
    (folder / "docs" / "good.pdf").write_bytes(made.manual(2))
    entries = manifest.build([folder / "docs"], project=folder).entries
    manifest.write(folder / "m.jsonl", entries)
    return entries


def check(project: Path, entries: list[manifest.Entry]) -> None:
    cache = DocumentCache(project / "cache/documents", converter_key(made.config(), project))
    for entry in entries:
        facts = cache.facts(entry.sha256, entry.media_type)
        assert facts is not None
        if facts.status == "ok":
            assert len(cache.chunks(entry.sha256, entry.media_type)) == facts.chunks
        assert len(os.listdir(cache.folder(entry.sha256, entry.media_type).parent)) == 1


def test_processes_that_convert_the_same_manifest_at_once_agree_and_share_the_work(tmp_path: Path) -> None:
    entries = make_project(tmp_path, 40)
    processes = [start(tmp_path) for _ in range(PROCESSES)]
    (tmp_path / "go").touch()
    found = [json.loads(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    assert len({json.dumps([row[:4] for row in rows]) for rows in found}) == 1
    assert {tuple(row[1:3]) for row in found[0]} == {("ok", None), ("failed", "encrypted")}
    check(tmp_path, entries)
    assert os.listdir(tmp_path / "cache/documents" / STAGING) == []


def test_a_process_that_is_killed_leaves_the_others_a_whole_cache(tmp_path: Path) -> None:
    entries = make_project(tmp_path, 40)
    doomed, other = start(tmp_path), start(tmp_path)
    (tmp_path / "go").touch()
    deadline = time.monotonic() + 60
    while not list((tmp_path / "cache/documents").glob("??/*/*/facts.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(doomed.pid, signal.SIGKILL)
    doomed.communicate()
    rows = json.loads(other.communicate()[0])
    assert (other.returncode, len(rows)) == (0, len(entries))
    check(tmp_path, entries)


def test_two_that_replace_the_same_conversion_both_go_on(tmp_path: Path) -> None:
    one, other = DocumentCache(tmp_path, "key"), DocumentCache(tmp_path, "key")
    sha256, media_type = "ab" * 32, "text/plain"
    kept = to_json(Facts("failed", sha256, media_type, 1, reason="too_large"))
    staged = []
    for cache in (one, other):
        folder = cache.stage()
        (folder / "facts.json").write_text(kept)
        staged.append(folder)
    target = one.folder(sha256, media_type)
    target.mkdir(parents=True)
    (target / "facts.json").write_text(kept)

    class Vanishing(type(target)):  # the other process takes it away between the look and the move
        def rename(self, to):
            if "replaced" in str(to):
                (self / "facts.json").unlink()
                self.rmdir()
            return super().rename(to)

    one.folder = lambda *_: Vanishing(target)
    one.publish(staged[0], sha256, media_type, replace=True)
    assert other.facts(sha256, media_type) is not None
