"""The real seff: no package has it, the source package of Slurm does (contribs/seff/seff, GPL, never part of ours).

The package sources of the machine are read as sources of source packages, in a temporary folder: no address is written
anywhere, and nothing of the machine changes but for the two Perl libraries, which are installed. What is unpacked stays
in a cache below /var/tmp, so that it is downloaded once, whatever HOME is.
"""

import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hpc_qa import ownership
from tests.real_slurm.packages import apt_get, install_packages

LIBRARIES = {"Slurm.pm": "libslurm-perl", "Slurmdb.pm": "libslurmdb-perl"}
APT = Path("/etc/apt")
CACHE = Path("/var/tmp")
MEMBER = "/contribs/seff/seff"


def install_seff(folder: Path) -> None:
    """Make a program `seff` in this folder.

    Raises:
        RuntimeError: something could not be installed or downloaded; says what.
    """
    if absent := [name for name in LIBRARIES if not _perl_has(name)]:
        install_packages([LIBRARIES[name] for name in absent], for_want_of=absent)
    program = folder / "seff"
    program.write_text(f'#!/bin/sh\nexec perl -MFindBin {_source()} "$@"\n')  # the flag silences a warning
    program.chmod(0o755)


def _perl_has(name: str) -> bool:
    looks = 'for (@INC) { exit 0 if -e "$_/$ARGV[0]" } exit 1'
    return subprocess.run(["perl", "-e", looks, name], check=False).returncode == 0


def _source() -> Path:
    """The script, from the cache or from the source package of the Slurm that is installed."""
    version = _installed_version()
    cache = CACHE / f"hpc_qa-tests-{os.geteuid()}" / f"slurm-{version or 'newest'}"
    for one in (cache.parent, cache):
        one.mkdir(mode=0o700, exist_ok=True)
    script = cache / "seff"
    if found := ownership.faults(cache.parent, cache, script):
        raise RuntimeError(f"{found[0]}: what it holds is run by the tests; remove it")
    if not script.exists():
        with tempfile.TemporaryDirectory(prefix="hqs-source-") as name:
            _download(Path(name), "slurm-wlm" + (f"={version}" if version else ""))
            found_in = next(Path(name).glob("*.orig.tar.*[!c]"))
            scratch = cache / f"seff.{os.getpid()}"
            scratch.write_bytes(_member(found_in))
            scratch.replace(script)
    return script


def _installed_version() -> str:
    """Of the source package; nothing where Slurm is none of Debian's."""
    ask = ["dpkg-query", "-W", "-f", "${source:Version}", "slurm-client"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def _download(folder: Path, package: str) -> None:
    for name in ("parts", "lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    for number, (name, text) in enumerate(_as_sources()):
        (folder / "parts" / f"{number}-{name}").write_text(text)
    places = {
        "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": folder / "parts",
        "Dir::State::lists": folder / "lists", "Dir::Cache": folder / "cache", "APT::Sandbox::User": "",
    }  # fmt: skip
    options = [word for name, value in places.items() for word in ("-o", f"{name}={value}")]
    apt_get(*options, "update", "-q", folder=folder)
    apt_get(*options, "source", "-q", "--download-only", package, folder=folder)


def _as_sources() -> Iterator[tuple[str, str]]:
    """The machine's own lists of package sources, asking for source packages."""
    for path in sorted([APT / "sources.list", *(APT / "sources.list.d").glob("*")]):
        if path.suffix == ".sources":
            yield path.name, re.sub(r"(?m)^Types:.*$", "Types: deb-src", path.read_text())
        elif path.suffix == ".list" and path.exists():
            lines = (line for line in path.read_text().splitlines() if re.match(r"deb\s", line))
            yield path.name, "".join(f"deb-src{line.removeprefix('deb')}\n" for line in lines)


def _member(archive: Path) -> bytes:
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.name.endswith(MEMBER) and (stream := opened.extractfile(member)):
                return stream.read()
    raise RuntimeError(f"{archive.name} has no {MEMBER}")
