"""One attempt at one shard, from its folder to the commit.

What `python -m hpc_qa.worker` does: find what is left of the shard, hold a server while there is something to ask,
write down how the time was spent, commit. It answers 0 (committed), 3 (incomplete: resume continues) or 1 (broke).
"""

import json
import logging
import os
import platform
import re
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from hpc_qa.config import Config
from hpc_qa.documents.cache import DocumentCache
from hpc_qa.errors import ConfigError, ExitCode, HpcQaError, ServerError
from hpc_qa.manifest import Entry, entry_from
from hpc_qa.processes import killed_for_memory
from hpc_qa.serving.gpu_samples import held_gpus, held_kinds
from hpc_qa.slurm.environment import inside_slurm, job_identity, node_name
from hpc_qa.store.files import HeldFolder, exists, read_jsonl, write_json_once
from hpc_qa.store.merge import commit_shard, merge_shard
from hpc_qa.store.run_directory import AttemptDirectory, RunDirectory, ShardDirectory, attempt_name
from hpc_qa.store.trust import check_project, check_run
from hpc_qa.units import iso, parse_clock, plural, utc_now
from hpc_qa.worker.again import check_attempts, continue_later
from hpc_qa.worker.chunk_source import PlannedChoice
from hpc_qa.worker.parent import end_with_parent
from hpc_qa.worker.sampling import sampling, use_of
from hpc_qa.worker.scratch import remove_abandoned
from hpc_qa.worker.serve import Attempt, serve_documents
from hpc_qa.worker.settle import Settled, settle
from hpc_qa.worker.stages import Stages
from hpc_qa.worker.stopping import Stopping, stop_before_end, stop_on_usr2

log = logging.getLogger("hpc_qa.worker")
STOPS = (signal.SIGTERM, signal.SIGINT)
DOC_ID = re.compile(rb'\{"doc_id": "([A-Za-z0-9._-]*)"')  # where `submit` writes it: at the beginning of a line


def main(folder: Path, index: int) -> int:
    """The exit code of one array task of the run in this folder."""
    os.umask(0o077)
    logging.raiseExceptions = False  # a full disk also stops the log; tracebacks of that would bury what is wrong
    run = RunDirectory(folder)
    os.chdir("/")  # Ray lets its actors import from our working folder, where anybody may have put a file
    shard = run.shard(index)
    killed = killed_for_memory()
    stopping = Stopping()
    stop_on_usr2(stopping)
    end_with_parent(stopping)
    for number in STOPS:
        signal.signal(number, _request_stop(stopping))
    try:
        outcome = run_task(run, shard, stopping)
        if outcome == ExitCode.INCOMPLETE:
            continue_later(run, stopping)
        return int(outcome)
    except HpcQaError as error:
        _say_why(run, shard, error, killed=killed_for_memory() - killed)
    except OSError as error:  # of a file that no package of ours has the care of: a log, /proc
        log.error("%s: %s", error.filename or run.path, error.strerror or error)
    finally:
        for number in STOPS:  # it is too late to stop: Python would leave them to the kernel now, which kills
            signal.signal(number, signal.SIG_IGN)
    return ExitCode.OUTSIDE


def _say_why(run: RunDirectory, shard: ShardDirectory, error: HpcQaError, *, killed: int = 0) -> None:
    """Log why the attempt broke, and leave it for `resume` and `submit`, which say what to do.

    `killed` processes were killed by the kernel for memory meanwhile, which explains whatever else has happened.
    """
    if killed:
        error.faults = [
            *error.faults,
            f"the kernel killed {plural(killed, 'process', 'processes')} of this task for memory",
        ]
        error.hint = "give it more: hpc-qa resume RUN --mem SIZE" if inside_slurm() else "free memory on this machine"
    for line in error.log_tail if isinstance(error, ServerError) else ():
        log.error("  | %s", line)
    for fault in error.faults:  # what happened and what to do stand last, where people look
        log.error("%s", fault)
    hint = re.sub(r"\bRUN\b", run.run_id, error.hint or "")
    if hint:
        log.error("  try: %s", hint)
    retryable = not isinstance(error, ConfigError)
    if isinstance(error, ServerError):
        retryable = error.retryable or bool(killed) or (error.of_node and inside_slurm())  # there are others
    with suppress(OSError, ValueError, IndexError, KeyError):  # it is in the log as well
        attempt = shard.attempts()[-1]
        if json.loads(attempt.attempt_json.read_text())["pid"] == os.getpid():
            content = {"faults": list(error.faults), "hint": hint, "retryable": retryable}
            if isinstance(error, ServerError) and error.of_node and not killed:
                content["bad_node"] = node_name()
            (attempt.path / "failure.json").write_text(json.dumps(content))


