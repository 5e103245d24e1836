"""What accounting says of one allocation, typed: an attempt at a job, as its own row under `sacct -D`.

Values are read at the edge and not guessed: what is blank, unknown or unreadable is None with a reason, never a zero.
Step rows (`9.batch`, `9.0`) give the CPU time and memory that the row of the allocation lacks.
"""

import functools
import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hpc_qa.slurm.accounting import LIVING
from hpc_qa.slurm.sacct_text import Row

UNKNOWN = frozenset({"", "Unknown", "None", "N/A", "n/a", "INVALID", "Partition_Limit", "18446744073709551614"})
NOT_SET = frozenset({2**32 - 2, 2**32 - 1})  # NO_VAL and INFINITE of Slurm, where somebody printed them as numbers
MOST_DIGITS = 15
LATEST_S = 253_402_300_799  # the last second of the year 9999
MOST_BYTES = 2**62
SUFFIXES = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
GPUS_NOT_ACCOUNTED = "gpus_not_accounted"  # AccountingStorageTRES lacks gres/gpu
STEP_TOTAL = "step_total"  # the largest of the job steps, each summed over its tasks
TASK_MAX = "task_max"  # the largest task of any step

_DECIMAL = re.compile(r"\d{1,18}(\.\d{1,9})?", re.ASCII)
_SIZE = re.compile(r"(\d{1,15}(?:\.\d+)?)([KMGTPE]?)[nc]?", re.ASCII)
_CLOCK = re.compile(r"(?:(\d{1,7})-)?(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9}(?:\.\d+)?)", re.ASCII)
_EXIT = re.compile(r"(\d{1,9}):(\d{1,9})", re.ASCII)
_ID = re.compile(
    r"(?P<job>\d{1,15})(?:_(?P<task>\d{1,15})|_(?P<range>\[.*)|\+(?P<component>\d{1,9}))?(?:\.(?P<step>.+))?", re.ASCII
)


@dataclass(slots=True)
class Allocation:
    """One attempt, with what it held."""

    job_id: str  # sacct's text: 9, 9_1, 12+0, 31_[0-5]
    job_id_raw: int | None
    attempt_id: str  # SLUID, else JobIDRaw:submit epoch; unique
    state: str  # the first word
    state_detail: str | None = None  # the rest: "by 1000"
    cluster: str | None = None
    array_job_id: int | None = None
    array_task_id: int | None = None
    component: int | None = None  # of a heterogeneous job
    restarts: int | None = None
    job_name: str | None = None
    user: str | None = None
    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    node_list: str | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    submit_s: int | None = None  # epoch
    eligible_s: int | None = None
    start_s: int | None = None
    end_s: int | None = None
    elapsed_s: int | None = None
    suspended_s: int | None = None
    timelimit_s: int | None = None
    nodes: int | None = None
    cpus: int | None = None
    gpu_count: int | None = None
    gpu_type: str | None = None
    gpus_asked: int | None = None  # where accounting does not say what was given
    memory_bytes: int | None = None
    billing: float | None = None
    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    mem_basis: str | None = None
    data_quality: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)  # its row and those of its steps, as they were printed

    @property
    def gpu_hours_allocated(self) -> float | None:
        """GPUs times elapsed; 0 when it never started, None when it is not known what it held."""
        if self.elapsed_s == 0:
            return 0.0
        if self.gpu_count is None or self.elapsed_s is None:
            return None
        return self.gpu_count * self.elapsed_s / 3600

    @property
    def cpu_efficiency(self) -> float | None:
        """CPU time over CPUs times elapsed, 0 to 1."""
        if self.cpu_s is None or not self.cpus or not self.elapsed_s:
            return None
        return self.cpu_s / (self.cpus * self.elapsed_s)

    @property
    def memory_efficiency(self) -> float | None:
        """Peak over allocated memory, 0 to 1."""
        if self.memory_peak_bytes is None or not self.memory_bytes:
            return None
        return self.memory_peak_bytes / self.memory_bytes

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.end_s is not None or (self.state not in LIVING and self.state != "UNKNOWN")

    @property
    def started(self) -> bool | None:
        """Whether it held anything; None when that is not known."""
        if self.elapsed_s is None:
            return None
        return self.elapsed_s > 0 or (self.start_s is not None and self.state != "PENDING")


