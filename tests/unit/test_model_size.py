import json
from pathlib import Path

import pytest

from hpc_qa.config_file import load
from hpc_qa.errors import ConfigError
from hpc_qa.serving.model_size import ModelSize, _rows, model_size
from hpc_qa.serving.preflight import INDEX

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "configs" / "models.yaml"
EXPERTS = {"mixtral-8x7b-instruct-v0.1": 8, "qwen3-30b-a3b": 128}  # of the models of the table that have several

# What the config.json of these models says, as far as it matters here
LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "max_position_embeddings": 131072, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "vocab_size": 128256,
}  # fmt: skip
LLAMA_2_7B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 4096,
    "num_attention_heads": 32, "num_hidden_layers": 32, "torch_dtype": "float16", "vocab_size": 32000,
}  # fmt: skip
QWEN_7B = {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "max_position_embeddings": 32768,
    "max_window_layers": 28, "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
    "sliding_window": 131072, "torch_dtype": "bfloat16", "use_sliding_window": False, "vocab_size": 152064,
}  # fmt: skip
QWEN3_MOE = {
    "model_type": "qwen3_moe", "head_dim": 128, "hidden_size": 2048, "intermediate_size": 6144,
    "max_position_embeddings": 40960, "moe_intermediate_size": 768, "num_attention_heads": 32, "num_experts": 128,
    "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4, "sliding_window": None,
    "torch_dtype": "bfloat16", "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip
GEMMA_2_9B = {
    "model_type": "gemma2", "head_dim": 256, "hidden_size": 3584, "intermediate_size": 14336,
    "max_position_embeddings": 8192, "num_attention_heads": 16, "num_hidden_layers": 42, "num_key_value_heads": 8,
    "sliding_window": 4096, "torch_dtype": "bfloat16", "vocab_size": 256000,
}  # fmt: skip
GEMMA_3_12B = {  # most of its figures are left out, and the language model is one of two parts
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "torch_dtype": "bfloat16",
    "text_config": {
        "hidden_size": 3840, "intermediate_size": 15360, "model_type": "gemma3_text", "num_attention_heads": 16,
        "num_hidden_layers": 48, "num_key_value_heads": 8, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "num_attention_heads": 16, "num_hidden_layers": 27},
}  # fmt: skip
PHI_3_MINI_4K = {
    "model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "max_position_embeddings": 4096,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "sliding_window": 2047,
    "torch_dtype": "bfloat16", "vocab_size": 32064,
}  # fmt: skip
GPT_OSS_20B = {
    "model_type": "gpt_oss", "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 12, "max_position_embeddings": 131072,
    "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 8,
    "num_local_experts": 32, "quantization_config": {"quant_method": "mxfp4"}, "sliding_window": 128,
    "rope_scaling": {"factor": 32.0, "original_max_position_embeddings": 4096, "rope_type": "yarn"},
    "vocab_size": 201088,
}  # fmt: skip
DEEPSEEK_V2_LITE = {
    "model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10944, "kv_lora_rank": 512,
    "max_position_embeddings": 163840, "moe_intermediate_size": 1408, "n_routed_experts": 64, "n_shared_experts": 2,
    "num_attention_heads": 16, "num_experts_per_tok": 6, "num_hidden_layers": 27, "num_key_value_heads": 16,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "torch_dtype": "bfloat16", "v_head_dim": 128, "vocab_size": 102400,
}  # fmt: skip


def write_weights(path: Path, dtype: str = "BF16", shape: tuple[int, ...] = (4, 8), each: int = 2) -> None:
    size = each * shape[0] * shape[1]
    header = {"__metadata__": {"format": "pt"}, "w": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))


