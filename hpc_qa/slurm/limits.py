"""The site's own limit of GPU time: GrpTRESMins of an account, and what of it is used.

`scontrol show assoc_mgr` is asked first; where it hides associations (PrivateData) or refuses, `sshare`. Text in, one
`SiteLimit` out. Both lag by up to PriorityCalcPeriod. Limits of a QOS are not here: which one counts differs by job.
"""

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.programs import Run, run_program

GPU = re.compile(r"gres/gpu(:[^,=]+)?")
_TRES = re.compile(r"([^,=]+)=(N|\d+)\((\d+)(?:\.\d+)?\)")
SSHARE = ("Account", "User", "GrpTRESMins", "GrpTRESRaw", "TRESRunMins")
DEEPEST = 8  # accounts above each other that are looked at


@dataclass(frozen=True, slots=True)
class SiteLimit:
    """GPU minutes that an account may use, by the association that has the fewest left."""

    account: str
    user: str | None  # the limit of one user in it; None: of the account
    tres: str  # gres/gpu, or gres/gpu:a100 where that type alone is limited
    limit_minutes: int
    used_minutes: int
    reserved_minutes: int  # of running jobs, up to their time limits
    half_life: str | None  # usage counts half after it (PriorityDecayHalfLife); None: it is never forgotten
    reset: str | None  # when usage is set to zero (PriorityUsageResetPeriod); None: never
    waits: bool  # what does not fit is not started (enforced as `safe`); else running jobs are ended at the limit

    @property
    def left_minutes(self) -> int:
        """Neither used nor reserved; below zero where jobs have gone past the limit."""
        return self.limit_minutes - self.used_minutes - self.reserved_minutes

    def to_json(self) -> dict[str, Any]:
        """For `--json`: everything in minutes as Slurm counts, and in GPU-hours."""
        hours = {
            f"{name}_gpu_hours": getattr(self, f"{name}_minutes") / 60 for name in ("limit", "used", "reserved", "left")
        }
        return asdict(self) | {"left_minutes": self.left_minutes} | hours

    def describe(self) -> str:
        """One line for people."""
        whose = f"account {self.account}" + (f", user {self.user}" if self.user else "")
        used, limit, reserved = (n / 60 for n in (self.used_minutes, self.limit_minutes, self.reserved_minutes))
        line = f"{whose}: {used:,.2f} of {limit:,.2f} GPU-hours used, {reserved:,.2f} reserved by running jobs"
        if self.tres != "gres/gpu":
            line += f" ({self.tres})"
        if self.half_life:
            line += f"; usage is forgotten by half every {self.half_life}, so that this is less than what was held"
        return line + (f"; it is set to zero {self.reset}" if self.reset else "")


@dataclass(slots=True)
class Association:
    """One association: of an account, or of a user in it."""

    account: str
    user: str | None
    parent: str | None = None
    limits: dict[str, int] = field(default_factory=dict)  # minutes by TRES; one without a limit is absent
    used: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)


def site_limit(account: str | None, run: Run = run_program) -> SiteLimit | None:
    """The GPU minutes that Slurm allows this account and us in it; None where it sets no limit.

    Limits of the accounts above it count as well, as far as Slurm shows them. Without an account it is our default one.

    Raises:
        SlurmError: Slurm refuses, does not answer, or knows no such account.
    """
    me = pwd.getpwuid(os.geteuid()).pw_name
    found = _associations(account or _default_account(me, run), run)
    limits = [
        (limit - one.used.get(tres, 0), one, tres)
        for one in found
        if one.user in (None, me)
        for tres, limit in one.limits.items()
        if GPU.fullmatch(tres)
    ]
    if not limits:
        return None
    _, one, tres = min(limits, key=lambda found: found[0])
    settings = parse_settings(run(["scontrol", "show", "config"]))
    half_life, reset = settings.get("PriorityDecayHalfLife"), settings.get("PriorityUsageResetPeriod")
    return SiteLimit(
        account=one.account,
        user=one.user,
        tres=tres,
        limit_minutes=one.limits[tres],
        used_minutes=one.used.get(tres, 0),
        reserved_minutes=one.reserved.get(tres, 0),
        half_life=half_life if half_life and re.search("[1-9]", half_life) else None,
        reset=reset.lower() if reset and reset != "NONE" else None,
        waits="safe" in settings.get("AccountingStorageEnforce", "").split(","),
    )


