"""Compaction of the ledger: every row, once, at any moment."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpc_qa.cli.main import run
from hpc_qa.errors import StoreError
from hpc_qa.ledger import compaction, parts
from hpc_qa.ledger.attempts import as_rows, current
from hpc_qa.ledger.compaction import compact
from hpc_qa.ledger.documents import add, of_runs
from hpc_qa.ledger.parts import list_parts
from hpc_qa.ledger.schema import ATTEMPT, VERSION_KEY
from hpc_qa.ledger.usage import usage
from tests.made_ledger import add_attempts, all_rows, part_names

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    add_attempts(tmp_path, 1, 2, state="RUNNING")
    add_attempts(tmp_path, 2, 3, at=5)
    add_attempts(tmp_path, 4, at=9)
    return tmp_path


def grow_old(project: Path) -> None:
    """As if all that is there had been written two days ago."""
    for path in (project / "ledger" / "attempt").iterdir():
        os.utime(path, (time.time() - 2 * 86_400,) * 2)


def damage(path: Path) -> None:
    """Change bytes in the middle: the footer stays whole, the rows are not."""
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)


def test_the_rows_of_many_files_are_in_one_and_nothing_else_changes(project):
    before, view, used = all_rows(project), as_rows(current(project).table), usage(project).to_json()
    done = compact(project, "attempt")
    assert (done.rows, done.replaced, len(done.written), done.deleted, done.kept) == (5, 3, 1, 0, 3)
    assert all_rows(project) == before
    assert as_rows(current(project).table) == view
    assert usage(project).to_json() == used
    assert [path.name for path in list_parts(project / "ledger" / "attempt", "attempt").live] == list(done.written)


def test_what_is_compact_is_left_alone_and_what_comes_later_joins_it(project):
    compact(project, "attempt")
    assert compact(project, "attempt").written == ()
    add_attempts(project, 9)
    before = all_rows(project)
    done = compact(project, "attempt")
    assert (done.rows, done.replaced) == (6, 2)
    assert all_rows(project) == before


def test_replaced_files_are_deleted_by_a_compaction_a_day_later(project):
    before = all_rows(project)
    (project / "ledger" / "attempt" / ".tmp-left").write_bytes(b"by a writer that was killed")
    first = compact(project, "attempt")
    assert len(part_names(project)) == 5
    grow_old(project)
    add_attempts(project, 9)
    second = compact(project, "attempt")
    assert second.deleted == 3
    assert all_rows(project) == sorted([*before, *all_rows_of(project, 9)], key=repr)
    assert part_names(project) == sorted([*first.written, *second.written, added(project, first, second)])
    grow_old(project)
    assert compact(project, "attempt").deleted == 2
    assert part_names(project) == list(second.written)


def all_rows_of(project: Path, number: int) -> list[tuple[object, ...]]:
    return [row for row in all_rows(project) if row[1] == f"{number}:100"]


def added(project: Path, *done: compaction.Compacted) -> str:
    """The one file that no compaction wrote."""
    (name,) = set(part_names(project)) - {name for one in done for name in one.written}
    return name


def test_a_table_that_does_not_fit_into_one_file_gets_several(project, monkeypatch):
    monkeypatch.setattr(compaction, "MOST_ROWS", 4)
    monkeypatch.setattr(compaction, "ROWS_AT_ONCE", 2)
    for number in range(10, 16):
        add_attempts(project, number)
    before = all_rows(project)
    assert len(compact(project, "attempt").written) >= 2
    assert all_rows(project) == before


def test_a_compact_file_that_is_damaged_counts_for_nothing_while_its_files_are_there(project):
    before = all_rows(project)
    (name,) = compact(project, "attempt").written
    damage(project / "ledger" / "attempt" / name)
    assert all_rows(project) == before
    assert [text.partition(":")[0] for text in current(project).skipped] == [name]
    grow_old(project)
    done = compact(project, "attempt")
    assert (done.deleted, [text.partition(":")[0] for text in done.skipped]) == (0, [name])
    assert all_rows(project) == before


@pytest.mark.parametrize("torn", [True, False], ids=["without a footer", "with damaged rows"])
def test_a_part_file_that_cannot_be_read_is_named_and_stays_and_the_others_are_compacted(project, torn):
    bad = add_attempts(project, 9)
    damage(bad)
    if torn:
        bad.write_bytes(bad.read_bytes()[:-50])
    rest = all_rows(project)
    done = compact(project, "attempt")
    assert (done.rows, [text.partition(":")[0] for text in done.skipped]) == (5, [bad.name])
    assert all_rows(project) == rest
    grow_old(project)
    compact(project, "attempt")
    assert bad.exists()


def test_a_ledger_of_a_later_version_is_not_compacted(project, monkeypatch):
    before = part_names(project)
    monkeypatch.setattr(parts, "VERSION", 2)
    add_attempts(project, 9)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="later version of hpc_qa"):
        compact(project, "attempt")
    assert len(part_names(project)) == len(before) + 1


def test_columns_that_an_earlier_version_had_not_are_null_in_the_compact_file(project):
    path = add_attempts(project, 9)
    older = pq.read_table(path).drop_columns(["billing"]).replace_schema_metadata({VERSION_KEY: b"1"})
    pq.write_table(older, path)
    (name,) = compact(project, "attempt").written
    assert pq.read_schema(project / "ledger" / "attempt" / name).names == ATTEMPT.names


def test_a_file_that_comes_from_a_host_called_compact_hides_nothing(project, monkeypatch):
    monkeypatch.setattr(parts.platform, "node", lambda: "compact")
    add_attempts(project, 9)
    before = all_rows(project)
    compact(project, "attempt")
    assert all_rows(project) == before


def test_of_two_compactions_of_the_same_files_at_one_moment_one_counts(project):
    before, folder = all_rows(project), project / "ledger" / "attempt"
    first = compact(project, "attempt").written[0]
    twin = folder / first.replace("compact-", "compact-other")
    twin.write_bytes((folder / first).read_bytes())
    assert all_rows(project) == before
    grow_old(project)
    compact(project, "attempt")
    assert len(part_names(project)) == 1
    assert all_rows(project) == before


def test_a_compaction_that_another_has_overtaken_writes_nothing(project, monkeypatch):
    before = all_rows(project)
    slow = compaction._row_groups

    def overtaken(*args):
        monkeypatch.setattr(compaction, "_row_groups", slow)
        compact(project, "attempt")
        return slow(*args)

    monkeypatch.setattr(compaction, "_row_groups", overtaken)
    assert compact(project, "attempt").written == ()
    assert len(part_names(project)) == 4
    assert all_rows(project) == before


def test_compactions_and_writers_at_once_lose_nothing_and_double_nothing_that_counts(project):
    def work(number: int) -> None:
        add_attempts(project, 100 + number)
        compact(project, "attempt")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))
    ids = current(project, ("attempt_id",)).table.column("attempt_id").to_pylist()
    assert sorted(ids) == sorted([f"{n}:100" for n in (1, 2, 3, 4, *range(100, 112))])


def test_who_reads_while_files_are_replaced_and_deleted_sees_every_row(project, monkeypatch):
    monkeypatch.setattr(compaction, "KEPT_S", -1)
    view, stop, seen = all_rows(project), threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            seen.append(current(project, ("attempt_id",)))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(20):
        add_attempts(project, 1, at=100 + number)
        compact(project, "attempt")
    stop.set()
    reader.join()
    assert seen
    assert {(one.table.num_rows, one.skipped) for one in seen} == {(4, ())}
    assert len(all_rows(project)) == len(view) + 20


def test_files_that_go_between_the_look_at_the_folder_and_the_reading_are_looked_for_again(project, monkeypatch):
    before, read = all_rows(project), parts._read
    monkeypatch.setattr(compaction, "KEPT_S", -1)

    def late(path, schema):
        monkeypatch.setattr(parts, "_read", read)
        compact(project, "attempt")
        return read(path, schema)

    monkeypatch.setattr(parts, "READ_AT_ONCE", 1)
    monkeypatch.setattr(parts, "_read", late)
    assert all_rows(project) == before


class _KilledError(BaseException):
    pass


def lines_done(project: Path, most: int) -> int:
    """Compact, and stop before so many lines of ours are done; how many were."""
    done = 0

    def trace(frame, event, _):
        nonlocal done
        if frame.f_code.co_filename not in {compaction.__file__, parts.__file__}:
            return None
        if event == "line":
            done += 1
            if done > most:
                raise _KilledError
        return trace

    sys.settrace(trace)
    try:
        with suppress(_KilledError):
            compact(project, "attempt")
    finally:
        sys.settrace(None)
    return done


def test_a_compaction_that_stops_at_any_line_loses_no_row_and_doubles_none(project, tmp_path_factory):
    compact(project, "attempt")
    grow_old(project)
    add_attempts(project, 8)  # now there is something to write and something to delete
    before, folder = all_rows(project), tmp_path_factory.mktemp("copies")
    every = lines_done(shutil.copytree(project, folder / "whole"), 10**6)
    for most in range(1, every, 5):
        copy = shutil.copytree(project, folder / str(most))
        assert lines_done(copy, most) > most
        assert all_rows(copy) == before
        assert compact(copy, "attempt").skipped == ()
        assert all_rows(copy) == before


KILLED = """
import os, sys
from pathlib import Path
from hpc_qa.ledger import compaction, parts
owner = {"writer": compaction.pq.ParquetWriter, "os": os, "parts": parts, "path": Path}[sys.argv[1]]
true, left = getattr(owner, sys.argv[2]), int(sys.argv[3])
def killed(*args, **kwargs):
    global left
    left -= 1
    if left == 0: os._exit(9)
    return true(*args, **kwargs)
