"""What fits into the memory of a server's GPUs, computed before any GPU is held.

Weights and KV cache follow from the model's shape; what computing takes beside them is estimated, with constants that
say where they come from. A refusal has to be certain: where only the estimates stand between a model and its GPUs,
that is a note. How much a running server really has is in `memory.py`.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from hpc_qa.config import Vllm
from hpc_qa.serving.model_size import ModelSize, Shape
from hpc_qa.units import plural

GIB = 2**30
# What CUDA lets a program have of the memory that NVML and data sheets name: 79.15 of 80.00 GiB of an A100 80GB (81,920
# MiB), 23.6 of 24.00 of an RTX 3090, 79.2 of 79.6 of an H100, 44.4 of 45.0 of an L40S. vLLM takes its share of this.
CUDA_SHARE = 0.985
# The CUDA context and the communication buffers that exist before vLLM looks at the memory; they stand beside its share
CONTEXT_GIB = 0.5
# The next three from what vLLM prints at its start ("Actual usage is ...") in public logs and in the measurements of
# llm-d-benchmark. CUDA graphs: 0.2 to 0.7 GiB for models of 8 billion parameters, 1.0 for gpt-oss-120b
CUDA_GRAPHS_GIB = 0.75
# Outside PyTorch: 0.1 to 0.3 GiB on one GPU, 0.55 on two; on several H100s, which have more ways to talk, up to 2
WORKSPACE_GIB, WORKSPACE_SEVERAL_GIB = 0.3, 0.6
# Logits, softmax and random numbers of the sampler, which vLLM warms up with max_num_seqs requests: 12 to 15.5 bytes a
# logit in vLLM 0.19 and later (with 1,024 requests Llama 1.4 to 1.9 GiB, Qwen 2.2, Gemma 3.7)
LOGIT_BYTES = 16
BLOCK_TOKENS = 16  # vLLM gives the KV cache out in blocks
_LARGE_GIB, _LARGEST_GIB = 70, 160  # from here on vLLM's defaults are larger, but not on an A100
_MOST_GPUS = 64  # no advice beyond
_SHORTEST = 256  # tokens; the least that vllm.max_model_len may be

_DTYPE_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
_KV_BYTES = _DTYPE_BYTES | {"fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1}
_IN_FLIGHT = frozenset({"fp8", "fp8_per_tensor", "fp8_per_channel", "fp8_per_block", "int8_per_channel_weight_only"})
_AWQ_BYTES = 0.5 + 2.5 / 128  # 4 bits a weight; 16 bits of scale and 4 of zero point for 128 weights
# Options that change what lies in GPU memory; with one of them nothing is said
_CHANGES = (
    "cpu_offload", "data_parallel", "decode_context_parallel", "enable_expert_parallel", "hf_overrides",
    "kv_cache_memory", "num_gpu_blocks_override", "offload", "prefill_context_parallel", "quantization_config",
    "speculative_config", "spec_",
)  # fmt: skip
_CHANGES_ENV = {"VLLM_PP_LAYER_PARTITION", "VLLM_MLA_DISABLE"}

Verdict = Literal["fits", "fewer", "tight", "does_not_fit", "unknown"]


@dataclass(frozen=True, slots=True)
class MemoryFit:
    """What the server's fullest GPU holds, and how many requests that leaves room for; null is unknown.

    `fewer` than max_num_seqs requests at once and `tight` are no reason to refuse; `faults` are.
    """

    verdict: Verdict
    model: str
    source: str | None  # where the model's figures are from
    gpus: int
    gpu_name: str | None = None
    gpu_memory_gib: float | None = None  # as NVML names it
    budget_gib: float | None = None  # what vLLM may use of it
    weights_gib: float | None = None
    weights_total_gib: float | None = None  # over all GPUs
    loading_peak_gib: float | None = None
    activations_gib: float | None = None
    cuda_graphs_gib: float | None = None
    workspace_gib: float | None = None
    temporaries_gib: float | None = None  # the three above
    kv_wanted_gib: float | None = None  # max_num_seqs requests of max_model_len tokens
    kv_left_gib: float | None = None  # beside weights and temporaries
    kv_left_total_gib: float | None = None  # over all GPUs
    kv_bytes_per_token: int | None = None  # over all GPUs
    kv_tokens: int | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    requests_at_max_model_len: int | None = None
    tokens_per_request: int | None = None
    requests_at_tokens_per_request: int | None = None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All figures by name, GiB to the megabyte."""
        found = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return found | {"faults": list(self.faults), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class _Stage:
    """One GPU of one pipeline stage, in bytes; the GPUs of a stage are alike."""

    weights: float
    peak: float  # while loading
    kv_per_token: float
    request: float  # the least that one request of max_model_len needs


@dataclass(frozen=True, slots=True)
class _Demand:
    """What a server asks of its GPUs, whatever they are; bytes."""

    stages: tuple[_Stage, ...]
    activations: float
    cuda_graphs: float
    workspace: float
    max_model_len: int | None
    max_num_seqs: int
    max_num_batched_tokens: int

    @property
    def temporaries(self) -> float:
        return self.activations + self.cuda_graphs + self.workspace

    def left(self, stage: _Stage, budget: float) -> float:
        """What is left for the KV cache; less than nothing when weights and temporaries do not fit."""
        return budget - stage.weights - self.temporaries

    def fullest(self, budget: float) -> _Stage:
        """The stage with the fewest tokens, which decides for all."""
        return min(self.stages, key=lambda stage: self.left(stage, budget) / stage.kv_per_token)

    def blocks(self, budget: float) -> int:
        """Blocks of the KV cache."""
        stage = self.fullest(budget)
        return max(0, math.floor(self.left(stage, budget) / (stage.kv_per_token * BLOCK_TOKENS)))

    def fits(self, budget: float) -> bool:
        """Whether one request of max_model_len fits, without which vLLM does not start."""
        return all(self.left(stage, budget) >= stage.request for stage in self.stages)

    def cannot_fit(self, usable: float, budget: float) -> bool:
        """Whether it does not fit even if computing took no memory at all."""
        return any(stage.peak > usable or stage.weights + stage.request > budget for stage in self.stages)


class _Unknown(Exception):
    """Nothing certain can be said; never leaves this module."""


def memory_fit(
    vllm: Vllm, size: ModelSize | None, *, gpu_memory_gib: float | None, gpu_name: str | None = None,
    tokens_per_request: int | None = None,
) -> MemoryFit:  # fmt: skip
    """What of this model, served with these settings, fits into GPUs of `gpu_memory_gib` each (as NVML names it).

    `tokens_per_request` are those of prompt and answer, as expected.
    """
    gpus = vllm.tensor_parallel_size * vllm.pipeline_parallel_size
    fit = MemoryFit(
        "unknown", vllm.model or "", None if size is None else size.source, gpus, gpu_name, gpu_memory_gib,
        tokens_per_request=tokens_per_request,
    )  # fmt: skip
    if gpu_memory_gib is not None:
        fit = replace(fit, budget_gib=gpu_memory_gib * CUDA_SHARE * vllm.gpu_memory_utilization)
    try:
        if size is None:
            raise _Unknown(f"{vllm.model} is neither a folder here nor in a table of models")
        _refuse_what_changes_memory(vllm)
        if size.weight_bytes is None:
            raise _Unknown(size.unknown or f"{vllm.model}: the size of its weights is not known")
        if size.shape is None:
            return _by_weights_alone(fit, vllm, size, size.weight_bytes / GIB)
        if not _divides(vllm.tensor_parallel_size, size.shape):
            return replace(fit, verdict="does_not_fit", faults=(_head_fault(vllm, size.shape),))
        demand = _demand(vllm, size, size.shape, fit)
    except _Unknown as exc:
        return replace(fit, notes=(f"memory fit unknown: {exc}",))
    return _judged(_filled(fit, vllm, demand), vllm, size, size.shape, demand)


def _refuse_what_changes_memory(vllm: Vllm) -> None:
    options = [name for name in vllm.extra_args if name.replace("-", "_").lower().startswith(_CHANGES)]
    for name in [f"extra_args.{name}" for name in options] + [f"env.{name}" for name in _CHANGES_ENV & vllm.env.keys()]:
        raise _Unknown(f"vllm.{name} changes what lies in GPU memory")


def _by_weights_alone(fit: MemoryFit, vllm: Vllm, size: ModelSize, total_gib: float) -> MemoryFit:
    """A model of an unknown shape: of GPUs that share its weights evenly, each must hold its part."""
    fit = replace(fit, weights_gib=total_gib / fit.gpus, weights_total_gib=total_gib)
    may_shrink = size.quantization is None and (vllm.quantization is not None or size.bytes_per_weight != 2)
    if may_shrink or total_gib / fit.gpus <= (fit.gpu_memory_gib or math.inf):
        return replace(fit, notes=(f"memory fit unknown: {size.unknown}",))
    return replace(fit, verdict="does_not_fit", faults=(f"{_too_heavy(fit)}: more or larger GPUs",))


def _head_fault(vllm: Vllm, shape: Shape) -> str:
    possible = ", ".join(str(number) for number in range(1, _MOST_GPUS + 1) if _divides(number, shape))
    kv_heads = "" if shape.latent else f" and {shape.kv_heads} KV heads"
    return (
        f"vllm.tensor_parallel_size {vllm.tensor_parallel_size}: the {shape.attention_heads} attention heads{kv_heads} "
        f"of {vllm.model} cannot be divided among so many GPUs; possible: {possible}"
    )


def _divides(ranks: int, shape: Shape) -> bool:
    """Whether vLLM can split the heads; with more GPUs than KV heads each KV head is kept several times."""
    if shape.attention_heads % ranks:
        return False
    return shape.latent or (shape.kv_heads % ranks == 0 if shape.kv_heads >= ranks else ranks % shape.kv_heads == 0)


def _demand(vllm: Vllm, size: ModelSize, shape: Shape, fit: MemoryFit) -> _Demand:
    dtype = size.dtype if vllm.dtype == "auto" else vllm.dtype
    max_model_len = vllm.max_model_len or shape.max_model_len
    max_num_seqs, batched = _batch(vllm, fit.gpu_name, fit.gpu_memory_gib)
    if max_model_len is not None and vllm.max_num_batched_tokens is None:
        batched = min(batched, max_num_seqs * max_model_len)
    forward = batched * (3 * shape.intermediate_size / vllm.tensor_parallel_size + 4 * shape.hidden_size)
    sampler = min(max_num_seqs, batched) * shape.vocabulary_size * LOGIT_BYTES
    return _Demand(
        stages=tuple(_stages(vllm, size, shape, dtype, max_model_len, batched)),
        activations=max(forward * _DTYPE_BYTES[dtype], sampler),  # one after the other
        cuda_graphs=0 if vllm.enforce_eager else CUDA_GRAPHS_GIB * GIB,
        workspace=(WORKSPACE_GIB if vllm.tensor_parallel_size == 1 else WORKSPACE_SEVERAL_GIB) * GIB,
        max_model_len=max_model_len, max_num_seqs=max_num_seqs, max_num_batched_tokens=batched,
    )  # fmt: skip


def _batch(vllm: Vllm, gpu_name: str | None, gpu_memory_gib: float | None) -> tuple[int, int]:
    """Requests and tokens of one step; where not set vLLM 0.32's own, `get_batch_defaults` in its arg_utils.py."""
    memory = 0 if gpu_name is None or gpu_memory_gib is None else gpu_memory_gib  # vLLM treats the unnamed as small
    requests, tokens = 256, 2048
    if memory >= _LARGEST_GIB:
        requests, tokens = 1024, 16_384
    elif memory >= _LARGE_GIB and "a100" not in (gpu_name or "").lower():
        requests, tokens = 1024, 8192
    tokens = vllm.max_num_batched_tokens or tokens
    return vllm.max_num_seqs or min(requests, tokens), tokens


def _stages(
    vllm: Vllm, size: ModelSize, shape: Shape, dtype: str, max_model_len: int | None, batched: int
) -> Iterator[_Stage]:
    """Layers are spread evenly; embeddings lie on the first stage, the output matrix on the last one."""
    ranks, stages = vllm.tensor_parallel_size, vllm.pipeline_parallel_size
    matrix, in_layers, one_more = _weights(vllm, size, shape, dtype)
    per_layer = max(1, shape.kv_heads // ranks) * shape.kv_values * _kv_bytes(vllm, size, dtype)
    tokens = _in_blocks(max_model_len or 0)
    near = min(tokens, _in_blocks((shape.sliding_window or 0) + batched))  # all that a sliding layer must keep
    sliding = shape.sliding_layers / shape.layers
    for stage, layers in enumerate(_layers(shape.layers, stages)):
        matrices = (stage == 0) + (stage == stages - 1 and not (stages == 1 and shape.tied_embeddings))
        weights = (in_layers * layers / shape.layers + matrix * matrices) / ranks
        kv_per_token = per_layer * layers
        request = kv_per_token * ((1 - sliding) * tokens + sliding * near)
        yield _Stage(weights, weights + one_more / ranks, kv_per_token, request)


def _layers(layers: int, stages: int) -> list[int]:
    """Layers of each pipeline stage, as vLLM's `get_pp_indices` cuts them.

    >>> _layers(80, 2), _layers(32, 3), _layers(33, 4)
    ([40, 40], [11, 11, 10], [8, 8, 9, 8])
    """
    if layers < stages:
        raise _Unknown(f"vllm.pipeline_parallel_size {stages} is more than the model's {layers} layers")
    cut = [layers // stages] * stages
    for number in range(layers % stages):
        cut[-2 - number] += 1
    return cut


def _in_blocks(tokens: int) -> int:
    return math.ceil(tokens / BLOCK_TOKENS) * BLOCK_TOKENS


def _weights(vllm: Vllm, size: ModelSize, shape: Shape, dtype: str) -> tuple[float, float, float]:
    """Bytes of one embedding matrix, of everything in the layers, and of what comes on top while loading.

    vLLM quantises, and repacks quantised weights, one layer after the other: a layer is there twice for a moment.
    """
    total, per_weight = float(size.weight_bytes or 0), _DTYPE_BYTES[dtype]
    if size.quantization is None:
        total *= per_weight / (size.bytes_per_weight or 2)
    matrix = float(shape.vocabulary_size * shape.hidden_size * per_weight)
    in_layers = total - matrix * (1 if shape.tied_embeddings else 2)
    if in_layers <= 0:  # the files hold less than the shape says
        matrix, in_layers = 0.0, total
    if size.quantization is not None:
        return matrix, in_layers, in_layers / shape.layers
    if vllm.quantization is None:
        return matrix, in_layers, 0.0
    if vllm.quantization not in _IN_FLIGHT:
        raise _Unknown(f"what vllm.quantization {vllm.quantization} makes of weights that are not quantised")
    return matrix, in_layers / per_weight, in_layers / shape.layers


def _kv_bytes(vllm: Vllm, size: ModelSize, dtype: str) -> int:
    """Bytes of one value in the KV cache."""
    name = vllm.kv_cache_dtype or "auto"
    if name == "auto":
        name = dtype if size.kv_dtype in _DTYPE_BYTES else size.kv_dtype
    if name not in _KV_BYTES:
        raise _Unknown(f"how much a KV cache of the type {name} takes")
    return _KV_BYTES[name]


def _filled(fit: MemoryFit, vllm: Vllm, demand: _Demand) -> MemoryFit:
    """The figures, without a verdict."""
    budget, ranks, length = (fit.budget_gib or 0) * GIB, vllm.tensor_parallel_size, demand.max_model_len
    stage = demand.fullest(budget)
    fit = replace(
        fit, weights_gib=max(one.weights for one in demand.stages) / GIB,
        loading_peak_gib=max(one.peak for one in demand.stages) / GIB,
        weights_total_gib=sum(one.weights for one in demand.stages) * ranks / GIB,
        activations_gib=demand.activations / GIB, cuda_graphs_gib=demand.cuda_graphs / GIB,
        workspace_gib=demand.workspace / GIB, temporaries_gib=demand.temporaries / GIB,
        kv_wanted_gib=None if length is None else stage.kv_per_token * _in_blocks(length) * demand.max_num_seqs / GIB,
        kv_bytes_per_token=round(sum(one.kv_per_token for one in demand.stages)) * ranks,
        max_model_len=length, max_num_seqs=demand.max_num_seqs, max_num_batched_tokens=demand.max_num_batched_tokens,
    )  # fmt: skip
    if fit.budget_gib is None:
        return fit
    left = [max(0.0, demand.left(one, budget)) / GIB for one in demand.stages]
    blocks, expected = demand.blocks(budget), fit.tokens_per_request
    return replace(
        fit, kv_left_gib=max(0.0, demand.left(stage, budget)) / GIB, kv_left_total_gib=sum(left) * ranks,
        kv_tokens=blocks * BLOCK_TOKENS, requests_at_tokens_per_request=expected and _requests(blocks, expected),
        requests_at_max_model_len=length and max(_requests(blocks, length), int(demand.fits(budget))),
    )  # fmt: skip


def _requests(blocks: int, tokens: int) -> int:
    return blocks // (_in_blocks(tokens) // BLOCK_TOKENS)


def _judged(fit: MemoryFit, vllm: Vllm, size: ModelSize, shape: Shape, demand: _Demand) -> MemoryFit:
    fit = replace(fit, notes=tuple(_notes(fit, vllm, size, shape)))
    if fit.budget_gib is None or fit.gpu_memory_gib is None:
        return _with_note(fit, "unknown", "memory fit unknown: set gpu.memory_gib in the site's profile")
    budget, usable = fit.budget_gib * GIB, fit.gpu_memory_gib * CUDA_SHARE * GIB
    if demand.cannot_fit(usable, budget):
        fault = f"{_refusal(fit, vllm, demand, usable, budget)}: {_what_fits(fit, vllm, size, shape)}"
        return replace(fit, verdict="does_not_fit", faults=(fault,))
    if not demand.fits(budget):
        beside = fit.budget_gib - (fit.weights_gib or 0)
        note = (
            f"close: {beside:.1f} GiB per GPU are left beside the weights, and computing takes about "
            f"{fit.temporaries_gib:.1f}; should vLLM not start: {_what_fits(fit, vllm, size, shape)}"
        )
        return _with_note(fit, "tight", note)
    requests = fit.requests_at_tokens_per_request if fit.tokens_per_request else fit.requests_at_max_model_len
    if vllm.max_num_seqs is not None and requests is not None and requests < vllm.max_num_seqs:
        note = (
            f"room for {requests:,} requests of {fit.tokens_per_request or fit.max_model_len:,} tokens at once; "
            f"of vllm.max_num_seqs {vllm.max_num_seqs:,} the others wait"
        )
        return _with_note(fit, "fewer", note)
    return replace(fit, verdict="fits")


def _with_note(fit: MemoryFit, verdict: Verdict, note: str) -> MemoryFit:
    return replace(fit, verdict=verdict, notes=(note, *fit.notes))


def _notes(fit: MemoryFit, vllm: Vllm, size: ModelSize, shape: Shape) -> Iterator[str]:
    if not size.in_folder:
        yield f"{size.model} is no folder here; its size is from {size.source}"
    if shape.sliding_layers:
        yield (
            f"{shape.sliding_layers} of {shape.layers} layers keep only {shape.sliding_window:,} tokens; they are "
            "counted in full, so there is room for more requests"
        )
    if fit.max_model_len is None:
        yield "the model does not say its context: set vllm.max_model_len to know whether a request fits"
    beside = (fit.gpu_memory_gib or math.inf) * CUDA_SHARE * (1 - vllm.gpu_memory_utilization)
    if beside < CONTEXT_GIB:
        yield (
            f"vllm.gpu_memory_utilization {vllm.gpu_memory_utilization:g} leaves {beside:.1f} GiB for a CUDA context "
            f"of about {CONTEXT_GIB}: vLLM does not start where less than its share is free"
        )


def _refusal(fit: MemoryFit, vllm: Vllm, demand: _Demand, usable: float, budget: float) -> str:
    if any(stage.peak > usable or stage.weights > budget for stage in demand.stages):
        return _too_heavy(fit)
    stage = max(demand.stages, key=lambda one: one.weights + one.request)
    left = (budget - stage.weights) / GIB
    return (
        f"{fit.model} needs {stage.request / GIB:.1f} GiB per GPU for the KV cache of one request of "
        f"{fit.max_model_len:,} tokens ({'vllm.max_model_len' if vllm.max_model_len else 'its own context'}), "
        f"{left:.1f} are left beside {stage.weights / GIB:.1f} GiB of weights; {_one_gpu(fit)}"
    )


def _too_heavy(fit: MemoryFit) -> str:
    return (
        f"{fit.model} needs {fit.weights_gib:.1f} GiB per GPU for its weights ({fit.weights_total_gib:.1f} GiB over "
        f"{plural(fit.gpus, 'GPU')}), {_one_gpu(fit)}"
    )


def _one_gpu(fit: MemoryFit) -> str:
    return f"one {fit.gpu_name or 'GPU'} has {fit.gpu_memory_gib:.1f} GiB, {fit.budget_gib:.1f} of them for vLLM"


def _what_fits(fit: MemoryFit, vllm: Vllm, size: ModelSize, shape: Shape) -> str:
    """What to set instead, by the same figures."""

    def fits(settings: Vllm, model: ModelSize) -> bool:
        return _demand(settings, model, shape, fit).fits((fit.budget_gib or 0) * GIB)

    found = []
    if _SHORTEST <= (fit.kv_tokens or 0) < (fit.max_model_len or 0):
        found.append(f"vllm.max_model_len {fit.kv_tokens} fits")
    for ranks in range(vllm.tensor_parallel_size + 1, _MOST_GPUS // vllm.pipeline_parallel_size + 1):
        if _divides(ranks, shape) and fits(vllm.model_copy(update={"tensor_parallel_size": ranks}), size):
            found.append(
                f"vllm.tensor_parallel_size {ranks} fits ({plural(ranks * vllm.pipeline_parallel_size, 'GPU')})"
            )
            break
    if size.quantization is None and vllm.quantization is None:
        for bits, per_weight in ((8, 1.0), (4, _AWQ_BYTES)):
            smaller = _quantised(vllm, size, shape, bits, per_weight)
            if fits(vllm, smaller):
                gib = (smaller.weight_bytes or 0) / fit.gpus / GIB
                found.append(f"the model quantised to {bits} bits fits ({gib:.1f} GiB per GPU)")
                break
    return ", or ".join(found) or "more or larger GPUs, or a smaller model"


def _quantised(vllm: Vllm, size: ModelSize, shape: Shape, bits: int, per_weight: float) -> ModelSize:
    """The same model with quantised layers."""
    matrix, in_layers, _ = _weights(vllm, size, shape, "bfloat16")
    weight_bytes = in_layers / 2 * per_weight + matrix * (1 if shape.tied_embeddings else 2)
    return replace(size, weight_bytes=round(weight_bytes), quantization=f"{bits} bits")


def lines_for_people(fit: MemoryFit) -> dict[str, str]:
    """What `plan` prints, by the word in front; faults and notes are for whoever prints them."""
    words = {"fewer": "fits, with fewer requests at once than asked for", "tight": "close"}
    verdict = words.get(fit.verdict, fit.verdict.replace("_", " "))
    lines = {"memory fit": verdict + (f" ({fit.source})" if fit.source else "")}
    if fit.weights_gib is not None and fit.temporaries_gib is not None:
        left = "" if fit.kv_left_gib is None else f", KV cache {fit.kv_left_gib:.1f}; {_one_gpu(fit)}"
        lines["per GPU"] = f"weights {fit.weights_gib:.1f} GiB, computing about {fit.temporaries_gib:.1f}{left}"
    if fit.kv_tokens is not None:
        pairs = (
            (fit.requests_at_max_model_len, fit.max_model_len),
            (fit.requests_at_tokens_per_request, fit.tokens_per_request),
        )
        asked = " or ".join(f"{requests:,} requests of {tokens:,}" for requests, tokens in pairs if tokens is not None)
        many = plural(fit.gpus, "GPU")
        lines["KV cache"] = f"{fit.kv_left_total_gib:.1f} GiB on {many}: {fit.kv_tokens:,} tokens, {asked}"
    return lines
