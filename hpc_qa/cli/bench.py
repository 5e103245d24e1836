"""bench: records of runs, arms of them compared, and the targets that they are held against."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpc_qa.cli.options import common, print_json, print_table, say
from hpc_qa.cli.sweep import sweep
from hpc_qa.errors import ConfigError, ExitCode
from hpc_qa.units import plural

if TYPE_CHECKING:
    from hpc_qa.bench.regression import MetricResult, Regression

MARGINS = "-10 % throughput, -5 % quality, +2 points errors"


@click.group()
def bench() -> None:
    """Every run as a benchmark: records in records/, comparison, regression, targets.

    Example: hpc-qa bench template full
    """


bench.add_command(sweep)


@bench.command()
@click.argument("kind", type=click.Choice(["quick", "detailed", "full"]))
@common
def template(kind: str, *, project: Path, as_json: bool) -> int:  # noqa: ARG001  # every command takes --project
    """An empty record to fill in: the quick one, the detailed one, or with every key.

    Example: hpc-qa bench template quick
    """
    from hpc_qa.bench.templates import TEMPLATES

    text = TEMPLATES[kind]()
    if as_json:
        print_json({"kind": kind, "text": text})
    else:
        for line in text.splitlines():
            say(line)
    return ExitCode.DONE


@bench.command()
@click.argument("run")
@click.option("-o", "--output", type=click.Path(file_okay=False), help="The folder; records/ by default.")
@click.option("--replace", is_flag=True, help="Although there is a record of it already that says something else.")
@common
def record(run: str, output: str | None, replace: bool, *, project: Path, as_json: bool) -> int:
    """The record of RUN, from its files and the ledger, as ID.yaml; what was not measured is null.

    Example: hpc-qa bench record latest
    """
    from hpc_qa.bench.record_file import FOLDER, keep
    from hpc_qa.bench.run_record import record_of
    from hpc_qa.bench.sweep_records import still_of_cell
    from hpc_qa.store.run_directory import find

    folder = Path(output) if output else project / FOLDER
    made = still_of_cell(record_of(find(project, run), project), folder)
    path = keep(made, folder, replace=replace)
    if as_json:
        print_json(made.model_dump() | {"path": str(path)})
    else:
        say(str(path))
    return ExitCode.DONE


@bench.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), help="The folder; records/ of the project by default."
)
@common
def import_records(files: tuple[str, ...], output: str | None, *, project: Path, as_json: bool) -> int:
    """Read records that were written by hand, in any of the three templates, and keep each as ID.yaml in full.

    What is wrong in a record is named with file, line and key; the others are imported. Exit code 2 then.

    Example: hpc-qa bench import notes.yaml
    """
    from hpc_qa.bench.record_file import FOLDER, keep, read_records

    found = read_records([Path(file) for file in files])
    for warning in found.warnings:
        say(f"warning: {warning}", err=True)
    folder, faults, kept = Path(output) if output else project / FOLDER, list(found.faults), []
    for record in found.records:
        try:
            kept.append(keep(record, folder))
        except ConfigError as error:
            faults += error.faults
    if faults:
        done = f"{plural(len(kept), 'record is', 'records are')} in {folder}" if kept else "nothing was imported"
        raise ConfigError(*faults, hint=f"{done}; mend {'the others' if kept else 'that'} and import again")
    if as_json:
        print_json({"records": [str(path) for path in kept]})
    else:
        for path in kept:
            say(str(path))
    return ExitCode.DONE


@bench.command()
@click.argument("baseline")
@click.argument("current")
@click.option("--allow", multiple=True, metavar="KEY", help="A key in which the arms may differ, e.g. model.revision.")
@click.option("--plain", is_flag=True, help="The exit code follows the plain rule: means alone.")
@common
def check(baseline: str, current: str, allow: tuple[str, ...], plain: bool, *, project: Path, as_json: bool) -> int:
    """Whether CURRENT is worse than BASELINE: by more than 10 % in throughput, 5 % in quality or 2 points in errors.

    An arm is a record file, a folder of them, or ids joined by commas. Arms that are unlike are refused (2).
    Exit code 0: no regression. 4: regressed. 5: suspect, inconclusive or no data.

    Example: hpc-qa bench check records/before records/after --allow model.revision
    """
    from hpc_qa.bench.arm import arm_of
    from hpc_qa.bench.regression import check as check_arms

    found = check_arms(arm_of(baseline, project), arm_of(current, project), allow=allow)
    if as_json:
        print_json(found.to_json())
    else:
        _print_check(found)
    for note in found.notes:
        say(f"note: {note}", err=True)
    return found.exit_code(plain=plain)


@bench.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@common
def compare(first: str, second: str, *, project: Path, as_json: bool) -> int:
    """What A and B were and gave, side by side, with a mark where they are unlike; nothing is refused.

    Example: hpc-qa bench compare records/local.yaml records/cluster.yaml
    """
    from hpc_qa.bench.arm import arm_of
    from hpc_qa.bench.comparison import differences, side_by_side
    from hpc_qa.bench.plain_rule import in_words, plain_rule

    arms = arm_of(first, project), arm_of(second, project)
    found, plain = side_by_side(*arms), plain_rule(*arms)
    if as_json:
        print_json({"a": first, "b": second} | found | plain)
    else:
        unlike = differences(*arms)
        for one in unlike:
            say(f"differs    {one.key}: {one.shown()}")
        say(f"alike      in {'all else' if unlike else 'everything'} that is known of both")
        say("")
        for row in found["keys"]:
            row["differs"] = "differs" if row["differs"] else ""
        print_table(found["keys"], {"key": "key", "a": first, "b": second, "differs": ""})
        say("")
        columns = {"name": "mean", "a": first, "b": second, "change_percent": "change %", "n_a": "runs", "n_b": "runs"}
        print_table(found["results"], columns)
        say("")
        say(f"by the plain rule, means alone: {in_words(plain)}")
    for note in (note for arm in arms for note in arm.notes):
        say(f"note: {note}", err=True)
    return ExitCode.DONE


@bench.command()
@click.argument("record")
@click.option(
    "--profile", help="Of configs/targets.yaml, for all; by default that of each record's config, else medicaid."
)
@common
def targets(record: str, profile: str | None, *, project: Path, as_json: bool) -> int:
    """RECORD (a file, a folder, ids joined by commas) against targets and critical thresholds, metric by metric.

    What was not measured is "no data". Exit code 4: something is critical. 5: nothing was measured.

    Example: hpc-qa bench targets records/local_test.yaml --profile medicaid
    """
    from hpc_qa.bench.arm import arm_of
    from hpc_qa.bench.targets import exit_code, held_against_their_own

    arm = arm_of(record, project)
    profiles, found = held_against_their_own(arm.records, project, profile)
    named = profiles[0] if len(profiles) == 1 else None
    if as_json:
        print_json({"profile": named, "targets": [one.to_json() for one in found]})
    else:
        columns = {"record": "record", "metric": "metric", "value": "value", "verdict": named or "verdict",
                   "target": "target"} | ({} if named else {"profile": "profile"})  # fmt: skip
        print_table([one.to_json() for one in found], columns)
    for note in arm.notes:
        say(f"note: {note}", err=True)
    return exit_code(found)


@bench.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="The archive, *.tar.zst.")
@common
def archive(runs: tuple[str, ...], output: str, *, project: Path, as_json: bool) -> int:
    """RUN... as one file that lasts: record, config, manifest, logs, rows of the ledger, and checksums of all of it.

    The same runs give the same bytes. Secrets are left out, the archive is read back, and no file is replaced.

    Example: hpc-qa bench archive latest -o latest.tar.zst
    """
    from hpc_qa.bench.archive import archive as archive_of
    from hpc_qa.store.run_directory import find

    made = archive_of([find(project, run) for run in runs], project, Path(output))
    if as_json:
        print_json(made.to_json())
    else:
        say(
            f"{made.path}: {plural(len(made.sha256), 'file')} of {', '.join(made.runs)}, read back as they were written"
        )
    for name, count in made.redacted.items():
        say(f"note: secrets left out of {name}: {count}", err=True)
    for name in made.left_out:
        say(f"note: left out: {name}", err=True)
    return ExitCode.DONE


def _print_check(found: "Regression") -> None:
    from hpc_qa.bench.plain_rule import in_words

    for one in found.differs:
        say(f"differs    {one.key}: {one.shown()}")
    rows = [
        {
            "name": one.name, "baseline": one.baseline, "current": one.current,
            "runs": f"{one.n_baseline}, {one.n_current}", "effect": _effect(one), "verdict": one.verdict,
            "more": one.runs_needed,
        }
        for one in found.metrics
    ]  # fmt: skip
    print_table(rows, {"name": "metric", "baseline": "baseline", "current": "current", "runs": "runs",
                       "effect": "effect, interval", "verdict": "verdict", "more": "runs needed"})  # fmt: skip
    say(f"{found.verdict} (margins: {MARGINS}); by the plain rule: {in_words(found.plain)}")


def _effect(one: "MetricResult") -> str | None:
    if one.effect is None:
        return None
    unit = "points" if one.name == "error_rate" else "%"
    found = _signed(one.effect)
    if one.low is not None and one.high is not None:
        found += f" ({_signed(one.low)} to {_signed(one.high)})"
    return f"{found} {unit}"


def _signed(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}"
