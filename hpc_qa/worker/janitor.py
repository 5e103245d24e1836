"""The process that removes the private folder of an attempt, also when the attempt was killed.

It waits until its standard input closes, which is when the worker is gone, whatever ended it. The server and Ray have
processes of their own that end them; while those are at it, files may still appear, hence the second look.

Run as `python janitor.py FOLDER`.
"""

import shutil
import sys
import time
from pathlib import Path

LOOKS = 30


def main(folder: Path) -> None:
    """Wait for the end of our parent, then remove the folder."""
    sys.stdin.read()
    for _ in range(LOOKS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
