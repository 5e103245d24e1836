"""`python -m hpc_qa.worker RUN_DIR SHARD`: one array task, to its end."""

import logging
import os
import sys

from hpc_qa.worker.task import main

if __name__ == "__main__":
    status = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Ray's exit handlers would wait a minute for a head that was ended with us
