"""What is wrong with a model folder, found before a server is started on it.

Reads the small JSON files and the headers of the weight files, never the weights. A model that is a hub name has
nothing to look at, and what vLLM thinks of the architecture only vLLM knows.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INDEX = "model.safetensors.index.json"
_MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json")


def model_faults(folder: Path, *, tensor_parallel_size: int = 1) -> list[str]:
    """Faults of a model folder, each naming its file; empty when vLLM has a chance."""
    if not folder.is_dir():
        return [f"{folder}: there is no such folder"]
    config, fault = _read_json(folder / "config.json")
    if fault is not None:
        return [fault]
    return [
        *_config_faults(folder, config, tensor_parallel_size),
        *_tokenizer_faults(folder),
        *_weight_faults(folder),
    ]


def _config_faults(folder: Path, config: dict[str, Any], tensor_parallel_size: int) -> Iterator[str]:
    path = folder / "config.json"
    if not config.get("architectures"):
        yield f"{path}: no `architectures`: this is not the configuration of a language model"
    heads = config.get("num_attention_heads")
    if isinstance(heads, int) and heads % tensor_parallel_size:
        yield (
            f"{path}: {heads} attention heads cannot be divided by vllm.tensor_parallel_size "
            f"{tensor_parallel_size}; possible: {', '.join(map(str, _divisors(heads)))}"
        )


def _tokenizer_faults(folder: Path) -> Iterator[str]:
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield f"{folder}: no tokenizer ({', '.join(_TOKENIZERS[:2])})"


def _weight_faults(folder: Path) -> Iterator[str]:
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    if (folder / INDEX).is_file():
        index, fault = _read_json(folder / INDEX)
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


def _read_json(path: Path) -> tuple[dict[str, Any], str | None]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, f"{path}: missing; a Hugging Face model folder has one"
    except OSError as exc:
        return {}, f"{path}: cannot be read ({exc.strerror})"
    except ValueError as exc:
        return {}, f"{path}: not valid JSON ({exc})"
    if not isinstance(content, dict):
        return {}, f"{path}: not a JSON object"
    return content, None


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, min(number, 64) + 1) if number % divisor == 0]
