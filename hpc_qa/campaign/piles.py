"""How the documents of a run are cut into shards: by what its config allows, and what is known of such servers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hpc_qa.campaign import estimate
from hpc_qa.campaign.schedule import LIMIT_SHARE, Pace, Pile, Terms, balance, schedule, share_note, too_long
from hpc_qa.config import Config
from hpc_qa.errors import ConfigError
from hpc_qa.store.run_directory import list_runs
from hpc_qa.units import clock, duration, parse_clock, plural

MOST_NAMED = 10  # documents that are too long


def paces_of(config: Config, project: Path, gpus: int | None) -> tuple[list[Pace], str | None]:
    """What is known of servers like this run's, and from where: earlier runs, else the config."""
    runs = [run.path for run in list_runs(project)]
    if measured := estimate.measured_attempts(runs, model=config.model, gpus_per_server=gpus or 0):
        return measured, "measured"
    said = estimate.configured(config.plan)
    return said, "config" if said else None


def piles_of(tokens: Mapping[str, int], pace: Pace | None, config: Config) -> tuple[list[Pile], list[str]]:
    """(what each shard holds, what is to be said about the choice).

    Raises:
        ConfigError: a document can never be done within the time limit.
    """
    if config.executor == "local":
        return balance(tokens, config.client.local_servers), []
    if config.plan.shards is not None:
        return balance(tokens, config.plan.shards), []
    if pace is None:
        return balance(tokens, config.slurm.array_parallelism), [_unknown_pace(config)]
    terms = Terms(
        pace=pace,
        time_limit_s=parse_clock(config.slurm.time),
        parallelism=config.slurm.array_parallelism,
        max_startup_share=config.plan.max_startup_share,
    )
    if long := too_long(tokens, terms):
        raise _never_fits(long, tokens, terms, config)
    piles = schedule(tokens, terms)
    note = share_note(tokens, len(piles), terms)
    return piles, [note] if note else []


def _unknown_pace(config: Config) -> str:
    unset = [f"plan.{name}" for name in ("startup", "tokens_per_s") if getattr(config.plan, name) is None]
    return (
        "start-up and speed of a server are unknown: no run with this model was measured here, and "
        f"{' and '.join(unset)} {'is' if len(unset) == 1 else 'are'} null. So there are at most "
        f"slurm.array_parallelism ({config.slurm.array_parallelism}) shards, and whether one fits into slurm.time "
        f"({config.slurm.time}) cannot be said; a small run would tell: hpc-qa submit {config._source or 'CONFIG'} "
        "--limit 20"
    )


def _never_fits(long: Sequence[str], tokens: Mapping[str, int], terms: Terms, config: Config) -> ConfigError:
    limit, would_do = config.slurm.time, clock(terms.limit_for(tokens[long[0]]))
    if terms.shard_tokens <= 0:
        fault = (
            f"slurm.time {limit} is too short: a server starts for {duration(terms.pace.startup_s)}, and a shard may "
            f"take {100 * LIMIT_SHARE:.0f} % of the time limit ({duration(terms.longest_s)})"
        )
        return ConfigError(fault, hint=f'slurm.time "{would_do}" is enough for the longest document')
    faults = [
        f"{doc_id}: {terms.pace.seconds(tokens[doc_id]) / 3600:.2f} hours with start-up are more than "
        f"{100 * LIMIT_SHARE:.0f} % of slurm.time {limit} ({terms.longest_s / 3600:.2f} hours)"
        for doc_id in long[:MOST_NAMED]
    ]
    faults += [f"and {plural(len(long) - MOST_NAMED, 'more document')}"] * (len(long) > MOST_NAMED)
    hint = f'slurm.time "{would_do}" is enough; or documents.max_chunks leaves such documents out'
    return ConfigError(*faults, hint=hint)
