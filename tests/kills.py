"""Kill a run at a chosen moment, look at what is left, resume it, and compare with a run that nobody disturbed.

A `Chain` is one made project with an echo server and a temporary folder of its own. It is struck some times at seeded
moments and then allowed to finish. Everything that a test wants to say about it is in its `Strike`s and `Outcome`; the
harness itself fails when something is left behind, when a record is lost or when the result differs.
"""

import ctypes
import json
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from hpc_qa.campaign.attempts import live_process, read_view
from hpc_qa.store.run_directory import RunDirectory, list_runs
from hpc_qa.worker.stages import ORDER
from tests.projects import echo_process, keys, make_project, records, requests_seen, states

MOMENTS = ("conversion", "start", "warm_up", "generation", "flush", "commit", "teardown")
# Every moment in turn, the two late ones half as often: what they strike is mostly done by then. Its length is odd, so
# that each moment meets the worker as often as the other targets.
DECK = (*MOMENTS, *MOMENTS[:5], "generation")
TARGETS = ("worker", "parent", "worker and guards", "group", "everything")
GONE_WITHIN_S = 10.0
FLUSH_RECORDS = 64  # or 2 s, whichever comes first
LIMIT = 4
DOCUMENTS = 16
RULES = 12
FSYNC, FDATASYNC = 74, 75
IN_MODIFY, IN_CREATE, IN_MOVED_TO = 0x2, 0x100, 0x80
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Strike:
    """One kill: what was wanted, and where it really struck."""

    moment: str
    target: str
    stage: str = ""  # what the files say that was going on
    call: str = ""  # the system call that the worker was in, when it could be seen
    killed: int = 0
    records: int = 0  # whole on disk
    documents_left: int = 0
    committed: bool = False
    unfinished: bool = False
    gone_s: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What a chain came to."""

    seed: int
    strikes: list[Strike] = field(default_factory=list)
    requests: int = 0  # that the server saw beyond those of an undisturbed run
    recomputed: int = 0  # records, as verify reports them
    asked: int = 0  # at most so many requests beyond
    runs: int = 0  # that were completed


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a run comes to that nobody kills."""

    keys: frozenset[str]
    states: dict[str, tuple[str, str | None]]
    rows: list[str]
    requests: int
    stages: dict[str, float]
    requests_per_document: int