def _request_stop(stopping: Stopping) -> Any:
    def handler(number: int, _frame: FrameType | None) -> None:
        stopping.note_signal(number)

    return handler


def run_task(run: RunDirectory, shard: ShardDirectory, stopping: Stopping) -> ExitCode:
    """One attempt at this shard.

    Raises:
        HpcQaError: the run directory is unreadable, the server or the storage failed; what is written stays.
    """
    plan, facts = run.frozen_plan(), run.facts()
    mine = next((one for one in plan["shards"] if one["index"] == shard.index), None)
    config = Config.model_validate(facts["config"])
    check_run(run)
    check_project(Path(facts["project"]), Path(facts["project"]) / config.documents.cache)
    if mine is None:
        raise ServerError(f"{run.run_id} has no shard {shard.index}", retryable=False)
    converter_key, choice = plan["converter_key"], PlannedChoice.of(plan, mine)
    del plan  # it may name a million documents, and an attempt lives for hours
    if exists(shard.commit):
        return ExitCode.DONE
    attempt = shard.new_attempt(attempt_name(*job_identity()))
    stop_before_end(stopping, parse_clock(config.slurm.stop_before_end))
    held = HeldFolder(attempt.path)
    _log_to(attempt)
    _write_identity(attempt)
    stages = Stages(attempt.stages)
    gpus = config.vllm, config.gpus_per_node
    with sampling(
        attempt, lambda: stages.current, lambda: held_gpus(*gpus), kinds=lambda: held_kinds(*gpus),
        use=use_of(config.vllm),
    ):  # fmt: skip
        check_attempts(shard, attempt, config.slurm)
        stages.begin("setup")
        merged = merge_shard(shard)
        todo = [entry for entry in _entries(run, mine["documents"]) if entry.doc_id not in merged.done]
        log.info("shard %d: %d documents, %d to do", shard.index, len(mine["documents"]), len(todo))
        settled: list[Settled] = []
        if todo and run.conversion.exists():
            cache = DocumentCache(Path(facts["project"]) / config.documents.cache, converter_key)
            todo, settled = settle(todo, cache, run.conversion, max_chunks=config.documents.max_chunks)
        if todo or settled:
            work = Attempt(
                run=run,
                shard=shard,
                directory=attempt,
                config=config,
                project=Path(facts["project"]),
                facts=facts,
                converter_key=converter_key,
                documents=len(mine["documents"]),
                predicted_tokens=mine["predicted_tokens"],
            )
            serve_documents(work, todo, settled, merged.chunks, choice, stages, stopping)
        else:
            remove_abandoned()  # a killed attempt may have had nothing left to do but its commit
            stages.begin("teardown")
        stages.finish()
    held.check()
    return _commit(shard, attempt, mine["documents"], stopping)


def _commit(shard: ShardDirectory, attempt: AttemptDirectory, documents: Sequence[str], stopping: Stopping) -> ExitCode:
    left = len(documents) - len(merge_shard(shard).done.keys() & set(documents))
    if left:
        log.warning("stopped (%s) with %d documents left; hpc-qa resume continues", stopping.reason, left)
        return ExitCode.INCOMPLETE
    won = commit_shard(shard, attempt.name, documents)
    log.info("shard %d committed%s", shard.index, "" if won else " by another attempt")
    return ExitCode.DONE


def _entries(run: RunDirectory, documents: Sequence[str]) -> list[Entry]:
    """The entries of a shard, in the order of its plan.

    Their lines alone are parsed: a thousand array tasks may share a manifest of a million lines.
    """
    names = {doc_id.encode() for doc_id in documents}

    def ours(line: bytes) -> bool:
        """Whether it is of this shard, or has to be parsed to know."""
        found = DOC_ID.match(line)
        return found is None or found[1] in names

    entries = (entry_from(fields) for fields in read_jsonl(run.manifest, ours))
    by_id = {entry.doc_id: entry for entry in entries}
    return [by_id[doc_id] for doc_id in documents]


def _write_identity(attempt: AttemptDirectory) -> None:
    job, index, restarts = job_identity()
    me = psutil.Process()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    write_json_once(
        attempt.attempt_json,
        {
            "job_id": job,
            "array_index": index,
            "restart_count": restarts,
            "pid": me.pid,
            "process_start_s": me.create_time(),
            "host": platform.node(),
            "boot_id": boot_id,
            "started_at": iso(utc_now()),
        },
    )


def _log_to(attempt: AttemptDirectory) -> None:
    """Our log goes to the attempt's own file and to the job's output."""
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    formatter.converter = time.gmtime
    root = logging.getLogger("hpc_qa")
    root.setLevel(logging.INFO)
    for handler in (logging.FileHandler(attempt.worker_log, encoding="utf-8"), logging.StreamHandler()):
        handler.setFormatter(formatter)
        root.addHandler(handler)
