import json
from dataclasses import replace
from pathlib import Path

import pytest

from hpc_qa.config import Vllm
from hpc_qa.config_file import load
from hpc_qa.serving.memory_fit import CUDA_GRAPHS_GIB, CUDA_SHARE, lines_for_people, memory_fit
from hpc_qa.serving.model_size import ModelSize, Shape, model_size

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "configs" / "models.yaml"
GIB = 2**30
A100 = {"gpu_memory_gib": 80.0, "gpu_name": "NVIDIA A100-SXM4-80GB"}
RTX_3090 = {"gpu_memory_gib": 24.0, "gpu_name": "RTX 3090"}
LLAMA_70B, LLAMA_8B = "models/Llama-3.1-70B-Instruct", "models/Llama-3.1-8B-Instruct"
DEEPSEEK_V2_LITE = ModelSize(
    model="deepseek", source="config.json", in_folder=True, weight_bytes=31_413_000_000, bytes_per_weight=2.0,
    dtype="bfloat16", kv_dtype="bfloat16",
    shape=Shape(27, 16, 1, 512 + 64, 2048, 8 * 1408, 102400, max_model_len=32768, latent=True),
)  # fmt: skip


def size_of(model: str) -> ModelSize:
    found = model_size(model, project=ROOT / "tests", tables=[TABLE])
    assert found is not None
    return found


def fit_of(model: str | ModelSize, gpu=RTX_3090, *, tokens_per_request=None, **settings):
    size = size_of(model) if isinstance(model, str) else model
    return memory_fit(Vllm(model=size.model, **settings), size, **gpu, tokens_per_request=tokens_per_request)


def test_70b_in_16_bits_on_four_a100_leaves_144_gib_for_the_kv_cache():
    fit = fit_of(LLAMA_70B, A100, tensor_parallel_size=4, max_model_len=4096, tokens_per_request=2700)
    assert fit.verdict == "fits"
    assert fit.weights_total_gib == pytest.approx(131.4, abs=0.05)
    assert fit.weights_gib == pytest.approx(32.85, abs=0.01)
    assert fit.kv_left_total_gib == pytest.approx(144, rel=0.05)
    assert fit.kv_bytes_per_token == 0.3125 * 2**20
    assert fit.kv_tokens == pytest.approx(470_000, rel=0.02)
    assert fit.requests_at_tokens_per_request == pytest.approx(170, rel=0.05)


def test_70b_in_16_bits_on_two_3090_is_refused_with_figures_and_what_would_fit():
    fit = fit_of(LLAMA_70B, tensor_parallel_size=2, max_model_len=4096)
    assert fit.verdict == "does_not_fit"
    (fault,) = fit.faults
    assert fault == (
        "models/Llama-3.1-70B-Instruct needs 65.7 GiB per GPU for its weights (131.4 GiB over 2 GPUs), one RTX 3090 "
        "has 24.0 GiB, 21.3 of them for vLLM: vllm.tensor_parallel_size 8 fits (8 GPUs), or the model quantised to "
        "4 bits fits (18.5 GiB per GPU)"
    )


def test_8b_in_16_bits_on_one_3090_fits_and_every_figure_can_be_computed_by_hand():
    fit = fit_of(LLAMA_8B, max_model_len=8192, max_num_seqs=4)
    assert fit.verdict == "fits"
    assert fit.budget_gib == pytest.approx(24 * CUDA_SHARE * 0.9)
    assert fit.weights_gib == pytest.approx(2 * 8_030_261_248 / GIB)
    assert fit.activations_gib == pytest.approx(2048 * (3 * 14336 + 4 * 4096) * 2 / GIB)
    assert fit.temporaries_gib == pytest.approx(fit.activations_gib + CUDA_GRAPHS_GIB + 0.3)
    assert fit.kv_wanted_gib == pytest.approx(4 * 8192 * 128 * 1024 / GIB)
    assert fit.kv_left_gib == pytest.approx(fit.budget_gib - fit.weights_gib - fit.temporaries_gib)
    assert fit.kv_tokens == int(fit.kv_left_gib * GIB / (128 * 1024 * 16)) * 16
    assert fit.requests_at_max_model_len == fit.kv_tokens // 8192 == 5


