"""Whether the cluster would take a run as it is configured: what `doctor` asks Slurm, line by line.

Asks the controller and accounting and starts nothing; `sbatch --test-only` uses up one job id.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hpc_qa.campaign.checks import Check, Machine
from hpc_qa.campaign.cluster_faults import cluster_faults
from hpc_qa.campaign.conversion import request_of
from hpc_qa.config import Config
from hpc_qa.slurm.array import ArrayRequest
from hpc_qa.slurm.programs import hint_for, said_by
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.units import parse_clock

PROGRAMS = ("sbatch", "srun", "squeue", "sacct", "scontrol", "scancel")


def cluster_checks(config: Config | None, project: Path, machine: Machine) -> Iterator[Check]:
    """Slurm's programs and daemons; with a config for Slurm also partition, GPUs, time limit, and what sbatch says."""
    needed = config is not None and config.executor == "slurm"
    path = machine.environment.get("PATH")
    missing = [program for program in PROGRAMS if not shutil.which(program, path=path)]
    if missing:
        fix = "log in to a node of the cluster, load its Slurm module, or use --executor local"
        yield Check("slurm", "fail" if needed else "warn", f"not on PATH: {', '.join(missing)}", fix)
        return
    version, problem = _ask(machine, "sbatch", "--version")
    if problem:
        fix = "ask the site: sbatch is here, but it does not know of a cluster"
        yield Check("slurm", "fail" if needed else "warn", f"sbatch --version: {problem}", fix)
        return
    yield Check("slurm", "ok", version)
    if config is not None and needed:
        for fault in cluster_faults(config):
            yield Check("array task", "fail", fault, "correct it in the config or in the profile of the site")
    settings, problem = _ask(machine, "scontrol", "show", "config")
    if problem:
        yield Check("controller", "fail" if needed else "warn", problem, hint_for(problem))
        return
    yield Check("controller", "ok", _of_interest(settings))
    yield _gpus_accounted(settings)
    if config is None or not needed:
        return
    yield from _partition(config, machine)
    yield _accounting(machine)
    has_seff = shutil.which("seff", path=machine.environment.get("PATH"))
    yield Check("seff", "ok", "ledger sync asks it" if has_seff else "not installed: ledger sync does without")
    run = RunDirectory(project / "runs" / f"{config.name}-20260101T000000-0000")
    array = ArrayRequest(run.job_name, run.path, [0], config.slurm, config.gpus_per_node)
    yield _test_only("sbatch", array, machine)
    yield _test_only("sbatch (convert)", request_of(run.conversion, config, [0]), machine)


def _ask(machine: Machine, *command: str) -> tuple[str, str]:
    """(what a program printed, what it complained about)."""
    try:
        return machine.run(command), ""
    except subprocess.CalledProcessError as exc:
        return "", said_by(exc.stderr or "") or f"status {exc.returncode}"
    except subprocess.TimeoutExpired as exc:
        return "", f"{command[0]} did not answer within {exc.timeout:.0f} s: timed out"
    except (OSError, subprocess.SubprocessError) as exc:
        return "", str(exc)


def _of_interest(settings: str) -> str:
    """The settings of the cluster that decide what happens to a run."""
    found = dict(re.findall(r"^(MaxArraySize|KillWait|JobRequeue|PreemptMode)\s*=\s*(.+?)\s*$", settings, re.MULTILINE))
    told = re.search(r"(preempt_send|send)_user_signal", settings)
    signal = "preempted tasks get USR2 first" if told else "preempted tasks get TERM only"
    return ", ".join([*(f"{name} {value}" for name, value in sorted(found.items())), signal])


