import json
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.config import Vllm
from hpc_qa.serving.memory_fit import memory_fit
from hpc_qa.serving.model_size import ModelSize, _rows, model_size

TABLE = Path(__file__).resolve().parents[2] / "configs" / "models.yaml"
KEYS = (
    "model_type hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim vocab_size torch_dtype "
    "dtype intermediate_size moe_intermediate_size num_experts_per_tok n_shared_experts sliding_window layer_types "
    "sliding_window_pattern use_sliding_window max_window_layers max_position_embeddings rope_scaling rope_parameters "
    "original_max_position_embeddings tie_word_embeddings quantization_config kv_lora_rank qk_rope_head_dim rope_type "
    "factor quant_method bits config_groups kv_cache_scheme num_bits weights quantization"
).split()
SIZES = [model_size(name, project=TABLE.parent, tables=[TABLE]) for name in _rows(TABLE)]

sizes = st.sampled_from(SIZES)
memories = st.floats(4, 200)
settings = st.fixed_dictionaries(
    {
        "tensor_parallel_size": st.sampled_from([1, 2, 4, 8, 16]),
        "pipeline_parallel_size": st.integers(1, 4),
        "max_model_len": st.none() | st.integers(256, 200_000),
        "max_num_seqs": st.none() | st.integers(1, 2000),
        "max_num_batched_tokens": st.none() | st.integers(1, 100_000),
        "gpu_memory_utilization": st.floats(0.1, 1.0),
        "enforce_eager": st.booleans(),
        "kv_cache_dtype": st.sampled_from([None, "auto", "fp8", "odd"]),
        "dtype": st.sampled_from(["auto", "bfloat16", "float32"]),
    }
)


def fit_of(size: ModelSize, memory_gib: float | None, tokens: int | None = None, **given_settings):
    return memory_fit(
        Vllm(model=size.model, **given_settings), size, gpu_memory_gib=memory_gib, tokens_per_request=tokens
    )


@given(size=sizes, memory_gib=memories | st.none(), given_settings=settings, tokens=st.none() | st.integers(1, 10_000))
def test_every_answer_is_whole_and_a_refusal_says_why(size, memory_gib, given_settings, tokens):
    fit = fit_of(size, memory_gib, tokens, **given_settings)
    assert (fit.verdict == "does_not_fit") == bool(fit.faults)
    assert fit.notes or fit.verdict != "unknown"
    assert json.loads(json.dumps(fit.to_json(), allow_nan=False)) == fit.to_json()
    if fit.kv_tokens is not None:
        assert fit.kv_tokens >= 0
        assert fit.kv_left_total_gib <= fit.gpus * memory_gib
    if fit.verdict in ("fits", "fewer") and fit.max_model_len is not None:
        assert fit.requests_at_max_model_len >= 1


@given(size=sizes, memory_gib=memories, given_settings=settings)
def test_more_tensor_parallel_gpus_never_need_more_weights_on_each(size, memory_gib, given_settings):
    weights = [
        fit.weights_gib
        for ranks in (1, 2, 4, 8, 16)
        if (fit := fit_of(size, memory_gib, **given_settings | {"tensor_parallel_size": ranks})).weights_gib is not None
    ]
    assert weights == sorted(weights, reverse=True)


@given(size=sizes, memory_gib=memories, more_gib=st.floats(0, 100), given_settings=settings)
def test_more_memory_never_holds_fewer_tokens_and_never_turns_a_fit_into_a_refusal(
    size, memory_gib, more_gib, given_settings
):
    less, more = (fit_of(size, gib, **given_settings) for gib in (memory_gib, memory_gib + more_gib))
    if less.kv_tokens is not None:
        assert more.kv_tokens >= less.kv_tokens
    if less.verdict != "does_not_fit":
        assert more.verdict != "does_not_fit"


@given(size=sizes, memory_gib=memories, given_settings=settings)
def test_smaller_weights_leave_room_for_at_least_as_many_tokens(size, memory_gib, given_settings):
    half = replace(size, weight_bytes=size.weight_bytes // 2)
    whole, smaller = (fit_of(one, memory_gib, **given_settings) for one in (size, half))
    if whole.kv_tokens is not None:
        assert smaller.kv_tokens >= whole.kv_tokens


@given(size=sizes, memory_gib=memories, given_settings=settings)
def test_a_kv_cache_in_8_bits_never_holds_fewer_tokens(size, memory_gib, given_settings):
    full = fit_of(size, memory_gib, **given_settings | {"kv_cache_dtype": None})
    small = fit_of(size, memory_gib, **given_settings | {"kv_cache_dtype": "fp8"})
    if full.kv_tokens is not None:
        assert small.kv_tokens >= 2 * full.kv_tokens


scalars = st.none() | st.booleans() | st.integers(-2, 10**6) | st.floats(-1, 2) | st.sampled_from(["", "x", "yarn"])
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.sampled_from(KEYS), scalars, max_size=3)
odd = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


@given(kind=st.sampled_from(["llama", "gemma3", "deepseek_v2", "qwen2", "gpt_oss"]), changes=odd, inner=st.none() | odd)
def test_whatever_a_config_json_holds_the_model_has_a_size_or_a_reason(kind, changes, inner):
    config = {
        "model_type": kind, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100,
        "kv_lora_rank": 16, "qk_rope_head_dim": 8,
    }  # fmt: skip
    config |= changes | ({} if inner is None else {"text_config": inner})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        size = model_size(folder, project=TABLE.parent, tables=[])
    assert size is not None
    assert size.unknown
    fit = fit_of(replace(size, weight_bytes=10**6), 24.0)
    assert fit.verdict == "unknown" or fit.kv_bytes_per_token > 0
