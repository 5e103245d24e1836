"""What of a model decides how much GPU memory it takes: its layers, its heads, the bytes of its weights.

Read from the model's folder (`config.json`, the index and the headers of the weight files, never a weight) or, where
there is no folder, from a table of known models. Nothing is loaded and nothing is fetched. How much of it fits is in
`memory_fit.py`. Where a KV cache is laid out by a rule that is not known here, that is said and no figure is given.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from hpc_qa import strict_yaml
from hpc_qa.config import Section
from hpc_qa.errors import ConfigError
from hpc_qa.serving.preflight import INDEX, read_json, weight_file_fault

# Models that keep a key and a value for every KV head in every layer
_FULL = frozenset(
    "cohere cohere2 gemma gemma2 gemma3_text glm4 glm4_moe gpt_oss granite granitemoe llama mistral mixtral olmo2"
    " olmo3 phi3 phimoe qwen2 qwen2_moe qwen3 qwen3_moe seed_oss smollm3 starcoder2".split()
)
# What transformers 5.19 takes for keys that their config.json leaves out, and Gemma 3 leaves out most. Without such a
# default there are as many KV heads as heads, and a head has hidden_size / heads values.
_LEFT_OUT: dict[str, dict[str, int]] = {
    "num_key_value_heads": {
        "gemma": 16, "gemma2": 4, "gemma3_text": 4, "glm4": 2, "glm4_moe": 8, "gpt_oss": 8, "mistral": 8, "mixtral": 8,
        "phimoe": 8, "qwen2": 32, "qwen2_moe": 16, "qwen3": 32, "qwen3_moe": 4, "seed_oss": 8, "smollm3": 4,
        "starcoder2": 2,
    },
    "head_dim": {
        "gemma": 256, "gemma2": 256, "gemma3_text": 256, "glm4": 128, "gpt_oss": 64, "qwen3": 128, "seed_oss": 128,
    },
    "sliding_window": {
        "cohere2": 4096, "gemma2": 4096, "gemma3_text": 4096, "gpt_oss": 128, "mistral": 4096, "olmo3": 4096,
    },
    "num_attention_heads": {"gemma3_text": 8},
    "vocab_size": {"gemma3_text": 262_208},
    "max_position_embeddings": {"gemma3_text": 131_072},
}  # fmt: skip
# Multi-head latent attention: one vector of kv_lora_rank + qk_rope_head_dim values a token and layer (DeepSeek-V2,
# arXiv 2405.04434, section 2.1). deepseek_v32 and later keep an indexer's cache beside it and are not among them.
_LATENT = frozenset({"deepseek_v2", "deepseek_v3", "kimi_k2", "glm4_moe_lite"})
# Where config.json does not list its layer_types: every so-manieth layer attends to everything, the others slide
_SLIDING_PATTERN = {"gemma2": 2, "gpt_oss": 2, "gemma3_text": 6, "cohere2": 4, "olmo3": 4}
_TIED = frozenset({"gemma", "gemma2", "gemma3_text", "cohere", "cohere2", "smollm3", "starcoder2"})  # unless they say
_UNSCALED = frozenset({"default", "llama3", "su", "yarn", "deepseek_yarn", "longrope", "mrope"})  # as vLLM 0.32
_STORED_BYTES = {"float64": 8.0, "float32": 4.0, "bfloat16": 2.0, "float16": 2.0}


@dataclass(frozen=True, slots=True)
class Shape:
    """The figures from which KV cache and temporaries follow."""

    layers: int
    attention_heads: int
    kv_heads: int  # 1 with `latent`
    head_size: int  # values of one key; with `latent` of the one vector
    hidden_size: int
    intermediate_size: int  # of all experts that one token passes through
    vocabulary_size: int
    max_model_len: int | None = None  # what vLLM takes when vllm.max_model_len is not set
    tied_embeddings: bool = False  # input and output share one matrix
    latent: bool = False  # multi-head latent attention: every GPU keeps the whole vector
    sliding_layers: int = 0  # layers that need only the last `sliding_window` tokens
    sliding_window: int | None = None

    @property
    def kv_values(self) -> int:
        """Values that one KV head of one layer keeps for one token: a key and a value, or the latent vector."""
        return self.head_size if self.latent else 2 * self.head_size


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The size of one model, and where that is known from."""

    model: str  # as vllm.model names it
    source: str
    in_folder: bool  # read from the model's folder, not from a table
    shape: Shape | None  # None: see `unknown`
    weight_bytes: int | None  # of all weight files, all experts included
    bytes_per_weight: float | None  # over all weights; quantised ones of a folder: what its config says of them
    dtype: str  # what vLLM computes in with `dtype: auto`
    kv_dtype: str  # what `kv_cache_dtype: auto` is
    quantization: str | None = None  # how the weights were quantised: awq, gptq, fp8, ...
    unknown: str | None = None  # why there is no shape or no size


