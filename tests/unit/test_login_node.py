"""What a login node starts never loads a model server, even where one is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "vllm", "ray", "transformers")
PROGRAM = """
import sys
from hpc_qa.cli.main import run
code = run(sys.argv[1:])
found = sorted({name.partition(".")[0] for name in sys.modules} & set(%r))
print("loaded", *found, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["--version"], ["doctor", "configs/demo_cpu.yaml"], ["status"], ["metrics"],
        ["manifest", "build", "manifests", "README.md", "-o", "{tmp}/m.jsonl"],
        ["plan", "configs/demo_cpu.yaml", "--manifest", "{tmp}/list.txt"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_command_of_the_login_node_loads_no_model_server(arguments, tmp_path, model_folder):
    (tmp_path / "list.txt").write_text(f"{ROOT / 'README.md'}\n")
    words = [word.replace("{tmp}", str(tmp_path)) for word in arguments]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % (HEAVY,), *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "loaded"
