"""What is missing of a run, stopping what runs of it, and its logs. All of it is safe to repeat."""

import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from hpc_qa.campaign import conversion
from hpc_qa.campaign.attempts import attempts_of, live_process
from hpc_qa.campaign.pipeline import note_cancelled
from hpc_qa.campaign.start import adopt
from hpc_qa.campaign.status import ShardStatus, status
from hpc_qa.campaign.verify import verify
from hpc_qa.config import MEMORY, Config
from hpc_qa.errors import ConfigError, SlurmError, StoreError
from hpc_qa.processes import descendants
from hpc_qa.slurm.queue import cancel_jobs
from hpc_qa.store.commits import set_aside
from hpc_qa.store.run_directory import RunDirectory, ShardDirectory, list_runs
from hpc_qa.units import plural

DRAIN_S = 75.0  # the worker takes up to 30 s for what is in flight, its server up to 20


def missing_shards(run: RunDirectory) -> list[int]:
    """The shards that are neither committed nor waiting nor running.

    Raises:
        SlurmError: Slurm does not say what lives, and starting a shard twice would compute it twice.
    """
    now = status(run)
    if now.executor == "slurm" and now.state != "complete" and adopt(run):  # of a command that was killed after sbatch
        now = status(run)
    if unknown := [shard.shard for shard in now.shards if shard.state == "unknown"]:
        raise SlurmError(
            f"{run.run_id}: Slurm does not say whether {plural(len(unknown), 'shard')} still run: "
            f"{'; '.join(now.notes)}",
            hint="try again when `squeue` answers",
        )
    return [shard.shard for shard in now.shards if shard.state in ("pending", "interrupted")]


def cancel(
    run: RunDirectory, *, drain_s: float = DRAIN_S, sleep: Callable[[float], None] = time.sleep
) -> list[ShardStatus]:
    """Stop what waits or runs: TERM, which lets it write what it has, then KILL after `drain_s` (Slurm: KillWait).

    Raises:
        SlurmError: the run is on another host, or Slurm does not answer.
    """
    now = status(run)
    running = [shard for shard in now.shards if shard.state in ("queued", "running", "unknown")]
    with suppress(StoreError):  # that it was cancelled is only shown
        note_cancelled(run, [shard.shard for shard in running])
    if now.executor == "slurm":
        if now.conversion:
            conversion.cancel(run.conversion)
        jobs = {str(shard.job_id).partition("_")[0] for shard in running}
        cancel_jobs(sorted(jobs | set(adopt(run)), key=int))
        return running
    hosts = {str(submission["host"]) for submission in run.list_submissions()}
    if running and hosts - {platform.node()}:
        raise SlurmError(
            f"{run.run_id} runs on {', '.join(sorted(hosts))}, this is {platform.node()}",
            hint="call hpc-qa cancel on that machine",
        )
    asked: set[psutil.Process] = set()
    deadline = time.monotonic() + drain_s
    while living := [process for shard in running for process in _processes(run, shard.shard)]:
        # a worker that was just being started shows only now; until then the process that starts it was asked
        for process in living:
            if process not in asked:
                _signal(process, psutil.Process.terminate)
        asked.update(living)
        if time.monotonic() >= deadline:
            for left in {one for process in living for one in (process, *descendants(process.pid))}:
                _signal(left, psutil.Process.kill)
            break
        sleep(0.2)
    return running


def _processes(run: RunDirectory, shard: int) -> list[psutil.Process]:
    """The worker of a shard; before it has said who it is, and after its end, the process that started it."""
    found = [attempt.process for attempt in attempts_of(run.shard(shard))]
    live = [process for process in found if process is not None]
    if live:
        return live
    tasks = [t for s in run.list_submissions() for t in s["tasks"] if t["shard"] == shard]
    starters = [live_process(task.get("pid"), task.get("process_start_s")) for task in tasks]
    return [process for process in starters if process is not None]


def _signal(process: psutil.Process, send: Callable[[psutil.Process], None]) -> None:
    try:
        send(process)
    except psutil.NoSuchProcess:
        return  # it ended by itself in the meantime


def bad_nodes(run: RunDirectory, shards: Sequence[int]) -> list[str]:
    """Nodes that the last attempts at these shards have blamed: their GPUs are occupied, hidden, or do not answer."""
    last = [attempts[-1] for shard in shards if (attempts := attempts_of(run.shard(shard)))]
    return sorted({str(one.failure["bad_node"]) for one in last if one.failure.get("bad_node")})