class _Unknown(Exception):
    """The memory of this model follows a rule that is not known here; never leaves this module."""


def model_size(model: str, *, project: Path, tables: Sequence[Path]) -> ModelSize | None:
    """The size of a model from its folder, else from the first of the tables that knows it; None when none does.

    Tables that are not there are passed over.

    Raises:
        ConfigError: the folder or a table is damaged.
    """
    if model and (project / model).is_dir():
        return _from_folder(model, project / model)
    for path in tables:
        if path.is_file() and (found := _from_table(model, path)):
            return found
    return None


def _from_folder(model: str, folder: Path) -> ModelSize:
    config = _json(folder / "config.json")
    inner = config.get("text_config")  # models that also see or hear keep the language model's figures there
    text = inner if isinstance(inner, dict) else config
    weight_bytes, parameters, read = _weights(folder)
    quantization = _quantization(folder, config, text)
    stored = _word(config, text, "torch_dtype", "dtype").removeprefix("torch.") or "bfloat16"
    dtype = stored if stored in ("bfloat16", "float16") else "bfloat16"  # vLLM computes float32 models in bfloat16
    bytes_per_weight = _STORED_BYTES.get(stored, 2.0)
    if quantization is not None:
        bytes_per_weight = _quantised_bytes(quantization) or bytes_per_weight
    elif weight_bytes and parameters:
        bytes_per_weight = weight_bytes / parameters
    shape, unknown = None, None if weight_bytes else f"{folder}: no *.safetensors"
    try:
        shape = _shape(config, text)
    except _Unknown as exc:
        unknown = f"{folder / 'config.json'}: {exc}"
    return ModelSize(
        model=model, source=f"{model}: config.json{read}", in_folder=True, shape=shape, weight_bytes=weight_bytes,
        bytes_per_weight=bytes_per_weight, dtype=dtype, kv_dtype=_kv_dtype(quantization, dtype),
        quantization=None if quantization is None else _method(quantization), unknown=unknown,
    )  # fmt: skip


def _json(path: Path) -> dict[str, Any]:
    content, fault = read_json(path)
    if fault is not None:
        raise ConfigError(fault, hint="vllm.model: a complete model folder")
    return content


def _weights(folder: Path) -> tuple[int | None, int | None, str]:
    """Bytes and number of all weights, as far as they can be told, and what was read for it.

    With an index whose files are elsewhere its own total counts.
    """
    index, total = _json(folder / INDEX) if (folder / INDEX).is_file() else None, None
    names = {path.name for path in folder.glob("*.safetensors")}
    names = {name for name in names if not name.startswith("consolidated")} or names  # Mistral's own copy of the same
    if index is not None:
        metadata, weight_map = index.get("metadata"), index.get("weight_map")
        total = metadata.get("total_size") if isinstance(metadata, dict) else None
        if isinstance(weight_map, dict):
            names = {str(name) for name in weight_map.values()}
    if names and all((folder / name).is_file() for name in names):
        weight_bytes, parameters = _headers(folder / name for name in sorted(names))
        return weight_bytes, parameters, " and the headers of the weight files"
    if isinstance(total, int | float) and total > 0:
        return int(total), None, f" and {INDEX}"
    return None, None, ""


def _headers(paths: Iterable[Path]) -> tuple[int, int]:
    """Bytes and values of all tensors of these files, from their headers."""
    weight_bytes = parameters = 0
    for path in paths:
        fault = weight_file_fault(path)
        if fault is not None:
            raise ConfigError(fault, hint="vllm.model: a complete model folder")
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                weight_bytes += tensor["data_offsets"][1] - tensor["data_offsets"][0]
                parameters += math.prod(tensor.get("shape") or ())
    return weight_bytes, parameters


