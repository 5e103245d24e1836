"""The nodes of an array task whose server spans several: the first starts Ray's head, each other one joins it.

`join` is for the first node, which does the work. `follow` is what `python -m hpc_qa.worker` does on the others: it
serves nothing and writes no record, and the process that started it ends it when the first node is through
(`slurm/submission.py`).
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hpc_qa.config import Config
from hpc_qa.errors import ExitCode
from hpc_qa.serving import span
from hpc_qa.serving.command import server_environment
from hpc_qa.serving.span import SpanHead, SpanNode, address_of
from hpc_qa.slurm.environment import job_identity, node_name, nodes_of_task, rank_of_task
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.store.trust import check_run
from hpc_qa.worker.parent import end_with_parent
from hpc_qa.worker.scratch import scratch
from hpc_qa.worker.stopping import Stopping

log = logging.getLogger("hpc_qa.worker")

LOOK_EVERY_S = 0.5
MEETING = "span"  # folder in that of the attempt


@contextmanager
def join(config: Config, attempt: Path, folder: Path, stop: Callable[[], bool]) -> Iterator[Mapping[str, str]]:
    """Join the nodes of this array task; gives what makes vLLM use them all, nothing where there is one.

    Raises:
        ServerError: Ray did not start, or a node did not join.
    """
    if (nodes := nodes_of_task()) == 1:
        yield {}
        return
    node = SpanNode(attempt / MEETING, folder, config.gpus_per_node, address_of(node_name()))
    log.info("joining %d nodes by Ray", nodes)
    inherited = _environment(config, folder)
    with SpanHead(node, nodes=nodes, environment=inherited, log=attempt / "ray.log", stop=stop) as head:
        yield head.environment()


def follow(directory: Path, index: int) -> int:
    """The exit code of a node that is not the first."""
    os.umask(0o077)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})  # for the first node; whatever we start inherits it
    end_with_parent(Stopping())
    os.chdir("/")
    run, rank = RunDirectory(directory), rank_of_task()
    check_run(run)
    config = Config.model_validate(run.facts()["config"])
    meeting, head = _find_head(run, index)
    log.info("node %d, %s: joining Ray at %s", rank, node_name(), head["address"])
    with scratch() as folder, scratch(Path(head["folder"])):
        node = SpanNode(meeting, folder, config.gpus_per_node, address_of(node_name()))
        status = span.join(node, head, rank, environment=_environment(config, folder), log=folder / "ray.log")
        for line in (folder / "ray.log").read_text(errors="replace").splitlines()[-20:] if status else ():
            log.warning("  | %s", line)
    return ExitCode.OUTSIDE if status else ExitCode.DONE


def _environment(config: Config, folder: Path) -> dict[str, str]:
    """What Ray's processes of this node inherit, and by them vLLM's: what a server of one node has."""
    return server_environment(
        config.vllm, key="", folder=folder, cache=folder / "cache", mark="HPC_QA_SPAN=1", model_is_folder=True
    )


def _find_head(run: RunDirectory, index: int) -> tuple[Path, dict[str, str]]:
    """The folder of the first node's attempt, and where its Ray is; whoever started us ends the waiting."""
    job, task, restarts = job_identity()
    while True:
        for attempt in run.shard(index).attempts():
            if attempt.name.startswith(f"{job}_{task}_r{restarts}_"):
                meeting = attempt.path / MEETING
                if head := span.read_head(meeting):
                    return meeting, head
        time.sleep(LOOK_EVERY_S)