def _gpus_accounted(settings: str) -> Check:
    """Whether accounting keeps how many GPUs an allocation held."""
    kept = re.search(r"^AccountingStorageTRES\s*=\s*(.*?)\s*$", settings, re.MULTILINE | re.IGNORECASE)
    if kept and any(name.partition(":")[0].lower() == "gres/gpu" for name in kept[1].split(",")):
        return Check("GPU accounting", "ok", "AccountingStorageTRES names gres/gpu")
    text = f"accounting will not know of GPUs: AccountingStorageTRES is {kept[1] if kept else 'not set'}"
    fix = "ask the site to add gres/gpu to it; until then attempts count by what they ask for, and nothing is forecast"
    return Check("GPU accounting", "warn", text, fix)


def _partition(config: Config, machine: Machine) -> Iterator[Check]:
    text, problem = _ask(machine, "sinfo", "-h", "-o", "%P|%a|%l|%G")
    if problem:
        yield Check("partition", "fail", problem, hint_for(problem))
        return
    rows = [line.split("|") for line in text.splitlines() if line.count("|") >= 3]
    wanted = config.slurm.partition
    names = sorted({row[0].rstrip("*") for row in rows})
    mine = [row for row in rows if (row[0].rstrip("*") == wanted if wanted else row[0].endswith("*"))]
    if not mine:
        text = f"there is no partition {wanted}" if wanted else "the cluster has no default partition"
        yield Check("partition", "fail", f"{text}; there is {', '.join(names)}", "set slurm.partition to one of them")
        return
    name, up, longest = mine[0][0].rstrip("*"), mine[0][1], mine[0][2]
    if up != "up":
        yield Check("partition", "warn", f"{name} is {up}", "sinfo -R says why; jobs wait until it is up")
    limit_s = None if longest in ("infinite", "n/a") else parse_clock(longest)
    if limit_s is not None and parse_clock(config.slurm.time) > limit_s:
        text = f"slurm.time {config.slurm.time} is longer than the limit of {name}, {longest}"
        yield Check("time limit", "fail", text, f"set slurm.time to at most {longest}")
    else:
        yield Check("partition", "ok", f"{name}, time limit {longest}")
    yield _gres(config, {row[3] for row in mine}, name)


def _gres(config: Config, offered: set[str], partition: str) -> Check:
    """Whether a node of the partition has the GPUs that an array task asks for on one."""
    wanted = config.slurm.gres or f"gpu:{config.gpus_per_node}"
    *kind, count = wanted.split(":")
    most = 0
    for one in ",".join(offered).split(","):
        match = re.match(r"gpu(?::([\w.-]+))?:(\d+)", one)
        if match and (len(kind) < 2 or kind[1] == match[1]):
            most = max(most, int(match[2]))
    has = ", ".join(sorted(offered)) or "none"
    if not count.isdigit() or most < int(count):
        fix = "another slurm.gres or slurm.partition, or a smaller vllm.tensor_parallel_size"
        return Check("gres", "fail", f"no node of {partition} has {wanted}; there is {has}", fix)
    return Check("gres", "ok", f"{wanted} of {has}")


def _accounting(machine: Machine) -> Check:
    _, problem = _ask(machine, "sacct", "-n", "-X", "-S", "now-1minutes", "-o", "JobID")
    if problem:
        text = f"{problem}; how tasks ended and what they used stays unknown until it answers"
        return Check("accounting", "warn", text, "runs go on without it; ask the site when it stays away")
    return Check("accounting", "ok", "sacct answers")


def _test_only(name: str, request: ArrayRequest, machine: Machine) -> Check:
    """What sbatch itself says of such a job."""
    with tempfile.TemporaryDirectory(prefix="hq-doctor-") as folder:
        script = Path(folder) / "array.sh"
        script.write_text(re.sub(r"^#SBATCH --chdir=.*\n", "", request.script(), flags=re.MULTILINE))
        os.chmod(script, 0o600)
        _, problem = _ask(machine, "sbatch", "--test-only", str(script))
    if problem:
        return Check(name, "fail", problem, hint_for(problem))
    return Check(name, "ok", "sbatch --test-only would take such a job array; limits on GPU minutes are not in that")
