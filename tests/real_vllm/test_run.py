"""A whole run through the program: documents become a dataset, through real Ray actors and a real vLLM server."""

import json
import signal
from pathlib import Path

import psutil
import pytest

from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.serving.server import VllmServer
from hpc_qa.store.run_directory import RunDirectory, find
from tests.projects import call, keys, submit, wait_for

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

RULES = (
    "The state agency must determine eligibility within 45 days of the application.",
    "A provider may request a fair hearing within 30 days of the notice.",
    "Home health services are covered for beneficiaries who cannot leave their home.",
    "The copayment for a generic drug is 4 dollars per prescription.",
    "Nursing facilities shall report every fall to the department within 24 hours.",
    "Prior authorization is not required for emergency services.",
)
CONFIG = """
name: e2e
manifest: m.jsonl
executor: local
qa:
  answer_style: extractive
  questions_per_chunk: 3
  chunk_size: 128
  temperature: 0.0
  max_tokens: 64
  accept: {{min_clarity: null, min_accuracy: null, min_relevance: null, require: [], unjudged: accept}}
vllm:
  model: {model}
  max_model_len: 2048
  attach: {socket}
  attach_key_file: {key}
client:
  concurrency_limit: 4
"""


def write_documents(folder: Path) -> None:
    """Six documents: text, Markdown, HTML, a copy of one, an empty one and one that is no PDF."""
    folder.mkdir()
    (folder / "rules.txt").write_text("\n\n".join(RULES) + "\n")
    (folder / "copy.txt").write_text("\n\n".join(RULES) + "\n")
    (folder / "manual.md").write_text("# Manual\n\n" + "\n\n".join(f"## Part {i}\n\n{r}" for i, r in enumerate(RULES)))
    body = "".join(f"<h2>Chapter {i}</h2><p>{rule}</p>" for i, rule in enumerate(RULES))
    (folder / "page.html").write_text(f"<html><body><h1>Page</h1>{body}</body></html>")
    (folder / "empty.txt").write_text("")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is not a document")


def made_project(folder: Path, server: VllmServer, model: Path) -> Path:
    """A project with the documents in this folder, whose runs use this server."""
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(server.key)
    (folder / "config.yaml").write_text(CONFIG.format(model=model, socket=server.socket, key=key))
    assert hpc_qa(["manifest", "build", f"{folder}/documents", "-o", f"{folder}/m.jsonl"]) == 0
    return folder


@pytest.fixture
def project(tmp_path: Path, warm_server: VllmServer, model_folder: Path) -> Path:
    """A project in which nothing has run."""
    write_documents(tmp_path / "documents")
    return made_project(tmp_path, warm_server, model_folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, warm_server: VllmServer, model_folder: Path) -> RunDirectory:
    """A run of the same documents to which nothing has happened."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_documents(folder / "documents")
    code, run = submit(made_project(folder, warm_server, model_folder))
    assert code == 0
    return run


def submitted(project: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, RunDirectory]:
    """The exit code of `submit` and the run that it names in its first line."""
    capsys.readouterr()
    code = call(project, "submit", str(project / "config.yaml"), *options)
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert second.startswith("job ")
    return code, find(project, first.removeprefix("run "))


def test_documents_become_a_proven_dataset(undisturbed: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    run, project = undisturbed, undisturbed.path.parents[1]
    capsys.readouterr()
    assert call(project, "verify", "latest", "--json") == 0
    proof = json.loads(capsys.readouterr().out)
    assert proof["documents"] == {"ok": 3, "failed": 2, "skipped": 1, "left": 0}
    assert set(keys(run).values()) == {1}
    assert call(project, "collect", "latest") == 0
    rows = [json.loads(line) for line in (run.dataset / "qa.jsonl").read_text().splitlines()]
    assert rows
    assert all(text in row["context"] for row in rows for text in row["evidence"])
    assert call(project, "status", "latest", "--json") == 0
    capsys.readouterr()
    assert call(project, "resume", "latest") == 0  # nothing to do
    assert call(project, "cancel", "latest") == 0  # nothing to do


def test_a_worker_that_is_killed_loses_nothing_that_was_written(
    project: Path, node: Path, undisturbed: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    code, run = submitted(project, capsys, "--detach")
    assert code == 0
    segment = run.path / "shards" / "0000"
    wait_for(lambda: any(path.stat().st_size for path in segment.glob("*/seg-*.jsonl")))
    attempt = json.loads(next(segment.glob("*/attempt.json")).read_text())
    worker = psutil.Process(attempt["pid"])
    family = worker.children(recursive=True)
    worker.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(p.is_running() and p.status() != "zombie" for p in family), 30)  # nothing is left behind
    wait_for(lambda: list(node.glob("hq*")) == [], 30)
    written = keys(run)
    if not (segment / "COMMIT.json").exists():  # it was struck before its end
        assert call(project, "verify", run.run_id) == 3
        assert call(project, "collect", run.run_id) == 3
    assert call(project, "resume", run.run_id) == 0
    assert call(project, "verify", run.run_id) == 0
    assert written.keys() <= keys(run).keys()
    assert len(keys(run)) == len(keys(undisturbed)) > 0


def test_a_cancelled_run_goes_on_where_it_stopped(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, run = submitted(project, capsys, "--detach")
    wait_for(lambda: any(run.path.glob("shards/0000/*/progress.json")))
    assert call(project, "cancel", run.run_id) == 0
    assert call(project, "verify", run.run_id) in (0, 3)
    assert call(project, "resume", run.run_id) == 0
    assert call(project, "verify", run.run_id) == 0


def test_damage_after_the_commit_is_found_and_repaired(
    tmp_path: Path, warm_server: VllmServer, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "rules.txt").write_text("\n\n".join(RULES[:3]) + "\n")
    project = made_project(tmp_path, warm_server, model_folder)
    _, run = submitted(project, capsys)
    segment = next(run.path.glob("shards/0000/*/seg-000.jsonl"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0x01
    segment.write_bytes(content)
    assert call(project, "verify", run.run_id) == 1
    assert call(project, "collect", run.run_id) == 1
    assert call(project, "resume", run.run_id) == 0
    assert call(project, "verify", run.run_id) == 0
