"""What all tests share: the two lanes, two processes, no silent skips under CI=true, and where the small model is."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fake_nvml.library import FakeNvml, build

pytest_plugins = ["pytester", "tests.no_skips", "tests.long_lane", "tests.side_by_side"]

settings.register_profile("untimed", deadline=None)  # a first import, or a busy machine, is no fault
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent

# A shell lets what it starts in the background ignore INT, and so would every program that a test starts and interrupts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout."""
    return ROOT


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a libnvidia-ml.so.1 that does as it is told."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def fake_nvml(nvml_library: Path, tmp_path: Path) -> FakeNvml:
    """Two GPUs for child processes."""
    return FakeNvml(nvml_library, tmp_path / "nvml-rules")


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The small model; `make test` makes it before the tests start."""
    folder = ROOT / "cache" / "models" / "SmolLM2-135M-Instruct"
    if not (folder / "model.safetensors").is_file():
        pytest.fail(f"{folder} is not there: python -m demo prepare", pytrace=False)
    return folder
