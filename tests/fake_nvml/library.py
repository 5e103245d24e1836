"""The library of `nvml.c`, compiled here, and programs that meet it by the real pynvml, in processes of their own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = "GPU-11111111-aaaa-bbbb-cccc-000000000000", "GPU-22222222-aaaa-bbbb-cccc-000000000000"
PRINT = "\nimport json\nprint(json.dumps(result))"


def build(folder: Path) -> Path:
    """Compile it into this folder."""
    source, library = Path(__file__).with_name("nvml.c"), folder / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-std=c11", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    return folder


@dataclass(frozen=True)
class FakeNvml:
    """Two GPUs that do as they are told."""

    library: Path  # its folder
    rules: Path

    def told(self, *rules: str) -> dict[str, str]:
        """The environment of a process whose NVML follows these rules (see `nvml.c`)."""
        self.rules.write_text("".join(f"{rule}\n" for rule in rules))
        left = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        return left | {"LD_LIBRARY_PATH": str(self.library), "FAKE_NVML": str(self.rules)}

    def run(self, program: str, *rules: str, **environment: str) -> Any:
        """What this program leaves in `result`, in a process with these rules."""
        done = subprocess.run(
            [sys.executable, "-c", program + PRINT],
            env=self.told(*rules) | environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
