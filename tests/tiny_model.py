"""A tiny model with random weights around the small model's tokenizer: it loads in a moment and divides in two.

Run as `python tests/tiny_model.py SMALL_MODEL FOLDER`. What it says makes no sense, but a schema still shapes it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HEADS = 4  # and half as many for keys and values: two workers can share them
COPIED = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


def tiny_model(small: Path, folder: Path) -> Path:
    """The folder, made once, in a process of its own because torch is large."""
    if not (folder / "model.safetensors").is_file():
        subprocess.run([sys.executable, __file__, str(small), str(folder)], check=True)
    return folder


def make(small: Path, folder: Path) -> None:
    """Write it beside its place and move it there whole."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2, head_dim=64, max_position_embeddings=4096, bos_token_id=1, eos_token_id=2,
        pad_token_id=2, tie_word_embeddings=True, dtype="bfloat16",
    )  # fmt: skip
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        whole = Path(scratch) / "model"
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(whole)
        for name in COPIED:
            shutil.copy(small / name, whole / name)
        try:
            os.replace(whole, folder)
        except OSError:
            if not (folder / "model.safetensors").is_file():
                raise  # else another process of the tests was quicker


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
