"""The process that loads the pickle of an array task, after a look at who could have written it.

A pickle runs code when it is loaded, so the folder of submitit and the pickles in it must be ours, and nobody else may
be able to write them. Then submitit goes on as it always does, and we end with the worker's own status, which is what
accounting shows.

Inside a job array the pickle is made here: the run directory and the index of the array task say all that is in it.
submitit would wait for a file that `submit` writes after sbatch, and that is missing when `submit` was killed between.

submitit calls it as `python -P -m hpc_qa.slurm.loader -u -m submitit.core._submit FOLDER`.
"""

import logging
import os
import sys
from pathlib import Path

from hpc_qa import ownership
from hpc_qa.slurm.environment import inside_slurm, shard_of_task
from hpc_qa.slurm.submission import ArrayTask


def main(folder: Path) -> int:
    """Refuse, or let submitit load the task and run it."""
    os.umask(0o077)
    trusted = [folder.parent, folder, *sorted(folder.glob("*.pkl*"))]
    links = [f"{path} is a link" for path in trusted[1:] if path.is_symlink()]
    refused = [*links, *ownership.faults(*trusted)]
    if refused:
        for fault in refused:
            sys.stderr.write(f"hpc_qa: refused to load a task: {fault}\n")
        sys.stderr.write(f"  try: {ownership.way_out(*trusted)}; if somebody else could write it, start a new run\n")
        return 1
    from submitit.core.submission import process_job

    logging.getLogger("submitit").setLevel(logging.CRITICAL)  # it repeats what we say, and what it raises
    try:
        if inside_slurm():
            _write_task(folder)
        process_job(folder)
    except OSError as error:  # of submitit's own files, on a full disk: no result is in them
        sys.stderr.write(f"hpc_qa: {error.filename or folder}: {error.strerror or error}; hpc-qa resume continues\n")
    return ArrayTask.status


def _write_task(folder: Path) -> None:
    """Put the pickle of this array task where submitit looks for it, also when an earlier attempt has done so."""
    from submitit.core.utils import DelayedSubmission
    from submitit.slurm.slurm import SlurmJobEnvironment

    os.environ["SUBMITIT_FOLDER"] = str(folder)
    target = SlurmJobEnvironment().paths.submitted_pickle
    task = DelayedSubmission(ArrayTask(str(folder.parent), shard_of_task()))
    task.set_timeout(0, 0)  # submitit's own count of timeouts; requeueing is up to the worker
    own = target.with_name(f"{target.name}.{os.getpid()}")
    task.dump(own)
    own.replace(target)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[-1])))
