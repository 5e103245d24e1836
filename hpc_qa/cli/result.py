"""verify and collect."""

from pathlib import Path
from typing import Any

import click

from hpc_qa.cli.options import common, print_json, say
from hpc_qa.errors import ExitCode


@click.command()
@click.argument("run")
@common
def verify(run: str, *, project: Path, as_json: bool) -> int:
    """Prove from the files of RUN alone that every document is in one terminal state and nothing is lost or double.

    Of an incomplete run it is also said whether it goes on. Exit code 0: proven. 3: incomplete. 1: something is damaged
    or double.

    Example: hpc-qa verify latest
    """
    from hpc_qa.campaign.status import goes_on
    from hpc_qa.campaign.verify import verify as verify_run
    from hpc_qa.store.run_directory import find

    directory = find(project, run)
    proof = verify_run(directory)
    if proof.exit_code == ExitCode.INCOMPLETE:
        proof.goes_on = goes_on(directory)
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
@click.option("--license", metavar="NAME", help="Licence of the dataset, in place of the config's dataset.license.")
@click.option("--source-licenses", type=click.Path(dir_okay=False), metavar="FILE",
              help='Licences of the documents: YAML, a line is "cms/*.pdf": public domain.')  # fmt: skip
@click.option("--csv", is_flag=True, help="Write qa.csv as well, for spreadsheets.")
@click.option("--chat", type=click.Choice(["closed-book", "grounded", "both"]),
              help="Write chat/*.jsonl as well: pairs as conversations, without or with their passage.")  # fmt: skip
@click.option("--decontaminate", type=click.Path(dir_okay=False), metavar="FILE", multiple=True,
              help="Leave out questions that stand in this benchmark (.jsonl, .json, .csv, .parquet, .txt); may be "
              "given several times.")  # fmt: skip
@common
def collect(
    runs: tuple[str, ...], output: str | None, decontaminate: tuple[str, ...], source_licenses: str | None, *,
    project: Path, as_json: bool, **options: Any,
) -> int:  # fmt: skip
    """Publish the dataset of RUNS: Parquet and JSON Lines, a card, rejected pairs, checksums.

    Example: hpc-qa collect latest --license CC-BY-4.0 --chat both
    """
    from hpc_qa.campaign.collect import collect as collect_runs
    from hpc_qa.campaign.publication import Options
    from hpc_qa.store.run_directory import find

    asked = Options(
        **options,
        source_licenses=Path(source_licenses) if source_licenses else None,
        decontaminate=tuple(map(Path, decontaminate)),
    )
    found = [find(project, run) for run in runs]
    result = collect_runs(found, out=Path(output) if output else None, options=asked)
    if as_json:
        print_json(result.to_json())
    else:
        for line in result.lines():
            say(line)
    return int(result.exit_code)
