"""One run that stands still in the middle, for as long as a test wants to look at it, and then goes on to its end.

Its project lies where every user can go, and the shell that it was started from has everything in it that must not
leak: secrets, a umask of 000, and a working folder full of planted modules.
"""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpc_qa.store.run_directory import RunDirectory, find
from tests.echo_server import EchoServer
from tests.projects import make_project, wait_for
from tests.security.outsider import UID

PROGRAM = str(Path(sys.executable).parent / "hpc-qa")
BEFORE_IT_STANDS = 40  # answers
PLANTED = ("json", "httpx", "ray", "vllm", "submitit", "numpy", "psutil", "pydantic", "hpc_qa", "sitecustomize")
TRAPS = ("ray", "vllm", "hq", "submitit", "torchinductor_root", "outlines", "xdg", "v.sock")
SECRETS = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "SLURM_JWT", "VLLM_API_KEY",
)  # fmt: skip


class Gate(EchoServer):
    """An echo that gives some answers and keeps the rest until it is opened."""

    def __init__(self, path: Path, *, key: str) -> None:
        super().__init__(path, key=key)
        self.open = threading.Event()
        self.kept = 0

    async def _complete(self, head: str, request: dict[str, Any]) -> tuple[int, bytes] | None:
        if self.seen.total() >= BEFORE_IT_STANDS and not self.open.is_set():
            self.kept += 1
            await asyncio.to_thread(self.open.wait)
        return await super()._complete(head, request)


@dataclass
class Sampler(threading.Thread):
    """Looks at the words and the environment of every process, again and again."""

    words: set[str] = field(default_factory=set)
    environments: dict[str, bytes] = field(default_factory=dict)  # by "pid name"

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.over.wait(0.1):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit() and int(entry.name) != os.getpid():
                    self._look(Path(entry.path))

    def _look(self, process: Path) -> None:
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            self.words.add(words)
            name = f"{process.name} {words[:300]}"
            if name not in self.environments:
                self.environments[name] = (process / "environ").read_bytes()
        except OSError:  # it has ended
            return


@dataclass
class Held:
    """The run, and where everything of it is."""

    base: Path  # everybody may go in here
    project: Path
    run: RunDirectory
    scratch: Path  # the private folder of the attempt
    worker: psutil.Process
    gate: Gate
    secrets: dict[str, str]
    in_document: str
    sampler: Sampler
    environment: dict[str, str]
    printed: list[str] = field(default_factory=list)

    @property
    def session(self) -> Path:
        """Ray's own folder."""
        return self.scratch / "r" / "r" / "session_latest"

    @property
    def token(self) -> str:
        return (self.scratch / "r" / "token").read_text()

    def family(self) -> list[psutil.Process]:
        """The worker and everything below it."""
        return [self.worker, *self.worker.children(recursive=True)]

    def call(self, *arguments: str, cwd: Path | None = None) -> int:
        """The program, in the shell of this run; what it prints is kept."""
        command = [PROGRAM, *arguments, "--project", str(self.project)]
        done = subprocess.run(
            command, cwd=cwd or self.project, env=self.environment, capture_output=True, text=True, check=False,
            umask=0o000,
        )  # fmt: skip
        self.printed += [done.stdout, done.stderr]
        return done.returncode


def _plant(folder: Path, witness: Path) -> None:
    """Modules that tell on themselves when they are imported."""
    for name in PLANTED:
        (folder / f"{name}.py").write_text(
            f"open({str(witness)!r}, 'a').write(__name__ + ' ' + __file__ + chr(10))\nraise SystemExit(66)\n"
        )


def _set_traps(folder: Path, trap: Path) -> None:
    """What somebody else prepares in a folder like /tmp: names that could be guessed, leading to a folder of theirs."""
    for name in TRAPS:
        (folder / name).symlink_to(trap)
        os.lchown(folder / name, UID, UID)


