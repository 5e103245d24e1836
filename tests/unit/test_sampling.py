"""The worker's sampler: what it writes, and that nothing which happens to it matters to the attempt."""

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpc_qa.campaign.sampled_gpus import SampledGpu, gpus_of
from hpc_qa.config import Vllm
from hpc_qa.ledger.samples import from_json, from_line, sum_up
from hpc_qa.serving.gpu_samples import GpuReading
from hpc_qa.store.run_directory import AttemptDirectory
from hpc_qa.worker.process_tree import LOOK_EVERY_S, ProcessTree
from hpc_qa.worker.sampling import Sampler, sampling, use_of
from tests.fake_nvml.library import FIRST, SECOND


@pytest.fixture
def directory(tmp_path: Path) -> AttemptDirectory:
    (tmp_path / "attempt").mkdir()
    return AttemptDirectory(tmp_path / "attempt")


@contextmanager
def no_gpus() -> Iterator[type[list[GpuReading]]]:
    yield list


def made(directory: AttemptDirectory, read=list, clock=lambda: 0.0) -> Sampler:
    return Sampler(directory, lambda: "serving", read, clock=clock)


def test_without_a_gpu_the_host_is_sampled_and_the_list_of_devices_is_empty(directory):
    with sampling(directory, lambda: "setup", no_gpus):
        pass
    lines = [json.loads(line) for line in directory.gpu_samples.read_text().splitlines()]
    assert lines
    assert set(lines[0]) == {"t", "s", "c", "r", "g"}
    assert lines[0]["s"] == "setup"
    assert lines[0]["g"] == []
    assert lines[0]["c"] > 0
    assert lines[0]["r"] > 1_000_000
    found = from_json(json.loads(directory.samples_json.read_text()))
    assert found is not None
    assert (found.sampled_gpus, found.gpu_busy_s) == (0, None)
    assert found.host_memory_peak_bytes is not None
    assert not [thread for thread in threading.enumerate() if thread.name == "samples"]


def test_samples_are_private(directory):
    with sampling(directory, lambda: None, no_gpus):
        pass
    assert stat.S_IMODE(directory.gpu_samples.stat().st_mode) == 0o600


def test_lines_come_in_blocks_and_their_sum_lies_beside_them_for_whoever_is_killed(directory):
    now = iter(range(1000))
    sampler = made(directory, lambda: [GpuReading("GPU-a", 50, 1, 2.0, 3)], lambda: next(now))
    sampler.take()
    assert not directory.gpu_samples.exists()
    sampler.take()
    sampler.write()
    lines = directory.gpu_samples.read_bytes().splitlines()
    assert len(lines) == 2
    assert all(from_line(line) for line in lines)
    assert 100 < len(lines[0]) < 200
    found = from_json(json.loads(directory.samples_json.read_text()))
    assert found == sum_up(lines)
    assert found is not None
    assert found.gpu_utilization == 0.5


