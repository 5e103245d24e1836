"""Ask accounting for every attempt at some jobs: one call, the columns that this Slurm has, text as it comes.

Earlier attempts of a requeued job are asked for as well (`-D`): their GPU-hours were used.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from hpc_qa.slurm.programs import SEPARATOR, Run, run_program

# free text last; what a version lacks is not asked for
COLUMNS = (
    "JobIDRaw", "JobID", "SLUID", "Cluster", "State", "Submit", "Eligible", "Start", "End", "ElapsedRaw", "Suspended",
    "Restarts", "User", "Account", "Partition", "QOS", "ExitCode", "DerivedExitCode", "TimelimitRaw", "NNodes",
    "AllocCPUS", "NTasks", "NodeList", "FailedNode", "ReqTRES", "AllocTRES", "TotalCPU", "MaxRSS", "TRESUsageInTot",
    "Planned", "Reason", "Flags", "JobName",
)  # fmt: skip


def ask_sacct(job_ids: Sequence[str], *, since_s: float | None = None, run: Run = run_program) -> bytes:
    """What sacct prints of these jobs and their steps, header first, between unit separators.

    `since_s` bounds the call: jobs that had ended by then, in seconds since 1970, are not looked for.

    Raises:
        SlurmError: sacct is missing, refused, or did not answer in time.
    """
    has = {name.lower() for name in run(["sacct", "--helpformat"]).split()}
    columns = [name for name in COLUMNS if name.lower() in has]
    command = ["sacct", "-D", "-P", f"--delimiter={SEPARATOR}", f"--jobs={','.join(job_ids)}", "-o", ",".join(columns)]
    if since_s is not None:  # -S alone: an end, by -E, would leave out what goes on
        command += ["-S", f"{datetime.fromtimestamp(since_s, UTC):%Y-%m-%dT%H:%M:%S}"]  # sacct runs with TZ=UTC
    return run(command).encode()
