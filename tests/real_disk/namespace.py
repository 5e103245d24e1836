"""A small disk of our own: a tmpfs in a mount namespace, and programs that run in there.

`hold FOLDER BYTES` mounts it and keeps it until stdin closes; `in PID COMMAND...` runs a command beside it; `remount
PID FOLDER` makes it read-only. Root needs a mount namespace for that, everybody else a user namespace around it.
Nothing of it is seen outside, and it is gone with its holder.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise what the C library says."""
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2)."""
    words = [word.encode() if word is not None else None for word in (source, target, kind)]
    check(libc.mount(*words, ctypes.c_ulong(flags), options.encode() if options else None), f"mount {target}")


def hold(folder: str, size: str) -> None:
    """Mount a disk of this size here, say so, and wait."""
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if uid else 0)), "unshare")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", folder, "tmpfs", 0, f"size={size},mode=700")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


def enter(pid: str) -> None:
    """Join the namespaces of the holder."""
    for name in ("user", "mnt"):
        ours, theirs = Path(f"/proc/self/ns/{name}"), Path(f"/proc/{pid}/ns/{name}")
        if ours.readlink() != theirs.readlink():
            with theirs.open() as namespace:
                check(libc.setns(namespace.fileno(), 0), f"setns {name}")


def main(action: str, *words: str) -> None:
    """Do one of the three."""
    if action == "hold":
        hold(*words)
        return
    enter(words[0])
    if action == "in":
        os.execvp(words[1], list(words[1:]))
    _, folder = words
    mount(folder, folder, None, MS_BIND)
    mount("none", folder, None, MS_REMOUNT | MS_BIND | MS_RDONLY)


if __name__ == "__main__":
    main(*sys.argv[1:])
