"""Refuse to work with folders that somebody else could have written.

A run directory holds pickles and the frozen config, the caches hold code that is loaded without a check and text that
becomes the dataset. Commands that only read do not ask; the mode bits count, access control lists are not looked at.
"""

from pathlib import Path

from hpc_qa import ownership
from hpc_qa.errors import ConfigError
from hpc_qa.store.conversion_directory import ConversionDirectory
from hpc_qa.store.run_directory import RunDirectory

WHY = "whoever writes there runs code as you"


def check_run(run: RunDirectory) -> None:
    """Only its owner goes on with a run, and only while nobody else can write it.

    Raises:
        ConfigError: somebody else owns a folder of the run, or can write it.
    """
    _refuse(run.path, run.path / "shards", run.submit, run.logs, run.submissions, run.review)
    if ownership.can_be_swapped(run.path):
        runs = run.path.parent
        raise ConfigError(
            f"{runs}: others can write it, and put another folder in a run's place", hint=f"chmod go-w {runs}"
        )


def check_runs(project: Path) -> None:
    """The folder of all runs of a project, if there is one.

    Raises:
        ConfigError: somebody else owns it, or can write it.
    """
    _refuse(project / "runs")


def check_conversion(conversion: ConversionDirectory) -> None:
    """The same for the folder of a conversion.

    Raises:
        ConfigError: somebody else owns a folder of it, or can write it.
    """
    _refuse(conversion.path, conversion.outcomes, conversion.submit, conversion.logs, conversion.submissions)


def check_project(project: Path, document_cache: Path) -> None:
    """The folders that all runs of a project share.

    Raises:
        ConfigError: somebody else owns one of them, or can write it.
    """
    compiled = project / "cache" / "vllm"
    _refuse(project / "runs", document_cache, compiled)
    inside = ownership.tree_faults(compiled)
    if inside:
        raise ConfigError(*inside, hint=f"it is only a cache: rm -r {compiled}")


def _refuse(*folders: Path) -> None:
    found = ownership.faults(*folders)
    if found:
        raise ConfigError(*(f"{fault}; {WHY}" for fault in found), hint=ownership.way_out(*folders))
