"""A process that does one piece of work again and again, each time in a child that a preloaded library strikes.

Reads one JSON object a line: the job, its arguments, the environment of the fault, and where stderr goes; answers with
the exit status. Each job does what the real program does there, with the real code of the store. Loading Python once
and forking makes a call cost milliseconds, so that every single system call can be struck.
"""

import ctypes
import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hpc_qa.cli.main import report_error
from hpc_qa.errors import HpcQaError
from hpc_qa.store.commits import set_aside
from hpc_qa.store.files import HeldFolder, exists
from hpc_qa.store.merge import commit_shard, merge_shard
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, attempt_name
from hpc_qa.store.segments import SegmentWriter
from hpc_qa.worker.sampling import Sampler
from tests.made_runs import whole


def finish(run: str, *documents: str) -> None:
    """The end of a worker: what is left of shard 0 is written, the segments are closed, the shard is committed."""
    shard = RunDirectory(Path(run)).shard(0)
    if exists(shard.commit):
        return
    attempt = shard.new_attempt(attempt_name("7", 0, 0))
    held = HeldFolder(attempt.path)
    merged = merge_shard(shard)
    writer = SegmentWriter(attempt.path)
    for doc_id in documents:
        for batch in whole(doc_id) if doc_id not in merged.done else ():
            if batch[-1]["key"] not in merged.chunks:
                writer.add(batch)
    writer.close()
    held.check()
    commit_shard(shard, attempt.name, documents)


def write(attempt: str, told: str, *documents: str) -> None:
    """Several flushes over several segments; the key of every record that was acknowledged is appended to `told`."""

    def tell(records: Sequence[Any]) -> None:
        with Path(told).open("a") as history:
            history.writelines(record["key"] + "\n" for record in records)

    writer = SegmentWriter(AttemptDirectory(Path(attempt)).path, max_records=4, max_bytes=5000, on_ack=tell)
    try:
        for doc_id in documents:
            for batch in whole(doc_id):
                writer.add(batch)
        writer.close()
    except HpcQaError:
        for again in (writer.flush, writer.close):  # the disk works again, and what was lost stays lost
            try:
                again()
            except HpcQaError as error:
                report_error(error, as_json=False)
            else:
                raise AssertionError("a writer that failed went on") from None
        raise


def sample(attempt: str) -> None:
    """Three blocks of samples, whatever becomes of each."""
    now = iter(range(100))
    sampler = Sampler(AttemptDirectory(Path(attempt)), lambda: "serving", list, clock=lambda: next(now))
    for _ in range(3):
        sampler.take()
        sampler.write()


def freeze(project: str) -> None:
    """What `submit` writes before it starts anything, and the note of what it started."""
    from hpc_qa.campaign.submit import freeze as freeze_plan

    run = freeze_plan(planned(project), project=Path(project))
    run.add_submission({"at": "now", "executor": "local", "host": "here", "tasks": []})


def reopen(run: str) -> None:
    """What `resume` does with a commit that is not true any more."""
    set_aside(RunDirectory(Path(run)).shard(0))


def publish(run: str, out: str) -> None:
    """`collect` of one run."""
    from hpc_qa.campaign.collect import collect

    collect([RunDirectory(Path(run))], out=Path(out))


@functools.cache
def planned(project: str) -> Any:
    """The plan of this project, made once: it is the freezing that is struck."""
    from hpc_qa.campaign.plan import plan_run
    from hpc_qa.config_file import load

    root = Path(project)
    return plan_run(load(root / "config.yaml", project=root), project=root)


JOBS: dict[str, Callable[..., None]] = {
    "finish": finish,
    "write": write,
    "sample": sample,
    "freeze": freeze,
    "reopen": reopen,
    "publish": publish,
}


def perform(job: str, arguments: Sequence[str], environment: dict[str, str], stderr: str) -> int:
    """The exit status of this job in a child: -9 if it was killed."""
    if job == "freeze":
        planned(*arguments)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    code = 70  # a traceback
    try:
        os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        os.umask(0o077)
        os.environ.update(environment)
        ctypes.CDLL(None).fault_arm()
        JOBS[job](*arguments)
        code = 0
    except HpcQaError as error:
        report_error(error, as_json=False)
        code = int(error.exit_code)
    except Exception:  # noqa: BLE001 - the test sees the traceback and the status
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve until stdin closes."""
    for line in sys.stdin:
        sys.stdout.write(f"{perform(**json.loads(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
