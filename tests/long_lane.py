"""Two lanes: tests marked `long` run with `--lane=all` or `--lane=long` only, and what they said is kept in a record.

`tests/long_lane.json` holds per test its result, seconds, commit, and the hash of the sources that it covers (marker
`covers`, folders and files of hpc_qa; all of them by default, and always its own file). The fast lane says how many
long tests it did not run and which are stale: what they cover has changed since. A test that is missing from the record
or did not pass there fails the fast lane (tests/docs/test_long_lane_record.py).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from hpc_qa.campaign.provenance import commit_sha

Record: TypeAlias = "dict[str, dict[str, Any]]"

RECORD = Path(__file__).parent / "long_lane.json"
ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = pytest.StashKey[dict[str, str]]()  # hashes of the long tests that do not run
INTERRUPTED = "interrupted"  # in the middle of it: it has proven nothing
RESULTS = pytest.StashKey["Record"]()
KEPT_SUFFIXES = {".py", ".yaml", ".md", ".j2"}


def sources_hash(root: Path, covers: Iterable[str], test_file: Path) -> str:
    """SHA-256 over names and contents of the covered files below `root/hpc_qa`, and of the test itself."""
    digest = hashlib.sha256()
    for path in sorted({test_file, *_covered(root / "hpc_qa", covers)}):
        digest.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _covered(package: Path, covers: Iterable[str]) -> Iterable[Path]:
    for name in covers or ("",):
        place = package / name
        if not place.exists():
            raise pytest.UsageError(f"covers({name!r}): there is no {place}")
        inside = place.rglob("*") if place.is_dir() else (place,)
        yield from (path for path in inside if path.suffix in KEPT_SUFFIXES)


def covers_of(item: pytest.Item) -> tuple[str, ...]:
    """The folders and files of hpc_qa that a test is about; empty for all of them."""
    marker = item.get_closest_marker("covers")
    return tuple(marker.args) if marker else ()


def read_record(path: Path) -> Record:
    """What the last long lane said; empty when there was none."""
    return json.loads(path.read_text())["tests"] if path.exists() else {}


def write_record(path: Path, record: Record) -> None:
    """Replace the record, all or nothing."""
    text = json.dumps({"tests": dict(sorted(record.items()))}, indent=2) + "\n"
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_text(text)
    scratch.replace(path)


def faults_and_stale(record: Record, hashes: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What is wrong with the record of these tests, and which of them are stale."""
    faults = [f"{test}: never run; make test-all" for test in hashes if test not in record]
    known = {test: record[test] for test in hashes if test in record}
    faults += [f"{test}: {entry['result']}" for test, entry in known.items() if entry["result"] != "passed"]
    return sorted(faults), sorted(test for test, entry in known.items() if entry["hash"] != hashes[test])


def hashes_of(items: Iterable[pytest.Item]) -> dict[str, str]:
    """The present hash of what each test covers."""
    return {item.nodeid: sources_hash(ROOT, covers_of(item), item.path) for item in items}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lane", choices=("fast", "all", "long"), default="fast", help="which tests run (default: fast)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lane = config.getoption("--lane")
    long = [item for item in items if item.get_closest_marker("long")]
    short = [item for item in items if not item.get_closest_marker("long")]
    config.stash[LEFT_OUT] = hashes_of(long) if lane == "fast" else {}
    config.stash[RESULTS] = {}
    kept, dropped = {"fast": (short, long), "long": (long, short), "all": (items[:], [])}[lane]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if item.get_closest_marker("long"):
        entry = item.config.stash[RESULTS].setdefault(item.nodeid, {"result": INTERRUPTED, "seconds": 0.0})
        entry["seconds"] = round(entry["seconds"] + report.duration, 1)
        if report.outcome != "passed":
            entry["result"] = report.outcome
        elif report.when == "call" and entry["result"] == INTERRUPTED:
            entry["result"] = "passed"
        if report.when == "setup":
            entry["covers"] = list(covers_of(item))
            entry["hash"] = sources_hash(ROOT, covers_of(item), item.path)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes; the one that reports collects nothing
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, {})
    found = session.config.stash.get(RESULTS, {})
    results = {test: entry for test, entry in found.items() if entry["result"] != INTERRUPTED}
    if not results:
        return
    commit = commit_sha(ROOT)
    record = read_record(RECORD) | {test: entry | {"commit": commit} for test, entry in results.items()}
    if is_whole(session.config) and exitstatus != pytest.ExitCode.INTERRUPTED:
        record = {test: entry for test, entry in record.items() if test in results}
    write_record(RECORD, record)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if hasattr(node, "workeroutput"):  # else it has crashed
        node.config.stash[LEFT_OUT] = node.workeroutput["left_out"]


def is_whole(config: pytest.Config) -> bool:
    """Whether this session collected everything: no path, -k or -m was given."""
    chosen = config.getoption("keyword") or config.getoption("markexpr")
    return config.args_source == pytest.Config.ArgsSource.TESTPATHS and not chosen


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    left_out = config.stash.get(LEFT_OUT, {})
    if not left_out:
        return
    faults, stale = faults_and_stale(read_record(RECORD), left_out)
    terminalreporter.section("long lane")
    terminalreporter.line(f"{len(left_out)} long tests not run here (make test-all), {len(stale)} of them stale")
    for test in stale:
        terminalreporter.line(f"stale: {test}")
    for fault in faults:
        terminalreporter.line(f"fault: {fault}")
