"""The process that ends Ray when we are killed: Ray's agents would live on for a minute.

It reads which processes to watch over from its standard input, one "pid created" a line, and waits until that closes.
Then it kills what is left of them, and everything that carries the session's mark. It starts and decides nothing.

Run as `python reaper.py MARK`.
"""

import sys

import psutil

from hpc_qa import processes


def main(mark: str) -> None:
    """Wait for the end of our parent, then kill."""
    watched = dict(line.split() for line in sys.stdin)
    listed = [one for pid, created in watched.items() if (one := _same(int(pid), float(created))) is not None]
    processes.kill([*listed, *processes.marked(mark)])


def _same(pid: int, created: float) -> psutil.Process | None:
    """The process, unless its number belongs to another one by now."""
    try:
        process = psutil.Process(pid)
        return process if process.create_time() == created else None
    except psutil.Error:
        return None


if __name__ == "__main__":
    main(sys.argv[1])
