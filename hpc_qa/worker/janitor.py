"""The process that cleans up after an attempt, also when the attempt was killed: processes first, then the folder.

It waits until its standard input closes, which is when the worker is gone, whatever ended it. The keeper of the server
and the reaper of Ray end theirs; should they have been killed together with the worker, what still works in the private
folder is ended here. New files may appear meanwhile, hence the second look.

Run as `python janitor.py FOLDER`.
"""

import shutil
import sys
import time
from pathlib import Path

from hpc_qa import processes

LOOKS = 30


def main(folder: Path) -> None:
    """Wait for the end of our parent, then end what works in the folder and remove it."""
    sys.stdin.read()
    for _ in range(LOOKS):
        processes.kill(processes.marked(f"TMPDIR={folder}", folder))
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
