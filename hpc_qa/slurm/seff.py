"""What Slurm's `seff` says of a job: its shares of CPU time and memory, to stand beside ours.

seff knows the last attempt of a job id and no other, counts whole seconds of CPU time, and writes 0.00 MB where no
step was measured: such a zero is None here. Text in, values out; a line that is not there is not missed.
"""

import re
from dataclasses import dataclass
from functools import partial

from hpc_qa.slurm.programs import Run, run_program
from hpc_qa.units import parse_clock

ANSWERS_WITHIN_S = 10.0

_LINE = re.compile(r"^([A-Z][A-Za-z/ -]{2,40}):[ \t]+(\S[^\n]*)$", re.MULTILINE)
_SHARE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)% of (\S+)")
_NOTHING = re.compile(r"0(\.0+)? [A-Z]?B\b")

_run_for_a_while = partial(run_program, timeout_s=ANSWERS_WITHIN_S)


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Shares of what was allocated, 0 to 1; None where seff has nothing to go by."""

    job_id: int | None  # sacct's JobIDRaw
    state: str | None
    elapsed_s: int | None
    cpu: float | None
    memory: float | None


def ask_seff(job_id: str, run: Run = _run_for_a_while) -> Efficiency:
    """What seff says of the last attempt of a job (`7`, `9_1`).

    Raises:
        SlurmError: seff is missing, failed, or did not answer in time.
    """
    return parse_seff(run(["seff", job_id]))


def parse_seff(text: str) -> Efficiency:
    r"""What seff printed of one job; None for all that it did not say, or not in a way that can be read.

    >>> parse_seff("Job ID: 7\nState: COMPLETED (exit code 0)\nCPU Efficiency: 25.00% of 00:00:28 core-walltime\n").cpu
    0.25
    """
    said = dict(_LINE.findall(text))
    number = said.get("Job ID", "").strip()
    if said.get("State", "").startswith(("PENDING", "RUNNING")):
        said = {name: value for name, value in said.items() if not name.endswith("Efficiency")}
    measured = not _NOTHING.match(said.get("Memory Utilized", ""))
    cpu = _share(said.get("CPU Efficiency", ""))
    return Efficiency(
        job_id=int(number) if re.fullmatch(r"\d{1,15}", number, re.ASCII) else None,
        state=said["State"].split()[0] if "State" in said else None,
        elapsed_s=_seconds(said.get("Job Wall-clock time", "")),
        cpu=cpu if measured or cpu else None,  # without a measured step no time is no finding
        memory=_share(said.get("Memory Efficiency", "")) if measured else None,
    )


def _share(text: str) -> float | None:
    """A percentage of something, as a share; None of nothing."""
    match = _SHARE.match(text)
    if not match or set(match[2]) <= set("0:."):
        return None
    return float(match[1]) / 100


def _seconds(text: str) -> int | None:
    try:
        return parse_clock(text)
    except ValueError:
        return None
