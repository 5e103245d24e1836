"""GPU memory as NVML really shows it: held, named, and given back after a kill."""

import os
import subprocess
import sys
import time

import pytest

from hpc_qa.serving.gpus import read_gpus

pytestmark = pytest.mark.gpu

HOLD = """
import time, torch
x = torch.empty(1 << 30, dtype=torch.uint8, device="cuda:0")
print(1, flush=True)
time.sleep(600)
"""


def test_what_a_killed_process_held_is_seen_and_comes_back():
    if not read_gpus():
        pytest.skip("no GPU that NVML can be asked about")
    before = read_gpus()[0].used_mib
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"1\n"
        held = read_gpus()[0]
        assert held.used_mib >= before + 1024
        assert any(one.mib is None or one.mib >= 1024 for one in held.holders)
        mine = [one for one in held.holders if one.pid == holder.pid]  # a container shows the pids of its host
        assert all(one.uid == os.geteuid() for one in mine)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    deadline = time.monotonic() + 60
    while read_gpus()[0].used_mib > before + 256:
        assert time.monotonic() < deadline, str(read_gpus()[0])
        time.sleep(0.5)
