"""Where a run reads and writes, before it does: faults of a project folder and of the places that its config names.

Only looked at; nothing is made or opened. Who else may write there is in `hpc_qa.ownership`.
"""

import os
import re
from pathlib import Path

from hpc_qa.config import Config
from hpc_qa.manifest.places import kind_of, why_not

# submitit puts ids in place of %j and its like, a backslash makes sbatch leave its own %A as it is, and a batch script
# has no place for ends of lines and bytes that are no UTF-8
_ODD = re.compile("%[jtAa]|[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def place_faults(config: Config, project: Path) -> list[str]:
    """What is wrong with the project folder, the manifest's place and the cache, one line each."""
    faults = project_faults(project)
    manifest = project / config.manifest
    if kind_of(manifest) != "file":
        faults.append(f"manifest: {manifest}: {why_not(manifest, wanted='file')}{wrong_project(config, project)}")
    cache = (project / config.documents.cache).resolve()
    if project.resolve().is_relative_to(cache):
        faults.append(
            f"documents.cache: {cache} holds the project itself; name a folder of its own, cache/documents say"
        )
    elif kind_of(cache) in ("file", "other"):
        faults.append(f"documents.cache: {cache} is no folder")
    elif _home() == cache:
        faults.append(f"documents.cache: {cache} is the home folder; name a folder of its own")
    return faults


def project_faults(project: Path) -> list[str]:
    """Why this folder is not used as a project."""
    real = project.resolve()
    if odd := ", ".join(sorted(set(_ODD.findall(str(real))))):
        return [f"{real}: a path with {odd} in it would not reach the array tasks as it is; rename the folder"]
    if real == Path("/") or real == _home():
        what = "the root of the file system" if real == Path("/") else "the home folder"
        return [f"the project folder is {what}: make one of its own (hpc-qa init DIR), or go there, or give --project"]
    if not os.access(real, os.W_OK | os.X_OK):
        return [f"{real} cannot be written by you: runs and caches are made there"]
    return []


def wrong_project(config: Config, project: Path) -> str:
    """A hint where the config lies in another folder that has such a manifest; empty where it does not."""
    if not config._source or Path(config.manifest).is_absolute():
        return ""
    for folder in Path(config._source).resolve().parents:
        if folder != project.resolve() and kind_of(folder / config.manifest) == "file":
            return f"; did you mean --project {folder}?"
    return f"; make one with hpc-qa manifest build, or go to the project's folder: this one is {project}"


def _home() -> Path | None:
    home = os.environ.get("HOME")
    return Path(home).resolve() if home else None
