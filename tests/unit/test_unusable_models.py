"""Models that no server could serve: `submit` refuses them before anything is started, and `doctor` says the same."""

import json
import shutil

import pytest

from hpc_qa.cli.main import run as hpc_qa

CONFIG = """
name: unusable
manifest: m.jsonl
executor: local
qa: {{chunk_size: 96, max_tokens: 64}}
vllm:
  model: model
  max_model_len: {max_model_len}
  tensor_parallel_size: {ranks}
"""


@pytest.fixture
def project(tmp_path, model_folder):
    """A project whose model is whole as far as its files can tell."""
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_folder / name, model / name)
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.txt").write_text("The office must answer every letter within ten days.\n")
    assert (
        hpc_qa(["--project", str(tmp_path), "manifest", "build", f"{tmp_path}/documents", "-o", f"{tmp_path}/m.jsonl"])
        == 0
    )
    write_config(tmp_path)
    return tmp_path


def write_config(project, *, max_model_len=2048, ranks=1):
    (project / "config.yaml").write_text(CONFIG.format(max_model_len=max_model_len, ranks=ranks))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def change_config(project, **keys):
    path = project / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


FAULTS = {
    "no folder": (lambda p: shutil.rmtree(p / "model"), "model"),
    "truncated weights": (lambda p: truncate(p / "model" / "model.safetensors"), "model.safetensors"),
    "no weights": (lambda p: (p / "model" / "model.safetensors").unlink(), "no *.safetensors"),
    "broken config.json": (lambda p: truncate(p / "model" / "config.json"), "config.json: not valid JSON"),
    "no config.json": (lambda p: (p / "model" / "config.json").unlink(), "config.json: missing"),
    "no architecture": (lambda p: change_config(p, architectures=[]), "config.json: no `architectures`"),
    "no tokenizer": (lambda p: (p / "model" / "tokenizer.json").unlink(), "tokenizer"),
    "broken tokenizer": (lambda p: truncate(p / "model" / "tokenizer.json"), "tokenizer.json"),
    "heads": (lambda p: write_config(p, ranks=2), "9 attention heads cannot be divided"),
    "context": (lambda p: write_config(p, max_model_len=9000), "max_model_len 9000 is more than the 8192 positions"),
}


def said(capsys, *arguments):
    capsys.readouterr()
    code = hpc_qa(list(arguments))
    done = capsys.readouterr()
    return code, done.out, done.err


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unusable_model_is_refused_before_the_start_and_the_doctor_says_so_too(project, capsys, fault):
    strike, told = FAULTS[fault]
    strike(project)
    options = ("--project", str(project))
    code, _, text = said(capsys, *options, "submit", str(project / "config.yaml"))
    assert (code, told in text) == (2, True), text
    assert list(project.glob("runs/*")) == []
    code, text, _ = said(capsys, *options, "doctor", str(project / "config.yaml"), "--json")
    failed = [one["text"] for one in json.loads(text) if one["state"] == "fail"]
    assert code == 1
    assert any(told in one for one in failed), failed


def test_a_whole_model_is_not_refused(project, capsys):
    code, _, text = said(capsys, "--project", str(project), "submit", str(project / "config.yaml"), "--dry-run")
    assert code == 0, text
