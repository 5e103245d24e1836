"""`python -m hpc_qa.worker RUN_DIR SHARD`: one array task, to its end."""

import sys

from hpc_qa.worker.task import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