def _shape(config: Mapping[str, Any], text: Mapping[str, Any]) -> Shape:
    kind = str(text.get("model_type") or f"{config.get('model_type')}_text")
    if kind not in _FULL | _LATENT:
        raise _Unknown(f"how a model of the type {config.get('model_type')} lays out its KV cache is not known here")
    values = {key: kinds[kind] for key, kinds in _LEFT_OUT.items() if kind in kinds} | dict(text)
    layers, heads = _whole(values, "num_hidden_layers"), _whole(values, "num_attention_heads")
    hidden = _whole(values, "hidden_size")
    latent = kind in _LATENT
    if latent:
        kv_heads, head_size = 1, _whole(values, "kv_lora_rank") + _whole(values, "qk_rope_head_dim")
    else:
        kv_heads = heads if values.get("num_key_value_heads") is None else _whole(values, "num_key_value_heads")
        head_size = hidden // heads if values.get("head_dim") is None else _whole(values, "head_dim")
    if head_size < 1:
        raise _Unknown(f"hidden_size {hidden} is less than its {heads} heads")
    sliding, window = _sliding(kind, values, layers)
    tied = values.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    return Shape(
        layers=layers, attention_heads=heads, kv_heads=kv_heads, head_size=head_size, hidden_size=hidden,
        intermediate_size=_intermediate_size(values, hidden), vocabulary_size=_whole(values, "vocab_size"),
        max_model_len=_max_model_len(kind, config, values), latent=latent,
        tied_embeddings=kind in _TIED if tied is None else bool(tied), sliding_layers=sliding, sliding_window=window,
    )  # fmt: skip


