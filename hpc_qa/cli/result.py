"""verify and collect."""

from pathlib import Path

import click

from hpc_qa.cli.options import common, print_json, say


@click.command()
@click.argument("run")
@common
def verify(run: str, *, project: Path, as_json: bool) -> int:
    """Prove from the files of RUN alone that every document is in one terminal state and nothing is lost or double.

    Exit code 0: proven. 3: incomplete. 1: something is damaged or double.

    Example: hpc-qa verify latest
    """
    from hpc_qa.campaign.verify import verify as verify_run
    from hpc_qa.store.run_directory import find

    proof = verify_run(find(project, run))
    if as_json:
        print_json(proof.to_json())
    else:
        for line in proof.lines():
            say(line)
    return int(proof.exit_code)


@click.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Where to publish; needed for several runs.")
@click.option("--partial", is_flag=True, help="Publish what there is of an incomplete run.")
@common
def collect(runs: tuple[str, ...], output: str | None, partial: bool, *, project: Path, as_json: bool) -> int:
    """Publish the dataset of RUNS: Parquet and JSON Lines, a card, rejected pairs, checksums.

    Example: hpc-qa collect latest
    """
    from hpc_qa.campaign.collect import collect as collect_runs
    from hpc_qa.store.run_directory import find

    found = [find(project, run) for run in runs]
    result = collect_runs(found, out=Path(output) if output else None, partial=partial)
    if as_json:
        print_json(result.to_json())
    else:
        for line in result.lines():
            say(line)
    return int(result.exit_code)
