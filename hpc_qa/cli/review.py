"""review: a page on this machine where a person rates a sample of a run's pairs, and what was said so far."""

import getpass
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpc_qa.cli.options import common, print_json, print_table, say
from hpc_qa.errors import ExitCode, UsageError
from hpc_qa.units import plural

if TYPE_CHECKING:
    from hpc_qa.campaign.review import Review
    from hpc_qa.campaign.review_sample import Sample
    from hpc_qa.report.review_server import ReviewServer

FEW = 35  # rated pairs without a fault that show a share of 90 %
TUNNEL_PORT = 8741  # on one's own machine, for a UNIX socket here


@click.command()
@click.argument("run")
@click.option("--sample", type=click.IntRange(1, 10_000), help="Pairs to rate: 20, from batch_500 on 50.")
@click.option("--seed", type=click.IntRange(0), help="Of the sample; the run's by default.")
@click.option("--reviewer", help="Who rates; your user name by default.")
@click.option("--port", type=click.IntRange(1, 65535), help="On 127.0.0.1; a free one by default.")
@click.option("--socket", "socket_path", type=click.Path(dir_okay=False), help="A UNIX socket in place of a port.")
@click.option("--idle", type=click.FloatRange(0.01, 1440), default=60, help="Minutes without a request; then it ends.")
@click.option("--export", is_flag=True, help="Print what was said so far; serve nothing.")
@common
def review(  # noqa: PLR0913 - one for each option
    run: str,
    sample: int | None,
    seed: int | None,
    reviewer: str | None,
    port: int | None,
    socket_path: str | None,
    idle: float,
    export: bool,
    *,
    project: Path,
    as_json: bool,
) -> int:
    """Rate sampled pairs of RUN from 1 to 5 on a page in your browser; --export or --json print the results.

    The page is blind to the judge. Every rating is saved at once; the same command goes on where you were.

    Example: hpc-qa review latest
    """
    from hpc_qa.campaign.review import review_of
    from hpc_qa.campaign.review_ratings import check_reviewer
    from hpc_qa.campaign.review_sample import sample_of
    from hpc_qa.store.run_directory import find
    from hpc_qa.store.trust import check_run

    if port is not None and socket_path is not None:
        raise UsageError("--port and --socket are two ways of the same", hint="leave one of them out")
    found = find(project, run)
    if not (export or as_json):
        check_run(found)
        name = check_reviewer(reviewer)
        drawn = sample_of(found, size=sample, seed=seed)
        from hpc_qa.report.review_server import ReviewServer
        from hpc_qa.report.review_session import ReviewSession

        address = ("127.0.0.1", port or 0) if socket_path is None else Path(socket_path).absolute()
        session = ReviewSession(found, drawn, name)
        with ReviewServer(session, address, idle_s=idle * 60) as server:
            _serve(drawn, server, idle)
        session.close()
    said = review_of(found)
    if as_json:
        print_json(said.to_json() if said else {"run": found.run_id, "sample": None, "rated": 0})
    elif said is None:
        say(f"{found.run_id}: no sample was drawn yet", err=True)
        say(f"  try: hpc-qa review {found.run_id}", err=True)
    else:
        _print_results(said)
    return ExitCode.DONE


def _serve(sample: "Sample", server: "ReviewServer", idle: float) -> None:
    """Until it is finished, idle, or told to stop."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _print_start(sample, server.session.state(), server, idle)
        server.serve()
    except KeyboardInterrupt:
        say("")  # behind the ^C of the terminal


def _print_start(sample: "Sample", state: dict[str, Any], server: "ReviewServer", idle: float) -> None:
    people = sample.population
    say(f"run        {state['run']}")
    say(f"sample     {len(sample.pairs)} of {people['pairs']:,} pairs that passed the checks, seed {sample.seed}")
    if len(sample.pairs) < sample.asked:
        have = plural(people["chunks"], "chunk has", "chunks have")
        say(f"           {sample.asked} were asked for: one of each chunk, and only {have} any")
    if not sample.complete:
        say("           the run was not complete when it was drawn: its later pairs are in no sample")
    left = state["total"] - state["rated"] - state["skipped"]
    say(f"reviewer   {state['reviewer']}: {state['rated']} rated, {state['skipped']} skipped, {left} left")
    here = server.port or TUNNEL_PORT
    far = f"127.0.0.1:{server.port}" if server.port else str(server.server_address)
    say(f"page       http://127.0.0.1:{here}/?token={server.token}")
    say(f"from your own machine, first: ssh -N -L {here}:{far} {getpass.getuser()}@{socket.gethostname()}")
    say(f"ends       with Finish on the page, Ctrl-C, or after {idle:g} minutes without a request")


def _print_results(said: "Review") -> None:
    facts = said.to_json()
    sample, good = facts["sample"], facts["acceptance"]
    say(f"run        {facts['run']}")
    say(f"rated      {facts['rated']} of {sample['pairs']} sampled pairs, seed {sample['seed']}")
    for one in facts["damaged"]:
        say(f"damaged    {one}; it is left out", err=True)
    if not facts["rated"]:
        return
    kappa = facts["judge"]["kappa"]
    rows = [
        {"score": name, "mean": f"{one['value']:.2f}", "interval": _interval(one, 2)}
        | ({"kappa": _kappa(kappa[name])} if name in kappa else {})
        for name, one in facts["means"].items()
    ]
    print_table(rows, {"score": "score", "mean": "mean", "interval": "95 % interval", "kappa": "kappa with the judge"})
    needs = ", ".join(f"{name} >= {least}" for name, least in good["minima"].items())
    say(f"good enough {_percent(good)}: {needs}")
    for outcome, one in facts["acceptance_by_outcome"].items():
        if one["n"]:
            say(f"           {_percent(one)} of those that the run {outcome}")
    if not sample["equal_chances"]:
        say(f"weighted   by their chances to be drawn; as good as {facts['effective_n']:.0f} pairs with equal ones")
    if facts["rated"] < FEW:
        say(f"           {FEW} pairs without a fault would show 90 %")
    if len(facts["reviewers"]) > 1:
        for one in facts["reviewers"]:
            say(f"reviewer   {one['reviewer']}: {one['rated']} rated, {_percent(one['acceptance'])}")
    for one in facts["agreement"]:
        both = " and ".join(one["reviewers"])
        said_alike = ", ".join(f"{name} {_kappa(found)}" for name, found in one["kappa"].items())
        say(f"agreement  {both} over {plural(one['pairs'], 'pair')}, kappa: {said_alike}")


def _interval(one: dict[str, Any], places: int) -> str:
    if one["low"] is None:
        return "one rating only"
    return "all alike" if one["low"] == one["high"] else f"{one['low']:.{places}f} to {one['high']:.{places}f}"


def _percent(one: dict[str, Any]) -> str:
    return f"{100 * one['value']:.0f} % ({100 * one['low']:.0f} to {100 * one['high']:.0f} %, n = {one['n']})"


def _kappa(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return f"unknown (n = {one['n']})"
    return f"{one['value']:.2f} ({_interval(one, 2)}, n = {one['n']})"
