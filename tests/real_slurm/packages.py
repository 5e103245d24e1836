"""The Debian packages that a real Slurm cluster needs: there already, or installed when we may.

Nothing of /etc/slurm, /etc/munge or /var/lib is used; the programs alone are wanted.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGES = ("slurm-wlm", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server", "munge")
PROGRAMS = ("sbatch", "srun", "scontrol", "sacct", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged")
SEARCH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def missing(programs: Sequence[str] = PROGRAMS) -> list[str]:
    """Those of these programs that are not there, once nobody is in the middle of an installation."""
    with _one_at_a_time():
        return [name for name in programs if not shutil.which(name, path=SEARCH)]


def install() -> None:
    """Install what is missing of Slurm.

    Raises:
        RuntimeError: we are not root, or apt-get failed; says what to install.
    """
    if absent := missing():
        install_packages(PACKAGES, for_want_of=absent)


def install_packages(names: Sequence[str], for_want_of: Sequence[str]) -> None:
    """Install these packages from the machine's own sources.

    Raises:
        RuntimeError: we are not root, or apt-get failed; says what to install.
    """
    wanted = f"apt-get install --no-install-recommends {' '.join(names)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"no {', '.join(for_want_of)} on this machine, and only root can install them: {wanted}")
    sys.stderr.write(f"installing for the tests: {wanted}\n")
    with _one_at_a_time():
        # no daemon of the packages is to start: the tests start their own
        policy = "/usr/sbin/policy-rc.d"
        made = _forbid_daemons(policy)
        try:
            apt_get("update", "-q")
            apt_get("install", "-y", "-q", "--no-install-recommends", *names)
        finally:
            if made:
                os.unlink(policy)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait for the other processes of the tests: apt-get would not, it fails."""
    place = os.open(Path(__file__).parent, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def apt_get(*arguments: str, folder: str | os.PathLike[str] = "/") -> str:
    """What apt-get printed.

    Raises:
        RuntimeError: it failed; with all that it printed.
    """
    command = ["apt-get", *arguments]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _forbid_daemons(policy: str) -> bool:
    """Make the file that keeps packages from starting services; False when the machine has one already."""
    try:
        handle = os.open(policy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as script:
        script.write("#!/bin/sh\nexit 101\n")
    return True


if __name__ == "__main__":
    install()