def _default_account(user: str, run: Run) -> str:
    said = run(["sacctmgr", "-n", "-P", "show", "user", user, "format=DefaultAccount"]).split()
    if not said:
        raise SlurmError(f"accounting knows no default account of {user}", hint="name yours as slurm.account")
    return said[0]


def _associations(account: str, run: Run) -> list[Association]:
    """Those of an account, and of the accounts above it."""
    found: list[Association] = []
    above: str | None = account
    while above and len({one.account for one in found}) < DEEPEST:
        try:
            text = run(["scontrol", "show", "assoc_mgr", "flags=assoc", f"accounts={above}"])
        except SlurmError:
            break
        here = [one for one in parse_assoc_mgr(text) if one.account == above]
        found += here
        above = next((one.parent for one in here if one.user is None), None)
    if found:
        return found
    columns = ",".join(SSHARE)
    found = [one for one in parse_sshare(run(["sshare", "-a", "-n", "-P", "-A", account, "-o", columns]))
             if one.account == account]  # fmt: skip
    if not found:
        raise SlurmError(
            f"Slurm shows nothing of an account {account}",
            hint="slurm.account: `sacctmgr show associations user=$USER format=account,partition,qos` lists yours",
        )
    return found


def parse_assoc_mgr(text: str) -> list[Association]:
    """The associations in what `scontrol show assoc_mgr flags=assoc` prints."""
    found: list[Association] = []
    for line in text.splitlines():
        words = line.split()
        fields = dict(word.partition("=")[::2] for word in words)
        if line.startswith("ClusterName="):
            found.append(Association(fields.get("Account", ""), _without_id(fields.get("UserName", ""))))
        elif found and "ParentAccount" in fields:
            found[-1].parent = _without_id(fields["ParentAccount"])
        elif found and words and words[0].startswith("GrpTRESMins="):
            minutes = list(_tres_of(line))
            found[-1].limits = {tres: int(limit) for tres, limit, _ in minutes if limit != "N"}
            found[-1].used = {tres: used for tres, _, used in minutes}
        elif found and words and words[0].startswith("GrpTRESRunMins="):
            found[-1].reserved = {tres: used for tres, _, used in _tres_of(line)}
    return found


def _tres_of(line: str) -> Iterator[tuple[str, str, int]]:
    """(TRES, its limit or N, used) of a line such as `GrpTRESMins=cpu=N(3),gres/gpu=60(4)`."""
    for tres, limit, used in _TRES.findall(line.partition("=")[2]):
        yield tres, limit, int(used)


def _without_id(text: str) -> str | None:
    """The name in `root(0)`; None for no name.

    >>> _without_id("root(0)"), _without_id("")
    ('root', None)
    """
    return text.partition("(")[0] or None


def parse_sshare(text: str) -> list[Association]:
    """The associations in what `sshare -n -P` prints of the columns in `SSHARE`."""
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == len(SSHARE):
            account, user, *minutes = fields
            limits, used, reserved = (_minutes_of(one) for one in minutes)
            found.append(Association(account, user or None, None, limits, used, reserved))
    return found


def _minutes_of(text: str) -> dict[str, int]:
    return {tres: int(minutes) for tres, minutes in re.findall(r"([^,=]+)=(\d+)", text)}


def parse_settings(text: str) -> Mapping[str, str]:
    """What `scontrol show config` prints, by name."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}
