"""The process between us and vLLM: it takes the whole server down when we end, whatever ended us.

vLLM's engine and worker processes outlive a killed API server and keep their memory. The keeper is the subreaper of
everything that the server starts, so orphans become its children, also those that left the process group. It ends the
tree when its standard input closes (we are gone), on SIGTERM (we ask), or when the server ends by itself, and removes
the shared memory that the tree leaves behind, as workers that talk over it on a CPU do even in an orderly end. It
leaves with the server's own status. It never restarts anything: that is decided in `server.py`.

Run as `python keeper.py GRACE_S COMMAND...`.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from hpc_qa import processes

OWN_GRACE_S = 20.0  # of the keeper, beyond that of what it keeps
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> int:
    """Run the command until it ends or we have to; returns its status as a shell would."""
    grace_s, command = float(arguments[0]), arguments[1:]
    asked: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # the keeper has one thread, so preexec_fn is safe here, and the signal comes when the keeper itself is killed
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)  # noqa: PLW1509 - it makes one system call
    shared: set[Path] = set()
    began = time.monotonic()
    look_at = began
    while server.poll() is None and not asked and not _lifeline_closed(timeout_s=0.2):
        _reap_orphans(server.pid)
        if time.monotonic() >= look_at:  # processes that die by themselves cannot be asked any more what they shared
            shared |= processes.shared_memory(processes.descendants(os.getpid()))
            look_at = time.monotonic() + _until_next_look(time.monotonic() - began)
    shared |= processes.shared_memory(processes.descendants(os.getpid()))
    if server.poll() is None:
        _ask_to_end(server, grace_s)
    _end_descendants()
    status = server.wait()
    processes.remove_shared_memory(shared)
    return 128 - status if status < 0 else status


def end(keeper: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask a keeper to take everything down; one that does not is killed, and whoever started it finds the rest."""
    if keeper.poll() is None:
        keeper.terminate()
    try:
        keeper.wait(timeout=grace_s + OWN_GRACE_S)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()
    if keeper.stdin is not None:
        keeper.stdin.close()


def _until_next_look(age_s: float) -> float:
    """Often at first: what is shared is made while the server starts; a look costs 20 ms.

    >>> _until_next_look(10), _until_next_look(120), _until_next_look(10_000)
    (1.0, 4.0, 10.0)
    """
    return min(10.0, max(1.0, age_s / 30))


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _lifeline_closed(timeout_s: float) -> bool:
    """True when the other end of our standard input is gone."""
    readable, _, _ = select.select([0], [], [], timeout_s)
    return bool(readable) and os.read(0, 4096) == b""


def _ask_to_end(server: subprocess.Popen[bytes], grace_s: float) -> None:
    server.terminate()
    deadline = time.monotonic() + grace_s
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def _end_descendants() -> None:
    """Kill what is left below us, again and again: a process may have forked while we looked."""
    for _ in range(10):
        left = processes.alive(processes.descendants(os.getpid()))
        if not left:
            break
        processes.kill(left, timeout_s=5.0)


def _reap_orphans(server_pid: int) -> None:
    """Collect orphans that have ended; the server's own status is left for `Popen`."""
    while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
        if ended.si_pid == server_pid:
            return
        os.waitpid(ended.si_pid, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
