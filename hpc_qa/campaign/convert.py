"""`convert --executor slurm`: a conversion on the cluster that no run waits for."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc_qa.campaign import conversion
from hpc_qa.campaign.cluster import look
from hpc_qa.campaign.conversion import ConversionStatus
from hpc_qa.campaign.follow import ASK_SLURM_EVERY_S
from hpc_qa.config import Config
from hpc_qa.documents.cache import cache_of
from hpc_qa.documents.convert import limits_of
from hpc_qa.documents.facts import counts
from hpc_qa.errors import SlurmError
from hpc_qa.manifest import Entry, write
from hpc_qa.store.conversion_directory import ConversionDirectory
from hpc_qa.store.files import make_folder_if_missing
from hpc_qa.store.trust import check_project
from hpc_qa.units import utc_now

FOLDER = Path("cache") / "conversions"
MANIFEST = Path("manifest.jsonl")


@dataclass(frozen=True, slots=True)
class Started:
    """A conversion that was given to Slurm."""

    name: str
    directory: ConversionDirectory
    job_ids: list[str]


def start(config: Config, entries: Sequence[Entry], *, project: Path) -> Started | None:
    """Submit the conversion of what is not in the cache; None when all of it is.

    Raises:
        ConfigError: the tokenizer is missing, or others can write the cache.
        SlurmError: sbatch refused; nothing is left of it then.
    """
    os.umask(0o077)
    check_project(project, project / config.documents.cache)
    cache = cache_of(config, project)
    limits = limits_of(config)
    missing = [
        entry for entry in entries
        if (facts := cache.known(entry.sha256, entry.media_type)) is None or not counts(facts, limits)
    ]  # fmt: skip
    if not missing:
        return None
    name = f"{config.name}-{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    make_folder_if_missing(project / FOLDER)
    directory = ConversionDirectory(project / FOLDER / name)
    plan = conversion.plan_conversion([max(1, entry.bytes) for entry in missing], config.slurm.convert.tasks)
    directory.create()
    write(directory.path / MANIFEST, missing)
    conversion.freeze(directory, plan, config, project=project, converter_key=cache.key, manifest=MANIFEST, run_id=None)
    try:
        conversion.start_missing(directory, config)
    except SlurmError as error:
        if error.certain and not directory.list_submissions():
            shutil.rmtree(directory.path)
        raise
    return Started(name, directory, [str(one["job_id"]) for one in directory.list_submissions()])


def wait(
    started: Started, show: Callable[[ConversionStatus], None], *, sleep: Callable[[float], None] = time.sleep
) -> ConversionStatus:
    """Show the status until nothing of it waits or runs; gives the last one. A silent controller is waited for."""
    while (now := _status(started.directory)).state is not None:
        show(now)
        sleep(ASK_SLURM_EVERY_S)
    show(now)
    return now


def _status(directory: ConversionDirectory) -> ConversionStatus:
    return conversion.status_of(directory, look(conversion.open_jobs(directory)))
