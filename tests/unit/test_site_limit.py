"""GPU minutes that the site holds: from what Slurm 22.05 printed, and from what it refuses to print."""

import os
import pwd
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hpc_qa.campaign.pending import explain
from hpc_qa.errors import SlurmError
from hpc_qa.slurm.limits import SiteLimit, parse_assoc_mgr, parse_sshare, site_limit

DATA = Path(__file__).parent.parent / "data" / "limits"
ASSOC = {name: (DATA / f"assoc_mgr_{name}.txt").read_text() for name in ("root", "science", "vision", "nobody")}
SSHARE = (DATA / "sshare_vision.psv").read_text()
CONFIG = (DATA / "config.txt").read_text()


def slurm(
    *, assoc: dict[str, str] | None = ASSOC, config: str = CONFIG, sshare: str = SSHARE
) -> Callable[[Sequence[str]], str]:
    """Slurm's programs as they answered; `assoc` None: scontrol shows no associations to us."""

    def run(command: Sequence[str]) -> str:
        if command[0] == "sshare":
            return sshare
        if command[0] == "sacctmgr":
            return "vision\n"
        if command[:3] == ["scontrol", "show", "config"]:
            return config
        if assoc is None:
            raise SlurmError("scontrol: Access/permission denied")
        return assoc.get(command[-1].partition("=")[2], ASSOC["nobody"])

    return run


def test_the_limit_that_has_the_least_left_counts_also_when_an_account_above_has_it():
    limit = site_limit("vision", slurm())
    assert limit == SiteLimit("science", None, "gres/gpu:a100", 600, 3, 36, "7-00:00:00", "monthly", True)
    assert limit.left_minutes == 561
    assert limit.describe() == (
        "account science: 0.05 of 10.00 GPU-hours used, 0.60 reserved by running jobs (gres/gpu:a100); usage is "
        "forgotten by half every 7-00:00:00, so that this is less than what was held; it is set to zero monthly"
    )
    said = limit.to_json()
    assert (said["limit_gpu_hours"], said["used_gpu_hours"], said["left_gpu_hours"]) == (10.0, 0.05, 9.35)


def test_usage_that_is_never_forgotten_is_not_said_to_be():
    forever = CONFIG.replace("= 7-00:00:00", "= 00:00:00").replace("MONTHLY", "NONE").replace(",safe", "")
    limit = site_limit("vision", slurm(config=forever))
    assert limit is not None
    assert (limit.half_life, limit.reset, limit.waits) == (None, None, False)
    assert "forgotten" not in limit.describe()


@pytest.mark.parametrize("assoc", [None, {}], ids=["refused", "hidden"])
def test_where_scontrol_shows_nothing_sshare_is_asked(assoc):
    limit = site_limit("vision", slurm(assoc=assoc))
    assert limit is not None
    assert (limit.account, limit.tres, limit.limit_minutes, limit.used_minutes, limit.reserved_minutes) == (
        "vision", "gres/gpu", 60000, 3, 36,
    )  # fmt: skip


def test_without_an_account_it_is_our_default_one():
    assert site_limit(None, slurm()) == site_limit("vision", slurm())


def test_an_account_without_a_limit_has_none():
    assert site_limit("root", slurm()) is None


def test_an_account_that_slurm_does_not_know_and_one_that_cannot_be_asked_about_are_errors():
    with pytest.raises(SlurmError, match="nothing of an account nobody"):
        site_limit("nobody", slurm())

    def silent(command: Sequence[str]) -> str:
        raise SlurmError(f"{command[0]} is not on PATH")

    with pytest.raises(SlurmError, match="sshare is not on PATH"):
        site_limit("vision", silent)


def test_the_limit_of_another_user_is_not_ours():
    me = pwd.getpwuid(os.geteuid()).pw_name
    ours = ASSOC["vision"].replace("gres/gpu=N(3)", "gres/gpu=30(3)")

    def limit_with(user: str) -> SiteLimit | None:
        return site_limit("vision", slurm(assoc={"vision": ours.replace("UserName=root(0)", f"UserName={user}(7)")}))

    mine, other = limit_with(me), limit_with("somebody")
    assert mine is not None
    assert other is not None
    assert (mine.user, mine.limit_minutes, other.user, other.limit_minutes) == (me, 30, None, 60000)


@pytest.mark.parametrize("text", ["", "garbage\n||\n", "    GrpTRESMins=gres/gpu=5(1)\n", "ClusterName=\n"])
def test_garbage_is_no_association_of_anybody(text):
    assert all(not one.limits for one in (*parse_assoc_mgr(text), *parse_sshare(text)))


def never(_account: str | None) -> SiteLimit | None:
    raise AssertionError("Slurm is not asked")


def test_other_reasons_for_waiting_are_not_explained_and_cost_no_question():
    assert explain(["Priority", "Resources", "JobArrayTaskLimit", "RUNNING on node1", None], None, never) == []


def test_a_held_task_is_explained_once_with_limit_usage_and_what_to_do():
    limit = site_limit("vision", slurm())
    meaning, figures, advice = explain(["AssocGrpGRESMinutes", "Priority", "AssocGrpGRESMinutes"], "v", lambda _: limit)
    assert meaning.startswith("AssocGrpGRESMinutes: GPU minutes times the time limit of an array task are more than")
    assert figures == limit.describe()
    assert "ask for an extension" in advice


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("AssocGrpGRESRunMinutes", "have reserved as many GPU minutes"),
        ("AssocGrpCPUMinutesLimit", "CPU minutes times the time limit"),
        ("AssocGrpCPURunMinutesLimit", "reserved as many CPU minutes"),
        ("AssocMaxGRESMinutesPerJob", "may not take so many GPU minutes"),
        ("QOSGrpGRESMinutes", "than the QOS has left"),
        ("QOSMaxCPUMinutesPerJobLimit", "by a limit of the QOS"),
        ("AssocGrpBillingMinutes", "billing minutes"),
        ("QOSGrpMemoryMinutes", "Memory minutes"),
    ],
)
def test_every_limit_of_used_time_has_its_words(reason, words):
    lines = explain([reason], "vision", lambda _: None)
    assert words in lines[0]
    assert 2 <= len(lines) <= 3


def test_figures_that_cannot_be_read_leave_the_words():
    def refuse(_account: str | None) -> SiteLimit | None:
        raise SlurmError("sshare: no")

    assert explain(["AssocGrpGRESMinutes"], None, refuse)[1] == "limit and usage cannot be read: sshare: no"
