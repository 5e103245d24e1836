"""The server that the cells of a sweep share: what their workers are told of it, and what its change took."""

import os
from pathlib import Path

import pytest

from hpc_qa.bench.grid import Cell
from hpc_qa.bench.record import Record
from hpc_qa.bench.stage_list import with_switch
from hpc_qa.bench.sweep_server import SweepServers
from hpc_qa.bench.targets import MEASURED
from hpc_qa.config import Config
from hpc_qa.serving.gpus import is_foreign


class StandIn:
    """As much of a server as a sweep asks for; its process is this one."""

    pid, key, startup_s, served_model_name = os.getpid(), "key", 1.0, "m"

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "v.sock"
        self.dead: str | None = None

    def start(self) -> None: ...
    def wait_ready(self) -> None: ...
    def stop(self) -> None: ...

    def death(self) -> str | None:
        return self.dead


@pytest.fixture
def servers(tmp_path, monkeypatch):
    monkeypatch.setattr("hpc_qa.serving.prefix_cache.reset", lambda *_: True)
    monkeypatch.setattr("hpc_qa.serving.prefix_cache.warm_up", lambda *_, **__: None)
    monkeypatch.setattr(SweepServers, "_new", lambda _self, _cell: StandIn(tmp_path))
    with SweepServers(tmp_path, tmp_path, lambda _text: None) as made:
        yield made


def cell(*, model: str = "models/a", limit: int = 4, **vllm: object) -> Cell:
    config = {"name": "c", "manifest": "m.jsonl", "client": {"concurrency_limit": limit}}
    return Cell(f"{model}-{limit}", {}, {}, Config.model_validate(config | {"vllm": {"model": model} | vllm}))


@pytest.mark.parametrize(
    ("on_gpus", "visible", "told"), [(True, None, "0,1"), (True, "5,7", "5,7"), (False, "5,7", None)]
)
def test_a_worker_is_told_the_process_and_the_gpus_of_the_server(servers, monkeypatch, on_gpus, visible, told):
    monkeypatch.setattr("hpc_qa.bench.sweep_server.uses_gpus", lambda _settings: on_gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = servers.prepare(cell(tensor_parallel_size=2), warm_up=0).config.vllm
    assert (found.attach_pid, is_foreign(found)) == (os.getpid(), False)
    assert found.env.get("CUDA_VISIBLE_DEVICES") == told


def test_a_switch_is_timed_where_one_server_takes_the_place_of_another_that_lives(servers):
    switches = []
    for one in (cell(), cell(limit=8), cell(model="models/b"), cell(model="models/b", limit=8)):
        servers.prepare(one, warm_up=0)
        switches.append(servers.switch_s is not None)
    assert switches == [False, False, True, False]
    servers._up.dead = "killed"
    servers.prepare(cell(), warm_up=0)
    assert servers.switch_s is None


def test_a_record_has_the_switch_before_its_cell_as_a_stage_which_targets_read():
    record = Record(id="a")
    assert with_switch(record, None) is record
    assert MEASURED["model_switch_s"](with_switch(record, 12.5)) == 12.5
