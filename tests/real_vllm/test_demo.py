"""The demo that the README promises, run as `make demo` runs it, in this checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.long, pytest.mark.timeout(900)]


def test_the_demo_publishes_a_proven_dataset_that_datasets_opens(
    checkout: Path, model_folder: Path, tmp_path: Path
) -> None:
    done = subprocess.run([sys.executable, "-m", "demo"], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    run = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("run "))
    dataset = checkout / "runs" / run / "dataset"
    rows = [json.loads(line) for line in (dataset / "qa.jsonl").read_text().splitlines()]
    assert len(rows) >= 30
    assert len({row["doc_id"] for row in rows}) >= 8
    assert all(row["evidence"] for row in rows)
    assert all(text in row["context"] for row in rows for text in row["evidence"])
    card = (dataset / "README.md").read_text()
    assert "15 public domain" in card
    assert "2 BSD-3-Clause" in card
    program = "import sys, datasets; d = datasets.load_dataset(sys.argv[1]); print(sum(s.num_rows for s in d.values()))"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    opened = subprocess.run(
        [sys.executable, "-c", program, str(dataset)], env=environment, capture_output=True, text=True, check=True
    )
    assert int(opened.stdout.split()[-1]) == len(rows)