@pytest.mark.parametrize(
    ("model", "ranks", "weights_gib", "kv_bytes"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 1, 0.2506, 2 * 30 * 3 * 64 * 2),
        ("Qwen/Qwen2.5-7B-Instruct", 2, 7.0926, 2 * 28 * 4 * 128 * 2),
        ("Qwen/Qwen3-32B", 4, 15.2561, 2 * 64 * 8 * 128 * 2),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 2, 43.4954, 2 * 32 * 8 * 128 * 2),
        ("google/gemma-2-27b-it", 2, 25.3572, 2 * 46 * 16 * 128 * 2),
        ("microsoft/Phi-3.5-mini-instruct", 1, 7.1173, 2 * 32 * 32 * 96 * 2),
        ("hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4", 1, 37.0366, 2 * 80 * 8 * 128 * 2),
    ],
)  # fmt: skip
def test_weights_and_kv_cache_as_computed_by_hand(model, ranks, weights_gib, kv_bytes):
    fit = fit_of(model, A100, tensor_parallel_size=ranks, max_model_len=4096)
    assert fit.weights_gib == pytest.approx(weights_gib, abs=1e-3)
    assert fit.kv_bytes_per_token == kv_bytes


def test_what_vllm_measured_of_an_8b_model_on_an_h100_is_met_within_5_percent():
    """vLLM with 0.92 of 79.25 GiB: 15.26 consumed, 1.44 for activations, 56.21 GiB or 460,496 tokens of KV cache."""
    h100 = {"gpu_memory_gib": 79.65, "gpu_name": "NVIDIA H100 80GB HBM3"}
    fit = fit_of(LLAMA_8B, h100, gpu_memory_utilization=0.92)
    assert (fit.max_num_seqs, fit.max_num_batched_tokens) == (1024, 8192)
    assert fit.kv_left_gib == pytest.approx(56.21, rel=0.05)
    assert fit.kv_tokens == pytest.approx(460_496, rel=0.05)


@pytest.mark.parametrize(
    ("name", "memory_gib", "batch"),
    [("NVIDIA A100-SXM4-80GB", 80.0, (256, 2048)), ("NVIDIA H200", 140.4, (1024, 8192)),
     ("NVIDIA B200", 179.0, (1024, 16384)), ("RTX 3090", 24.0, (256, 2048)), (None, 80.0, (256, 2048))],
)  # fmt: skip
def test_a_batch_that_is_not_set_is_vllms_own(name, memory_gib, batch):
    fit = fit_of(LLAMA_8B, {"gpu_memory_gib": memory_gib, "gpu_name": name})
    assert (fit.max_num_seqs, fit.max_num_batched_tokens) == batch


def test_a_context_that_does_not_fit_is_refused_and_one_that_fits_is_named():
    fit = fit_of(LLAMA_8B)  # 131,072 tokens, the model's own
    assert fit.verdict == "does_not_fit"
    (fault,) = fit.faults
    assert "16.0 GiB per GPU for the KV cache of one request of 131,072 tokens (its own context)" in fault
    assert "6.3 are left beside 15.0 GiB of weights" in fault
    assert f"vllm.max_model_len {fit.kv_tokens} fits" in fault
    assert "vllm.tensor_parallel_size 2 fits" in fault
    assert fit_of(LLAMA_8B, max_model_len=fit.kv_tokens).verdict == "fits"
    assert fit_of(LLAMA_8B, max_model_len=fit.kv_tokens + 16).verdict == "tight"
    assert fit_of(LLAMA_8B, tensor_parallel_size=2).verdict == "fits"


def test_what_only_the_estimates_say_is_a_note_and_no_refusal():
    fit = fit_of("Qwen/Qwen2.5-14B-Instruct", {"gpu_memory_gib": 32.0}, max_model_len=2048)
    assert (fit.verdict, fit.faults) == ("tight", ())
    assert "close: 0.9 GiB per GPU are left beside the weights" in fit.notes[0]


def test_fewer_requests_than_asked_for_are_a_note():
    fit = fit_of(LLAMA_8B, max_model_len=8192, max_num_seqs=32)
    assert (fit.verdict, fit.faults) == ("fewer", ())
    assert fit.notes[0] == "room for 5 requests of 8,192 tokens at once; of vllm.max_num_seqs 32 the others wait"
    assert fit_of(LLAMA_8B, max_model_len=8192, max_num_seqs=32, tokens_per_request=1000).verdict == "fits"
    assert fit_of(LLAMA_8B, max_model_len=8192).verdict == "fits"  # nobody asked for a number


