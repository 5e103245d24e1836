"""Small projects for tests of whole runs: documents, a config that attaches to a server, and the program to call.

The documents hold rules that the echo server knows how to ask about; a real model can be asked about them as well.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.store.segments import read_segment

ROOT = Path(__file__).resolve().parent.parent
NAMES = "Alder Birch Cedar Dogwood Elm Fir Gorse Hazel Ivy Juniper Larch Maple Oak Pine Rowan Spruce Walnut Yew".split()
DUTIES = (
    "answer every letter within {n} days.",
    "keep the records of the last {n} years.",
    "report a change of address within {n} days.",
    "refund the fee of {n} dollars when an application is refused.",
    "publish the list of covered services {n} times in a year.",
    "hold a hearing within {n} days of the request.",
)
CONFIG = """
name: made
manifest: m.jsonl
executor: local
qa:
  answer_style: {style}
  questions_per_chunk: 3
  chunk_size: 96
  temperature: 0.0
  max_tokens: 64
  accept: {{min_clarity: null, min_accuracy: null, min_relevance: null, require: [], unjudged: accept}}
vllm:
  model: {model}
  max_model_len: 2048
  attach: {socket}
  attach_key_file: {key}
client:
  concurrency_limit: {limit}
"""


def rules(seed: int, count: int) -> list[str]:
    """So many rules, different for every seed."""
    draw = random.Random(seed)
    return [
        f"The {draw.choice(NAMES)} office must {draw.choice(DUTIES).format(n=draw.randint(2, 99))}"
        for _ in range(count)
    ]


def write_documents(folder: Path, count: int, *, rules_each: int = 12) -> None:
    """So many different documents of `rules_each` rules each, one heading above every six."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        parts = []
        for index, rule in enumerate(rules(number, rules_each)):
            if index % 6 == 0:
                parts.append(f"## Part {index // 6 + 1} of manual {number}")
            parts.append(rule)
        (folder / f"manual-{number:03}.md").write_text("\n\n".join([f"# Manual {number}", *parts]) + "\n")


def make_project(
    folder: Path, *, model: Path, socket: Path, key: str, documents: int = 6, rules_each: int = 12,
    style: str = "abstractive", limit: int = 4,
) -> Path:  # fmt: skip
    """A project with documents, a manifest and config.yaml, whose runs use the server on this socket."""
    write_documents(folder / "documents", documents, rules_each=rules_each)
    key_file = folder / "key"
    key_file.touch(mode=0o600)
    key_file.write_text(key)
    config = CONFIG.format(style=style, model=model, socket=socket, key=key_file, limit=limit)
    (folder / "config.yaml").write_text(config)
    build_manifest(folder)
    return folder


def build_manifest(project: Path) -> None:
    """The manifest of everything in the project's folder of documents."""
    build = ["manifest", "build", f"{project}/documents", "-o", f"{project}/m.jsonl", "--force"]
    assert hpc_qa(["--project", str(project), *build]) == 0


def call(project: Path, *arguments: str) -> int:
    """The exit code of the program, called in this process."""
    return hpc_qa(["--project", str(project), *arguments])


def spawn(project: Path, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """The program as a process of its own."""
    command = [sys.executable, "-m", "hpc_qa", "--project", str(project), *arguments]
    return subprocess.Popen(command, **({"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options))


def submit(project: Path, *options: str) -> tuple[int, RunDirectory]:
    """The exit code of `submit` and the run that it made."""
    before = {run.run_id for run in list_runs(project)}
    code = call(project, "submit", str(project / "config.yaml"), *options)
    (run,) = [run for run in list_runs(project) if run.run_id not in before]
    return code, run


def records(run: RunDirectory) -> list[dict[str, Any]]:
    """Every whole record of every attempt, as they lie on disk."""
    paths = sorted(run.path.glob("shards/*/*/seg-*.jsonl"))
    return [record for path in paths for record in read_segment(path)[1]]


def keys(run: RunDirectory) -> Counter[str]:
    """How often each work key was written."""
    return Counter(record["key"] for record in records(run))


def proof(project: Path, run: RunDirectory) -> dict[str, Any]:
    """What `verify --json` says, from a process of its own."""
    command = [sys.executable, "-m", "hpc_qa", "--project", str(project), "verify", run.run_id, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == said["exit_code"]
    return said


def states(run: RunDirectory) -> dict[str, tuple[str, str | None]]:
    """The terminal state and reason of each document that has a record."""
    return {r["doc_id"]: (r["state"], r["reason"]) for r in records(run) if r["kind"] == "document"}


def wait_for(condition: Callable[[], Any], timeout_s: float = 120.0) -> None:
    """Wait until it holds; a test that waits in vain fails."""
    deadline = time.monotonic() + timeout_s
    while not look(condition, 0.02):
        assert time.monotonic() < deadline, "it did not happen"


def look(condition: Callable[[], Any], every_s: float) -> Any:
    """What the condition says, and a pause if it is no: the longer a look takes, the rarer, for others need the CPU."""
    began = time.thread_time()  # a moment must not be missed because somebody else had the CPU
    if not (found := condition()):
        time.sleep(max(every_s, min(0.5, 4 * (time.thread_time() - began))))
    return found


def start_echo(socket: Path, key: str = "echo-key", *, delay_s: float = 0.0) -> subprocess.Popen[bytes]:
    """An echo server as a process; `echo_process` also ends it."""
    program = str(ROOT / "tests" / "echo_server.py")
    return subprocess.Popen([sys.executable, program, str(socket), key, str(delay_s)])


def requests_seen(socket: Path) -> int:
    """How many completions an echo server was asked for."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://echo") as client:
        return int(client.get("/seen").json()["requests"])


@contextmanager
def echo_process(key: str = "echo-key", *, delay_s: float = 0.0) -> Any:
    """The socket of an echo server that is a process of its own, with its folder; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="hqe-", dir="/tmp") as folder:
        socket = Path(folder) / "e.sock"
        server = start_echo(socket, key, delay_s=delay_s)
        try:
            wait_for(socket.is_socket, 30)
            yield socket
        finally:
            server.kill()
            server.wait()


def put_faults(project: Path, faults: Mapping[int, str], *, every: bool = True) -> None:
    """Have the echo server do this fault when it is asked about these documents (`error`, `busy 2`, ...).

    It finds the fault in the sentence that it is asked about, so `qa.answer_style` has to be extractive.
    """
    for number, fault in faults.items():
        path = project / "documents" / f"manual-{number:03}.md"
        text = path.read_text()
        path.write_text(text.replace(" office must", f" office [[{fault}]] must", -1 if every else 1))
    build_manifest(project)


def document_named(run: RunDirectory, number: int) -> str:
    """The id of the document with this number."""
    entries = [json.loads(line) for line in run.manifest.read_text().splitlines()]
    (doc_id,) = [entry["doc_id"] for entry in entries if f"manual-{number:03}" in entry["path"]]
    return str(doc_id)
