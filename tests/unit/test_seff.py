"""What seff prints, read with patience, and asked as seldom as can be."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.campaign import seff_figures
from hpc_qa.campaign.sync import Synced, sync_file, sync_runs
from hpc_qa.cli.main import run
from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.slurm.seff import Efficiency, parse_seff
from hpc_qa.store.run_directory import list_runs
from tests.made_runs import finished_run

TEXT = (Path(__file__).resolve().parent.parent / "data" / "seff" / "22.05.txt").read_text()
SAMPLES = dict(one.split("\n", 1) for one in TEXT.removeprefix("### seff ").split("### seff "))
HEADER = "JobIDRaw|JobID|State|ElapsedRaw|Submit|Start|End|AllocTRES\n"
ENDED = "{raw}|9_{index}|{state}|20|{submit}|{submit}|{end}|cpu=2,gres/gpu=1,mem=100M\n"
SAID = """\
Job ID: {raw}
Array Job ID: 9_{index}
State: COMPLETED (exit code 0)
CPU Efficiency: 25.00% of 00:00:40 core-walltime
Job Wall-clock time: 00:00:20
Memory Utilized: 42.00 MB
Memory Efficiency: 42.00% of 100.00 MB
"""
NONE_BUT_THE_JOB = Efficiency(job_id=27, state="PENDING", elapsed_s=None, cpu=None, memory=None)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("1", Efficiency(1, "COMPLETED", 9, 0.3889, 0.4294)),
        ("2", Efficiency(2, "COMPLETED", 7, 0.25, 0.9881)),  # of two nodes
        ("3", Efficiency(3, "FAILED", 3, 0.0, 0.0502)),
        ("4", Efficiency(4, "FAILED", 0, None, 0.049)),  # no core-seconds to be a share of
        ("5", Efficiency(5, "OUT_OF_MEMORY", 1, 0.0, 0.033)),
        ("9_5", Efficiency(21, "FAILED", 3, 0.0, 0.0488)),
        ("23", Efficiency(23, "NODE_FAIL", 29, None, None)),  # no step was measured
        ("26", Efficiency(26, "RUNNING", 58, None, None)),
        ("27", NONE_BUT_THE_JOB),
    ],
)
def test_what_seff_printed_of_every_kind_of_job_is_read(job, expected):
    found = parse_seff(SAMPLES[job])
    assert found == Efficiency(*(pytest.approx(one) if isinstance(one, float) else one for one in _values(expected)))


def _values(one: Efficiency) -> tuple[object, ...]:
    return (one.job_id, one.state, one.elapsed_s, one.cpu, one.memory)


@pytest.mark.parametrize(
    "text",
    [
        "", "Job not found.\n", "Can't locate Slurmdb.pm in @INC\n", "CPU Efficiency: nan% of 00:00:40\n",
        "Memory Utilized: 1.00 GB\nMemory Efficiency: 12.00% of 0.00 MB\n", "Job ID: many\nCPU Efficiency: %\n",
        "Memory Efficiency: 50.00% of 100.00 MB\nMemory Utilized: 0.00 MB\n",
    ],
)  # fmt: skip
def test_what_is_no_figure_is_none_and_never_zero(text):
    found = parse_seff(text)
    assert (found.job_id, found.cpu, found.memory) == (None, None, None)


CUT_OFF = st.builds(lambda text, at: text[:at], st.sampled_from(sorted(SAMPLES.values())), st.integers(0, 500))


@given(st.text() | CUT_OFF)
def test_a_text_that_is_cut_off_or_anything_else_is_read_without_an_error(text):
    found = parse_seff(text)
    assert found.cpu is None or found.cpu >= 0
    assert found.memory is None or found.memory >= 0


class Programs:
    """A `sacct` and a `seff` on the PATH that print what a test says, and what seff was asked."""

    def __init__(self, project: Path) -> None:
        self.project, self.folder = project, project / "bin"
        self.folder.mkdir()
        (self.folder / "said").mkdir()
        self._write("sacct", f'if [ "$1" = --helpformat ]; then echo JobID; else cat {self.folder}/accounting; fi')
        self._write("seff", f'echo "$1" >> {self.folder}/asked; cat {self.folder}/said/"$1"')
        (self.folder / "asked").touch()

    def _write(self, name: str, script: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)

    def account(self, *rows: str) -> None:
        (self.folder / "accounting").write_text(HEADER + "".join(rows))

    def let_seff_say(self, job: str, text: str) -> None:
        (self.folder / "said" / job).write_text(text)

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().split()

    def sync(self) -> Synced:
        return sync_runs(self.project, list_runs(self.project), asks_seff=True)

    def seff_of(self, attempt_id: str) -> tuple[float | None, float | None]:
        rows = {row["attempt_id"]: row for row in as_rows(current(self.project).table)}
        return rows[attempt_id]["seff_cpu_efficiency"], rows[attempt_id]["seff_memory_efficiency"]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A run of six array tasks, and the programs that know them."""
    ours = finished_run(tmp_path, [[str(index)] for index in range(6)], executor="slurm")
    tasks = [{"shard": index, "job_id": f"9_{index}"} for index in range(6)]
    ours.add_submission({"executor": "slurm", "job_id": "9", "tasks": tasks})
    made = Programs(tmp_path)
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made