def allocations(rows: Iterable[Row]) -> list[Allocation]:
    """One per allocation row, in their order; step rows are counted to the one they follow."""
    found: dict[str, Allocation] = {}  # by attempt_id
    latest: dict[object, _Usage | None] = {}  # by job, that of its allocation which came last
    usages: list[_Usage] = []
    seen: set[str] = set()
    for row in rows:
        ids = _ids(row.fields)
        if ids.step is not None and row.readable:
            if usage := latest.get(ids.key):  # else its allocation was not captured: it accounts for nothing by itself
                usage.add_step(row)
            continue
        one = _unreadable(row, ids) if not row.readable else _allocation(row.fields, ids)
        one.raw.append(row.text)
        if row.text in seen:
            latest[ids.key] = None
            continue  # texts that were captured one after the other
        seen.add(row.text)
        if one.attempt_id in found and one.submit_s is not None:
            one.data_quality.append("double")
        while one.attempt_id in found:
            one.attempt_id = f"{one.attempt_id}+"
        found[one.attempt_id] = one
        usages.append(_Usage(one, row.fields))
        latest[ids.key] = usages[-1]
    for usage in usages:
        usage.settle()
    return list(found.values())


class _Usage:
    """CPU time and memory of an allocation, summed up and compared as its steps are read."""

    def __init__(self, allocation: Allocation, fields: Mapping[str, str]) -> None:
        self._allocation = allocation
        self._cpu_s = allocation.cpu_s
        self._steps_cpu_s: float | None = None
        self._peaks: dict[str, int] = {}
        self._steps = 0
        self._look(fields)

    def add_step(self, row: Row) -> None:
        self._allocation.raw.append(row.text)
        self._steps += 1
        if (seconds := _cpu_time(row.fields.get("TotalCPU", ""))) is not None:
            self._steps_cpu_s = (self._steps_cpu_s or 0.0) + seconds
        self._look(row.fields)

    def settle(self) -> None:
        """Write it down; CPU time comes from the steps where the row of the allocation has none."""
        one = self._allocation
        one.cpu_s = self._steps_cpu_s if self._cpu_s is None else self._cpu_s
        if not one.ended and not one.cpu_s:
            one.cpu_s = None  # counted when a step ends
        one.mem_basis = next((basis for basis in (STEP_TOTAL, TASK_MAX) if basis in self._peaks), None)
        one.memory_peak_bytes = self._peaks[one.mem_basis] if one.mem_basis else None
        if one.ended and one.elapsed_s and self._nobody_reported():
            self._take_zeros_back()

    def _nobody_reported(self) -> bool:
        """Whether a zero cannot be a measurement: the node was lost, or no step that is here has told anything."""
        silent = not self._steps_cpu_s and not any(self._peaks.values())
        return self._allocation.state == "NODE_FAIL" or (self._steps > 0 and silent and not self._cpu_s)

    def _take_zeros_back(self) -> None:
        one = self._allocation
        if one.cpu_s == 0:
            one.cpu_s = None
            one.data_quality.append("no_cpu_time")
        if one.memory_peak_bytes == 0:
            one.memory_peak_bytes = one.mem_basis = None
            one.data_quality.append("no_memory_peak")

    def _look(self, fields: Mapping[str, str]) -> None:
        sizes = {STEP_TOTAL: _tres(fields.get("TRESUsageInTot", "")).get("mem", ""), TASK_MAX: fields.get("MaxRSS", "")}
        for basis, text in sizes.items():
            if (size := to_bytes(text)) is not None:
                self._peaks[basis] = max(size, self._peaks.get(basis, 0))


@dataclass(frozen=True, slots=True)
class _Ids:
    text: str
    raw: int | None
    array_job: int | None
    array_task: int | None
    component: int | None
    step: str | None

    @property
    def key(self) -> object:
        """The same for an allocation and its steps."""
        return self.text if self.raw is None else self.raw


