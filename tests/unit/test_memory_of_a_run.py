"""A model that cannot fit into its GPUs is refused by plan and submit, with figures, before any GPU is held."""

import json
from pathlib import Path

import pytest

from hpc_qa.campaign.memory import fit_of
from hpc_qa.config_file import load
from hpc_qa.errors import ConfigError
from tests.projects import call

CONFIG = """
name: large
manifest: m.jsonl
vllm: {{model: models/Llama-3.1-70B-Instruct, tensor_parallel_size: {gpus}, max_model_len: 8192}}
slurm: {{site: site.yaml}}
"""


def config_of(folder: Path, gpus: int, memory_gib: float):
    (folder / "site.yaml").write_text(f"name: here\ngpu: {{name: card, memory_gib: {memory_gib}, per_node: 4}}\n")
    (folder / "config.yaml").write_text(CONFIG.format(gpus=gpus))
    return load(folder / "config.yaml", project=folder)


def test_70b_on_four_cards_of_80_gb_fits_and_leaves_144_gib_for_kv(tmp_path):
    fit = fit_of(config_of(tmp_path, 4, 80.0), tmp_path)
    assert fit.faults == ()
    assert fit.kv_left_total_gib == pytest.approx(144, rel=0.05)
    assert "models.yaml" in fit.source  # the folder is not here


def test_70b_on_two_cards_of_24_gb_is_refused_with_figures_before_anything_is_done(tmp_path, capsys):
    config_of(tmp_path, 2, 24.0)
    (tmp_path / "m.jsonl").write_text("")
    for command in ("plan", "submit"):
        assert call(tmp_path, command, str(tmp_path / "config.yaml")) == 2
        said = capsys.readouterr().err
        assert "65.7" in said
        assert "24.0" in said
    assert not (tmp_path / "runs").exists()


def test_a_server_that_somebody_else_runs_is_not_looked_at(tmp_path):
    config = config_of(tmp_path, 2, 24.0)
    attached = config.vllm.model_copy(update={"attach": "server.sock"})
    assert fit_of(config.model_copy(update={"vllm": attached}), tmp_path) is None


def test_a_table_of_the_project_goes_before_that_of_the_package(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "models.yaml").write_text("damaged: [")
    with pytest.raises(ConfigError, match=r"models\.yaml"):
        fit_of(config_of(tmp_path, 4, 80.0), tmp_path)


def test_the_fit_is_part_of_the_plan_as_json(tmp_path, capsys):
    fit = fit_of(config_of(tmp_path, 4, 80.0), tmp_path)
    assert json.loads(json.dumps(fit.to_json()))["verdict"] == "fits"