def ended(index: int, submit: int = 1_795_319_000, state: str = "COMPLETED") -> str:
    return ENDED.format(raw=10 + index, index=index, state=state, submit=submit, end=submit + 20)


def test_seff_is_asked_once_about_the_last_attempt_of_each_of_our_jobs(programs, capsys):
    programs.account(
        ended(0, state="REQUEUED"), ended(0, submit=1_795_319_100), ended(1),
        ended(2).replace("COMPLETED|20", "RUNNING|20").replace("|1795319020|", "|Unknown|"),
        ended(3).replace("|20|", "|0|"), ended(5).replace("|9_5|", "|8|"),
    )  # fmt: skip
    programs.let_seff_say("9_0", SAID.format(raw=10, index=0))
    programs.let_seff_say("9_1", SAID.format(raw=11, index=1))
    assert programs.sync().notes == ()
    assert sorted(programs.asked()) == ["9_0", "9_1"]
    again = programs.sync()
    assert (again.written, again.path, again.notes) == (0, None, ())
    assert len(programs.asked()) == 2
    assert programs.seff_of("10:1795319100") == (0.25, 0.42)
    assert programs.seff_of("10:1795319000") == (None, None)
    assert run(["--project", str(programs.project), "ledger", "show", "--json"]) == 0
    rows = {row["attempt_id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["11:1795319000"]["seff_memory_efficiency"] == 0.42


def test_a_text_that_is_read_later_does_not_lose_what_seff_said(programs):
    programs.account(ended(1))
    programs.let_seff_say("9_1", SAID.format(raw=11, index=1))
    programs.sync()
    (programs.folder / "other").write_text(HEADER + ended(1).replace("mem=100M", "mem=200M"))
    assert sync_file(programs.project, programs.folder / "other").written == 1
    assert programs.seff_of("11:1795319000") == (0.25, 0.42)


def test_what_seff_prints_of_another_attempt_is_not_taken_for_this_one(programs):
    programs.account(ended(1))
    programs.let_seff_say("9_1", SAID.format(raw=11, index=1).replace("00:00:20", "00:00:21"))
    programs.sync()
    assert programs.seff_of("11:1795319000") == (None, None)


def test_garbage_is_a_note_and_null_and_is_not_asked_for_again(programs):
    programs.account(ended(1))
    programs.let_seff_say("9_1", "Segmentation fault?\n")
    assert programs.sync().notes == ("seff printed nothing that can be read of 1 jobs, 9_1 first",)
    assert programs.seff_of("11:1795319000") == (None, None)
    assert programs.sync().written == 0
    assert programs.asked() == ["9_1"]


def test_a_seff_that_fails_is_a_note_and_the_next_sync_asks_again(programs):
    programs.account(*(ended(index) for index in range(6)))
    programs.let_seff_say("9_0", SAID.format(raw=10, index=0))
    first = programs.sync()
    assert first.written == first.read  # the sync is whole
    assert "seff failed 3 times, first of job" in first.notes[0]
    assert len(programs.asked()) <= 4  # three that failed, and perhaps the one that did not
    for index in range(6):
        programs.let_seff_say(f"9_{index}", SAID.format(raw=10 + index, index=index))
    assert programs.sync().notes == ()
    assert programs.sync().written == 0
    assert {programs.seff_of(f"{10 + index}:1795319000") for index in range(6)} == {(0.25, 0.42)}


def test_what_is_too_much_for_one_sync_comes_with_the_next(programs, monkeypatch):
    monkeypatch.setattr(seff_figures, "MOST_CALLS", 4)
    programs.account(*(ended(index) for index in range(6)))
    for index in range(6):
        programs.let_seff_say(f"9_{index}", SAID.format(raw=10 + index, index=index))
    assert programs.sync().notes == ("seff is still to be asked about 2 attempts: the next sync does that",)
    assert programs.sync().notes == ()
    assert sorted(programs.asked()) == [f"9_{index}" for index in range(6)]


def test_without_seff_nothing_is_said_of_it(programs):
    (programs.folder / "seff").unlink()
    programs.account(ended(1))
    assert programs.sync().notes == ()
    assert programs.sync().written == 0
    programs._write("seff", f'cat {programs.folder}/said/"$1"')
    programs.let_seff_say("9_1", SAID.format(raw=11, index=1))
    assert programs.sync().written == 1
    assert programs.seff_of("11:1795319000") == (0.25, 0.42)
