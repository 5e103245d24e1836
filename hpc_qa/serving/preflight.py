"""What is wrong with a model folder, found before a server is started on it.

Reads the small JSON files and the headers of the weight files, never the weights. A model that is a hub name has
nothing to look at, and what vLLM thinks of the architecture only vLLM knows: it says so in the first seconds of a
start (`causes.py`). Where a fault is not certain nothing is said: a start costs a minute, a false refusal a run.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpc_qa.config import Vllm

INDEX = "model.safetensors.index.json"
_MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json")


def model_faults(folder: Path, settings: Vllm, *, tokenizer: Path | None = None) -> list[str]:
    """Faults of a model folder, each naming its file; empty when vLLM has a chance.

    `tokenizer` is the folder of vllm.tokenizer, where that is set.
    """
    if not folder.is_dir():
        return [f"{folder}: there is no such folder"]
    config, fault = read_json(folder / "config.json")
    if fault is not None:
        return [f"{fault}; a Hugging Face model folder has one" if fault.endswith("missing") else fault]
    return [
        *_config_faults(folder / "config.json", config, settings),
        *_tokenizer_faults(tokenizer or folder),
        *_weight_faults(folder),
    ]


def _config_faults(path: Path, config: dict[str, Any], settings: Vllm) -> Iterator[str]:
    if not config.get("architectures"):
        yield f"{path}: no `architectures`: this is not the configuration of a language model"
    inner = config.get("text_config")  # models that also see or hear keep the language model's figures there
    text = inner if isinstance(inner, dict) else config
    heads, ranks = text.get("num_attention_heads"), settings.tensor_parallel_size
    if isinstance(heads, int) and heads % ranks:
        yield (
            f"{path}: {heads} attention heads cannot be divided by vllm.tensor_parallel_size "
            f"{ranks}; possible: {', '.join(map(str, _divisors(heads)))}"
        )
    yield from _context_faults(path, text, settings)


def _context_faults(path: Path, text: dict[str, Any], settings: Vllm) -> Iterator[str]:
    """A context that is longer than the model was made for; vLLM would refuse it only after a while."""
    longest, asked = text.get("max_position_embeddings"), settings.max_model_len
    if not isinstance(longest, int) or asked is None or asked <= longest or _stretches(text):
        return
    if "hf_overrides" in settings.extra_args or settings.env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1":
        return
    yield f"{path}: vllm.max_model_len {asked} is more than the {longest} positions of this model"


def _stretches(text: dict[str, Any]) -> bool:
    """Whether the model's positions may reach further than `max_position_embeddings` says (YaRN and its like)."""
    ropes = [text.get("rope_scaling"), text.get("rope_parameters")]
    words = json.dumps([rope for rope in ropes if rope])
    return '"factor"' in words or "long_factor" in words


def _tokenizer_faults(folder: Path) -> Iterator[str]:
    if folder.is_file():  # the tokenizer's file itself may be named
        folder = folder.parent
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield f"{folder}: no tokenizer ({', '.join(_TOKENIZERS[:2])})"
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        _, fault = read_json(folder / name)
        if fault is not None and not fault.endswith("missing"):
            yield fault


def _weight_faults(folder: Path) -> Iterator[str]:
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    if (folder / INDEX).is_file():
        index, fault = read_json(folder / INDEX)
        if fault is not None:
            yield fault
            return
        weight_map = index.get("weight_map")
        if not isinstance(weight_map, dict):
            yield f"{folder / INDEX}: no `weight_map`"
            return
        files = sorted({str(name) for name in weight_map.values()})
    if not files:
        yield f"{folder}: no *.safetensors; other kinds of weights are not loaded"
    for name in files:
        fault = weight_file_fault(folder / name)
        if fault is not None:
            yield fault


def weight_file_fault(path: Path) -> str | None:
    """What is wrong with a safetensors file: its header tells how long the file has to be."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= header_bytes <= _MAX_HEADER_BYTES or header_bytes > size:
                return f"{path}: not a safetensors file, or cut off in its header ({size:,} bytes)"
            header = json.loads(file.read(header_bytes))
        expected = (
            8
            + header_bytes
            + max(
                (t["data_offsets"][1] for n, t in header.items() if n != "__metadata__"),
                default=0,
            )
        )
    except FileNotFoundError:
        return f"{path}: missing"
    except OSError as exc:
        return f"{path}: cannot be read ({exc.strerror})"
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return f"{path}: the header is damaged"
    if size != expected:
        return f"{path}: {size:,} bytes, but its header speaks of {expected:,}: cut off or damaged"
    return None


def read_json(path: Path) -> tuple[dict[str, Any], str | None]:
    """The object in a JSON file, or what is wrong with the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, f"{path}: missing"
    except OSError as exc:
        return {}, f"{path}: cannot be read ({exc.strerror})"
    except ValueError as exc:
        return {}, f"{path}: not valid JSON ({exc})"
    if not isinstance(content, dict):
        return {}, f"{path}: not a JSON object"
    return content, None


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, min(number, 64) + 1) if number % divisor == 0]
