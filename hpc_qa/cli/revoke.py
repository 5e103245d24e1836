"""revoke."""

from pathlib import Path

import click

from hpc_qa.cli.options import common, is_confirmed, print_json, say
from hpc_qa.errors import ExitCode


@click.command()
@click.argument("doc")
@click.option("--reason", help="Why; it is written down with your name and the time.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def revoke(doc: str, reason: str | None, yes: bool, *, project: Path, as_json: bool) -> int:
    """Remove everything that came from DOC from runs and datasets, for good; no run takes it up again.

    DOC is a doc_id, the beginning of one, or the path of a source: then every content that was found there. The source
    itself stays. Safe to repeat: what was revoked before is not asked about again.

    Example: hpc-qa revoke manuals/ohio.pdf --reason "withdrawn by its publisher"
    """
    from hpc_qa.campaign.revoke import prospect
    from hpc_qa.campaign.revoke import revoke as revoke_targets
    from hpc_qa.campaign.revoke_targets import find_targets

    asked = prospect(project, find_targets(project, doc))
    if not yes and not asked.is_settled and not is_confirmed(asked.lines()):
        return ExitCode.DONE
    found = revoke_targets(project, asked, reason=reason)
    if as_json:
        print_json(found.to_json())
    else:
        for line in found.lines():
            say(line)
    return int(found.exit_code)
