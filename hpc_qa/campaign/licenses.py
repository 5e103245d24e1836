"""Under which licences a dataset and its sources stand: what somebody said, else unknown.

A dataset's licence is what `collect --license` or `dataset.license` of the config says. A source's is what a file of
patterns says (`collect --source-licenses`), else the `license` of its line in the manifest. Nothing is guessed.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from hpc_qa import strict_yaml
from hpc_qa.errors import ConfigError

UNKNOWN = "unknown"


class SourceLicenses:
    """Licences by pattern of the source's path; the first pattern that fits counts."""

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        self._patterns = dict(patterns or {})

    def of(self, path: str, manifest: str | None) -> str:
        """The licence of a source, "unknown" where nobody said it.

        >>> said = SourceLicenses({"cms/*.pdf": "public domain"})
        >>> said.of("cms/a/b.pdf", "CC-BY-4.0"), said.of("x.pdf", "CC-BY-4.0"), said.of("x.pdf", None)
        ('public domain', 'CC-BY-4.0', 'unknown')
        """
        said = (one for pattern, one in self._patterns.items() if fnmatchcase(path, pattern))
        return next(said, manifest or UNKNOWN)


def read_source_licenses(path: Path) -> SourceLicenses:
    """Patterns and licences from a YAML file, `"cms/*.pdf": public domain` a line.

    Raises:
        ConfigError: it cannot be read, or is no mapping of texts to texts.
    """
    file = strict_yaml.read(path)
    faults = [f"{path}{f':{fault.line}' if fault.line else ''}: {fault.text}" for fault in file.faults]
    faults += [
        f"{path}:{file.lines.get((key,), 1)}: {key}: is not a licence in words"
        for key, said in file.data.items()
        if not isinstance(said, str) or not said.strip()
    ]
    if faults:
        raise ConfigError(*faults, hint='a line is a pattern of paths and a licence: "cms/*.pdf": public domain')
    return SourceLicenses({key: str(said) for key, said in file.data.items()})


def license_of(said: str | None, configs: set[str | None]) -> str:
    """The dataset's licence: what was said on the command line, else what all configs say, else unknown."""
    if said:
        return said
    known = {one for one in configs if one}
    return known.pop() if len(known) == 1 and None not in configs else UNKNOWN


def as_front_matter(license_name: str) -> dict[str, str]:
    """The keys of a dataset card: an identifier of its own list, else `other` with the name.

    >>> as_front_matter("CC-BY-4.0"), as_front_matter("Our own terms")
    ({'license': 'cc-by-4.0'}, {'license': 'other', 'license_name': 'Our own terms'})
    """
    if license_name.casefold() in IDENTIFIERS:
        return {"license": license_name.casefold()}
    return {"license": "other", "license_name": license_name}


# Those of the Hugging Face hub's list that a dataset is likely to have.
IDENTIFIERS = frozenset(
    "apache-2.0 mit bsd bsd-2-clause bsd-3-clause cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0"
    " cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0"
    " cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 gfdl gpl gpl-2.0 gpl-3.0"
    " lgpl lgpl-2.1 lgpl-3.0 agpl-3.0 mpl-2.0 odc-by odbl openrail pddl unlicense unknown".split()
)
