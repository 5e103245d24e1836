import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.projects import wait_for
from tests.side_by_side import ROOMS, turn_of, unit_of

ROOT = Path(__file__).resolve().parents[2]
NOTE = """
    import os
    from pathlib import Path

    import pytest

    @pytest.mark.parametrize("number", range(4))
    def test_it(number):
        with Path({notes!r}).open("a") as notes:
            notes.write(f"{{os.getpid()}} {place} {{number}}\\n")
"""
A_SKIP = "import pytest\n\n\ndef test_here():\n    pytest.skip('nothing to see')\n"

SERVER = """
    import time
    from pathlib import Path

    import pytest

    @pytest.fixture(scope="session")
    def server():
        yield
        time.sleep(1.0)
        Path("ended").touch()

    def test_it(server):
        Path("serving").touch()
        time.sleep(100)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with our plugins, whose sessions write no cache."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nmarkers =\n    gpu: x\n")
    plugins = ["tests.no_skips", "tests.long_lane", "tests.side_by_side"]
    pytester.makeconftest(f"pytest_plugins = {plugins}\n")
    return pytester


def session(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-p", "no:cacheprovider", "--import-mode=importlib", *options)


def test_a_room_is_one_unit_and_every_other_file_is_one_of_its_own():
    assert {unit_of(f"tests/real_slurm/{name}.py::test_a") for name in ("test_b", "test_c")} == {"tests/real_slurm/"}
    assert unit_of("tests/unit/test_b.py::test_a[x/y::z]") == "tests/unit/test_b.py"
    assert unit_of("hpc_qa/units.py::hpc_qa.units") == "hpc_qa/units.py"


def test_rooms_come_first_and_exist():
    turns = [turn_of(f"{room}test_a.py::test_b") for room in ROOMS]
    assert turns == sorted(set(turns))
    assert turn_of("tests/bad_input/test_pdfs.py::test_a") > max(turns)
    assert all((ROOT / room).is_dir() for room in ROOMS)


def test_the_tests_of_a_room_run_in_one_process_in_their_order_and_both_processes_work(project):
    notes = project.path / "notes"
    for place in ("tests/real_vllm", "tests/real_slurm", "tests/unit"):
        (project.path / place).mkdir(parents=True)
        for name in ("a", "b"):
            source = NOTE.format(notes=str(notes), place=f"{place}/{name}").replace("\n    ", "\n")
            (project.path / place / f"test_{name}.py").write_text(source)
    assert session(project, "-n", "2").parseoutcomes() == {"passed": 24}
    ran, processes = defaultdict(list), defaultdict(set)
    for process, place, number in map(str.split, notes.read_text().splitlines()):
        ran[Path(place).parent].append((Path(place).name, int(number)))
        processes[Path(place).parent].add(process)
    in_order = [(name, number) for name in "ab" for number in range(4)]
    for room in (Path("tests/real_vllm"), Path("tests/real_slurm")):
        assert len(processes[room]) == 1
        assert ran[room] == in_order
    assert len(set.union(*processes.values())) == 2


def test_a_skip_is_a_failure_under_ci_in_either_process(project, monkeypatch):
    monkeypatch.setenv("CI", "true")
    project.makepyfile(test_a=A_SKIP, test_b=A_SKIP, test_c="import pytest\n\npytest.importorskip('no_such_package')\n")
    result = session(project, "-n", "2", "--continue-on-collection-errors")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = result.parseoutcomes()
    assert (found.pop("errors") >= 1, found) == (True, {"failed": 2})


def test_after_ctrl_c_what_a_process_has_started_is_ended_first(project):
    project.makepyfile(test_a=SERVER)
    with (project.path / "conftest.py").open("a") as conftest:  # xdist waits no time at all
        conftest.write("\nimport xdist.workermanage\nxdist.workermanage.NodeManager.EXIT_TIMEOUT = 0.1\n")
    command = (sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = project.popen(command, start_new_session=True, **quiet)
    wait_for((project.path / "serving").exists)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    assert running.wait(60) == pytest.ExitCode.INTERRUPTED
    assert (project.path / "ended").exists()


def test_the_long_lane_is_one_process(project):
    project.makepyfile(A_SKIP)
    result = session(project, "-n", "2", "--lane=all")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*-n is for the fast lane*"])
