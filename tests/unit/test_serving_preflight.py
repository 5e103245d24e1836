import json

import pytest

from hpc_qa.serving.preflight import INDEX, model_faults, weight_file_fault


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
