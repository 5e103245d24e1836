"""Debian's Tesseract: there already, or installed when we may."""

import pytest

from tests.real_slurm.packages import install_packages, missing

PACKAGES = ("tesseract-ocr", "tesseract-ocr-eng")


@pytest.fixture(scope="session", autouse=True)
def tesseract() -> None:
    if absent := missing(["tesseract"]):
        install_packages(PACKAGES, for_want_of=absent)