def _whole(values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _Unknown(f"{key} is {json.dumps(value)[:40]}, not one number for all layers")
    return value


def _sliding(kind: str, values: Mapping[str, Any], layers: int) -> tuple[int, int | None]:
    """Layers with a sliding window, and its tokens."""
    types = values.get("layer_types")
    kinds = set(map(str, types)) if isinstance(types, list) else set()
    if kinds - {"full_attention", "sliding_attention"}:
        raise _Unknown(f"its layers are of other kinds than here: {', '.join(sorted(kinds))}")
    window = values.get("sliding_window")
    if not isinstance(window, int) or window < 1 or values.get("use_sliding_window") is False:
        return 0, None
    if isinstance(types, list) and len(types) == layers:
        sliding = types.count("sliding_attention")
    elif kind.startswith("qwen"):  # false unless it says so, and then from some layer on
        first = values.get("max_window_layers") if values.get("use_sliding_window") else layers
        sliding = max(0, layers - first) if isinstance(first, int) else layers
    else:
        pattern = values.get("sliding_window_pattern") or _SLIDING_PATTERN.get(kind)
        sliding = layers - layers // pattern if isinstance(pattern, int) and pattern > 0 else layers
    return (sliding, window) if sliding else (0, None)


def _intermediate_size(values: Mapping[str, Any], hidden: int) -> int:
    width = values.get("moe_intermediate_size") or values.get("intermediate_size") or 4 * hidden
    experts = values.get("num_experts_per_tok") or values.get("experts_per_token") or 1
    shared = values.get("n_shared_experts") or 0
    numbers = [number for number in (width, experts, shared) if isinstance(number, int)]
    return width * (experts + shared) if len(numbers) == 3 else 4 * hidden


def _max_model_len(kind: str, config: Mapping[str, Any], values: Mapping[str, Any]) -> int | None:
    """The context that vLLM 0.32 derives from a config, `_get_and_verify_max_len` in its config/model.py."""
    positions = values.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    rope = values.get("rope_scaling") or values.get("rope_parameters")
    if not isinstance(rope, dict) or kind == "gemma3_text":
        return positions
    scaling, factor = rope.get("rope_type") or rope.get("type") or "default", rope.get("factor")
    original = config.get("original_max_position_embeddings")
    if scaling == "longrope" and isinstance(original, int):
        return original
    return positions if scaling in _UNSCALED or not isinstance(factor, int | float) else int(positions * factor)


def _word(config: Mapping[str, Any], text: Mapping[str, Any], *keys: str) -> str:
    return next((str(part[key]) for part in (config, text) for key in keys if part.get(key)), "")


def _quantization(folder: Path, config: Mapping[str, Any], text: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the weights were quantised, as the model says it."""
    for part in (config, text):
        for key in ("quantization_config", "compression_config"):
            if isinstance(part.get(key), dict):
                found: dict[str, Any] = part[key]
                return found
    beside = folder / "hf_quant_config.json"  # ModelOpt's own file
    return {"quant_method": "modelopt"} | _json(beside) if beside.is_file() else None


def _method(quantization: Mapping[str, Any]) -> str:
    return str(quantization.get("quant_method") or "compressed-tensors").lower()


def _quantised_bytes(quantization: Mapping[str, Any]) -> float | None:
    """Bytes of one quantised weight without its scales, where the config says it."""
    bits = quantization.get("bits") or quantization.get("w_bit")
    groups = quantization.get("config_groups")
    if isinstance(groups, dict):
        weights = [group.get("weights") for group in groups.values() if isinstance(group, dict)]
        bits = next((one["num_bits"] for one in weights if isinstance(one, dict) and "num_bits" in one), None)
    if isinstance(bits, int) and bits > 1:
        return bits / 8
    return {"fp8": 1.0, "fbgemm_fp8": 1.0, "mxfp4": 0.5}.get(_method(quantization))


def _kv_dtype(quantization: Mapping[str, Any] | None, dtype: str) -> str:
    """What vLLM stores keys and values in when it is not told: a model may have been made for 8 bits."""
    parts = [quantization or {}, (quantization or {}).get("quantization")]
    keys = ("kv_cache_scheme", "kv_cache_quant_algo")
    said = next((p[key] for p in parts if isinstance(p, dict) for key in keys if p.get(key)), None)
    if isinstance(said, dict):
        return "fp8" if said.get("num_bits") == 8 else f"{said.get('num_bits')} bits"
    return dtype if said is None else str(said).lower()


class _Row(Section):
    """One model of the table."""

    source: str
    aliases: list[str] = Field(default_factory=list)
    parameters: int = Field(gt=0)
    bytes_per_weight: float = Field(gt=0, le=8)
    layers: int = Field(gt=0)
    attention_heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_size: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    vocabulary_size: int = Field(gt=0)
    max_model_len: int = Field(gt=0)
    experts_per_token: int = Field(1, gt=0)
    tied_embeddings: bool = False
    sliding_layers: int = Field(0, ge=0)
    sliding_window: int | None = Field(None, gt=0)
    quantization: str | None = None
    dtype: Literal["bfloat16", "float16"] = "bfloat16"


def _from_table(model: str, path: Path) -> ModelSize | None:
    rows = _rows(path)
    short = _short(model)
    name = model if model in rows else next((n for n, r in rows.items() if short in map(_short, [n, *r.aliases])), None)
    if name is None:
        return None
    row = rows[name]
    figures = row.model_dump(include=set(Shape.__dataclass_fields__) - {"intermediate_size", "latent"})
    return ModelSize(
        model=model, source=f"{path.name}: {row.source}", in_folder=False,
        shape=Shape(intermediate_size=row.intermediate_size * row.experts_per_token, **figures),
        weight_bytes=round(row.parameters * row.bytes_per_weight), bytes_per_weight=row.bytes_per_weight,
        dtype=row.dtype, kv_dtype=row.dtype, quantization=row.quantization,
    )  # fmt: skip


def _short(name: str) -> str:
    """The last part of a name, in small letters."""
    return name.rstrip("/").rpartition("/")[2].lower()


def _rows(path: Path) -> dict[str, _Row]:
    """The models of a table by name.

    Raises:
        ConfigError: with all faults of the file, each with its line.
    """
    file = strict_yaml.read(path)
    faults = [(fault.line, fault.text) for fault in file.faults]
    models, rows = file.data.get("models"), {}
    if not file.faults and (not isinstance(models, dict) or set(file.data) != {"models"}):
        faults.append((None, "must hold the section `models` and nothing else"))
    for name, figures in models.items() if isinstance(models, dict) else ():
        try:
            rows[name] = _Row.model_validate(figures)
        except ValidationError as exc:
            for error in exc.errors(include_url=False):
                key: strict_yaml.KeyPath = ("models", name, *error["loc"])
                line = next((file.lines[key[:n]] for n in range(len(key), 1, -1) if key[:n] in file.lines), None)
                faults.append((line, f"{strict_yaml.dotted(key[1:])}: {error['msg'].lower()}"))
    if faults:
        located = sorted(faults, key=lambda fault: fault[0] or 0)
        raise ConfigError(*(f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in located))
    return rows