def test_real_readings_become_figures(fake_nvml):
    program = """
import itertools, json, logging, tempfile
from pathlib import Path
from hpc_qa.serving.gpu_samples import named_gpus
from hpc_qa.store.run_directory import AttemptDirectory
from hpc_qa.worker.sampling import Sampler
now = [0.0]
directory = AttemptDirectory(Path(tempfile.mkdtemp()))
with named_gpus(1, "1") as read:
    sampler = Sampler(directory, lambda: "serving", read, clock=lambda: now[0])
    for _ in range(4):
        sampler.take()
        now[0] += 1
    sampler.write()
result = json.loads(directory.samples_json.read_text())
result["names"] = sorted({one["id"] for line in directory.gpu_samples.open() for one in json.loads(line)["g"]})
"""
    rules = ("1 utilization 10 lost 90", "1 used 5 9 7", "1 power 100000", "1 energy 1000 3000 200 700")
    found = fake_nvml.run(program, *rules)
    assert found["names"] == [SECOND]
    expected = {
        "sampled_gpus": 1, "covered_gpu_s": 2.0, "gpu_busy_s": 1.0, "gpu_memory_peak_bytes": 9, "gpu_energy_j": 2.5,
        "energy_basis": "counter", "gpu_power_mean_w": 100.0, "busy_ms": {"serving": 1000},
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert fake_nvml.run(program, *rules[:3], "1 energy not_supported")["energy_basis"] == "power"


def test_what_the_gpus_are_stands_beside_their_figures_and_is_none_of_them(fake_nvml, directory):
    program = f"""
import json
from pathlib import Path
from hpc_qa.config import Vllm
from hpc_qa.serving.gpu_samples import named_kinds
from hpc_qa.store.run_directory import AttemptDirectory
from hpc_qa.worker.sampling import Sampler
directory = AttemptDirectory(Path({str(directory.path)!r}))
sampler = Sampler(directory, lambda: "serving", list, kinds=named_kinds(2, None))
sampler.take()
sampler.write()
result = json.loads(directory.samples_json.read_text())
"""
    found = fake_nvml.run(program, "1 total not_supported")
    assert found["devices"] == [
        {"id": FIRST, "name": "Made Up GPU", "memory_bytes": 80_000_000_000},
        {"id": SECOND, "name": "Made Up GPU", "memory_bytes": None},
    ]
    assert from_json(found) == from_json({name: value for name, value in found.items() if name != "devices"})
    assert gpus_of(directory.samples_json) == [SampledGpu("Made Up GPU", 80_000_000_000)]


def test_a_server_of_ours_that_was_there_before_counts_from_now_on():
    burn = (
        "import time\nx = bytearray(50_000_000)\nwhile time.process_time() < 0.6: pass\nprint(flush=True)\n"
        "input()\nwhile time.process_time() < 1.2: pass\nprint(flush=True)\ninput()"
    )
    server = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdout.readline()
    # as a stranger: started by another process than the one that samples
    sampler = (
        "import sys, json\nfrom hpc_qa.config import Vllm\nfrom hpc_qa.worker.sampling import use_of\n"
        "settings = Vllm(model='m', attach='s.sock', attach_pid=int(sys.argv[1]))\nuse = use_of(settings)\n"
        "before = use()\nprint(flush=True)\ninput()\nprint(json.dumps([before, use()]))"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", sampler, str(server.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    worker.stdout.readline()
    server.stdin.write("\n")
    server.stdin.flush()
    server.stdout.readline()
    (before, after) = json.loads(worker.communicate("\n")[0])
    server.communicate("\n")
    assert before[1] > 50_000_000
    assert 0.5 <= after[0] - before[0] < 1.1  # what the server used before is no part of it
    assert use_of(Vllm(model="m", attach="s.sock", attach_pid=server.pid))() is None
    assert use_of(Vllm(model="m", attach="s.sock"))() is not None


# -- what happens to it


def test_a_sampler_that_breaks_says_so_and_the_attempt_goes_on(directory, caplog):
    @contextmanager
    def broken() -> Iterator[None]:
        raise RuntimeError("made up")
        yield

    with sampling(directory, lambda: None, broken):
        went_on = True
    assert went_on
    assert "nothing is sampled any more" in caplog.text


def test_a_call_that_never_returns_holds_nobody_up(directory, monkeypatch):
    monkeypatch.setattr("hpc_qa.worker.sampling.LONGEST_END_S", 0.1)
    hang = threading.Event()

    @contextmanager
    def hanging() -> Iterator[object]:
        yield hang.wait

    with sampling(directory, lambda: None, hanging):
        pass
    assert not directory.gpu_samples.exists()
    hang.set()
    for thread in threading.enumerate():
        if thread.name == "samples":
            thread.join()


def test_what_was_sampled_before_it_broke_is_kept(directory):
    answers = iter([[], []])
    with pytest.raises(StopIteration):
        made(directory, lambda: next(answers), iter(range(99)).__next__).run(threading.Event())
    assert len(directory.gpu_samples.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("what", ["removed", "a link"])
def test_a_folder_that_is_lost_is_said_once_and_nothing_is_written_elsewhere(directory, tmp_path, caplog, what):
    sampler = made(directory)
    shutil.rmtree(directory.path)
    if what == "a link":
        (tmp_path / "outside").mkdir()
        directory.path.symlink_to(tmp_path / "outside")
    for _ in range(3):
        sampler.take()
        sampler.write()
    assert caplog.text.count("samples are lost, and the attempt goes on") == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_may_not_grow_is_said_once_and_what_comes_later_is_read(directory):
    program = """
import resource, signal, sys
from pathlib import Path
from hpc_qa.store.run_directory import AttemptDirectory
from hpc_qa.worker.sampling import Sampler
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
now = iter(range(99))
sampler = Sampler(AttemptDirectory(Path(sys.argv[1])), lambda: "serving", list, clock=lambda: next(now))
for most in (-1, 120, 120, -1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, -1))
    sampler.take()
    sampler.take()
    sampler.write()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, directory.path], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stderr.count("samples are lost, and the attempt goes on") == 1
    lines = directory.gpu_samples.read_bytes().splitlines()
    assert [from_line(line) is not None for line in lines] == [True, True, False, True, True]
    found = from_json(json.loads(directory.samples_json.read_text()))
    assert found is not None


# -- the process tree


def test_what_a_child_used_and_what_it_holds_count_and_its_time_stays_when_it_has_ended():
    burn = (
        "import sys, time\nx = bytearray(50_000_000)\nwhile time.process_time() < 0.6: pass\nprint(flush=True)\ninput()"
    )
    now = [0.0]
    tree = ProcessTree(os.getpid(), clock=lambda: now[0])
    before = tree.use()
    child = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    unseen = tree.use()
    now[0] += LOOK_EVERY_S
    during = tree.use()
    child.communicate(b"\n")
    after = tree.use()
    assert before is not None
    assert unseen is not None
    assert during is not None
    assert after is not None
    assert during.cpu_s >= before.cpu_s + 0.5  # the kernel counts in ticks, and cuts them off
    assert during.resident_bytes >= unseen.resident_bytes + 50_000_000
    assert after.cpu_s >= before.cpu_s + 0.5
    assert after.resident_bytes < during.resident_bytes


def test_a_process_that_is_not_there_has_no_figures():
    assert ProcessTree(2**22 + 1).use() is None


def put(proc: Path, pid: int, parent: int, ticks: int = 100) -> None:
    """A process as /proc has it, of a name that looks like something else."""
    fields = ["S", parent, *[0] * 9, ticks, 0, 0, 0, *[0] * 6, 1, 0]
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / str(pid) / "stat").write_text(f"{pid} (a) (b) {' '.join(map(str, fields))}\n")


def test_strangers_do_not_count(tmp_path):
    for pid, parent in ((5, 1), (7, 5), (9, 7), (11, 1)):
        put(tmp_path, pid, parent)
    (tmp_path / "13").mkdir()  # it ended while we looked
    use = ProcessTree(5, proc=tmp_path).use()
    assert use is not None
    assert use.cpu_s == 300 / os.sysconf("SC_CLK_TCK")
    assert use.resident_bytes == 3 * os.sysconf("SC_PAGE_SIZE")


def test_the_time_of_a_process_that_nobody_waited_for_is_not_lost_nor_counted_twice(tmp_path):
    tree, ticks = ProcessTree(5, proc=tmp_path), []

    def look() -> None:
        use = tree.use()
        assert use is not None
        ticks.append(round(use.cpu_s * os.sysconf("SC_CLK_TCK")))

    put(tmp_path, 5, 1)
    put(tmp_path, 7, 5, 1000)
    look()
    shutil.rmtree(tmp_path / "7")  # its parent was read before it waited for it
    look()
    put(tmp_path, 5, 1, 1100)
    look()
    put(tmp_path, 5, 1, 200)  # as if another one were gone for good
    look()
    look()
    put(tmp_path, 5, 1, 250)
    look()
    assert ticks == [1100, 1100, 1100, 1100, 1100, 1150]