@pytest.mark.parametrize(("model", "ranks", "possible"), [
    (LLAMA_70B, 3, "1, 2, 4, 8, 16, 32, 64"),
    ("Qwen/Qwen2.5-7B-Instruct", 8, "1, 2, 4, 28"),
    ("Qwen/Qwen2.5-7B-Instruct", 7, "1, 2, 4, 28"),  # divides the heads, but not the KV heads
])  # fmt: skip
def test_heads_that_cannot_be_divided_are_a_fault_whatever_the_gpu(model, ranks, possible):
    for gpu in (A100, {"gpu_memory_gib": None}):
        fit = fit_of(model, gpu, tensor_parallel_size=ranks)
        assert fit.verdict == "does_not_fit"
        assert fit.faults[0].startswith(f"vllm.tensor_parallel_size {ranks}: ")
        assert fit.faults[0].endswith(f"possible: {possible}")


def test_kv_heads_are_kept_several_times_when_there_are_more_gpus():
    eight, sixteen = (fit_of(LLAMA_70B, A100, tensor_parallel_size=n, max_model_len=4096) for n in (8, 16))
    assert eight.kv_bytes_per_token == 327_680
    assert sixteen.kv_bytes_per_token == 2 * 327_680


def test_a_latent_kv_cache_is_one_vector_and_whole_on_every_gpu():
    one, two = (fit_of(DEEPSEEK_V2_LITE, A100, tensor_parallel_size=n) for n in (1, 2))
    assert one.kv_bytes_per_token == 27 * 576 * 2
    assert two.kv_bytes_per_token == 2 * one.kv_bytes_per_token


def test_pipeline_stages_share_layers_and_the_ends_keep_the_embeddings():
    flat = fit_of(LLAMA_70B, A100, tensor_parallel_size=4, max_model_len=4096)
    two = fit_of(LLAMA_70B, A100, tensor_parallel_size=2, pipeline_parallel_size=2, max_model_len=4096)
    assert two.weights_gib == pytest.approx(flat.weights_gib)  # half of the layers and one of two matrices
    assert two.kv_bytes_per_token == flat.kv_bytes_per_token
    four = fit_of(LLAMA_70B, A100, pipeline_parallel_size=4, max_model_len=4096)
    matrix = 128256 * 8192 * 2
    assert four.weights_gib == pytest.approx(((2 * 70_553_706_496 - 2 * matrix) / 4 + matrix) / GIB)
    tied = fit_of("google/gemma-2-9b-it", A100, pipeline_parallel_size=2)
    assert tied.weights_total_gib > 2 * 9_241_705_984 / GIB  # the last stage keeps a copy of its own


def test_a_sliding_window_is_never_the_reason_of_a_refusal():
    gemma = fit_of("google/gemma-2-9b-it", gpu_memory_utilization=0.9, max_model_len=8192)
    assert any("21 of 42 layers keep only 4,096 tokens" in note for note in gemma.notes)
    shape = replace(size_of(LLAMA_8B).shape, sliding_layers=28, sliding_window=1024)
    slides = fit_of(replace(size_of(LLAMA_8B), shape=shape))
    assert slides.verdict == "fits"
    assert slides.requests_at_max_model_len == 1
    assert fit_of(LLAMA_8B).verdict == "does_not_fit"


def test_eager_mode_needs_no_cuda_graphs():
    graphs, eager = (fit_of(LLAMA_8B, max_model_len=4096, enforce_eager=value) for value in (False, True))
    assert eager.kv_left_gib - graphs.kv_left_gib == pytest.approx(CUDA_GRAPHS_GIB)


def test_a_kv_cache_in_8_bits_holds_twice_as_many_tokens():
    full, small = (fit_of(LLAMA_8B, max_model_len=4096, kv_cache_dtype=kind) for kind in (None, "fp8"))
    assert small.kv_tokens == pytest.approx(2 * full.kv_tokens, abs=16)
    made_so = replace(size_of(LLAMA_8B), kv_dtype="fp8")
    assert fit_of(made_so, max_model_len=4096).kv_tokens == small.kv_tokens
    assert fit_of(made_so, max_model_len=4096, kv_cache_dtype="bfloat16").kv_tokens == full.kv_tokens


