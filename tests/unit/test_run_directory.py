import stat
from datetime import UTC, datetime

import pytest

from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.store.files import write_once
from hpc_qa.store.run_directory import attempt_name, create, find, list_runs, superseded

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def made(project, name="demo", nonce="0001", now=NOON):
    run = create(project, name, now=now, nonce=nonce)
    run.freeze({"created_at": now.isoformat()})
    return run


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_run_is_named_after_its_config_and_the_second_and_is_private(tmp_path):
    run = made(tmp_path)
    assert run.run_id == "demo-20260102T120000-0001"
    assert {mode(path) for path in (tmp_path / "runs", run.path, run.submit, run.logs)} == {0o700}
    assert mode(run.run_json) == 0o600


def test_an_id_a_prefix_a_path_and_latest_name_the_same_run(tmp_path, monkeypatch):
    made(tmp_path, name="other", now=NOON.replace(hour=11))
    run = made(tmp_path)
    for text in (run.run_id, "demo", "demo-2026", str(run.path), "latest"):
        assert find(tmp_path, text).path == run.path
    monkeypatch.chdir(run.path.parent)
    assert find(tmp_path / "elsewhere", run.run_id).path == run.path


def test_latest_is_the_run_that_was_created_last_whatever_it_is_called(tmp_path):
    made(tmp_path, name="zulu", now=NOON.replace(hour=1))
    alpha = made(tmp_path, name="alpha")
    assert find(tmp_path, "latest").path == alpha.path


def test_a_folder_that_was_never_submitted_is_no_run(tmp_path):
    create(tmp_path, "demo", now=NOON)
    assert list_runs(tmp_path) == []
    with pytest.raises(ConfigError, match="no run yet"):
        find(tmp_path, "latest")


def test_a_wrong_name_is_answered_with_the_near_ones(tmp_path):
    run = made(tmp_path)
    with pytest.raises(ConfigError) as error:
        find(tmp_path, "dmeo-20260102")
    assert run.run_id in (error.value.hint or "")


def test_an_ambiguous_prefix_is_answered_with_all_it_may_mean(tmp_path):
    ids = [made(tmp_path, nonce=nonce).run_id for nonce in ("000a", "000b")]
    with pytest.raises(ConfigError) as error:
        find(tmp_path, "demo")
    assert all(run_id in str(error.value) for run_id in ids)


def test_a_file_that_is_written_once_is_never_overwritten(tmp_path):
    path = tmp_path / "once"
    assert write_once(path, b"first")
    assert not write_once(path, b"second")
    assert write_once(path, b"first")  # the same content: a repeated call is not a conflict
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_a_store_error_with_path_and_advice(tmp_path):
    run = made(tmp_path)
    with pytest.raises(StoreError, match="absent") as error:
        write_once(run.path / "absent" / "any.json", b"")
    assert f"hpc-qa resume {run.run_id} continues" in (error.value.hint or "")
    with pytest.raises(StoreError, match="absent") as error:
        write_once(tmp_path / "absent" / "any.json", b"")
    assert "the same command again" in (error.value.hint or "")


def test_attempts_are_in_the_order_of_their_start_not_of_their_names(tmp_path):
    shard = made(tmp_path).shard(3)
    names = ["9_3_r0_ffffffff", "10_3_r0_00000000", "10_3_r1_00000000"]
    attempts = [shard.new_attempt(name) for name in names]
    assert [attempt.name for attempt in shard.attempts()] == names
    assert {mode(attempt.path) for attempt in attempts} == {0o700}
    assert shard.index == 3


def test_only_the_last_attempt_is_not_superseded(tmp_path):
    shard = made(tmp_path).shard(0)
    first = shard.new_attempt(attempt_name("1", 0, 0))
    assert not superseded(shard, first)
    second = shard.new_attempt(attempt_name("1", 0, 1))
    assert superseded(shard, first)
    assert not superseded(shard, second)


def test_a_folder_whose_attempt_died_before_its_first_mark_supersedes_nobody(tmp_path):
    shard = made(tmp_path).shard(0)
    first = shard.new_attempt(attempt_name("1", 0, 0))
    (shard.path / attempt_name("1", 0, 1)).mkdir()
    assert not superseded(shard, first)
    assert shard.new_attempt(attempt_name("1", 0, 2)).order() == 2


@pytest.mark.parametrize("name", ["../4471_3_r0_00c0ffee", "4471_3", ".hidden_1_r0_00000000"])
def test_an_attempt_cannot_be_called_what_would_leave_its_shard(tmp_path, name):
    with pytest.raises(StoreError):
        made(tmp_path).shard(0).new_attempt(name)


def test_submissions_are_numbered_and_never_replaced(tmp_path):
    run = made(tmp_path)
    names = [run.add_submission({"shards": [number]}).name for number in range(3)]
    assert names == ["001.json", "002.json", "003.json"]
    assert [one["shards"] for one in run.list_submissions()] == [[0], [1], [2]]
