import itertools
from collections import Counter
from pathlib import Path

import pytest

from hpc_qa.bench.grid import load_sweep, schedule
from hpc_qa.bench.sweep import shortcomings
from hpc_qa.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
BASE = "name: base\nmanifest: m.jsonl\nexecutor: local\nvllm:\n  model: models/x\n"


def made(folder, text, base=BASE):
    (folder / "base.yaml").write_text(base)
    (folder / "sweep.yaml").write_text(text)
    return load_sweep(folder / "sweep.yaml", folder)


def shipped(name):
    return load_sweep(ROOT / "configs" / "sweeps" / f"{name}.yaml", ROOT)


def test_the_matrix_has_36_cells_with_names_of_model_batch_and_set():
    _, cells = shipped("ran_matrix")
    models, sizes, sets = ("qwen3_1_7b", "qwen3_7b", "qwen3_30b"), (10, 25, 50, 100), ("small", "medium", "large")
    assert [cell.name for cell in cells] == [f"Benchmark_{m}_{b}_{s}" for m in models for b in sizes for s in sets]
    assert len({cell.name for cell in cells}) == 36
    last = cells[-1]
    assert last.labels == {"model": "qwen3_30b", "batch_size": 100, "document_set": "large"}
    assert last.config.model == "models/Qwen3-30B-A3B"
    assert (last.config.client.concurrency_limit, last.config.manifest) == (100, "manifests/sets/large.jsonl")


@pytest.mark.parametrize(
    ("name", "setting", "values"),
    [("concurrency", "concurrency_limit", [10, 20, 50, 100]), ("chunk_size", "chunk_size", [1000, 1500, 2000, 3000])],
)
def test_the_sweeps_over_one_setting_vary_nothing_else(name, setting, values):
    sweep, cells = shipped(name)
    assert [cell.labels[setting] for cell in cells] == values
    varied = {key for cell in cells for key, _ in _flat(cell) - _flat(cells[0])}
    assert varied == {setting}
    assert sweep.repeats == 3


def _flat(cell):
    dumped = cell.config.model_dump()
    return {(key, value) for section in ("qa", "client") for key, value in dumped[section].items() if
            isinstance(value, int | float | str)}  # fmt: skip


def test_every_repeat_runs_every_cell_once_in_an_order_of_its_own_that_the_seed_repeats(tmp_path):
    text = "name: s\nconfig: base.yaml\nrepeats: 3\nseed: 5\ngrid:\n  client.concurrency_limit: [1, 2, 3, 4, 5]\n"
    sweep, cells = made(tmp_path, text)
    order = schedule(sweep, cells)
    passes = [[one.cell.name for one in order if one.repeat == repeat] for repeat in (1, 2, 3)]
    assert all(Counter(names) == Counter(cell.name for cell in cells) for names in passes)
    assert len({tuple(names) for names in passes}) == 3
    assert [one.key for one in schedule(sweep, cells)] == [one.key for one in order]


def test_cells_share_a_server_when_only_their_clients_differ(tmp_path):
    text = (
        "name: s\nconfig: base.yaml\ngrid:\n  client.concurrency_limit: [1, 2]\n  qa.temperature: [0.0, 0.5]\n"
        "  vllm.max_num_seqs: [8, 16]\n"
    )
    sweep, cells = made(tmp_path, text)
    assert len({cell.server for cell in cells}) == 2
    servers = [one.cell.server for one in schedule(sweep, cells)]
    assert sum(a != b for a, b in itertools.pairwise(servers)) == 1


def test_every_fault_of_a_sweep_file_comes_at_once(tmp_path):
    text = (
        "name: s\nconfig: base.yaml\nrepeats: 0\nwarmup: 3\ngrid:\n  client.concurency_limit: [1]\n  name: [a, b]\n"
        "  qa.chunk_size:\n    values: [100, 200]\n    labels: [x]\n"
    )
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, text)
    said = "\n".join(caught.value.faults)
    for part in (
        "did you mean client.concurrency_limit?", "name is not for a sweep", "repeats must be at least 1",
        "warmup is not a setting", "1 labels for 2 values",
    ):  # fmt: skip
        assert part in said
    assert all("sweep.yaml:" in fault for fault in caught.value.faults)


def test_what_could_not_be_ranked_is_said_before_a_sweep_begins(tmp_path):
    text = (
        "name: s\nconfig: base.yaml\nsettings: {documents.sample_chunks: 30}\n"
        "grid:\n  client.concurrency_limit: [2, 100]\n"
    )
    assert list(shortcomings(*made(tmp_path, text), [])) == [
        "repeats: 1; of fewer than 2 runs of a cell no setting can be called optimal",
        "Benchmark_100: 30 of 150 chunks that a ranking needs",
    ]
    assert list(shortcomings(*shipped("demo_concurrency"), [])) == []


def test_values_that_a_setting_cannot_have_are_named_each(tmp_path):
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, "name: s\nconfig: base.yaml\ngrid:\n  qa.chunk_size: [1, 1500, big]\n")
    assert len(caught.value.faults) == 2
    assert all("qa.chunk_size" in fault for fault in caught.value.faults)


def test_values_whose_names_would_be_the_same_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="two values have the same label"):
        made(tmp_path, "name: s\nconfig: base.yaml\ngrid:\n  manifest: [a b, a-b]\n")