def test_the_type_that_is_computed_in_decides_how_much_is_loaded():
    plain = fit_of(LLAMA_8B, A100, max_model_len=4096)
    wide = fit_of(LLAMA_8B, A100, max_model_len=4096, dtype="float32")
    assert wide.weights_gib == pytest.approx(2 * plain.weights_gib)
    stored = replace(size_of(LLAMA_8B), weight_bytes=4 * 8_030_261_248, bytes_per_weight=4.0)
    assert fit_of(stored, A100, max_model_len=4096).weights_gib == pytest.approx(plain.weights_gib)
    quantised = fit_of(LLAMA_8B, A100, max_model_len=4096, quantization="fp8")
    linear = 8_030_261_248 - 2 * 128256 * 4096
    assert quantised.weights_gib == pytest.approx((linear + 4 * 128256 * 4096) / GIB)
    assert quantised.loading_peak_gib == pytest.approx(quantised.weights_gib + 2 * linear / 32 / GIB)
    assert plain.loading_peak_gib == plain.weights_gib


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"extra_args": {"cpu-offload-gb": 10}}, "vllm.extra_args.cpu-offload-gb"),
        ({"extra_args": {"kv_cache_memory_bytes": 10}}, "vllm.extra_args.kv_cache_memory_bytes"),
        ({"extra_args": {"speculative_config": "{}"}}, "vllm.extra_args.speculative_config"),
        ({"env": {"VLLM_PP_LAYER_PARTITION": "1,2"}}, "vllm.env.VLLM_PP_LAYER_PARTITION"),
        ({"quantization": "torchao"}, "torchao"),
        ({"kv_cache_dtype": "turboquant_4bit_nc"}, "turboquant_4bit_nc"),
        ({"pipeline_parallel_size": 100}, "pipeline_parallel_size 100"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_computed_is_unknown_with_its_reason(settings, why):
    fit = fit_of(LLAMA_70B, **settings)
    assert (fit.verdict, fit.faults) == ("unknown", ())
    assert fit.notes[0].startswith("memory fit unknown: ")
    assert why in fit.notes[0]


def test_without_the_memory_of_a_gpu_the_demand_is_known_and_the_fit_is_not():
    fit = fit_of(LLAMA_70B, {"gpu_memory_gib": None}, tensor_parallel_size=4, max_model_len=4096)
    assert fit.verdict == "unknown"
    assert "gpu.memory_gib" in fit.notes[0]
    assert fit.weights_gib == pytest.approx(32.85, abs=0.01)
    assert (fit.kv_left_gib, fit.kv_tokens, fit.budget_gib) == (None, None, None)


def test_a_model_that_nobody_knows_is_unknown():
    fit = memory_fit(Vllm(model="models/mine"), None, **A100)
    assert (fit.verdict, fit.faults, fit.source) == ("unknown", (), None)
    assert "models/mine" in fit.notes[0]


def test_of_an_unknown_architecture_the_weights_alone_can_be_too_much():
    size = replace(size_of(LLAMA_70B), shape=None, unknown="config.json: how a model of the type jamba ...")
    assert fit_of(size, A100, tensor_parallel_size=4).verdict == "unknown"
    refused = fit_of(size, tensor_parallel_size=2)
    assert refused.verdict == "does_not_fit"
    assert "needs 65.7 GiB per GPU" in refused.faults[0]
    assert fit_of(size, tensor_parallel_size=2, quantization="fp8").verdict == "unknown"


def test_a_share_that_leaves_no_room_for_the_context_is_said():
    assert any("0.99 leaves 0.2 GiB" in note for note in fit_of(LLAMA_8B, gpu_memory_utilization=0.99).notes)
    assert not any("leaves" in note for note in fit_of(LLAMA_8B).notes)


def test_figures_from_the_table_are_said_to_be():
    fit = fit_of(LLAMA_8B, max_model_len=4096)
    assert fit.source == "models.yaml: config.json of meta-llama/Llama-3.1-8B-Instruct"
    assert any("is no folder here" in note and "models.yaml" in note for note in fit.notes)


def test_json_holds_plain_numbers():
    found = fit_of(LLAMA_70B, A100, tensor_parallel_size=4, max_model_len=4096).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["weights_gib"], found["kv_bytes_per_token"], found["faults"]) == (32.854, 327_680, [])


def test_people_read_three_lines():
    lines = lines_for_people(fit_of(LLAMA_70B, A100, tensor_parallel_size=4, max_model_len=4096))
    assert lines["memory fit"].startswith("fits (models.yaml")
    assert "weights 32.9 GiB" in lines["per GPU"]
    assert "requests of 4096" in lines["KV cache"].replace(",", "")
    unknown = lines_for_people(memory_fit(Vllm(model="m"), None, gpu_memory_gib=None))
    assert unknown == {"memory fit": "unknown"}


@pytest.mark.parametrize(("name", "gpu"), [
    ("medicaid_config.yaml", A100), ("ran.yaml", A100), ("local_3090.yaml", RTX_3090), ("demo_cpu.yaml", RTX_3090),
])  # fmt: skip
def test_every_config_fits_the_gpus_that_it_is_for(name, gpu):
    settings = load(ROOT / "configs" / name, project=ROOT).vllm
    fit = memory_fit(settings, size_of(settings.model), **gpu)
    assert fit.faults == ()
    assert fit.verdict in ("fits", "fewer")
