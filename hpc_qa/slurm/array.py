"""Submit shards as one job array of Slurm, through submitit.

The index of an array task is its shard. submitit writes the batch script and calls sbatch; every array task runs our
loader, which makes the one pickle that submitit wants from the task's index. So nothing has to be written after sbatch,
and an array task never waits for a file that a killed `submit` did not leave.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpc_qa.config import Slurm
from hpc_qa.errors import SlurmError
from hpc_qa.slurm.environment import FIRST_SHARD
from hpc_qa.slurm.programs import Run, hint_for, run_program, said_by
from hpc_qa.slurm.queue import COMMENT, tasks_named
from hpc_qa.slurm.submission import LOADER_MODULE, ArrayTask
from hpc_qa.units import parse_clock

# A variable of the shell that looks like this stays behind: what goes along can end in Slurm's database
SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE", re.IGNORECASE)
# and so does what would steer the array task in ways that its config does not know of
STEERS = re.compile(r"(RAY|VLLM|HF|NCCL|SLURM|SBATCH|SRUN|SUBMITIT|HPC_QA|CUDA_VISIBLE)(_|$)|PYTHON\w+|TMPDIR$")
NEEDED = {"SLURM_CONF"}
SENT_EARLY_S = 60  # sbatch(1), --signal
NODES_END_WITHIN_S = 120
DEFAULT_MAX_ARRAY_SIZE = 1001  # slurm.conf(5)


@dataclass(frozen=True, slots=True)
class SubmittedArray:
    """One job array that Slurm has taken."""

    job_id: str
    first_shard: int  # of array index 0
    shards: tuple[int, ...]

    def task_id(self, shard: int) -> str:
        """Slurm's name of the array task of this shard: "4471_3"."""
        return f"{self.job_id}_{shard - self.first_shard}"


