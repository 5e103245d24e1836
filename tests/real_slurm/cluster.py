"""A real Slurm cluster on one machine: munge, MariaDB, slurmdbd, slurmctld and some slurmd, all in one folder.

Nothing outside the folder is used or changed; several clusters can live side by side, as root or as an ordinary user.
GPUs are made up: Slurm counts and hands out links to /dev/null, so that everything about `gres/gpu` is real but the
devices.

    with Cluster(Path("/tmp/c")) as cluster:
        cluster.run("sbatch", "--wrap", "true")
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import string
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from tests.real_slurm.packages import SEARCH

TEMPLATES = Path(__file__).parent / "templates"
STARTS_WITHIN_S = 90.0
STOPS_WITHIN_S = 20.0


@dataclass(slots=True)
class Shape:
    """What the cluster looks like; more lines of slurm.conf in `extra`."""

    name: str = "lab"
    nodes: int = 3
    prefix: str = "node"  # unique on the host where cgroups are used
    cpus: int = 8
    memory_mib: int = 16_384
    gpu: str = "a100"
    gpus_per_node: int = 4
    requeue_delay_s: int = 5
    node_timeout_s: int = 10
    kill_wait_s: int = 10
    max_array_size: int = 10_001
    enforce_memory: bool = False  # by cgroups, root only
    extra: tuple[str, ...] = ()


@dataclass(slots=True)
class Cluster:
    """The daemons of one cluster; a context manager that starts and ends them."""

    folder: Path
    shape: Shape = field(default_factory=Shape)
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- for tests

    @property
    def nodes(self) -> list[str]:
        """Names of the nodes."""
        return [f"{self.shape.prefix}{number}" for number in range(1, self.shape.nodes + 1)]

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to reach this cluster."""
        return {"SLURM_CONF": str(self.folder / "etc" / "slurm.conf"), "PATH": SEARCH}

    def run(self, *command: str, check: bool = True) -> str:
        """The standard output of one of Slurm's programs."""
        done = subprocess.run(
            command, env=os.environ | self.environment, stdin=subprocess.DEVNULL, text=True, capture_output=True,
            check=False, timeout=120,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def stop_daemon(self, name: str, number: int = signal.SIGTERM) -> None:
        """End one daemon: slurmctld, slurmdbd, or a node by its name; its jobs live on."""
        process = self.daemons.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill_node(self, node: str) -> None:
        """Kill a node as a power cut does: its slurmd, its job steps and everything that they started."""
        self.stop_daemon(node, signal.SIGKILL)
        for process in self.processes_on(node):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def processes_on(self, node: str) -> list[psutil.Process]:
        """The slurmstepd processes of a node and everything that its jobs started.

        A slurmstepd keeps the log of its node open; what jobs start carries the names of node and cluster.
        """
        log = str(self.folder / "log" / f"slurmd-{node}.log")
        marks = {f"SLURMD_NODENAME={node}".encode(), f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()}
        found = []
        for process in psutil.process_iter():
            place = Path(f"/proc/{process.pid}")
            with contextlib.suppress(OSError, psutil.Error):
                if process.name() == "slurmstepd":
                    if any(os.readlink(handle) == log for handle in (place / "fd").iterdir()):
                        found.append(process)
                elif marks <= set((place / "environ").read_bytes().split(b"\0")):
                    found.append(process)
        return found

    def describe(self) -> str:
        """What a failed test wants to see: nodes, queue, accounting, and the last errors of the controllers."""
        commands = (
            ["sinfo", "-N", "-o", "%N %T %E"],
            ["squeue", "-r", "-o", "%i %j %T %r %M %N"],
            [
                "sacct",
                "-a",
                "-X",
                "-D",
                "-S",
                "now-2hours",
                "-o",
                "JobID,JobName%40,State%20,ExitCode,ElapsedRaw,NodeList",
            ],
        )
        parts = [f"$ {' '.join(command)}\n{self.run(*command, check=False)}" for command in commands]
        for name in ("slurmctld", "slurmdbd"):
            log = self.folder / "log" / f"{name}.log"
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            parts.append("\n".join([f"{log.name}:", *[line for line in lines if "error:" in line][-20:]]))
        return "\n".join(parts)

    # -- start and end

    def _start(self) -> None:
        self._write_configuration()
        self._start_munge()
        self._start_database()
        self.start_accounting()
        me = pwd.getpwuid(os.geteuid()).pw_name
        self.run("sacctmgr", "-i", "add", "account", "lab", "Description=lab", check=False)
        self.run("sacctmgr", "-i", "add", "user", me, "Account=lab", "DefaultAccount=lab", check=False)
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.wait_idle()

    def stop(self) -> None:
        """End everything; the folder stays."""
        if "slurmctld" in self.daemons:
            self.run("scancel", "--user", pwd.getpwuid(os.geteuid()).pw_name, check=False)
        for name in [*self.nodes, "slurmctld", "slurmdbd", "mariadbd", "munged"]:
            if name in self.daemons:
                self.stop_daemon(name)
        for node in self.nodes:
            for process in self.processes_on(node):
                with contextlib.suppress(psutil.Error):
                    process.kill()
        self._remove_cgroups()

    def _spawn(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground, in a session of its own."""
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                env=os.environ | self.environment, start_new_session=True,
            )  # fmt: skip

    def _write_configuration(self) -> None:
        for name in ("etc", "run", "log", "state", "spool", "tmp", "dev", "sql"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for folder in (self.folder, self.folder / "run", self.folder / "etc"):
            folder.chmod(0o755)
        self.ports = free_ports(3 + len(self.nodes))
        values = self._values()
        for name in ("slurm.conf", "slurmdbd.conf", "cgroup.conf"):
            text = string.Template((TEMPLATES / f"{name}.in").read_text()).substitute(values)
            path = self.folder / "etc" / name
            path.write_text(text)
            path.chmod(0o600 if name == "slurmdbd.conf" else 0o644)
        key = self.folder / "etc" / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        self._write_gpus()

    def _values(self) -> Mapping[str, object]:
        shape, host = self.shape, socket.gethostname()
        gpus = f" Gres=gpu:{shape.gpu}:{shape.gpus_per_node}" if shape.gpus_per_node else ""
        node_lines = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={shape.cpus} "
            f"RealMemory={shape.memory_mib}{gpus} State=UNKNOWN"
            for node, port in zip(self.nodes, self.ports[3:], strict=True)
        ]
        for node in self.nodes:
            (self.folder / "spool" / node).mkdir(exist_ok=True)
        return {
            "base": self.folder, "user": pwd.getpwuid(os.geteuid()).pw_name, "host": host, "cluster": shape.name,
            "ctld_port": self.ports[0], "dbd_port": self.ports[1], "sql_port": self.ports[2],
            "sql_password": secrets.token_hex(16), "debug": "info", "requeue_delay": shape.requeue_delay_s,
            "node_timeout": shape.node_timeout_s, "kill_wait": shape.kill_wait_s, "min_job_age": 300,
            "max_jobs": 20_000, "max_array": shape.max_array_size, "half_life": "0", "usage_reset": "NONE",
            "sched_params": "sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0",
            "proctrack": "cgroup" if shape.enforce_memory else "linuxproc",
            "task_plugin": "cgroup" if shape.enforce_memory else "none",
            "constrain_ram": "yes" if shape.enforce_memory else "no",
            "gpu_tres": f",gres/gpu:{shape.gpu}", "node_lines": "\n".join([*node_lines, *shape.extra]),
        }  # fmt: skip

    def _write_gpus(self) -> None:
        lines = []
        for node in self.nodes:
            (self.folder / "dev" / node).mkdir(exist_ok=True)
            for number in range(self.shape.gpus_per_node):
                # slurmd wants a character device; a link to /dev/null is one, and each name counts as a GPU
                (self.folder / "dev" / node / f"nvidia{number}").symlink_to("/dev/null")
            last = self.shape.gpus_per_node - 1
            lines.append(
                f"NodeName={node} Name=gpu Type={self.shape.gpu} File={self.folder}/dev/{node}/nvidia[0-{last}]"
            )
        (self.folder / "etc" / "gres.conf").write_text("\n".join(lines) + "\n" if self.shape.gpus_per_node else "\n")

    def _start_munge(self) -> None:
        place = self.folder
        self._spawn(
            "munged", "munged", "--foreground", "--force", f"--socket={place}/run/munge.socket",
            f"--key-file={place}/etc/munge.key", f"--log-file={place}/log/munged.log",
            f"--pid-file={place}/run/munged.pid", f"--seed-file={place}/run/munged.seed", "--num-threads=4",
        )  # fmt: skip
        wait_for("munged", lambda: self._answers("munge", "-n", "-S", f"{place}/run/munge.socket"))

    def _start_database(self) -> None:
        place, me = self.folder, pwd.getpwuid(os.geteuid()).pw_name
        data = place / "sql" / "data"
        self.run(
            "mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={me}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
        )  # fmt: skip
        self._spawn(
            "mariadbd", "mariadbd", "--no-defaults", f"--datadir={data}", f"--user={me}",
            f"--socket={place}/run/sql.socket", f"--pid-file={place}/run/sql.pid", "--bind-address=127.0.0.1",
            f"--port={self.ports[2]}", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-lock-wait-timeout=900", "--innodb-buffer-pool-size=128M", "--skip-log-bin",
            "--skip-innodb-doublewrite",
        )  # fmt: skip
        client = ["mariadb", "--no-defaults", f"--socket={place}/run/sql.socket", "-uroot", "-e"]
        wait_for("mariadbd", lambda: self._answers(*client, "select 1"))
        password = (place / "etc" / "slurmdbd.conf").read_text().split("StoragePass=")[1].split()[0]
        user = "slurm@'127.0.0.1'"
        self.run(*client, f"create user {user} identified by '{password}'; grant all on slurm_acct.* to {user}")

    def start_accounting(self) -> None:
        """Start slurmdbd, with MariaDB behind it."""
        self._spawn("slurmdbd", "slurmdbd", "-D")
        name = self.shape.name

        def known() -> bool:
            self.run("sacctmgr", "-i", "add", "cluster", name, check=False)
            return name in self.run("sacctmgr", "-n", "list", "cluster", check=False)

        wait_for("slurmdbd", lambda: answers_on(self.ports[1]))
        wait_for("the cluster in the accounts", known)

    def start_controller(self) -> None:
        """Start slurmctld, with the state that an earlier one left."""
        self._spawn("slurmctld", "slurmctld", "-D")
        wait_for("slurmctld", lambda: "is UP" in self.run("scontrol", "ping", check=False))

    def start_node(self, node: str, *enter: str) -> None:
        """Start the slurmd of a node; `enter` are words in front of its command, that lead into a namespace say."""
        self._spawn(node, *enter, "slurmd", "-D", "-N", node)

    def wait_idle(self) -> None:
        """Until every node can take jobs."""

        def ready() -> bool:
            states = self.run("sinfo", "-h", "-N", "-o", "%T", check=False).split()
            return len(states) == len(self.nodes) and set(states) <= {"idle", "mixed", "allocated"}

        wait_for("nodes that are up", ready)

    def _answers(self, *command: str) -> bool:
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, check=False)
        return done.returncode == 0

    def _remove_cgroups(self) -> None:
        """Remove what slurmd leaves below /sys/fs/cgroup."""
        if not self.shape.enforce_memory:
            return
        for node in self.nodes:
            for top in Path("/sys/fs/cgroup").glob(f"*/slurm_{node}"):
                for folder, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        Path(folder).rmdir()


@contextlib.contextmanager
def running_cluster(shape: Shape | None = None) -> Iterator[Cluster]:
    """A cluster in a short folder of its own, which is removed at the end."""
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/hqs-XXXXXX"], text=True).strip())
    try:
        with Cluster(folder, shape or Shape()) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens, outside the range that the kernel hands out by itself."""
    found: list[int] = []
    port = 20_000 + secrets.randbelow(10_000)
    while len(found) < count:
        port += 1
        with contextlib.closing(socket.socket()) as handle:
            try:
                handle.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def answers_on(port: int) -> bool:
    """Whether somebody listens on this port."""
    with contextlib.closing(socket.socket()) as handle:
        handle.settimeout(0.5)
        return handle.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: str, probe: Callable[[], bool], timeout_s: float = STARTS_WITHIN_S, step_s: float = 0.05) -> None:
    """Wait until the probe says yes; fails when it does not."""
    deadline = time.monotonic() + timeout_s
    while not probe():
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up after {timeout_s:.0f} s: {what}")
        time.sleep(step_s)


if __name__ == "__main__":
    # a cluster to try things on; what it prints goes into another shell
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets what it starts in the background ignore INT
        signal.signal(number, signal.default_int_handler)
    with running_cluster() as one, contextlib.suppress(KeyboardInterrupt):
        print(f"export SLURM_CONF={one.environment['SLURM_CONF']} PATH={SEARCH}", flush=True)  # noqa: T201
        signal.pause()