setattr(owner, sys.argv[2], killed)
compaction.KEPT_S = -1
compaction.compact(Path(sys.argv[4]), "attempt")
"""


@pytest.mark.parametrize(
    ("owner", "call", "nth"),
    [("writer", "write_table", 1), ("writer", "close", 1), ("os", "fsync", 1), ("os", "replace", 1),
     ("parts", "_sync", 1), ("path", "unlink", 1), ("path", "unlink", 2), ("path", "unlink", 3)],
)  # fmt: skip
def test_a_kill_at_any_call_loses_no_row_and_doubles_none(project, owner, call, nth):
    before = all_rows(project)
    killed = subprocess.run([sys.executable, "-c", KILLED, owner, call, str(nth), str(project)], cwd=ROOT, check=False)
    assert killed.returncode == 9
    assert all_rows(project) == before
    compact(project, "attempt")
    assert all_rows(project) == before


def test_a_disk_that_is_full_leaves_the_ledger_as_it_was(project, monkeypatch):
    before = part_names(project)
    monkeypatch.setattr(parts.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match="No space left"):
        compact(project, "attempt")
    assert part_names(project) == before


def test_documents_are_compacted_too(tmp_path):
    for shard in range(3):
        add(tmp_path, [{"run_id": "r", "shard": shard, "doc_id": f"d{shard}", "state": "ok"}])
    assert compact(tmp_path, "document").rows == 3
    assert of_runs(tmp_path, ["r"]).table.num_rows == 3


def test_the_command_says_what_it_did_and_what_there_is_nothing_to_do_for(project, capsys):
    assert run(["--project", str(project), "ledger", "compact"]) == 0
    assert "5 rows of 3 files in 1" in capsys.readouterr().out
    assert run(["--project", str(project), "ledger", "compact", "--json"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert [(one["table"], one["written"], one["kept"]) for one in tables] == [("attempt", [], 3), ("document", [], 0)]


def test_an_empty_project_has_nothing_to_compact(tmp_path, capsys):
    assert run(["--project", str(tmp_path), "ledger", "compact"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert not (tmp_path / "ledger").exists()


def test_pandas_can_be_used_after_the_ledger_was_read(project):
    assert len(current(project).table.to_pandas()) == 4
    assert pa.array(current(project).table.to_pandas()["shard"], from_pandas=True).null_count == 4