def _ids(fields: Mapping[str, str]) -> _Ids:
    text, raw = fields.get("JobID", "").strip(), fields.get("JobIDRaw", "").strip()
    shown = _ID.fullmatch(text)
    number = _ID.fullmatch(raw)
    array = shown is not None and (shown["task"] is not None or shown["range"] is not None)
    component = int(shown["component"]) if shown and shown["component"] else None
    if number is not None:
        job: int | None = int(number["job"])
    else:  # array tasks have numbers of their own, which the text does not tell
        job = int(shown["job"]) + (component or 0) if shown and not array else None
    step = (number and number["step"]) or (shown and shown["step"])
    return _Ids(
        text=text.partition(".")[0] or raw.partition(".")[0],
        raw=job,
        array_job=int(shown["job"]) if shown and array else None,
        array_task=int(shown["task"]) if shown and shown["task"] else None,
        component=component,
        step=step or None,
    )


def _unreadable(row: Row, ids: _Ids) -> Allocation:
    name = hashlib.sha256(row.text.encode()).hexdigest()[:12]
    return Allocation(
        job_id=ids.text, job_id_raw=ids.raw, attempt_id=f"unreadable:{name}", state="UNKNOWN",
        data_quality=["unreadable"],
    )  # fmt: skip


def _allocation(fields: Mapping[str, str], ids: _Ids) -> Allocation:
    amiss: list[str] = []
    state, _, detail = fields["State"].strip().partition(" ")
    if not state:
        amiss.append("no_state")
    if "\ufffd" in "".join(fields.values()):
        amiss.append("bad_utf8")
    submit_s = _moment(fields, "Submit", amiss)
    elapsed_s = _elapsed(fields, amiss)
    sluid = _known(fields, "SLUID")
    if not sluid and submit_s is None:
        amiss.append("no_submit_time")
    one = Allocation(
        job_id=ids.text,
        job_id_raw=ids.raw,
        attempt_id=sluid or f"{ids.key}:{'unknown' if submit_s is None else submit_s}",
        state=sys.intern(state) or "UNKNOWN",
        state_detail=detail.strip() or None,
        cluster=_known(fields, "Cluster"),
        array_job_id=ids.array_job,
        array_task_id=ids.array_task,
        component=ids.component,
        restarts=_whole(fields, "Restarts"),
        job_name=_known(fields, "JobName"),
        user=_known(fields, "User"),
        account=_known(fields, "Account"),
        partition=_known(fields, "Partition"),
        qos=_known(fields, "QOS"),
        node_list=None if fields.get("NodeList") == "None assigned" else _known(fields, "NodeList"),
        submit_s=submit_s,
        eligible_s=_moment(fields, "Eligible", amiss),
        start_s=_moment(fields, "Start", amiss),
        end_s=_moment(fields, "End", amiss),
        elapsed_s=elapsed_s,
        suspended_s=_clock_of(fields, "Suspended", amiss),
        timelimit_s=_timelimit(fields),
        nodes=_whole(fields, "NNodes") or _whole(fields, "AllocNodes"),
        cpus=_whole(fields, "AllocCPUS") or _whole(fields, "NCPUS"),
        data_quality=amiss,
    )
    one.exit_code, one.exit_signal = _exit(fields)
    _add_tres(one, fields)
    one.cpu_s = _cpu_time(fields.get("TotalCPU", ""))
    return one


def _add_tres(one: Allocation, fields: Mapping[str, str]) -> None:
    """What it held, from AllocTRES: what was asked for is not what was given."""
    text = _known(fields, "AllocTRES")
    if text is None:
        if one.started is not False:
            one.data_quality.append("no_alloc_tres")
        return
    tres = _tres(text)
    one.cpus = one.cpus or _to_int(tres.get("cpu", ""))
    one.memory_bytes = to_bytes(tres.get("mem", ""))
    one.billing = _to_float(tres.get("billing", ""))
    if not any(name.partition(":")[0] == "gres/gpu" for name in tres) and "gres/gpu" in fields.get("ReqTRES", ""):
        one.data_quality.append(GPUS_NOT_ACCOUNTED)
        one.gpus_asked, _ = _gpus(_tres(fields["ReqTRES"]))
        return
    one.gpu_count, one.gpu_type = _gpus(tres)
    if one.gpu_count is None:
        one.data_quality.append("bad_alloc_tres")


