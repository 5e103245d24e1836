"""What all tests share: the two lanes, no silent skips under CI=true, and where the small model is."""

import signal
from pathlib import Path

import pytest

pytest_plugins = ["pytester", "tests.no_skips", "tests.long_lane"]

ROOT = Path(__file__).resolve().parent.parent

# A shell lets what it starts in the background ignore INT, and so would every program that a test starts and interrupts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout."""
    return ROOT


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The small model; `make test` makes it before the tests start."""
    folder = ROOT / "cache" / "models" / "SmolLM2-135M-Instruct"
    if not (folder / "model.safetensors").is_file():
        pytest.fail(f"{folder} is not there: python -m demo prepare", pytrace=False)
    return folder
