"""`python -m hpc_qa.worker DIRECTORY INDEX`: one array task, to its end.

In the folder of a run that is a shard of it, in the folder of a conversion its share of the documents.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hpc_qa.errors import ExitCode
from hpc_qa.slurm.environment import rank_of_task
from hpc_qa.store.conversion_directory import ConversionDirectory


def main(arguments: Sequence[str]) -> int:
    """The exit code of one array task."""
    if len(arguments) != 2 or not arguments[1].isdigit():
        sys.stderr.write("usage: python -m hpc_qa.worker DIRECTORY INDEX\n")
        return ExitCode.USAGE
    folder, index = Path(arguments[0]).resolve(), int(arguments[1])
    conversion = ConversionDirectory(folder)
    if os.path.isfile(conversion.conversion_json):
        from hpc_qa.worker import conversion as converting

        return converting.main(conversion, index)
    if rank_of_task():
        from hpc_qa.worker import nodes

        return nodes.follow(folder, index)
    from hpc_qa.worker import task

    return task.main(folder, index)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Ray's exit handlers would wait a minute for a head that was ended with us