@dataclass(frozen=True, slots=True)
class ArrayRequest:
    """One job array as it is to be submitted."""

    name: str  # of the job
    directory: Path  # of the run, or of the conversion
    shards: Sequence[int]  # of the conversion: its tasks
    settings: Slurm
    gpus_per_node: int  # that an array task holds
    first_shard: int = 0  # of array index 0
    exclude: Sequence[str] = ()  # nodes
    dependency: str | None = None  # as sbatch takes it; with one that can never be met Slurm cancels the array

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    def submit(self) -> SubmittedArray:
        """Hand it to sbatch.

        Raises:
            SlurmError: sbatch refused, or is not there.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        executor = _executor(self)
        try:
            with _environment_of_jobs():
                job = executor.submit(ArrayTask(str(self.directory), self.shards[0]))
        except (FailedJobError, FailedSubmissionError) as exc:
            said = said_by(str(exc).partition("stderr:")[2] or str(exc))
            # connected, and no answer: the job may be there
            raise SlurmError(
                f"sbatch refused: {said}", hint=hint_for(said), certain="timed out" not in said.lower()
            ) from exc
        except OSError as exc:  # of a file of submitit, before or after sbatch
            raise SlurmError(
                f"{exc.filename or self.directory}: {exc.strerror or exc}",
                hint="look for a full disk or a quota (df, quota); then the same command again",
                certain=False,
            ) from exc
        return SubmittedArray(str(job.job_id), self.first_shard, tuple(self.shards))

    def script(self) -> str:
        """The batch script as sbatch would get it; no Slurm is needed for that."""
        executor = _executor(self, only_script=True)
        text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
        return text


def submit_arrays(request: ArrayRequest, max_array_size: int) -> Iterator[SubmittedArray]:
    """Submit the shards: one job array, or several in a row where their indices pass the cluster's limit.

    Each array is yielded as soon as Slurm has taken it, so that the caller can write it down before the next.

    Raises:
        SlurmError: sbatch refused; what was yielded before is submitted.
    """
    dependency = request.dependency
    for first, mine in windows(request.shards, max_array_size):
        array = replace(request, shards=mine, first_shard=first, dependency=dependency).submit()
        yield array
        # the next array waits for this one, so that no more array tasks run at once than was asked for
        dependency = ",".join([*filter(None, [request.dependency]), f"afterany:{array.job_id}"])


def waiting_arrays(name: str, folder: Path) -> list[SubmittedArray]:
    """The job arrays of ours in the queue whose job has this name and works in this folder.

    Raises:
        SlurmError: the controller does not answer.
    """
    tasks: dict[tuple[str, int], list[int]] = {}
    for task in tasks_named(name, folder):
        tasks.setdefault((task.job_id, task.first_shard), []).append(task.shard)
    found = [SubmittedArray(job_id, first, tuple(sorted(shards))) for (job_id, first), shards in tasks.items()]
    return sorted(found, key=lambda array: int(array.job_id))


def windows(shards: Iterable[int], size: int) -> list[tuple[int, list[int]]]:
    """(shard of array index 0, shards) of each job array, when an index must stay below `size`.

    >>> windows([0, 1, 7, 12], 10)
    [(0, [0, 1, 7]), (10, [12])]
    """
    groups: dict[int, list[int]] = {}
    for shard in sorted(shards):
        groups.setdefault(shard // size * size, []).append(shard)
    return list(groups.items())


def array_expression(indices: Iterable[int], parallelism: int) -> str:
    """The value of `sbatch --array`.

    >>> array_expression([3, 7, 8, 9, 11], 4), array_expression([0], 8)
    ('3,7-9,11%4', '0%1')
    """
    ordered = sorted(indices)
    spans: list[list[int]] = []
    for index in ordered:
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    parts = [str(low) if low == high else f"{low}-{high}" for low, high in spans]
    return f"{','.join(parts)}%{min(parallelism, len(ordered))}"


def max_array_size(run: Run = run_program) -> int:
    """One more than the largest array index that we may use on this cluster.

    Raises:
        SlurmError: the controller does not answer.
    """
    text = run(["scontrol", "show", "config"])
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
    tasks = re.search(r"^SchedulerParameters\s*=.*\bmax_array_tasks=(\d+)", text, re.MULTILINE)
    size = int(found[1]) if found else DEFAULT_MAX_ARRAY_SIZE
    return min(size, int(tasks[1])) if tasks else size


def _executor(request: ArrayRequest, *, only_script: bool = False) -> Any:
    """The executor of submitit for one array; nothing is submitted yet.

    Raises:
        SlurmError: there is no srun on PATH.
    """
    import submitit

    class OnlyScript(submitit.SlurmExecutor):
        """Does not ask whether there is a Slurm."""

        @classmethod
        def affinity(cls) -> int:
            return 1

    settings, first = request.settings, request.first_shard
    command = shlex.join([*settings.command_prefix, settings.python or sys.executable, "-P", "-m", LOADER_MODULE])
    try:
        executor = (OnlyScript if only_script else submitit.SlurmExecutor)(
            folder=request.directory / "submit", python=command
        )
    except RuntimeError as exc:
        raise SlurmError(
            "srun is not on PATH", hint="log in to a node of the cluster, or load its Slurm module"
        ) from exc
    parameters = _parameters(request.name, settings, request.gpus_per_node)
    waits = {"dependency": request.dependency, "kill-on-invalid-dep": "yes"} if request.dependency else {}
    additional = parameters.pop("additional_parameters")
    theirs = [str(additional["exclude"])] if "exclude" in additional else []
    more = {
        **additional,  # first: what follows is not for a config to change
        "array": array_expression((shard - first for shard in request.shards), settings.array_parallelism),
        "chdir": str(request.directory),
        "comment": COMMENT.format(first),
        "output": f"{str(request.logs).replace('%', '%%')}/%A_%a.log",  # sbatch replaces what follows a single %
        **({"exclude": ",".join([*theirs, *request.exclude])} if request.exclude else {}),
        **waits,
    }
    executor.update_parameters(
        **parameters,
        setup=[*_setup(first), *settings.setup],
        srun_args=_srun_arguments(settings),
        additional_parameters=more,
    )
    return executor


def _parameters(name: str, settings: Slurm, gpus_per_node: int) -> dict[str, Any]:
    """The parameters of submitit: the options of sbatch that the config names."""
    lead_s = parse_clock(settings.stop_before_end)
    # Slurm may send it a minute early; the task's own clock is exact, so this one is for when that fails
    signal_s = max(lead_s - SENT_EARLY_S, lead_s // 2)
    parameters: dict[str, Any] = {
        "job_name": name,
        "time": max(1, -(-parse_clock(settings.time) // 60)),
        "signal_delay_s": signal_s,
        "nodes": settings.nodes_per_task,
        "ntasks_per_node": 1,
        "stderr_to_stdout": True,
        "additional_parameters": {
            "requeue" if settings.max_requeues else "no-requeue": True,
            **({"mem": settings.mem} if settings.mem else {}),
            **{
                key.replace("_", "-"): value
                for key, value in settings.additional_parameters.items()
                if value is not False
            },
        },
    }
    names = ("partition", "account", "qos", "gres", "constraint", "cpus_per_task", "mail_type", "mail_user")
    parameters |= {key: getattr(settings, key) for key in names if getattr(settings, key) is not None}
    if settings.gres is None and gpus_per_node:
        parameters["gpus_per_node"] = gpus_per_node
    return parameters


def _setup(first_shard: int) -> list[str]:
    # srun would hand on only what sbatch was given, and drop what setup lines export
    lines = ["umask 077", "unset SLURM_EXPORT_ENV"]
    return [*lines, f"export {FIRST_SHARD}={first_shard}"] if first_shard else lines


def setup_faults(lines: Sequence[str]) -> list[str]:
    """What bash does not understand of these setup lines: no array task would come past them."""
    text = "".join(f"{line}\n" for line in lines)
    try:
        done = subprocess.run(
            ["bash", "-n"], input=text, text=True, capture_output=True, check=False,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        return []
    return [f"slurm.setup: {line.removeprefix('bash: ')}" for line in done.stderr.splitlines()[:1]]


def _srun_arguments(settings: Slurm) -> list[str]:
    # "all" is where the batch script prints; since 22.05 srun does not read the number of CPUs from the batch job
    cpus = ["--cpus-per-task", str(settings.cpus_per_task)] if settings.cpus_per_task else []
    # the other nodes of a task end by themselves when the first has ended; this is for when they do not
    span = ["--wait", str(NODES_END_WITHIN_S)] if settings.nodes_per_task > 1 else []
    return ["--output", "all", *cpus, *span]


@contextmanager
def _environment_of_jobs() -> Iterator[None]:
    """What sbatch sees meanwhile of our environment, as jobs get a copy of it."""
    before = dict(os.environ)
    kept = environment_of_jobs(before)
    try:
        os.environ.clear()
        os.environ.update(kept)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def environment_of_jobs(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may go along with a job: none that looks like a secret or steers what we start.

    >>> environment_of_jobs({"PATH": "/bin", "HF_TOKEN": "x", "MY_API_KEY": "y", "SLURM_CONF": "/c", "RAY_FOO": "a"})
    {'PATH': '/bin', 'SLURM_CONF': '/c'}
    """
    return {
        name: value
        for name, value in environment.items()
        if name in NEEDED or not (SECRET.search(name) or STEERS.match(name))
    }
