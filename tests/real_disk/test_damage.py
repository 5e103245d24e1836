"""Damage in the files of a run: what stands against it is found, said in one line each, and computed again.

No command answers damage with a traceback, and `verify` never calls a run proven in which a record that counts is not
what was written.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hpc_qa.campaign.control import missing_shards, repair
from hpc_qa.campaign.verify import verify
from hpc_qa.errors import ExitCode, HpcQaError
from hpc_qa.store.merge import commit_shard, merge_shard
from hpc_qa.store.run_directory import RunDirectory, ShardDirectory
from tests import made_runs
from tests.made_runs import whole
from tests.projects import call
from tests.real_disk.strikes import in_memory

DOCUMENTS = [["a", "b"], ["c"]]


@pytest.fixture(scope="module")
def finished() -> Iterator[RunDirectory]:
    """A run of two shards, one with two attempts, with every file that a run has."""
    with in_memory() as project:
        yield a_run(project)


def a_run(project: Path) -> RunDirectory:
    run = made_runs.planned_run(project, DOCUMENTS)
    shard = run.shard(0)
    made_runs.attempt(shard, [*whole("a"), whole("b")[0]])
    second = made_runs.attempt(shard, [whole("a")[0], *whole("b")[1:]], restart=1)
    assert commit_shard(shard, second.name, DOCUMENTS[0])
    last = made_runs.attempt(run.shard(1), whole("c"))
    assert commit_shard(run.shard(1), last.name, DOCUMENTS[1])
    for made in (*shard.attempts(), *run.shard(1).attempts()):
        made_runs.leave_traces(made)
    run.add_submission(made_runs.submission([0, 1]))
    assert verify(run).exit_code == ExitCode.DONE
    return run


def counting(run: RunDirectory) -> dict[str, Any]:
    """Every record that counts, by its key."""
    found: dict[str, Any] = {}
    for index in range(len(DOCUMENTS)):
        merge_shard(run.shard(index), lambda batch: found.update((r["key"], r) for r in batch.records))
    return found


def compute_again(run: RunDirectory) -> None:
    """What `resume` does: open what is damaged, and a new attempt for every shard that is missing."""
    repair(run)
    for index in missing_shards(run):
        finish(run.shard(index), DOCUMENTS[index])


def finish(shard: ShardDirectory, documents: list[str]) -> None:
    """An attempt that computes what is left, and commits."""
    merged = merge_shard(shard)
    left = [batch for doc_id in documents if doc_id not in merged.done for batch in whole(doc_id)]
    missing = [batch for batch in left if batch[-1]["key"] not in merged.chunks]
    made = made_runs.attempt(shard, missing, restart=9)
    commit_shard(shard, made.name, documents)


# -- one kind of damage after the other, in a segment that counts


def torn_tail(content: bytes) -> bytes:
    return content[:-9]


def nulls_at_the_end(content: bytes) -> bytes:
    return content[:-200] + bytes(200)


def nulls_in_the_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(300) + content[middle + 300 :]


def half_a_character(content: bytes) -> bytes:
    place = content.index(b"Sentence 1")
    return content[:place] + b"\xc3" + content[place + 1 :]


def merged_lines(content: bytes) -> bytes:
    return content.replace(b"}\n{", b"}{", 1)


def flipped_byte(content: bytes) -> bytes:
    place = content.index(b"Sentence 1")
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def foreign_line(content: bytes) -> bytes:
    first, rest = content.split(b"\n", 1)
    return first + b'\n{"kind": "pair", "key": "not ours"}\n' + rest


def another_files_bytes(content: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + content[8:]


def emptied(_content: bytes) -> bytes:
    return b""


def a_line_of_megabytes(content: bytes) -> bytes:
    return content + b"x" * 3_000_000


def noise_of_many_lines(content: bytes) -> bytes:
    return b"\n" * 100_000 + content


DAMAGE: tuple[Callable[[bytes], bytes], ...] = (
    torn_tail, nulls_at_the_end, nulls_in_the_middle, half_a_character, merged_lines, flipped_byte, foreign_line,
    another_files_bytes, emptied, a_line_of_megabytes, noise_of_many_lines,
)  # fmt: skip


def harmed(run: RunDirectory, harm: Callable[[bytes], bytes], segment: Path) -> None:
    before = segment.read_bytes()
    segment.write_bytes(harm(before))
    assert segment.read_bytes() != before


@pytest.mark.parametrize("harm", DAMAGE, ids=lambda harm: harm.__name__)
def test_damage_of_a_committed_segment_is_found_said_and_computed_again(
    tmp_path: Path, harm: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    undisturbed = counting(run)
    segment = run.shard(0).attempts()[1].segments()[0]
    harmed(run, harm, segment)
    if harm is a_line_of_megabytes:  # behind what was committed, but its own attempt had closed it
        assert counting(run) == undisturbed
    assert call(tmp_path, "verify", "latest") == 1
    said = capsys.readouterr().out
    assert f"{segment.parent.name}/{segment.name}" in said
    assert f"hpc-qa resume {run.run_id} computes again" in said.splitlines()[-1]
    assert len(said.splitlines()) < 60
    assert call(tmp_path, "collect", "latest") == 1
    assert not run.dataset.exists()
    compute_again(run)
    assert call(tmp_path, "verify", "latest") == 0
    assert counting(run).keys() == undisturbed.keys()
    assert call(tmp_path, "collect", "latest") == 0
    assert run.shard(0).commit.with_name("COMMIT.damaged-1.json").exists()  # kept, for whoever looks into it


@pytest.mark.parametrize("harm", DAMAGE, ids=lambda harm: harm.__name__)
def test_damage_of_an_open_segment_is_quarantined_and_computed_again(
    tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    run = made_runs.planned_run(tmp_path, DOCUMENTS)
    made_runs.leave_traces(made_runs.attempt(run.shard(0), [*whole("a"), *whole("b")[:2]]))
    undisturbed = counting(run)
    harmed(run, harm, run.shard(0).attempts()[0].segments()[0])
    code = call(tmp_path, "verify", "latest")
    # a torn tail is what a kill leaves, NULs in it a power cut; anything else was not us
    assert code == (3 if harm in (torn_tail, nulls_at_the_end, emptied, a_line_of_megabytes) else 1)
    assert all(record == undisturbed[key] for key, record in counting(run).items())  # what is left is what was written
    for index in range(2):
        finish(run.shard(index), DOCUMENTS[index])
    assert call(tmp_path, "verify", "latest") == 0
    assert counting(run).keys() >= undisturbed.keys()


def test_a_run_with_a_short_segment_is_shown_as_damaged_and_not_as_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    segment = run.shard(0).attempts()[0].segments()[0]
    harmed(run, torn_tail, segment)
    assert call(tmp_path, "status", "latest") == 0
    said = capsys.readouterr()
    assert ": damaged" in said.out
    assert f"hpc-qa verify {run.run_id}" in said.err
    assert call(tmp_path, "status", "latest", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [shard["state"] for shard in shown["shards"]] == ["damaged", "done"]
    run.shard(1).commit.write_bytes(b"{}")
    assert call(tmp_path, "status") == 0
    assert "damaged" in capsys.readouterr().out


def test_what_was_frozen_is_not_repaired_by_resume_and_nothing_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    harmed(run, lambda content: content.replace(b"in/a.pdf", b"in/z.pdf"), run.manifest)
    for command in ("verify", "collect", "resume"):
        assert call(tmp_path, command, "latest") == 1
        said = "".join(capsys.readouterr())
        assert "manifest.jsonl" in said
        assert "restore" in said
        assert "computes again" not in said
        assert "RUN" not in said.split()
    assert verify(run).damaged_shards == []
    assert run.shard(0).commit.exists()


# -- any file, any byte


COMMANDS = (
    ("status", "latest"),
    ("status",),
    ("verify", "latest"),
    ("logs", "latest", "0"),
    ("ledger", "sync"),
    ("resume", "latest"),
)


@st.composite
def changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A change anywhere: a flipped bit, a cut, something taken out, something put in, digits replaced by digits."""
    kind = draw(st.sampled_from(["flip", "cut", "remove", "insert", "digit"]))
    where = draw(st.floats(0, 1, exclude_max=True))
    size = draw(st.sampled_from([1, 2, 7, 64, 1000]))
    foreign = draw(st.sampled_from([b"\0", b"\n", b'"', b"{", b"9e999", b"NaN", b"\xff\xfe", b"[" * 5000, b"}{"]))
    bit = 1 << draw(st.integers(0, 7))

    def change(content: bytes) -> bytes:
        at = int(where * len(content))
        digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
        if kind == "digit" and digits:
            at = digits[int(where * len(digits))]
            return content[:at] + (b"7" if content[at : at + 1] != b"7" else b"3") + content[at + 1 :]
        if kind == "cut":
            return content[:at]
        if kind == "remove":
            return content[:at] + content[at + size :]
        if kind == "insert" or not content:
            return content[:at] + foreign + content[at:]
        return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]

    return change