class Chain:
    """One project that is struck and resumed until it is complete."""

    def __init__(self, folder: Path, *, model: Path, socket: Path, tmp: Path, documents: int = DOCUMENTS) -> None:
        self.tmp = tmp
        self.socket = socket
        self.environment = {"TMPDIR": str(tmp)}
        self.done: set[str] = set()  # runs that were completed and compared
        self.project = make_project(
            folder, model=model, socket=socket, key="echo-key", documents=documents, rules_each=RULES, limit=LIMIT
        )

    @property
    def run(self) -> RunDirectory | None:
        """The run that is worked on now; a submission that was killed early has not made one."""
        runs = [run for run in list_runs(self.project) if run.run_id not in self.done]
        return runs[-1] if runs else None

    @property
    def found(self) -> RunDirectory:
        run = self.run
        assert run is not None
        return run

    @property
    def complete(self) -> bool:
        run = self.run
        return run is not None and run.shard(0).commit.exists()

    @property
    def shard(self) -> Path:
        return self.found.shard(0).path

    def program(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "hpc_qa", "--project", str(self.project), *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The program in a session of its own, as a job step is, with our temporary folder."""
        log = (self.project / "calls.log").open("ab")
        with log:
            return subprocess.Popen(
                self.program(*arguments), stdout=log, stderr=log, start_new_session=True, cwd=self.project,
                env=os.environ | self.environment,
            )  # fmt: skip

    def call(self, *arguments: str, timeout_s: float = 600.0) -> int:
        return self.start(*arguments).wait(timeout_s)

    def said(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON of a command."""
        done = subprocess.run(
            self.program(*arguments, "--json"), capture_output=True, text=True, check=False, cwd=self.project,
            env=os.environ | self.environment,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)


# -- what belongs to a chain


def ours(chain: Chain) -> dict[tuple[int, float], psutil.Process]:
    """Processes of a chain: working in its folders, naming them, or carrying its temporary folder."""
    needles = (str(chain.project), str(chain.tmp))
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = [process.cwd(), *process.cmdline(), process.environ().get("TMPDIR", "")]
            named = any(word == needle or word.startswith(f"{needle}/") for word in words for needle in needles)
            if named and "echo_server.py" not in " ".join(words):
                found[process.pid, process.create_time()] = process
    return found


def family(chain: Chain) -> dict[tuple[int, float], psutil.Process]:
    """Those, and everything below them."""
    found = ours(chain)
    for process in list(found.values()):
        with suppress(psutil.Error):
            found |= {(one.pid, one.create_time()): one for one in process.children(recursive=True)}
    return found


def shared_memory(processes: Sequence[psutil.Process]) -> set[Path]:
    """Names in /dev/shm that these processes have mapped or open."""
    names = set()
    for process in processes:
        with suppress(psutil.Error, OSError):
            for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines():
                if "/dev/shm/" in line and not line.endswith("(deleted)"):
                    names.add(Path(line[line.index("/dev/shm/") :]))
    return names


def sockets_in(folder: Path) -> set[str]:
    """Bound UNIX sockets below a folder, as the kernel knows them."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return {line.split()[-1] for line in lines if f" {folder}/" in line}


def left_of(chain: Chain, known: dict[tuple[int, float], psutil.Process], shm: set[Path]) -> list[str]:
    """What is left of a chain's processes, sockets, shared memory and temporary folders."""
    living = [one for one in (known | ours(chain)).values() if _runs(one)]
    left = [f"process {one.pid}: {_words(one)}" for one in living]
    left += [f"socket {name}" for name in sorted(sockets_in(chain.tmp))]
    left += [f"shared memory {path}" for path in sorted(shm) if path.exists()]
    return left + [f"folder {path}" for path in sorted(chain.tmp.glob("*"))]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _words(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())[:400]
    return "?"


# -- when to strike


@contextmanager
def watched(folder: Path, mask: int) -> Iterator[int]:
    """An inotify descriptor for one folder."""
    descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    assert descriptor >= 0
    try:
        assert _libc.inotify_add_watch(descriptor, os.fsencode(folder), mask) >= 0
        yield descriptor
    finally:
        os.close(descriptor)


def names_of(descriptor: int, timeout_s: float) -> list[str]:
    """Names in the events that come within so long."""
    if not select.select([descriptor], [], [], timeout_s)[0]:
        return []
    data, names, offset = os.read(descriptor, 65536), [], 0
    while offset < len(data):
        length = struct.unpack_from("iIII", data, offset)[3]
        names.append(data[offset + 16 : offset + 16 + length].rstrip(b"\0").decode())
        offset += 16 + length
    return names


def wait_for_names(folder: Path, mask: int, prefix: str, count: int, over: Callable[[], bool]) -> bool:
    """Wait until so many events name a file that begins like this; False when it is over before."""
    with watched(folder, mask) as descriptor:
        while count > 0:
            hits = [name for name in names_of(descriptor, 0.2) if name.startswith(prefix)]
            count -= len(hits)
            if not hits and over():
                return False
    return True


class Trigger:
    """Waits for a moment of one attempt. `over` ends the waiting: the attempt has ended before."""

    def __init__(self, chain: Chain, draw: random.Random, stages: dict[str, float], before: set[str]) -> None:
        self._chain = chain
        self._draw = draw
        self._stages = stages
        self._before = before
        self._found: Path | None = None

    def wait(self, moment: str, over: Callable[[], bool]) -> None:
        getattr(self, f"_{moment}")(over)

    def attempt(self) -> Path | None:
        if self._found is None:
            self._found = self._look_for_attempt()
        return self._found

    def _look_for_attempt(self) -> Path | None:
        run = self._chain.run
        if run is None:
            return None
        new = [one.path for one in run.shard(0).attempts() if one.name not in self._before]
        return new[-1] if new else None

    def _until(self, condition: Callable[[], Any], over: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 300.0
        while not condition() and not over():
            assert time.monotonic() < deadline, f"the moment did not come: {self._chain.project}"
            time.sleep(0.01)

    def _ended(self, stage: str) -> bool:
        attempt = self.attempt()
        return attempt is not None and any(line["stage"] == stage for line in stage_lines(attempt))

    def _sleep(self, seconds: float, over: Callable[[], bool]) -> None:
        until = time.monotonic() + self._draw.uniform(0.0, seconds)
        while time.monotonic() < until and not over():
            time.sleep(0.002)

    def _conversion(self, over: Callable[[], bool]) -> None:
        wanted = self._draw.randrange(0, DOCUMENTS)
        cache = self._chain.project / "cache" / "documents"
        # by shelf: what is staged beside them comes and goes while one looks
        self._until(lambda: len(list(cache.glob("[0-9a-f][0-9a-f]/*/*/facts.json"))) >= wanted and cache.exists(), over)
        self._sleep(0.05, over)

    def _launch(self, over: Callable[[], bool]) -> None:
        self._until(lambda: self._chain.run and self._chain.run.list_submissions(), over)

    def _start(self, over: Callable[[], bool]) -> None:
        if self._draw.random() < 0.3:  # before the worker has said who it is
            self._launch(over)
            self._sleep(1.5, over)
            return
        self._until(lambda: (found := self.attempt()) and (found / "attempt.json").exists(), over)
        self._sleep(self._stages["setup"] + 0.9 * self._stages["model_load"], over)

    def _warm_up(self, over: Callable[[], bool]) -> None:
        self._until(lambda: self._ended("model_load"), over)
        self._sleep(0.9 * self._stages["warm_up"], over)

    def _generation(self, over: Callable[[], bool]) -> None:
        self._until(lambda: self._ended("warm_up"), over)
        self._sleep(0.9 * self._stages["serving"], over)

    def _flush(self, over: Callable[[], bool]) -> None:
        self._until(lambda: self._ended("model_load"), over)
        attempt = self.attempt()
        if attempt is not None:
            wait_for_names(attempt, IN_MODIFY, "seg-", self._draw.randint(1, 3), over)

    def _commit(self, over: Callable[[], bool]) -> None:
        # the temporary file appears, is written and synced, and is then linked to its name
        mask, prefix = self._draw.choice([(IN_CREATE, ".COMMIT"), (IN_MODIFY, ".COMMIT"), (IN_CREATE, "COMMIT.json")])
        self._until(self.attempt, over)
        if self.attempt() is not None:
            wait_for_names(self._chain.shard, mask, prefix, 1, over)

    def _teardown(self, over: Callable[[], bool]) -> None:
        self._until(lambda: (found := self.attempt()) and (found / "summary.json").exists(), over)
        self._sleep(0.9 * self._stages["teardown"], over)


def stage_lines(attempt: Path) -> list[dict[str, Any]]:
    """The stages of an attempt that have ended; a torn last line is none."""
    with suppress(OSError):
        return [json.loads(line) for line in (attempt / "stages.jsonl").read_text().splitlines() if line.endswith("}")]
    return []


def stage_of(chain: Chain, attempt: Path | None) -> str:
    """What was going on, from what lies on disk."""
    run = chain.run
    if run is None:
        folders = {path.name for path in (chain.project / "runs").glob("*")} - chain.done
        return (
            "freezing"
            if any(not (chain.project / "runs" / name / "run.json").exists() for name in folders)
            else "conversion"
        )
    if run.shard(0).commit.exists():
        return "after the commit"
    if attempt is None:
        return "launch"
    if list(run.shard(0).path.glob(".COMMIT*")):
        return "commit"
    ended = [line["stage"] for line in stage_lines(attempt)]
    now = ORDER[ORDER.index(ended[-1]) + 1 :][:1] if ended else ["setup"]
    if ended[-1:] == ["serving"]:  # a tail is not in every run
        now = ["teardown" if (attempt / "summary.json").exists() else "tail"]
    return now[0] if now else "commit"


# -- the blow


def blow(chain: Chain, target: str, attempt: Path | None, starter: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Kill with SIGKILL; how many processes, and the system call that the worker was in."""
    pid = read_view(attempt / "attempt.json").get("pid") if attempt else None
    worker = None
    with suppress(psutil.Error):
        worker = psutil.Process(pid) if isinstance(pid, int) else None
    if worker is None:
        return _kill_started(chain, target, starter), ""
    call = _system_call(worker.pid)
    victims = [worker]
    with suppress(psutil.Error):
        if target == "parent":
            victims = [worker.parent() or worker]
        elif target == "worker and guards":
            guards = [one for one in worker.children() if {"keeper.py", "reaper.py"} & _files(one)]
            victims = [worker, *guards]
        elif target == "group":
            os.killpg(os.getpgid(worker.pid), signal.SIGKILL)
    if target == "everything":
        return _kill_all(chain), call
    assert os.getpid() not in {victim.pid for victim in victims}
    for victim in victims:
        with suppress(psutil.Error):
            victim.kill()
    return len(victims), call


def _kill_started(chain: Chain, target: str, starter: subprocess.Popen[bytes]) -> int:
    """No worker has said who it is yet: the program itself, its session, or everything."""
    if target == "worker":
        tasks = [task for run in [chain.run] if run for s in run.list_submissions()[-1:] for task in s["tasks"]]
        living = [live_process(task["pid"], task["process_start_s"]) for task in tasks]
        controllers = [one for one in living if one is not None]
        below = [one for controller in controllers for one in _children(controller.pid)]
        victims = [one for one in below if "hpc_qa.worker" in _words(one)] or below[-1:] or controllers
        for victim in victims:
            with suppress(psutil.Error):
                victim.kill()
        if not victims and starter.poll() is None:
            starter.kill()
        return len(victims)
    return _kill_all(chain)


def _children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def _files(process: psutil.Process) -> set[str]:
    return {Path(word).name for word in process.cmdline()}


def _kill_all(chain: Chain) -> int:
    """As the end of a job step does: everything at once, again and again until nothing is left."""
    killed: set[tuple[int, float]] = set()
    while left := {key: one for key, one in family(chain).items() if _runs(one)}:
        for one in left.values():
            with suppress(psutil.Error):
                one.suspend()
        for one in left.values():
            with suppress(psutil.Error):
                one.kill()
        killed |= left.keys()
        psutil.wait_procs(list(left.values()), timeout=2.0)
    return len(killed)


def _system_call(pid: int) -> str:
    try:
        number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    except OSError:
        return ""
    return {str(FSYNC): "fsync", str(FDATASYNC): "fdatasync"}.get(number, number)


# -- a chain from its first strike to its end


def strike_once(chain: Chain, moment: str, target: str, draw: random.Random, stages: dict[str, float]) -> Strike:
    """Start or resume, strike, and look at what is left."""
    run = chain.run
    before = {one.name for one in run.shard(0).attempts()} if run else set()
    detach = () if moment == "conversion" else ("--detach",)
    what = ("resume", run.run_id) if run else ("submit", str(chain.project / "config.yaml"))
    earlier = {f"folder {path}" for path in chain.tmp.glob("*")}  # of a blow that left nobody to remove it
    starter = chain.start(*what, *detach)
    trigger = Trigger(chain, draw, stages, before)

    looked = time.monotonic()

    def over() -> bool:
        nonlocal looked
        if starter.poll() is None or time.monotonic() - looked < 3.0:  # looking at every process takes a while
            return False
        looked = time.monotonic()
        return not family(chain)

    trigger.wait(moment, over)
    hurried = moment in ("flush", "commit")  # no time to look around before the blow
    known = {} if hurried else family(chain)
    shm = shared_memory(list(known.values()))
    attempt = trigger.attempt()
    if not (hurried or known):
        return _looked_at(chain, Strike(moment, target, stage="after its end"))
    stage = "" if hurried else stage_of(chain, attempt)
    found = Strike(moment, target, stage)
    found.killed, found.call = blow(chain, target, attempt, starter)
    struck = time.monotonic()
    found.stage = stage or stage_of(chain, attempt)
    known |= family(chain)
    while left := set(left_of(chain, known, shm)) - earlier:
        waited = time.monotonic() - struck
        if target == "everything" and all(one.startswith("folder") for one in left):
            break  # nobody is left to remove it: the next task on the node does
        assert waited < GONE_WITHIN_S, (
            f"{moment}, {target}, in {found.stage}: left after {waited:.0f} s: {sorted(left)}"
        )
        time.sleep(0.1)
    found.gone_s = time.monotonic() - struck
    starter.wait(60)
    return _looked_at(chain, found)


def _looked_at(chain: Chain, found: Strike) -> Strike:
    run = chain.run
    if run is None:
        found.unfinished, found.documents_left = True, DOCUMENTS
        return found
    code, proof = chain.said("verify", run.run_id)
    assert code in (0, 3), proof
    found.records = len(records(run))
    found.documents_left = proof["documents"]["left"]
    found.committed = proof["shards_committed"] == proof["shards"]
    found.unfinished = code == 3
    return found


def run_chain(chain: Chain, plan: Sequence[tuple[str, str]], reference: Undisturbed, seed: int) -> Outcome:
    """Strike along the plan, then let it finish and hold it against the undisturbed run."""
    draw = random.Random(seed)
    outcome = Outcome(seed)
    written: set[str] = set()
    for moment, target in plan:
        if chain.complete:  # the last blow came too late to matter: a new run
            _finish(chain, reference, outcome, written)
            chain.done.add(chain.found.run_id)
            written = set()
        strike = strike_once(chain, moment, target, draw, reference.stages)
        outcome.strikes.append(strike)
        if chain.run is not None:
            whole = set(keys(chain.found))
            assert written <= whole, "records that were whole on disk are gone"
            written = whole
    _finish(chain, reference, outcome, written)
    beyond = requests_seen(chain.socket) - outcome.runs * reference.requests
    in_flight = LIMIT * reference.requests_per_document
    outcome.requests = beyond
    outcome.asked = sum(FLUSH_RECORDS + in_flight for strike in outcome.strikes if strike.moment != "conversion")
    assert 0 <= outcome.requests <= outcome.asked, outcome
    return outcome


def _finish(chain: Chain, reference: Undisturbed, outcome: Outcome, written: set[str]) -> None:
    """Let the run complete and hold it against the undisturbed one."""
    run = chain.run
    what = ("resume", run.run_id) if run else ("submit", str(chain.project / "config.yaml"))
    assert chain.call(*what) == 0, (chain.project / "calls.log").read_text()[-2000:]
    left = left_of(chain, {}, set())
    assert left == [], left
    outcome.runs += 1
    _compare(chain, reference, outcome, written)


def _compare(chain: Chain, reference: Undisturbed, outcome: Outcome, written: set[str]) -> None:
    run = chain.found
    code, proof = chain.said("verify", run.run_id)
    assert code == 0, proof
    assert written <= set(keys(run)) == reference.keys
    assert proof["doubles"] == []
    assert states(run) == reference.states
    assert rows_of(chain) == reference.rows
    outcome.recomputed += proof["recomputed"]


def rows_of(chain: Chain) -> list[str]:
    """The published rows, sorted, without what must differ: when, and in which run."""
    run = chain.found
    assert chain.call("collect", run.run_id) == 0
    rows = []
    for line in (run.dataset / "qa.jsonl").read_text().splitlines():
        row = json.loads(line)
        del row["created_at"], row["run_id"]
        rows.append(json.dumps(row, sort_keys=True))
    return sorted(rows)


@contextmanager
def new_chain(folder: Path, model: Path, *, delay_s: float = 0.03) -> Iterator[Chain]:
    """A chain with an echo server and a short temporary folder of its own."""
    tmp = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    try:
        with echo_process(delay_s=delay_s) as socket:
            yield Chain(folder, model=model, socket=socket, tmp=tmp)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def undisturbed(chain: Chain) -> Undisturbed:
    """Let a chain run to its end."""
    assert chain.call("submit", str(chain.project / "config.yaml")) == 0
    run = chain.found
    assert chain.said("verify", run.run_id)[0] == 0
    (attempt,) = run.shard(0).attempts()
    stages = {line["stage"]: line["duration_s"] for line in stage_lines(attempt.path)}
    per_document = Counter(record["doc_id"] for record in records(run) if record["kind"] != "document")
    return Undisturbed(
        frozenset(keys(run)), states(run), rows_of(chain), requests_seen(chain.socket), stages,
        max(per_document.values()),
    )  # fmt: skip


def plans(seed: int, kills: int, *, per_chain: int) -> list[list[tuple[str, str]]]:
    """Kills in chains: the moments of the deck, half of them at the worker, in the order in which they come."""
    draw = random.Random(seed)
    others = [target for target in TARGETS if target != "worker"]
    strikes = [
        (DECK[number % len(DECK)], "worker" if number % 2 == 0 else others[(number // 2) % len(others)])
        for number in range(kills)
    ]
    draw.shuffle(strikes)
    chains = [strikes[start :: -(-kills // per_chain)] for start in range(-(-kills // per_chain))]
    return [sorted(chain, key=lambda strike: MOMENTS.index(strike[0])) for chain in chains]


def run_chains(
    folder: Path, model: Path, reference: Undisturbed, *, seed: int, kills: int, per_chain: int, at_once: int = 2
) -> list[Outcome]:
    """All chains, some at once; raises what the first of them raised."""

    def one(number: int, plan: list[tuple[str, str]]) -> Outcome:
        with new_chain(folder / f"c{number}", model) as chain:
            return run_chain(chain, plan, reference, seed * 1000 + number)

    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(one, n, plan) for n, plan in enumerate(plans(seed, kills, per_chain=per_chain))]
        return [future.result() for future in futures]


def table(outcomes: Sequence[Outcome]) -> str:
    """Where it struck, one line a kill, and what was computed again."""
    lines = [f"{'moment':<11} {'target':<18} {'struck in':<17} {'call':<7} records  left  unfinished  gone after"]
    strikes = [strike for outcome in outcomes for strike in outcome.strikes]
    lines += [
        f"{s.moment:<11} {s.target:<18} {s.stage:<17} {s.call:<7} {s.records:>7} {s.documents_left:>5}  "
        f"{s.unfinished!s:<10} {s.gone_s:>5.1f} s"
        for s in strikes
    ]
    lines.append(f"{len(strikes)} kills, {sum(s.unfinished for s in strikes)} hit unfinished work")
    asked, measured = sum(o.asked for o in outcomes), sum(o.requests for o in outcomes)
    lines.append(f"requests beyond an undisturbed run: at most {asked}, measured {measured}")
    lines.append(f"records that were written again: {sum(o.recomputed for o in outcomes)}")
    return "\n".join(lines)