def _gpus(tres: Mapping[str, str]) -> tuple[int | None, str | None]:
    """(how many GPUs, of which types): the count without a type where there is one, else the sum over types."""
    typed = {name.partition(":")[2]: count for name, count in tres.items() if name.startswith("gres/gpu:")}
    counts = [tres["gres/gpu"]] if "gres/gpu" in tres else list(typed.values())
    numbers = [_count(count) for count in counts]
    total = None if None in numbers else sum(number or 0 for number in numbers)
    return total, ",".join(sorted(typed)) or None


@functools.lru_cache(4096)  # a cluster gives out few different ones
def _tres(text: str) -> dict[str, str]:
    """Trackable resources by name.

    >>> _tres("cpu=2,gres/gpu:a100=2,mem=500M")
    {'cpu': '2', 'gres/gpu:a100': '2', 'mem': '500M'}
    """
    pairs = (part.rpartition("=") for part in text.split(",") if "=" in part)
    return {name.strip(): value.strip() for name, _, value in pairs}


@functools.lru_cache(4096)
def to_bytes(text: str) -> int | None:
    """A size as Slurm prints it, with suffixes of 1024.

    >>> to_bytes("500M"), to_bytes("2.5K"), to_bytes("123"), to_bytes("")
    (524288000, 2560, 123, None)
    """
    match = _SIZE.fullmatch(text.strip())
    size = round(float(match[1]) * 1024 ** SUFFIXES[match[2]]) if match else None
    return size if size is not None and size <= MOST_BYTES else None


def _known(fields: Mapping[str, str], name: str) -> str | None:
    text = fields.get(name, "").strip()
    return None if text in UNKNOWN else sys.intern(text)  # a hundred thousand rows have few different ones


def _whole(fields: Mapping[str, str], name: str) -> int | None:
    return _count(fields.get(name, ""))


def _count(text: str) -> int | None:
    number = _to_int(text)
    return None if number in NOT_SET else number


def _to_int(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def _to_float(text: str) -> float | None:
    return float(text) if _DECIMAL.fullmatch(text) else None


def _moment(fields: Mapping[str, str], name: str, amiss: list[str]) -> int | None:
    """Seconds since 1970 of epoch seconds or ISO 8601, which is UTC when it names no zone."""
    text = _known(fields, name)
    if text is None:
        return None
    seconds = _to_int(text)
    if seconds is None:
        try:
            moment = datetime.fromisoformat(text)
            seconds = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            seconds = LATEST_S + 1
    if not 0 <= seconds <= LATEST_S:
        amiss.append(f"bad_{name.lower()}")
        return None
    return seconds or None


def _elapsed(fields: Mapping[str, str], amiss: list[str]) -> int | None:
    seconds = _whole(fields, "ElapsedRaw")
    if seconds is None:
        seconds = _clock_of(fields, "Elapsed", amiss)
    if seconds is None:
        amiss.append("no_elapsed")
    return seconds


def _clock_of(fields: Mapping[str, str], name: str, amiss: list[str]) -> int | None:
    text = _known(fields, name)
    if text is None:
        return None
    if (seconds := _cpu_time(text)) is None:
        amiss.append(f"bad_{name.lower()}")
        return None
    return round(seconds)


def _timelimit(fields: Mapping[str, str]) -> int | None:
    minutes = _whole(fields, "TimelimitRaw")
    if minutes is not None:
        return 60 * minutes
    seconds = _cpu_time(fields.get("Timelimit", ""))
    return None if seconds is None else round(seconds)


def _cpu_time(text: str) -> float | None:
    """Seconds of a time that leaves out leading fields which are zero.

    >>> _cpu_time("09:28.052"), _cpu_time("1-02:03:04"), _cpu_time("")
    (568.052, 93784.0, None)
    """
    match = _CLOCK.fullmatch(text.strip())
    if not match:
        return None
    days, hours, minutes, seconds = match.groups()
    return int(days or 0) * 86400 + int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def _exit(fields: Mapping[str, str]) -> tuple[int | None, int | None]:
    match = _EXIT.fullmatch(fields.get("ExitCode", "").strip())
    return (int(match[1]), int(match[2])) if match else (None, None)