def check_all_commands(project: Path, run: RunDirectory, undisturbed: dict[str, Any]) -> None:
    """No command raises anything but an error of ours, and `verify` proves only what was written."""
    codes = {}
    for command in COMMANDS:
        codes[command[0]] = call(project, *command)
    assert codes["verify"] in (0, 1, 2, 3)
    if codes["verify"] == 0:
        assert counting(run) == undisturbed
        event("proven all the same")
    code = call(project, "collect", "latest", "-o", str(project / "out"))
    assert (code == 0) == (codes["verify"] == 0)
    event(f"verify {codes['verify']}")


def damage_any_file(finished: RunDirectory, data: st.DataObject) -> None:
    files = sorted(path for path in finished.path.rglob("*") if path.is_file())
    names = sorted({path.name.rstrip("0123456789") for path in files})
    name = data.draw(st.sampled_from(names))
    victim = data.draw(st.sampled_from([path for path in files if path.name.rstrip("0123456789") == name]))
    change = data.draw(changes())
    undisturbed = counting(finished)
    with in_memory() as project:
        run = RunDirectory(project / "runs" / finished.run_id)
        shutil.copytree(finished.path, run.path)
        run.path.parent.chmod(0o700)
        victim = run.path / victim.relative_to(finished.path)
        before = victim.read_bytes()
        victim.write_bytes(change(before))
        event("nothing changed" if victim.read_bytes() == before else f"changed {name}")
        try:
            check_all_commands(project, run, undisturbed)
        except HpcQaError as error:  # the program turns these into messages; here one came past it
            raise AssertionError(f"{victim}: {error}") from error


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_change_of_any_file_breaks_a_command_or_is_called_proven(
    finished: RunDirectory, data: st.DataObject
) -> None:
    damage_any_file(finished, data)


@pytest.mark.long
@pytest.mark.covers("store", "campaign", "cli")
@pytest.mark.timeout(600)
@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_change_of_any_file_breaks_a_command_or_is_called_proven_in_many_tries(
    finished: RunDirectory, data: st.DataObject
) -> None:
    damage_any_file(finished, data)
