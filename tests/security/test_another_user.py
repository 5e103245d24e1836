"""Another user of the node, while a run goes on beside them: nothing can be read, written, connected to or told."""

import os
import socket
import stat
from pathlib import Path

import psutil
import pytest

from tests.security.conftest import Held
from tests.security.outsider import UID, attempt, attempts, refused

pytestmark = pytest.mark.timeout(300)  # the first test waits for the run to stand

PROBED = {  # methods of Ray that answer to whoever holds the token
    "gcs": "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "jobs": "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "raylet": "/ray.rpc.NodeManagerService/GetNodeStats",
    "objects": "/ray.rpc.ObjectManagerService/Pull",
    "worker": "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "run a task": "/ray.rpc.CoreWorkerService/PushTask",
}


def listening(processes: list[psutil.Process]) -> dict[int, str]:
    """TCP ports on which these processes listen, with the address."""
    found = {}
    for process in processes:
        try:
            found |= {one.laddr.port: one.laddr.ip for one in process.net_connections("tcp") if one.status == "LISTEN"}
        except psutil.NoSuchProcess:
            continue
    return found


def sockets(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_socket()]


def test_the_outsider_is_somebody_else_and_can_work(held: Held) -> None:
    done = attempt("run", "/usr/bin/id", "-u")
    assert done["out"].strip() == str(UID)
    assert attempt("list", str(held.project))  # nothing above the project keeps them out
    assert attempt("read", str(held.project / "documents" / "private.md")) > 0


def test_what_another_user_reaches_is_what_the_project_shows_everybody(held: Held) -> None:
    ours = ("runs", "cache", "m.jsonl", "t/hq", "key")
    reached = attempt("walk", str(held.base))
    assert f"read {held.project}/config.yaml" in reached  # what a person put there with their own umask
    below = [line for line in reached if any(f"{held.base}/{x}" in line or f"{held.project}/{x}" in line for x in ours)]
    assert below == []
    writable = {line.removeprefix("write ") for line in reached if line.startswith("write")}
    assert writable == {str(held.base / "t"), str(held.base / "trap")}  # their own trap, and the folder like /tmp


def test_the_folders_of_a_run_cannot_be_listed_nor_anything_in_them_be_read(held: Held) -> None:
    run, attempt_folder = held.run, next(held.run.path.glob("shards/0000/*_r0_*"))
    pickles = list(run.submit.glob("*.pkl"))
    logs = [attempt_folder / "worker.log", *run.submit.glob("*.out")]
    segments = list(attempt_folder.glob("seg-*.jsonl"))
    conversions = list((held.project / "cache" / "documents").rglob("chunks.jsonl"))
    assert pickles
    assert segments
    assert len(logs) > 1
    assert len(conversions) == 13
    assert all(file.stat().st_size for file in (*pickles, *segments, *logs))
    folders = [run.path.parent, run.path, run.submit, run.logs, attempt_folder, held.project / "cache", held.scratch]
    files = [*pickles, *segments, *logs, *conversions, run.run_json, run.manifest, run.prompts, held.project / "key"]
    answers = attempts(
        *(["list", str(folder)] for folder in folders),
        *(["create", str(folder)] for folder in folders),
        *(["read", str(file)] for file in files),
        *(["write", str(file)] for file in files),
    )
    assert all(refused(answer) for answer in answers), answers


def test_rays_token_tree_and_sockets_are_out_of_reach_although_ray_opens_them_to_all(held: Held) -> None:
    found = sockets(held.scratch)
    names = {path.name for path in found}
    assert {"raylet", "plasma_store"} <= names
    # the reason for a private folder around it: Ray itself keeps nobody out
    assert stat.S_IMODE((held.session / "logs").stat().st_mode) == 0o777
    answers = attempts(
        ["read", str(held.scratch / "r" / "token")],
        ["list", str(held.session.resolve() / "logs")],
        ["create", str(held.session.resolve() / "sockets")],
        *(["connect", str(path)] for path in found),
    )
    assert all(refused(answer) for answer in answers), answers
    for path in found:  # they do listen: we get in
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_ray_tells_nothing_over_tcp_without_the_token(held: Held) -> None:
    ports = listening(held.family())
    assert len(ports) >= 5
    calls = [(port, method) for port in ports for method in PROBED.values()]
    knowing = attempts(*(["grpc", port, method, held.token] for port, method in calls))
    spoken = [
        call for call, answer in zip(calls, knowing, strict=True) if answer not in ("UNIMPLEMENTED", "UNAVAILABLE")
    ]
    assert {method for _, method in spoken} == set(PROBED.values())  # each of them is served by somebody
    for token in (None, "wrong", held.token[:-1] + ("0" if held.token[-1] != "0" else "1")):
        answers = attempts(*(["grpc", port, method, token] for port, method in spoken))
        assert set(answers) == {"UNAUTHENTICATED"}, dict(zip(spoken, answers, strict=True))


def test_every_port_that_is_open_asks_for_the_token(held: Held) -> None:
    ports = listening(held.family())
    calls = [(port, method) for port in ports for method in PROBED.values()]
    answers = attempts(*(["grpc", port, method, held.token] for port, method in calls))
    speaks_grpc = {port for (port, _), answer in zip(calls, answers, strict=True) if answer != "UNAVAILABLE"}
    others = {port: address for port, address in ports.items() if port not in speaks_grpc}
    assert speaks_grpc
    assert others  # the agent for runtime environments, which would install packages
    for port, address in others.items():
        host = "127.0.0.1" if address in ("0.0.0.0", "::") else address
        assert attempt("http", host, port, "/get_or_create_runtime_env") in (401, 403), (port, address)


def test_an_outsider_can_neither_look_into_our_processes_nor_signal_them(held: Held) -> None:
    pids = [process.pid for process in held.family()]
    assert len(pids) > 5
    for kind in ("environ", "signal"):
        answers = attempts(*([kind, pid] for pid in pids))
        left = [answer for answer in answers if answer not in ("ENOENT", "ESRCH")]  # an idle worker of Ray may end
        assert len(left) > 5
        assert all(refused(answer) for answer in left), answers


def test_nothing_that_we_made_has_a_bit_for_others_where_others_can_go(held: Held) -> None:
    """Whatever the umask of the shell; below a private folder Ray may do as it likes."""
    wrong = []
    for top in (held.project / "runs", held.project / "cache", held.scratch):
        for parent, folders, names in os.walk(top):
            found = os.stat(parent)
            if Path(parent).is_relative_to(held.scratch / "r" / "r"):
                folders.clear()  # Ray's own, behind the folder that we looked at
                continue
            wrong += [parent] if stat.S_IMODE(found.st_mode) & 0o077 else []
            for name in names:
                mode = os.lstat(os.path.join(parent, name)).st_mode
                wrong += [os.path.join(parent, name)] if stat.S_IMODE(mode) & 0o077 and not stat.S_ISLNK(mode) else []
    assert wrong == []
    assert stat.S_IMODE(held.scratch.stat().st_mode) == 0o700


def test_names_that_others_took_in_the_temporary_folder_do_not_matter(held: Held) -> None:
    traps = [path for path in (held.base / "t").iterdir() if path.is_symlink()]
    assert len(traps) >= 8
    assert all(path.resolve() == held.base / "trap" for path in traps)
    assert list((held.base / "trap").iterdir()) == []


def test_nothing_is_imported_from_the_folder_that_a_run_is_started_in(held: Held) -> None:
    assert (held.project / "json.py").is_file()
    assert not (held.base / "witness").exists()
    here = {str(held.project), ""}
    for process in held.family():
        assert process.cwd() not in here
