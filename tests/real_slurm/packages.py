"""The Debian packages that a real Slurm cluster needs: there already, or installed when we may.

Nothing of /etc/slurm, /etc/munge or /var/lib is used; the programs alone are wanted.
"""

import os
import shutil
import subprocess
import sys

PACKAGES = ("slurm-wlm", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server", "munge")
PROGRAMS = ("sbatch", "srun", "scontrol", "sacct", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged")
SEARCH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def missing() -> list[str]:
    """The programs that are not there."""
    return [name for name in PROGRAMS if not shutil.which(name, path=SEARCH)]


def install() -> None:
    """Install what is missing.

    Raises:
        RuntimeError: we are not root, or apt-get failed; says what to install.
    """
    absent = missing()
    if not absent:
        return
    wanted = f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"no {', '.join(absent)} on this machine, and only root can install them: {wanted}")
    sys.stderr.write(f"installing Slurm for the tests: {wanted}\n")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # no daemon of the packages is to start: the tests start their own
    policy = "/usr/sbin/policy-rc.d"
    made = _forbid_daemons(policy)
    try:
        for command in (
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(
                    f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}"
                )
    finally:
        if made:
            os.unlink(policy)


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
