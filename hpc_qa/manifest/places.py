"""What stands at a path that a user gave, and in words why it cannot be used.

Only looked at, never opened: opening a FIFO waits for ever, opening a device can do anything.
"""

import os
import re
import stat
from pathlib import Path
from typing import Literal

Kind = Literal["file", "folder", "other", "none"]


def kind_of(path: Path) -> Kind:
    """What a path leads to, links followed; "none" when nothing is there or it cannot be looked at."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a NUL or a lone surrogate in the name
        return "none"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def why_not(path: Path, *, wanted: str = "file or folder") -> str:
    """Why there is no such thing at this path: a fault for people, without the path itself.

    >>> why_not(Path("https://example.org/a.pdf")), why_not(Path("~/a.pdf"))
    ('nothing is fetched; download it first', 'no such file or folder; the shell expands ~ and $, we do not')
    """
    text = str(path)
    if re.match(r"[a-z][a-z0-9+.-]+:/", text):
        return "nothing is fetched; download it first"
    kind = kind_of(path)
    if kind != "none":
        there = {"file": "a file", "folder": "a folder"}.get(kind, "a FIFO, a socket or a device")
        return f"is {there}, not a {wanted}"
    try:
        os.stat(path)
    except PermissionError:
        return "cannot be looked at: permission denied"
    except OSError as exc:
        if os.path.islink(path):
            return f"is a link that leads nowhere: {exc.strerror}"
        if path.parts[:1] == ("~",) or "$" in text:
            return f"no such {wanted}; the shell expands ~ and $, we do not"
        return f"no such {wanted}" if isinstance(exc, FileNotFoundError) else f"no such {wanted}: {exc.strerror}"
    except ValueError:
        pass
    return f"no such {wanted}: the name cannot be one"
