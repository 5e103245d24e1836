"""runs: what is done with the folders of runs."""

from pathlib import Path

import click

from hpc_qa.cli.options import common, is_confirmed, print_json, say
from hpc_qa.errors import ExitCode


@click.group()
def runs() -> None:
    """The folders of runs.

    Example: hpc-qa runs delete smoke-20260101T120000-ab12
    """


@runs.command("delete")
@click.argument("run")
@click.option("--force", is_flag=True, help="Although documents of it are done nowhere else.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def delete_run(run: str, force: bool, yes: bool, *, project: Path, as_json: bool) -> int:
    """Delete the folder of RUN, for good; the ledger, its benchmark record and datasets elsewhere stay.

    A run that goes on is refused. So is one with documents that are done in no other run and in no dataset outside of
    its folder, unless --force says otherwise.

    Example: hpc-qa runs delete smoke-20260101T120000-ab12
    """
    from hpc_qa.campaign.delete import delete, doomed, remove_left_over
    from hpc_qa.store.run_directory import find

    remove_left_over(project / "runs")
    asked = doomed(find(project, run), project)
    if not yes and (force or not asked.only_here) and not is_confirmed(asked.lines()):
        return ExitCode.DONE
    notes = delete(asked, project, force=force)
    if as_json:
        print_json(asked.to_json() | {"notes": notes})
    else:
        say(f"removed      {asked.run.run_id}: {asked.files:,} files, {asked.size_mb:,.1f} MB")
    for text in notes:
        say(f"note: {text}", err=True)
    return ExitCode.DONE
