"""The real server: who reaches it, what it writes down, and whose code it runs."""

import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hpc_qa import processes
from hpc_qa.serving.server import VllmServer
from tests.projects import call, make_project, submit
from tests.security.outsider import attempt, attempts, refused

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

CANARY = "Zanzibar41fe9"


@pytest.fixture
def within_reach(warm_server: VllmServer, node_folder: Path) -> Iterator[Path]:
    """The folder of the server, with nothing above it that keeps anybody out."""
    node_folder.chmod(0o755)
    yield node_folder / "v"
    node_folder.chmod(0o700)


def family(server: VllmServer) -> list[psutil.Process]:
    assert server.pid is not None
    return [psutil.Process(server.pid), *processes.descendants(server.pid)]


def test_another_user_cannot_connect_to_the_server_nor_to_its_insides(warm_server, within_reach):
    sockets = [path for path in within_reach.rglob("*") if path.is_socket()]
    assert warm_server.socket in sockets
    assert len(sockets) > 1  # those between the processes of vLLM carry pickles
    assert attempt("list", str(within_reach.parent))  # this far they come
    answers = attempts(
        *(["connect", str(path)] for path in sockets),
        *([kind, str(folder)] for folder in (within_reach, warm_server.socket.parent) for kind in ("list", "create")),
    )
    assert all(refused(answer) for answer in answers), answers
    assert warm_server.metrics()  # it does answer: us


def test_the_caches_of_vllm_are_private(warm_server, within_reach):
    made = [path for path in within_reach.rglob("*") if not path.is_symlink()]
    assert any(path.is_relative_to(within_reach / "cache") for path in made)
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in (within_reach, *within_reach.iterdir())} == {"0o700"}
    assert attempt("walk", str(within_reach.parent)) == [f"read {within_reach.parent}"]


def test_the_log_of_the_server_is_private(warm_server, within_reach):
    log = within_reach.parent / "server.log"
    assert log.stat().st_size > 0
    assert all(refused(answer) for answer in attempts(["read", str(log)], ["write", str(log)]))


def test_the_key_is_on_no_command_line_and_in_no_log(warm_server, node_folder):
    words = " ".join(word for process in family(warm_server) for word in process.cmdline())
    assert str(warm_server.socket) in words
    assert warm_server.key not in words
    assert warm_server.key not in (node_folder / "server.log").read_text(errors="replace")


def test_no_document_ends_up_in_the_log_of_the_server(warm_server, node_folder, tmp_path, model_folder):
    (tmp_path / "documents").mkdir()
    rule = f"The {CANARY} office must answer every letter within 17 days."
    (tmp_path / "documents" / "private.md").write_text(f"# Private\n\n{rule}\n\nIt opens at nine in the morning.\n")
    make_project(
        tmp_path, model=model_folder, socket=warm_server.socket, key=warm_server.key, documents=1, rules_each=2,
        style="extractive",
    )  # fmt: skip
    log = node_folder / "server.log"
    before = log.stat().st_size
    code, run = submit(tmp_path)
    assert code == 0
    assert call(tmp_path, "collect", run.run_id) == 0
    told = "".join(path.read_text() for path in run.path.glob("shards/*/*/seg-*.jsonl"))
    assert CANARY in told  # the model was asked about it
    assert CANARY not in log.read_text(errors="replace")
    assert "office" not in log.read_bytes()[before:].decode(errors="replace")
    logs = [path for path in run.path.rglob("*") if path.suffix in (".log", ".out", ".pkl", ".err")]
    assert len(logs) >= 2
    assert [path for path in logs if CANARY in path.read_text(errors="replace")] == []


def test_the_environment_of_the_server_has_nothing_of_the_shell(warm_server):
    theirs = [process.environ() for process in family(warm_server) if process.is_running()]
    whole = [one for one in theirs if "VLLM_CACHE_ROOT" in one]
    assert whole
    for one in whole:
        assert (one["VLLM_NO_USAGE_STATS"], one["DO_NOT_TRACK"], one["HF_HUB_OFFLINE"]) == ("1", "1", "1")
        assert not {"PYTHONPATH", "PYTHONOPTIMIZE", "HF_TOKEN", "http_proxy"} & set(one)
    # vLLM preloads an allocator into its own workers on a CPU; what we start has nothing of the kind
    assert "LD_PRELOAD" not in psutil.Process(warm_server.pid).environ()