def _shell(base: Path) -> tuple[dict[str, str], dict[str, str]]:
    """An environment with secrets in it, and the secrets."""
    hidden = {name: f"canary-{name.lower()}-{secrets.token_hex(8)}" for name in SECRETS}
    proxy = f"canary-proxy-{secrets.token_hex(8)}"
    proxies = {f"{kind}_proxy": f"http://user:{proxy}@127.0.0.1:9" for kind in ("http", "https", "all")}
    environment = dict(os.environ) | hidden | proxies | {"TMPDIR": str(base / "t"), "PYTHONUNBUFFERED": "1"}
    return environment, hidden | {"proxy": proxy}


@pytest.fixture(scope="package")
def standing_run(model_folder: Path) -> Iterator[Held]:
    """A run that has written records and now waits for answers."""
    base = Path(tempfile.mkdtemp(prefix="sec-", dir="/tmp"))
    base.chmod(0o755)
    (base / "t").mkdir(mode=0o777)
    (base / "t").chmod(0o1777)
    (base / "trap").mkdir()
    os.chown(base / "trap", UID, UID)
    _set_traps(base / "t", base / "trap")
    environment, hidden = _shell(base)
    hidden["attach_key"] = f"canary-attach-key-{secrets.token_hex(8)}"
    gate = Gate(base / "e.sock", key=hidden["attach_key"])
    sampler = Sampler()
    mask = os.umask(0o022)
    project = base / "project"
    project.mkdir()
    in_document = f"Canary{secrets.token_hex(6)}"
    (project / "documents").mkdir()
    (project / "documents" / "private.md").write_text(
        f"# Private\n\nThe {in_document} office must answer every letter within 17 days.\n"
    )
    make_project(project, model=model_folder, socket=gate.path, key=gate.key, documents=12)
    os.umask(mask)
    config = project / "config.yaml"  # a run that stands is no server that hangs
    config.write_text(config.read_text().replace("  attach:", '  stall_timeout: "01:00:00"\n  attach:'))
    _plant(project, base / "witness")
    with gate:
        sampler.start()
        command = [PROGRAM, "submit", "config.yaml", "--detach", "--json"]
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False, umask=0o000
        )
        assert done.returncode == 0, done.stdout + done.stderr
        run = find(project, json.loads(done.stdout)["run"])
        wait_for(lambda: gate.kept, 100)
        wait_for(lambda: any(path.stat().st_size for path in run.path.glob("shards/*/*/seg-*.jsonl")), 30)
        attempt = json.loads(next(run.path.glob("shards/*/*/attempt.json")).read_text())
        (scratch,) = [path for path in (base / "t").glob("hq*") if not path.is_symlink()]
        held = Held(
            base=base, project=project, run=run, scratch=scratch, worker=psutil.Process(attempt["pid"]), gate=gate,
            secrets=hidden, in_document=in_document, sampler=sampler, environment=environment,
            printed=[done.stdout, done.stderr],
        )  # fmt: skip
        yield held
        gate.open.set()
        held.call("cancel", run.run_id)
        sampler.over.set()
        wait_for(lambda: not held.scratch.exists(), 60)
    shutil.rmtree(base)


@pytest.fixture
def held(standing_run: Held) -> Held:
    """The run while it stands."""
    assert not standing_run.gate.open.is_set(), "the tests of a standing run come before those of its end"
    return standing_run


@pytest.fixture(scope="package")
def finished(standing_run: Held) -> Held:
    """The run after its end; everything was done with it that the program can do."""
    held = standing_run
    held.gate.open.set()
    wait_for(held.run.shard(0).commit.exists, 60)
    held.worker.wait(60)
    wait_for(lambda: not held.scratch.exists(), 60)
    _plant(held.run.path, held.base / "witness")
    for words in (
        ["status"],
        ["status", "latest"],
        ["verify", "latest"],
        ["collect", "latest"],
        ["logs", "latest", "0"],
    ):
        for extra in ([], ["--json"]):
            assert held.call(*words, *extra, cwd=held.run.path) == 0, (words, held.printed[-2:])
    held.sampler.over.set()
    held.sampler.join(10)
    time.sleep(0.1)
    return held
