"""Why an array task waits, in words: limits of used time, which Slurm names in one word of its own.

AssocGrpGRESMinutes and its like. The limit and what of it is used are asked for where Slurm shows them.
"""

import re
from collections.abc import Callable, Iterable

from hpc_qa.errors import SlurmError
from hpc_qa.slurm.limits import SiteLimit, site_limit

REASON = re.compile(
    r"(?P<whose>Assoc|QOS)(?P<kind>Grp|Max)(?P<tres>[A-Z][A-Za-z]*?)(?P<run>Run)?Minutes(?P<per>PerJob|PerUser|PA|PU)?"
    r"(?:Limit)?"
)
_TRES = {"GRES": "GPU", "CPU": "CPU", "Mem": "memory", "Node": "node", "Billing": "billing", "Lic": "licence"}
Ask = Callable[[str | None], SiteLimit | None]


def explain(details: Iterable[str | None], account: str | None, ask: Ask = site_limit) -> list[str]:
    """A line or more for each limit of used time for which array tasks wait; `details` are Slurm's reasons.

    Slurm is asked once, and only when such a reason is among them.
    """
    lines = []
    for reason in sorted({detail for detail in details if detail}):
        if found := REASON.fullmatch(reason):
            lines += [f"{reason}: {_meaning(found)}", *_figures(found, account, ask), _advice(found)]
    return lines


def _meaning(found: re.Match[str]) -> str:
    minutes = f"{_TRES.get(found['tres'], found['tres'])} minutes"
    whose = "the account or the user" if found["whose"] == "Assoc" else "the QOS"
    if found["run"]:
        return f"running jobs of {whose} have reserved as many {minutes} as may be reserved at once"
    if found["kind"] == "Max":
        return f"one array task may not take so many {minutes}, by a limit of {whose}"
    return f"{minutes} times the time limit of an array task are more than {whose} has left"


def _figures(found: re.Match[str], account: str | None, ask: Ask) -> list[str]:
    if found["whose"] == "QOS":
        return ["its limit and usage: `scontrol show assoc_mgr flags=qos`"]
    if found["tres"] != "GRES" or found["kind"] == "Max":
        return ["limit and usage: `scontrol show assoc_mgr flags=assoc accounts=ACCOUNT`"]
    try:
        limit = ask(account)
    except SlurmError as error:
        return [f"limit and usage cannot be read: {error}"]
    return [limit.describe()] if limit else []


def _advice(found: re.Match[str]) -> str:
    if found["run"]:
        return "nothing to do: they start as running jobs come nearer to their ends; a shorter slurm.time reserves less"
    shorter = "a shorter slurm.time or fewer GPUs per array task may fit (hpc-qa cancel, then submit)"
    if found["kind"] == "Max":
        return shorter
    return f"they wait until the limit is raised, which the site does: ask for an extension; or {shorter}"
