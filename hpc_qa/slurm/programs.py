"""Run Slurm's own programs: text comes back, everything else is a `SlurmError` that says what was asked.

Times are asked for as seconds since 1970 (SLURM_TIME_FORMAT), so that no time zone is guessed. Those that are given to
sacct are UTC (TZ); sbatch keeps the zone of whoever calls it, as jobs inherit it.
"""

import logging
import os
import subprocess
import threading
from collections.abc import Callable, Sequence

from hpc_qa.errors import SlurmError

log = logging.getLogger("hpc_qa.slurm")

Run = Callable[[Sequence[str]], str]
ANSWERS_WITHIN_S = 60.0
SAY_AFTER_S = 5.0  # that we still wait
ZONES = {"sacct": {"TZ": "UTC"}}
SEPARATOR = "\x1f"  # names of jobs may hold anything that can be typed


def run_program(command: Sequence[str], *, timeout_s: float = ANSWERS_WITHIN_S) -> str:
    """The standard output of one program of Slurm.

    Raises:
        SlurmError: it is not there, refused, or did not answer in time.
    """
    name = command[0]
    words = "waiting for the answer of %s, for %.0f s at most"
    patience = threading.Timer(SAY_AFTER_S, log.warning, [words, name, timeout_s])
    patience.daemon = True
    patience.start()
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout_s,
            check=False, env=os.environ | {"SLURM_TIME_FORMAT": "%s"} | ZONES.get(name, {}),
        )  # fmt: skip
    except FileNotFoundError as exc:
        raise SlurmError(
            f"{name} is not on PATH", hint="log in to a node of the cluster, or load its Slurm module"
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise SlurmError(f"{name} did not answer within {timeout_s:.0f} s", hint=hint_for("timed out")) from exc
    finally:
        patience.cancel()
    if done.returncode:
        said = said_by(done.stderr) or f"status {done.returncode}"
        raise SlurmError(f"{name}: {said}", hint=hint_for(said))
    return done.stdout


def said_by(stderr: str) -> str:
    r"""What a program of Slurm complains about, in one line without its own prefixes.

    >>> said_by("sbatch: error: invalid partition: gpu\nsbatch: error: Batch job submission failed")
    'invalid partition: gpu; Batch job submission failed'
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    words = [line.rpartition("error: ")[2] for line in lines if "error: " in line] or lines
    return "; ".join(dict.fromkeys(words))


def hint_for(said: str) -> str:
    """What to do about a refusal of Slurm."""
    for words, advice in _ADVICE.items():
        if words.lower() in said.lower():
            return advice
    return "hpc-qa doctor CONFIG looks at the cluster's settings; the words above are Slurm's own"


_ASSOCIATIONS = "`sacctmgr show associations user=$USER format=account,partition,qos`"
_ADVICE = {
    "invalid partition": "slurm.partition: `sinfo -s` lists the partitions",
    "Invalid account": f"slurm.account: {_ASSOCIATIONS} lists yours",
    "Invalid qos": f"slurm.qos: {_ASSOCIATIONS} lists yours",
    "time limit is invalid": "slurm.time: `sinfo -o '%P %l'` shows the longest of each partition",
    "node configuration is not available": "slurm.gres, mem, cpus_per_task: see `sinfo -o '%P %G %c %m'`",
    "Memory specification": "slurm.mem; of a conversion slurm.convert.cpus_per_task and mem: see `sinfo -o '%P %m'`",
    "Invalid generic resource": "slurm.gres: `sinfo -o '%P %G'` shows the names of the cluster's GPUs",
    "job array specification": "the cluster allows fewer array tasks: MaxArraySize in `scontrol show config`",
    "Invalid feature": "slurm.constraint: `sinfo -o '%P %f'` lists the features",
    "violates accounting/QOS policy": "a limit of the account: `sacctmgr show qos`, `sshare -U`; a smaller run?",
    "Unable to contact slurm controller": "the controller does not answer: `scontrol ping`; try again in a minute",
    "timed out": "the controller does not answer: `scontrol ping`; try again in a minute",
    "Connection refused": "the controller does not answer: `scontrol ping`; try again in a minute",
}
