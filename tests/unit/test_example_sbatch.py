"""slurm/example.sbatch is what sbatch gets for configs/example.yaml, word for word."""

from pathlib import Path

from hpc_qa.config_file import load
from hpc_qa.slurm.array import ArrayRequest

ROOT = Path(__file__).resolve().parents[2]
RUN = Path("/project/you/medicaid/runs/example-20260101T000000-0a1b")
PYTHON = "/project/you/hpc_qa-env/bin/python"
ABOUT = """\
# What `hpc-qa submit configs/example.yaml` hands to sbatch for a plan of 24 shards: to be read, not to be changed.
# `hpc-qa submit CONFIG --dry-run` prints that of your own config.
"""


def test_the_example_batch_script_is_that_of_the_example_config():
    config = load(ROOT / "configs" / "example.yaml", project=ROOT)
    settings = config.slurm.model_copy(update={"python": PYTHON})
    request = ArrayRequest(RUN.name, RUN, range(24), settings, config.gpus_per_node)
    first, _, rest = request.script().partition("\n")
    expected = f"{first}\n{ABOUT}{rest}"
    assert (ROOT / "slurm" / "example.sbatch").read_text() == expected