def write_model(project: Path, config: dict, *, total_size: int | None = None, name: str = "m") -> Path:
    folder = project / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    if total_size is None:
        write_weights(folder / "model.safetensors")
    else:
        shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
        (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": total_size}, "weight_map": shards}))
    return folder


def size_of(project: Path, model: str = "m") -> ModelSize:
    found = model_size(model, project=project, tables=[])
    assert found is not None
    return found


def size_from_table(model: str, *tables: Path) -> ModelSize | None:
    return model_size(model, project=ROOT / "tests", tables=tables or [TABLE])


def kv_bytes_per_token(size: ModelSize) -> int:
    """In 16 bits, all layers in full."""
    return size.shape.layers * size.shape.kv_heads * size.shape.kv_values * 2


@pytest.mark.parametrize(
    ("config", "kv_bytes", "max_model_len"),
    [
        (LLAMA_8B, 2 * 32 * 8 * 128 * 2, 131072),
        (LLAMA_2_7B, 2 * 32 * 32 * 128 * 2, 4096),
        (QWEN_7B, 2 * 28 * 4 * 128 * 2, 32768),
        (QWEN3_MOE, 2 * 48 * 4 * 128 * 2, 40960),
        (GEMMA_2_9B, 2 * 42 * 8 * 256 * 2, 8192),
        (GEMMA_3_12B, 2 * 48 * 8 * 256 * 2, 131072),
        (PHI_3_MINI_4K, 2 * 32 * 32 * 96 * 2, 4096),
        (GPT_OSS_20B, 2 * 24 * 8 * 64 * 2, 131072),
        (DEEPSEEK_V2_LITE, 27 * (512 + 64) * 2, 163840),
    ],
    ids=lambda value: value.get("model_type") if isinstance(value, dict) else None,
)
def test_the_kv_cache_of_a_token_follows_from_config_json(tmp_path, config, kv_bytes, max_model_len):
    write_model(tmp_path, config)
    size = size_of(tmp_path)
    assert size.unknown is None
    assert kv_bytes_per_token(size) == kv_bytes
    assert size.shape.max_model_len == max_model_len


def test_everything_about_a_model_is_read_from_its_folder(tmp_path):
    write_model(tmp_path, LLAMA_8B, total_size=16_060_522_496)
    size = size_of(tmp_path)
    assert (size.weight_bytes, size.bytes_per_weight, size.dtype, size.kv_dtype) == (
        16_060_522_496, 2.0, "bfloat16", "bfloat16",
    )  # fmt: skip
    shape = size.shape
    assert (shape.layers, shape.attention_heads, shape.kv_heads, shape.head_size) == (32, 32, 8, 128)
    assert (shape.hidden_size, shape.intermediate_size, shape.vocabulary_size) == (4096, 14336, 128256)
    assert size.in_folder
    assert size.source == f"m: config.json and {INDEX}"


def test_all_experts_are_weights_and_a_token_passes_through_some(tmp_path):
    write_model(tmp_path, QWEN3_MOE, total_size=61_064_245_248)
    size = size_of(tmp_path)
    assert size.weight_bytes == 61_064_245_248
    assert size.shape.intermediate_size == 8 * 768
    write_model(tmp_path, DEEPSEEK_V2_LITE, name="deepseek")
    assert size_of(tmp_path, "deepseek").shape.intermediate_size == (6 + 2) * 1408


@pytest.mark.parametrize(
    ("config", "sliding"),
    [(LLAMA_8B, (0, None)), (QWEN_7B, (0, None)), (GEMMA_2_9B, (21, 4096)), (GEMMA_3_12B, (40, 1024)),
     (PHI_3_MINI_4K, (32, 2047)), (GPT_OSS_20B, (12, 128)),
     (QWEN_7B | {"use_sliding_window": True, "max_window_layers": 20}, (8, 131072))],
    ids=["llama", "qwen2", "gemma2", "gemma3", "phi3", "gpt_oss", "qwen2 that slides"],
)  # fmt: skip
def test_layers_that_slide_are_counted(tmp_path, config, sliding):
    write_model(tmp_path, config)
    shape = size_of(tmp_path).shape
    assert (shape.sliding_layers, shape.sliding_window) == sliding


def test_a_single_file_tells_its_weights_by_its_header(tmp_path):
    write_model(tmp_path, LLAMA_8B)
    assert (size_of(tmp_path).weight_bytes, size_of(tmp_path).bytes_per_weight) == (64, 2.0)


def test_shards_without_an_index_are_summed_but_not_the_copy_of_them(tmp_path):
    folder = write_model(tmp_path, LLAMA_8B)
    write_weights(folder / "model-2.safetensors", shape=(2, 8))
    write_weights(folder / "consolidated.safetensors")
    assert size_of(tmp_path).weight_bytes == 64 + 32


def test_files_that_are_there_count_more_than_what_the_index_says_of_them(tmp_path):
    folder = write_model(tmp_path, LLAMA_8B, total_size=1)
    for number in (1, 2):
        write_weights(folder / f"model-0000{number}-of-00002.safetensors")
    assert size_of(tmp_path).weight_bytes == 128


def test_weights_in_32_bits_are_seen_in_the_header(tmp_path):
    folder = write_model(tmp_path, LLAMA_8B | {"torch_dtype": "float32"})
    write_weights(folder / "model.safetensors", "F32", each=4)
    size = size_of(tmp_path)
    assert (size.bytes_per_weight, size.dtype) == (4.0, "bfloat16")


@pytest.mark.parametrize(
    ("quantization", "method", "bytes_per_weight", "kv_dtype"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq", 0.5, "bfloat16"),
        ({"quant_method": "gptq", "bits": 8}, "gptq", 1.0, "bfloat16"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 1.0, "bfloat16"),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}},
          "kv_cache_scheme": {"num_bits": 8, "type": "float"}}, "compressed-tensors", 1.0, "fp8"),
        ({"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}, "modelopt", 2.0, "fp8"),
    ],
    ids=lambda value: value.get("quant_method") if isinstance(value, dict) else None,
)  # fmt: skip
def test_a_quantised_model_says_how(tmp_path, quantization, method, bytes_per_weight, kv_dtype):
    write_model(tmp_path, LLAMA_8B | {"quantization_config": quantization}, total_size=5_727_854_592)
    size = size_of(tmp_path)
    assert (size.quantization, size.bytes_per_weight, size.kv_dtype) == (method, bytes_per_weight, kv_dtype)
    assert size.weight_bytes == 5_727_854_592