def fails_again(run: RunDirectory, shard: int) -> bool:
    """Whether the last attempt at a shard says that the next one would end the same way."""
    attempts = attempts_of(run.shard(shard))
    return bool(attempts) and attempts[-1].failure.get("retryable") is False


def running_beside(project: Path, run: RunDirectory) -> list[str]:
    """Other runs of this project that have a worker on this machine now: each of them holds a server."""
    others = (other for other in list_runs(project) if other.path != run.path)
    return [other.run_id for other in others if any(_lives(other.path / "shards"))]


def _lives(shards: Path) -> Iterator[bool]:
    for folder in sorted(shards.glob("[0-9]*")):
        yield from (attempt.process is not None for attempt in attempts_of(ShardDirectory(folder))[-1:])


def with_memory(config: Config, mem: str | None) -> Config:
    """The config of a run, its array tasks with this much memory: no result depends on that.

    Raises:
        ConfigError: `mem` is no size, or the run is not on Slurm.
    """
    if mem is None:
        return config
    if config.executor != "slurm" or not re.fullmatch(MEMORY, mem):
        raise ConfigError(f"--mem {mem}: give a size as sbatch --mem takes it, 120G for example, and to a run on Slurm")
    return config.model_copy(update={"slurm": config.slurm.model_copy(update={"mem": mem})})


def repair(run: RunDirectory) -> list[int]:
    """Open again the shards whose commit is not true any more, so that they are among the missing; which these are.

    The damaged commit is kept beside. Records that are whole are not computed again.

    Raises:
        StoreError: what was frozen at the start is damaged, so that nothing can be computed from it.
    """
    proof = verify(run)
    if proof.frozen_damage:
        raise StoreError(*proof.damage[:5], *proof.doubles[:5], hint=proof.remedy)
    for shard in proof.damaged_shards:
        set_aside(run.shard(shard))
    return proof.damaged_shards


def last_words(run: RunDirectory, shard: int, *, lines: int = 8) -> list[str]:
    """Why a shard stopped: the errors and warnings of its last attempt, else the end of what its job printed."""
    files = log_files(run, shard)
    attempts = [path for path in files if path.name == "worker.log"]
    said = attempts[-1].read_text(errors="backslashreplace").splitlines() if attempts else []
    marked = [line for line in said if " ERROR " in line or " WARNING " in line]
    if marked or not files:
        return marked[-lines:]
    printed = files[-1].read_text(errors="backslashreplace").splitlines()
    return [line for line in printed if not line.startswith("submitit ")][-lines:]


def conversion_logs(run: RunDirectory, task: int) -> list[Path]:
    """The logs of an array task of the conversion that a run waits for, submission by submission.

    Raises:
        ConfigError: the run has no conversion, or it has no such task.
    """
    directory = run.conversion
    if not directory.exists():
        raise ConfigError(
            f"{run.run_id} has no conversion of its own", hint="its documents were converted before it was submitted"
        )
    count = len(directory.facts()["tasks"])
    if task >= count:
        raise ConfigError(f"the conversion has no task {task}", hint=f"tasks are 0 to {count - 1}")
    jobs = [str(t["job_id"]) for s in directory.list_submissions() for t in s["tasks"] if t["shard"] == task]
    return [path for job in jobs if (path := directory.logs / f"{job}.log").is_file()]


def log_files(run: RunDirectory, shard: int) -> list[Path]:
    """The logs of a shard, attempt by attempt: worker, then server; then what submitit wrote.

    Raises:
        ConfigError: the run has no such shard.
    """
    known = [one.shard for one in status(run).shards]
    if not known:
        raise ConfigError(
            f"{run.run_id} has no shards", hint=f"every document was settled before: hpc-qa verify {run.run_id}"
        )
    if shard not in known:
        raise ConfigError(f"{run.run_id} has no shard {shard}", hint=f"shards are {known[0]} to {known[-1]}")
    logs = [p for a in attempts_of(run.shard(shard)) for p in (a.directory.worker_log, a.directory.server_log)]
    jobs = [str(t["job_id"]) for s in run.list_submissions() for t in s["tasks"] if t["shard"] == shard]
    logs += [path for job in jobs for path in (run.logs / f"{job}.log", *sorted(run.submit.glob(f"{job}_*_log.*")))]
    return [path for path in logs if path.is_file()]
