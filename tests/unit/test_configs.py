from pathlib import Path
from typing import Any

import pytest
import yaml

from hpc_qa.config import Config
from hpc_qa.config_file import _settings, load

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    path
    for path in (ROOT / "configs").glob("*.yaml")
    if path.name not in ("models.yaml", "prices.yaml", "targets.yaml")
)
NO_DEFAULT = {"name", "manifest", "vllm.model"}


def load_here(name: str) -> Config:
    return load(ROOT / "configs" / name, project=ROOT)


def flat(data: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Leaves by dotted key; an empty mapping is a leaf."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, dict) and value else {f"{above}{key}": value}
    return found


def test_there_is_a_config_for_every_kind_of_run():
    assert {path.name for path in CONFIGS} >= {
        "example.yaml", "demo_cpu.yaml", "local_3090.yaml", "medicaid_config.yaml", "ran.yaml",
    }  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_loads(path):
    assert load(path, project=ROOT).name


def test_the_example_names_every_setting_with_its_default():
    example = flat(yaml.safe_load((ROOT / "configs/example.yaml").read_text()))
    least = Config.model_validate({"name": "x", "manifest": "x", "vllm": {"model": "x"}})
    defaults = flat(least.model_dump())
    assert example.keys() == defaults.keys()
    assert {k: v for k, v in example.items() if k not in NO_DEFAULT} == {
        k: v for k, v in defaults.items() if k not in NO_DEFAULT
    }


def test_the_example_explains_every_section_and_most_keys():
    lines = (ROOT / "configs/example.yaml").read_text().splitlines()
    explained = [line for line in lines if ":" in line and "#" in line and not line.startswith("#")]
    assert len(explained) > len(list(_settings(Config))) * 0.7


def test_init_writes_the_example_of_the_checkout():
    packaged = ROOT / "hpc_qa" / "campaign" / "example.yaml"
    assert packaged.read_text() == (ROOT / "configs" / "example.yaml").read_text()


def test_the_medicaid_run_is_the_one_that_its_figures_are_about():
    config = load_here("medicaid_config.yaml")
    assert config.model.endswith("Llama-3.1-70B-Instruct")
    assert config.vllm.tensor_parallel_size == 4
    assert (config.qa.chunk_size, config.qa.questions_per_chunk, config.qa.max_pairs_per_document) == (1500, 5, 5)
    assert config.client.concurrency_limit == 20


def test_the_demo_needs_no_slurm_and_a_workstation_uses_both_cards():
    assert load_here("demo_cpu.yaml").executor == "local"
    assert load_here("local_3090.yaml").vllm.tensor_parallel_size == 2


@pytest.mark.parametrize(
    ("ours", "packaged"),
    [
        ("configs/models.yaml", "campaign/models.yaml"),
        ("configs/prices.yaml", "budget/prices.yaml"),
        ("configs/targets.yaml", "bench/targets.yaml"),
        ("slurm/generic.yaml", "campaign/site.yaml"),
    ],
)
def test_the_package_carries_the_same_tables_as_the_checkout(ours, packaged):
    assert (ROOT / ours).read_text() == (ROOT / "hpc_qa" / packaged).read_text()