def test_modelopt_keeps_its_own_file(tmp_path):
    folder = write_model(tmp_path, LLAMA_8B)
    said = {"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}}
    (folder / "hf_quant_config.json").write_text(json.dumps(said))
    assert (size_of(tmp_path).quantization, size_of(tmp_path).kv_dtype) == ("modelopt", "fp8")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model_type": "jamba"}, "jamba"),
        ({"model_type": "deepseek_v32", "kv_lora_rank": 512}, "deepseek_v32"),
        ({"num_key_value_heads": [8, 4]}, "num_key_value_heads is [8, 4]"),
        ({"num_hidden_layers": None}, "num_hidden_layers is null"),
        ({"hidden_size": 16}, "hidden_size 16 is less than its 32 heads"),
        ({"layer_types": ["linear_attention", "full_attention"]}, "linear_attention"),
    ],
    ids=str,
)
def test_a_kv_cache_of_another_kind_is_unknown_and_not_guessed(tmp_path, change, why):
    write_model(tmp_path, LLAMA_8B | change, total_size=1000)
    size = size_of(tmp_path)
    assert size.shape is None
    assert why in size.unknown
    assert size.weight_bytes == 1000


def test_a_folder_without_weights_has_no_size(tmp_path):
    (write_model(tmp_path, LLAMA_8B) / "model.safetensors").unlink()
    size = size_of(tmp_path)
    assert size.weight_bytes is None
    assert "no *.safetensors" in size.unknown


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", "{"), ("config.json", "[]"), ("config.json", None), (INDEX, "{"), ("model.safetensors", "short")],
)
def test_a_damaged_folder_is_refused_and_the_file_named(tmp_path, name, content):
    path = write_model(tmp_path, LLAMA_8B) / name
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        size_of(tmp_path)
    assert str(path) in caught.value.faults[0]


def test_a_model_without_folder_is_found_in_the_table_by_the_last_part_of_its_name():
    for name in (
        "models/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.1-70B-Instruct", "/scratch/llama-3.1-70b-instruct/",
        "models/Meta-Llama-3.1-70B-Instruct",
    ):  # fmt: skip
        size = size_from_table(name)
        assert (size.model, size.weight_bytes, size.in_folder) == (name, 2 * 70_553_706_496, False)
        assert size.source == "models.yaml: config.json of meta-llama/Llama-3.1-70B-Instruct"
        assert kv_bytes_per_token(size) == 0.3125 * 2**20


def test_a_model_that_nobody_knows_has_no_size(tmp_path):
    assert size_from_table("models/Llama-3.1-70B-Instruct-AWQ-of-mine") is None
    assert size_from_table("models/Llama-3.1-70B-Instruct", tmp_path / "missing.yaml") is None


def test_the_folder_goes_before_the_table_and_the_first_table_before_the_second(tmp_path):
    write_model(tmp_path, LLAMA_8B, total_size=1000, name="models/Llama-3.1-70B-Instruct")
    assert model_size("models/Llama-3.1-70B-Instruct", project=tmp_path, tables=[TABLE]).weight_bytes == 1000
    own = tmp_path / "models.yaml"
    own.write_text(TABLE.read_text().replace("parameters: 70_553_706_496", "parameters: 500"))
    assert size_from_table("models/Llama-3.3-70B-Instruct", own, TABLE).weight_bytes == 1000


def test_faults_of_a_table_come_at_once_with_their_lines(tmp_path):
    own = tmp_path / "models.yaml"
    text = TABLE.read_text().replace("    layers: 30\n", "    layer: 30\n", 1)
    own.write_text(text.replace("    hidden_size: 576\n", "    hidden_size: -576\n", 1))
    with pytest.raises(ConfigError) as caught:
        size_from_table("m", own)
    lines = dict(enumerate(own.read_text().splitlines(), 1))
    assert len(caught.value.faults) == 3  # one key too many, one too few, one value
    for fault in caught.value.faults:
        number = int(fault.removeprefix(f"{own}:").partition(":")[0])
        assert any(word in lines[number] for word in ("SmolLM2", "layer: 30", "-576"))


@pytest.mark.parametrize("text", ["", "models: [a]", "other: 1", "models:\n  a: 1\n  a: 2\n"])
def test_a_table_that_is_none_is_refused(tmp_path, text):
    own = tmp_path / "models.yaml"
    own.write_text(text)
    with pytest.raises(ConfigError, match=r"models\.yaml"):
        size_from_table("m", own)


def test_every_model_of_the_configs_has_a_size():
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        if "vllm:" in path.read_text():
            model = load(path, project=ROOT).model
            assert size_from_table(model) is not None, f"{path.name}: {model}"


def counted(name: str) -> tuple[int, int]:
    """Values in the linear layers, and in everything, of a model of the table: the sum over its matrices."""
    row = _rows(TABLE)[name]
    short = name.rpartition("/")[2].lower()
    attention, keys = row.attention_heads * row.head_size, row.kv_heads * row.head_size
    number = EXPERTS.get(short, 1)
    linear = 2 * row.hidden_size * (attention + keys) + 3 * row.hidden_size * row.intermediate_size * number
    rest = row.hidden_size * (4 if "gemma" in short else 2) + (row.hidden_size * number if number > 1 else 0)
    if short.startswith("qwen2.5"):
        rest += attention + 2 * keys  # biases
    if short.startswith("qwen3"):
        rest += 2 * row.head_size  # norms of query and key
    matrices = row.vocabulary_size * row.hidden_size * (1 if row.tied_embeddings else 2)
    return row.layers * linear, row.layers * (linear + rest) + row.hidden_size + matrices


@pytest.mark.parametrize("name", _rows(TABLE))
def test_parameters_and_bytes_of_the_table_are_the_sum_over_the_matrices(name):
    row = _rows(TABLE)[name]
    linear, parameters = counted(name)
    assert row.parameters == parameters
    stored = {None: 2.0, "awq": 0.5 + 2.5 / 128, "compressed-tensors": 1.0}[row.quantization]
    expected = linear * stored + (parameters - linear) * 2
    assert row.parameters * row.bytes_per_weight == pytest.approx(expected, rel=3e-4)  # FP8 keeps scales beside
