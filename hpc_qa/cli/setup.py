"""doctor and init."""

from pathlib import Path

import click

from hpc_qa.cli.options import common, load_config, print_json, say
from hpc_qa.errors import ExitCode


@click.command()
@click.argument("config", required=False, type=click.Path(dir_okay=False))
@common
def doctor(config: str | None, *, project: Path, as_json: bool) -> int:
    """What works on this machine and what does not, one line each, with the fix. CONFIG adds what that run needs.

    Example: hpc-qa doctor configs/demo_cpu.yaml
    """
    from hpc_qa.campaign.doctor import checks

    results = checks(load_config(config, project) if config else None, project)
    if as_json:
        print_json([{"name": c.name, "state": c.state, "text": c.text, "fix": c.fix} for c in results])
    else:
        for check in results:
            say(f"{check.state:<5}{check.name:<14}{check.text}")
            if check.fix and check.state != "ok":
                say(f"{'':<19}fix: {check.fix}")
    return ExitCode.OUTSIDE if any(check.state == "fail" for check in results) else ExitCode.DONE


@click.command()
@click.argument("directory", type=click.Path(file_okay=False))
@common
def init(directory: str, *, project: Path, as_json: bool) -> int:  # noqa: ARG001 - every command has it
    """Make a project folder: a commented config, project.yaml, manifests/, projections/, .gitignore.

    Example: hpc-qa init medicaid
    """
    from hpc_qa.campaign.init import init as make

    written = make(Path(directory))
    if as_json:
        print_json({"project": directory, "written": [str(path) for path in written]})
    else:
        for path in written:
            say(str(path))
        if not written:
            say(f"{directory}: everything is there already", err=True)
    return ExitCode.DONE
