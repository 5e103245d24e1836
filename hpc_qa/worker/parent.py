"""End the attempt soon after the process that started it is gone: nobody would end it otherwise.

First a stop is asked for, which lets the attempt write what it has. If it has not ended a few seconds later, because
Ray or a server is just being started for example, it ends at once, and its guards clean up as after a kill.
"""

import logging
import os
import threading
import time

from hpc_qa.errors import ExitCode
from hpc_qa.slurm.submission import PARENT
from hpc_qa.worker.stopping import Stopping

log = logging.getLogger("hpc_qa.worker")

LOOK_EVERY_S = 0.3
GRACE_S = 4.0


def end_with_parent(stopping: Stopping) -> None:
    """Watch the process that started us, from a thread of its own: the main thread may be deep in Ray."""
    named = os.environ.pop(PARENT, "")  # it may be gone before we could look who it was
    parent = int(named) if named.isdigit() else os.getppid()
    threading.Thread(target=_watch, args=(parent, stopping), name="parent-watch", daemon=True).start()


def _watch(parent: int, stopping: Stopping) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    stopping.request("the process that started it is gone")
    time.sleep(GRACE_S)
    log.warning("the process that started us is gone; hpc-qa resume continues")
    os._exit(ExitCode.OUTSIDE)
