"""ledger: accounting in, attempts out."""

from pathlib import Path

import click

from hpc_qa.cli.options import common, print_json, print_table, say
from hpc_qa.errors import ExitCode, UsageError
from hpc_qa.units import plural

SHOWN = (
    "job_id", "job_id_raw", "attempt_id", "run_id", "shard", "state", "state_detail", "submit", "start", "end",
    "elapsed_s", "suspended_s", "timelimit_s", "restarts", "cluster", "account", "partition", "qos", "user", "job_name",
    "node_list", "nodes", "cpus", "gpu_count", "gpu_type", "gpu_hours_allocated", "billing", "cpu_s", "cpu_efficiency",
    "seff_cpu_efficiency", "memory_bytes", "memory_peak_bytes", "memory_efficiency", "seff_memory_efficiency",
    "mem_basis", "exit_code", "exit_signal", "source", "stages_ms", "busy_ms", "sampled_gpus", "gpu_samples_share",
    "gpu_busy_s", "gpu_utilization", "gpu_memory_peak_bytes", "gpu_energy_j", "energy_basis", "gpu_power_mean_w",
    "host_cpu_s", "host_memory_peak_bytes", "host_memory_mean_bytes", "judge_token_share", "gpus_asked", "data_quality",
)  # fmt: skip
COMPUTED = ("gpu_hours_charged", "gpu_hours_busy")
TABLE = {
    "job_id": "job", "state": "state", "run_id": "run", "shard": "shard", "gpu_count": "GPUs", "elapsed_s": "seconds",
    "gpu_hours_allocated": "GPU-hours", "gpu_hours_charged": "charged", "gpu_hours_busy": "busy",
    "cpu_efficiency": "CPU efficiency", "memory_efficiency": "memory efficiency",
    "amiss": "amiss",
}  # fmt: skip


@click.group()
def ledger() -> None:
    """What was used: attempts as accounting has them, in Parquet files under ledger/.

    Example: hpc-qa ledger sync
    """


@ledger.command()
@click.argument("runs", nargs=-1)
@click.option("--sacct-file", type=click.Path(dir_okay=False), help="Read this output of sacct -D -P instead.")
@common
def sync(runs: tuple[str, ...], sacct_file: str | None, *, project: Path, as_json: bool) -> int:
    """Read accounting of RUNS (all of them by default) into the ledger. Repeating it writes no file.

    A run that is complete and has no benchmark record yet leaves one in records/.

    Example: hpc-qa ledger sync latest
    """
    from hpc_qa.bench.left_records import leave_records
    from hpc_qa.campaign.sync import sync_file, sync_runs
    from hpc_qa.store.run_directory import find, list_runs

    if runs and sacct_file:
        raise UsageError(
            "RUNS are for asking accounting; --sacct-file reads the whole text", hint="leave one of them out"
        )
    chosen = [find(project, run) for run in runs] if runs else list_runs(project)
    done = sync_file(project, Path(sacct_file)) if sacct_file else sync_runs(project, chosen, asks_seff=True)
    kept, unkept = leave_records(project, chosen)
    if as_json:
        print_json(done.to_json() | {"records": [str(path) for path in kept]})
    else:
        said = (
            f"{plural(done.read, 'attempt')} read, {done.written:,} new or changed; "
            f"{plural(done.documents, 'more document')} done"
        )
        say(said + (f": {done.path}" if done.path else ""))
        for path in kept:
            say(f"record: {path}")
    for note in (*done.notes, *unkept):
        say(f"note: {note}", err=True)
    return ExitCode.DONE


@ledger.command()
@common
def show(*, project: Path, as_json: bool) -> int:
    """One row for every attempt that the ledger knows.

    Example: hpc-qa ledger show --json
    """
    from hpc_qa.config_file import load_site
    from hpc_qa.ledger.attempts import as_rows, current
    from hpc_qa.ledger.reconciliation import columns, gaps_between_hours, not_charged, with_hours

    site = load_site(project)
    found = current(project, tuple(dict.fromkeys((*SHOWN, *columns(site)))))
    table = with_hours(site, found.table)
    rows = as_rows(table.select([*SHOWN, *COMPUTED]))
    for row in rows:
        row["gpu_hours_gaps"] = gaps_between_hours(site, row)
    if as_json:
        print_json(rows)
    else:
        print_table([row | {"amiss": ", ".join(row["data_quality"] or [])} for row in rows], TABLE)
        if not rows:
            say("the ledger knows no attempt", err=True)
            say("  try: hpc-qa ledger sync reads what accounting knows of the runs", err=True)
    for reason, count in not_charged(site, table).items():
        say(f"note: what is charged is not known of {plural(count, 'attempt')}: {reason}", err=True)
    for note in found.skipped:
        say(f"note: left out: {note}", err=True)
    return ExitCode.DONE


@ledger.command()
@common
def compact(*, project: Path, as_json: bool) -> int:
    """Put the rows of many small files into a few, so that reading stays quick; no row is changed or dropped.

    The files that are replaced stay for a day and are deleted by a later call.

    Example: hpc-qa ledger compact
    """
    from hpc_qa.ledger.compaction import compact as compact_table
    from hpc_qa.ledger.schema import TABLES

    done = [compact_table(project, name) for name in TABLES]
    if as_json:
        print_json({"tables": [one.to_json() for one in done]})
    else:
        for one in done:
            said = (
                f"{plural(one.rows, 'row')} of {plural(one.replaced, 'file')} in {len(one.written)}"
                if one.written
                else "nothing to do"
            )
            say(f"{one.table:<10}{said}; replaced files deleted: {one.deleted:,}, kept for a day: {one.kept:,}")
    for one in done:
        for note in one.skipped:
            say(f"note: left as it is: {note}", err=True)
    return ExitCode.DONE
