"""Who else could have written what we are about to trust: owners and modes of files and folders.

Whoever writes a pickle, a compiled kernel or a frozen config that we load decides what we run. Nothing is changed here,
and access control lists beyond the mode bits are not read.
"""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def faults(*paths: Path) -> list[str]:
    """Those of these paths that somebody else owns or can write, one line each; what is not there has no fault."""
    return [fault for path in paths if (fault := _fault(path)) is not None]


def tree_faults(folder: Path, *, most: int = 3) -> list[str]:
    """The same for a folder and everything in it; the first few. A link that leads out of it is a fault as well."""
    found, top = faults(folder), folder.resolve()
    for path in _below(folder):
        if len(found) >= most:
            break
        leads_out = path.is_symlink() and not path.resolve().is_relative_to(top)
        found += [f"{path} is a link that leads out of {folder}"] if leads_out else faults(path)
    return found


def can_be_swapped(path: Path) -> bool:
    """Whether others may rename it away: they can write the folder that it is in, and no sticky bit keeps them off."""
    mode = path.parent.stat().st_mode
    return bool(mode & OTHERS_WRITE) and not mode & stat.S_ISVTX


def way_out(*paths: Path) -> str:
    """What to do about the faults of these paths."""
    opened = [str(path) for path in paths if (fault := _fault(path)) is not None and "can write" in fault]
    if opened:
        return "chmod go-w " + " ".join(opened)
    return "only their owner can go on with them; start anew in a folder of your own"


def _fault(path: Path) -> str | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as exc:
        return f"{path}: {exc.strerror}"
    if found.st_uid != os.geteuid():
        return f"{path} belongs to {_name(found.st_uid)}, not to you"
    if found.st_mode & OTHERS_WRITE:
        return f"{path}: others can write it (mode {stat.S_IMODE(found.st_mode):o})"
    return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(parent) / name
