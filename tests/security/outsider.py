"""Another user of the same node: what that one can reach, read, write and connect to, tried for real.

`attempts(...)` starts this file as a process, which gives up its rights for good and then tries. Only root can become
somebody else, so these tests need root.

Attempts, as lists: ["list", FOLDER], ["read", FILE], ["write", FILE], ["create", FOLDER], ["connect", SOCKET],
["walk", FOLDER], ["grpc", PORT, METHOD, TOKEN or null], ["http", HOST, PORT, PATH], ["environ", PID], ["signal", PID],
["run", COMMAND...]. Each is answered with what was possible, or with the refusal.
"""

import encodings.idna  # noqa: F401 - Python may lie where the other user cannot go, so everything is loaded before
import errno
import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

UID = 65534  # nobody


def attempts(*wanted: list[Any], uid: int = UID) -> list[Any]:
    """What came of these attempts, in their order."""
    if os.geteuid() != 0:
        pytest.fail("only root can become another user: run these tests as root, in a container say", pytrace=False)
    done = subprocess.run(
        [sys.executable, "-P", __file__, str(uid)], input=json.dumps(wanted), cwd="/", env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def attempt(*wanted: Any) -> Any:
    """What came of this one."""
    return attempts(list(wanted))[0]


def refused(answer: Any) -> bool:
    """Whether the kernel said no; that nothing is there is no refusal."""
    return answer in ("EACCES", "EPERM")


# -- in the other process


def _list(folder: str) -> Any:
    return sorted(os.listdir(folder))


def _read(path: str) -> Any:
    with open(path, "rb") as file:
        return len(file.read(1_000_000))


def _write(path: str) -> Any:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    return "written"


def _create(folder: str) -> Any:
    path = Path(folder) / "planted-by-an-outsider"
    path.touch()
    path.unlink()
    return "created"


def _connect(path: str) -> Any:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    return "connected"


def _walk(folder: str) -> Any:
    """Everything below that can be listed, read, written or connected to."""
    found = []
    for parent, folders, names in os.walk(folder):
        for path in [parent, *(os.path.join(parent, name) for name in names)]:
            rights = [word for word, right in (("read", os.R_OK), ("write", os.W_OK)) if os.access(path, right)]
            found += [f"{word} {path}" for word in rights if not os.path.islink(path)]
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(parent, name))]
    return found


def _grpc(port: int, method: str, token: str | None) -> Any:
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        metadata = [("authorization", f"Bearer {token}")] if token else None
        try:
            channel.unary_unary(method)(b"", timeout=10, metadata=metadata)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


def _http(host: str, port: int, path: str) -> Any:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request("POST", path, body=b"")
    return connection.getresponse().status


def _environ(pid: int) -> Any:
    return len(Path(f"/proc/{pid}/environ").read_bytes())


def _signal(pid: int) -> Any:
    os.kill(pid, 0)
    return "sent"


def _run(*command: str) -> Any:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


TRIES = {
    "list": _list, "read": _read, "write": _write, "create": _create, "connect": _connect, "walk": _walk,
    "grpc": _grpc, "http": _http, "environ": _environ, "signal": _signal, "run": _run,
}  # fmt: skip


def _try(kind: str, *arguments: Any) -> Any:
    try:
        return TRIES[kind](*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def main(uid: int) -> None:
    """Become somebody else, then try."""
    wanted = json.load(sys.stdin)
    if any(one[0] == "grpc" for one in wanted):
        import grpc  # noqa: F401 - the packages may lie where the other user cannot go
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if os.geteuid() != uid:
        raise SystemExit("still the same user")
    json.dump([_try(*one) for one in wanted], sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
