import json
from pathlib import Path

import pytest

from tests import long_lane
from tests.long_lane import faults_and_stale, read_record, sources_hash, write_record

ROOT = Path(__file__).resolve().parents[2]
TWO_LANES = """
    import pytest

    def test_short():
        pass

    @pytest.mark.long
    @pytest.mark.covers("units.py")
    def test_long():
        assert {works}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("hpc_qa/worker/task.py", "hpc_qa/store/segments.py", "tests/test_it.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    return tmp_path


def hash_of(tree: Path, *covers: str) -> str:
    return sources_hash(tree, covers, tree / "tests/test_it.py")


def test_a_change_in_a_covered_package_changes_the_hash(tree):
    before = hash_of(tree, "worker")
    (tree / "hpc_qa/worker/task.py").write_text("# changed\n")
    assert hash_of(tree, "worker") != before


def test_a_change_elsewhere_does_not_change_the_hash(tree):
    before = hash_of(tree, "worker")
    (tree / "hpc_qa/store/segments.py").write_text("# changed\n")
    assert hash_of(tree, "worker") == before


def test_without_a_marker_every_package_is_covered(tree):
    before = hash_of(tree)
    (tree / "hpc_qa/store/segments.py").write_text("# changed\n")
    assert hash_of(tree) != before


def test_a_renamed_file_and_a_changed_test_change_the_hash(tree):
    before = hash_of(tree, "worker")
    (tree / "hpc_qa/worker/task.py").rename(tree / "hpc_qa/worker/job.py")
    renamed = hash_of(tree, "worker")
    (tree / "tests/test_it.py").write_text("# changed\n")
    assert len({before, renamed, hash_of(tree, "worker")}) == 3


def test_bytecode_does_not_count(tree):
    before = hash_of(tree, "worker")
    (tree / "hpc_qa/worker/__pycache__").mkdir()
    (tree / "hpc_qa/worker/__pycache__/task.cpython-311.pyc").write_bytes(b"x")
    assert hash_of(tree, "worker") == before


def test_a_package_that_is_not_there_cannot_be_covered(tree):
    with pytest.raises(pytest.UsageError, match="wrker"):
        hash_of(tree, "wrker")


def test_a_test_without_a_record_and_one_that_failed_are_faults():
    record = {"a": {"result": "failed", "hash": "1"}, "b": {"result": "passed", "hash": "1"}}
    faults, stale = faults_and_stale(record, {"a": "1", "b": "1", "c": "1"})
    assert faults == ["a: failed", "c: never run; make test-all"]
    assert stale == []


def test_a_test_whose_sources_changed_is_stale_and_no_fault():
    assert faults_and_stale({"a": {"result": "passed", "hash": "1"}}, {"a": "2"}) == ([], ["a"])


def test_the_record_is_read_as_it_was_written(tmp_path):
    record = {"b": {"result": "passed"}, "a": {"result": "failed"}}
    write_record(tmp_path / "record.json", record)
    assert read_record(tmp_path / "record.json") == record
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_without_a_record_nothing_is_recorded(tmp_path):
    assert read_record(tmp_path / "record.json") == {}


def run_lane(pytester: pytest.Pytester, works: bool, *options: str) -> tuple[pytest.RunResult, dict]:
    """A session of its own, in a project of its own, with a copy of the plugin."""
    pytester.makeini("[pytest]\nmarkers =\n    long: x\n    covers: x\n")
    (pytester.path / "hpc_qa").mkdir(exist_ok=True)
    (pytester.path / "hpc_qa" / "units.py").write_text("")
    pytester.makepyfile(test_lanes=TWO_LANES.format(works=works))
    (pytester.path / "tests").mkdir(exist_ok=True)
    (pytester.path / "tests" / "lanes_copy.py").write_text(Path(long_lane.__file__).read_text())
    pytester.makeconftest(f"import sys\nsys.path[:0] = ['tests', {str(ROOT)!r}]\npytest_plugins = ['lanes_copy']\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
    record = pytester.path / "tests" / "long_lane.json"
    return result, json.loads(record.read_text())["tests"] if record.exists() else {}


def test_the_fast_lane_leaves_long_tests_out_and_says_so(pytester):
    result, record = run_lane(pytester, True)
    assert result.parseoutcomes() == {"passed": 1, "deselected": 1}
    assert record == {}
    result.stdout.fnmatch_lines(["1 long tests not run here*", "fault: test_lanes.py::test_long: never run*"])


def test_two_processes_say_together_what_they_left_out(pytester):
    result, _ = run_lane(pytester, True, "-n", "2")
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["1 long tests not run here*", "fault: test_lanes.py::test_long: never run*"])


def test_the_long_lane_records_what_passed(pytester):
    result, record = run_lane(pytester, True, "--lane=all")
    assert result.parseoutcomes() == {"passed": 2}
    entry = record["test_lanes.py::test_long"]
    assert entry["result"] == "passed"
    assert entry["covers"] == ["units.py"]
    assert entry.keys() == {"result", "seconds", "commit", "covers", "hash"}


def test_the_long_lane_records_what_failed(pytester):
    result, record = run_lane(pytester, False, "--lane=long")
    assert result.parseoutcomes() == {"failed": 1, "deselected": 1}
    assert record["test_lanes.py::test_long"]["result"] == "failed"


def test_a_recorded_test_becomes_stale_when_what_it_covers_changes(pytester):
    run_lane(pytester, True, "--lane=all")
    (pytester.path / "hpc_qa" / "units.py").write_text("# changed\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*1 of them stale", "stale: test_lanes.py::test_long"])
