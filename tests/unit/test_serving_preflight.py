import json

import pytest

from hpc_qa.config import Vllm
from hpc_qa.serving.preflight import INDEX, weight_file_fault
from hpc_qa.serving.preflight import model_faults as faults_of


def model_faults(folder, *, tokenizer=None, **settings):
    return faults_of(folder, Vllm(model="m", **settings), tokenizer=tokenizer)


def write_weights(path, *, extra=b"", cut=0):
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "__metadata__": {}}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(16) + extra
    path.write_bytes(content[: len(content) - cut])


@pytest.fixture
def model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "num_attention_heads": 9}))
    (tmp_path / "tokenizer.json").write_text("{}")
    write_weights(tmp_path / "model.safetensors")
    return tmp_path


def test_a_whole_model_has_no_faults(model):
    assert model_faults(model) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    (fault,) = model_faults(tmp_path / "nothing")
    assert str(tmp_path / "nothing") in fault


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_broken_config_is_named(model, content):
    (model / "config.json").write_text(content)
    (fault,) = model_faults(model)
    assert "config.json" in fault


def test_a_config_without_architecture_is_no_language_model(model):
    (model / "config.json").write_text("{}")
    assert any("architectures" in fault for fault in model_faults(model))


def test_heads_that_cannot_be_divided_are_found_and_the_possible_sizes_named(model):
    (fault,) = model_faults(model, tensor_parallel_size=2)
    assert "9 attention heads" in fault
    assert "1, 3, 9" in fault


@pytest.mark.parametrize("cut", [1, 16, 20, 200])
def test_a_weight_file_that_is_cut_off_is_found_by_its_header(model, cut):
    write_weights(model / "model.safetensors", cut=cut)
    (fault,) = model_faults(model)
    assert "model.safetensors" in fault


def test_a_weight_file_with_something_behind_it_is_damaged(model):
    write_weights(model / "model.safetensors", extra=b"x")
    assert weight_file_fault(model / "model.safetensors")


def test_a_header_that_is_no_json_is_damaged(tmp_path):
    (tmp_path / "w.safetensors").write_bytes((4).to_bytes(8, "little") + b"\xff\xff\xff\xff")
    assert weight_file_fault(tmp_path / "w.safetensors")


def test_a_weight_file_that_the_index_names_and_that_is_missing_is_found(model):
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}))
    (fault,) = model_faults(model)
    assert fault.endswith("model-2.safetensors: missing")


def test_only_safetensors_are_loaded(model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    (fault,) = model_faults(model)
    assert "safetensors" in fault


def test_all_faults_come_at_once(model):
    (model / "tokenizer.json").unlink()
    write_weights(model / "model.safetensors", cut=3)
    assert len(model_faults(model, tensor_parallel_size=2)) == 3


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_a_damaged_tokenizer_file_is_named(model, name):
    (model / name).write_text('{"version": "1.0", "added_tok')
    (fault,) = model_faults(model)
    assert f"{model / name}: not valid JSON" in fault


def test_a_tokenizer_in_a_folder_of_its_own_is_looked_for_there(model, tmp_path):
    (model / "tokenizer.json").unlink()
    own = tmp_path / "own"
    own.mkdir()
    assert str(own) in model_faults(model, tokenizer=own)[0]
    (own / "tokenizer.json").write_text("{}")
    assert model_faults(model, tokenizer=own) == []
    assert model_faults(model, tokenizer=own / "tokenizer.json") == []


def write_config(model, **keys):
    config = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096}
    (model / "config.json").write_text(json.dumps(config | keys))


def test_a_context_longer_than_the_model_is_found(model):
    write_config(model)
    (fault,) = model_faults(model, max_model_len=8192)
    assert fault == f"{model / 'config.json'}: vllm.max_model_len 8192 is more than the 4096 positions of this model"
    assert model_faults(model, max_model_len=4096) == []


def test_a_context_that_may_be_stretched_is_left_to_vllm(model):
    write_config(model, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096})
    assert model_faults(model, max_model_len=8192) == []
    write_config(model)
    assert model_faults(model, max_model_len=8192, extra_args={"hf_overrides": "{}"}) == []
    assert model_faults(model, max_model_len=8192, env={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}) == []


def test_a_model_that_sees_keeps_its_figures_one_level_deeper(model):
    write_config(model, text_config={"num_attention_heads": 9, "max_position_embeddings": 1024})
    faults = model_faults(model, tensor_parallel_size=2, max_model_len=2048)
    assert ["9 attention heads" in faults[0], "1024 positions" in faults[1]] == [True, True]
