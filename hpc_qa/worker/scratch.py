"""The private folder of an attempt on its node: made, watched over, and removed whatever ends the attempt.

The janitor removes it when the worker is gone. When the janitor was killed as well, as at the end of a job step, the
next attempt on the node does: a folder of ours whose lock nobody holds belongs to nobody. The lock is on the node's
own disk and only saves the folders of the living; nothing that a run produces relies on it.
"""

import fcntl
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpc_qa import processes
from hpc_qa.client.session import MAX_FOLDER_BYTES
from hpc_qa.errors import ServerError
from hpc_qa.worker import janitor

log = logging.getLogger("hpc_qa.worker")

PREFIX = "hq"
LOCK = "lock"
RAY = "r"  # the folder of Ray's session in it: the longest paths are there


@contextmanager
def scratch(wanted: Path | None = None) -> Iterator[Path]:
    """A private folder that is gone afterwards; the path is short because sockets lie in it.

    `wanted` is a folder that another node has made: here it is made too, or used where both nodes are one machine.

    Raises:
        ServerError: the path of the temporary folder is too long for sockets, or nothing can be written there.
    """
    if wanted is not None and wanted.is_dir():
        yield wanted
        return
    parent = wanted.parent if wanted else Path(tempfile.gettempdir())
    _check_short(parent)
    remove_abandoned(parent)
    folder = wanted or parent / f"{PREFIX}{secrets.token_hex(4)}"
    command = [sys.executable, "-P", janitor.__file__, str(folder)]
    # it waits before there is a folder; a session of its own: a signal to our process group is not for it
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, cwd="/")
    lock = None
    try:
        lock = _make(folder)
        yield folder
    finally:
        watcher.communicate()  # closes its input and waits until the folder is gone
        shutil.rmtree(folder, ignore_errors=True)  # should somebody have killed it
        if lock is not None:
            os.close(lock)


def _make(folder: Path) -> int:
    """Make the folder with its lock, which is held as soon as it can be seen; the lock's descriptor."""
    try:
        folder.mkdir(mode=0o700)
        lock = os.open(folder / f"{LOCK}.new", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{LOCK}.new").rename(folder / LOCK)
    except OSError as exc:
        raise ServerError(
            f"{folder.parent}: no folder can be made in it ({exc.strerror})", hint="is there space, and is it ours?"
        ) from exc
    return lock


def _check_short(parent: Path) -> None:
    room = MAX_FOLDER_BYTES - len(f"/{PREFIX}12345678/{RAY}")
    length = len(os.fsencode(parent))
    if length > room:
        raise ServerError(
            f"TMPDIR is {parent}: too long a path for the sockets below it ({length} bytes, at most {room})",
            hint="set TMPDIR to a short folder on the node, /tmp for example",
            retryable=False,
        )


def remove_abandoned(parent: Path | None = None) -> None:
    """Remove what attempts on this node left that were killed together with their janitor."""
    for folder in (parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}????????"):
        if _is_abandoned(folder):
            log.info("removing %s: the attempt that made it was killed", folder)
            processes.kill(processes.marked(f"TMPDIR={folder}", folder))
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether it is a folder of ours that has a lock which nobody holds."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
