"""The process that loads the pickle of an array task, after a look at who could have written it.

A pickle runs code when it is loaded, so the folder of submitit and the pickles in it must be ours, and nobody else may
be able to write them. Then submitit goes on as it always does.

submitit calls it as `python -P loader.py -u -m submitit.core._submit FOLDER`.
"""

import os
import sys
from pathlib import Path

from hpc_qa import ownership


def main(folder: Path) -> int:
    """Refuse, or let submitit load the task and run it."""
    os.umask(0o077)
    trusted = [folder.parent, folder, *sorted(folder.glob("*.pkl"))]
    links = [f"{path} is a link" for path in trusted[1:] if path.is_symlink()]
    refused = [*links, *ownership.faults(*trusted)]
    if refused:
        for fault in refused:
            sys.stderr.write(f"hpc_qa: refused to load a task: {fault}\n")
        sys.stderr.write(f"  try: {ownership.way_out(*trusted)}; if somebody else could write it, start a new run\n")
        return 1
    from submitit.core.submission import process_job

    process_job(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[-1])))
